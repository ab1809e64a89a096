"""Who is let in through the local socket."""

from __future__ import annotations

import pytest

from router.access.local_admission import LOCAL, LocalAdmission, LocalPortAdmission
from router.access.refusals import Refusals
from router.files.names import is_name
from router.messages.commands import PERMISSIONS, Principal
from router.messages.errors import HttpRefusal


@pytest.fixture
def admission() -> LocalAdmission:
    return LocalAdmission.reporting_to(Refusals())


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:80", "[::1]"])
def test_everybody_who_gets_there_is_the_user_with_every_permission(
    admission: LocalAdmission, host: str
) -> None:
    for headers in ({"host": host}, {"host": host, "authorization": "Bearer wrong"}):
        assert admission.admit(headers) == LOCAL
    assert (LOCAL.permissions, LOCAL.instances, LOCAL.profile) == (PERMISSIONS, None, None)


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.test"},
        {},
        {"host": "localhost", "origin": "http://localhost"},
        {"host": "localhost", "origin": "null"},
    ],
)
def test_no_page_of_a_browser_is_let_in(admission: LocalAdmission, headers: dict[str, str]) -> None:
    with pytest.raises(HttpRefusal) as refused:
        admission.admit(headers)
    assert refused.value.status == 403


def test_user_stays_known_and_no_token_is_taken_for_it(admission: LocalAdmission) -> None:
    assert admission.is_known(LOCAL)
    assert not admission.is_known(Principal("other"))
    assert not is_name(LOCAL.name)


# --- On a port -------------------------------------------------------------------------------

TOKEN = "ab" * 32
GOOD = {"host": "127.0.0.1:5000", "authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def at_port() -> LocalPortAdmission:
    return LocalPortAdmission.for_port(5000, TOKEN, Refusals())


@pytest.mark.parametrize("host", ["127.0.0.1:5000", "localhost:5000"])
def test_whoever_has_the_token_of_the_port_is_the_user(
    at_port: LocalPortAdmission, host: str
) -> None:
    assert at_port.admit({**GOOD, "host": host}) == LOCAL
    assert at_port.is_known(LOCAL)
    assert TOKEN not in repr(at_port)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": ""}, 401),
        ({"authorization": f"Bearer {TOKEN[:-1]}c"}, 401),
        ({"host": "127.0.0.1"}, 403),
        ({"host": "127.0.0.1:5001"}, 403),
        ({"host": "evil.test:5000"}, 403),
        ({"origin": "http://127.0.0.1:5000"}, 403),
        ({"origin": "null"}, 403),
    ],
)
def test_port_refuses_other_tokens_other_hosts_and_every_page(
    at_port: LocalPortAdmission, headers: dict[str, str], status: int
) -> None:
    with pytest.raises(HttpRefusal) as refused:
        at_port.admit(GOOD | headers)
    assert refused.value.status == status
