"""The pages that may read the answers of the REST API; admission itself is in `test_guard`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from router.messages.commands import Principal
from router.messages.errors import HttpRefusal
from transports.listen.rest.rest_admission import Cors, RestAdmission

if TYPE_CHECKING:
    from collections.abc import Mapping

FOREIGN = "https://ui.example.org"


@pytest.mark.parametrize(
    ("allowed", "origin", "answered"),
    [
        ("*", FOREIGN, "*"),
        ("0.0.0.0", FOREIGN, "*"),
        ("127.0.0.1", "http://localhost:5173", "http://localhost:5173"),
        ("127.0.0.1", "http://127.0.0.1", "http://127.0.0.1"),
        ("127.0.0.1", "http://127.0.0.1.evil.com", None),
        ("127.0.0.1", FOREIGN, None),
        (FOREIGN, FOREIGN, FOREIGN),
        (f"{FOREIGN}/", FOREIGN, FOREIGN),
        (FOREIGN, f"{FOREIGN}:444", None),
    ],
)
def test_page_may_read_what_its_origin_is_allowed(
    allowed: str, origin: str, answered: str | None
) -> None:
    headers = dict(Cors(allowed).headers_for(origin))
    expected = None if answered is None else answered.encode()
    assert headers.get(b"access-control-allow-origin") == expected
    assert (b"vary" in headers) == (answered != "*")


def test_program_that_is_no_page_gets_no_cors_headers() -> None:
    assert Cors("*").headers_for(None) == ()


# --- Refusals --------------------------------------------------------------------------------


class Refused:
    """Rules that let nobody in, and the refusals that were reported."""

    def __init__(self, status: int) -> None:
        self.refusal = HttpRefusal(status, "Why")
        self.reported: list[tuple[str, str, HttpRefusal]] = []

    def admit(self, _headers: Mapping[str, str], _address: str) -> Principal:
        raise self.refusal

    def principal_of(self, path: str, **scope: Any) -> Principal | None:
        admission = RestAdmission(
            self.admit,
            needs_token=lambda: True,
            cors=Cors("*"),
            redeem=lambda ticket: Principal("all") if ticket == "good" else None,
            is_known=lambda _: True,
            refused=lambda *reported: self.reported.append(reported),
        )
        usual = {"type": "http", "method": "GET", "path": path, "client": ("10.0.0.5", 1)}
        return admission.principal_of(usual | scope, {})


@pytest.mark.parametrize("status", [401, 429])
def test_token_that_does_not_let_in_does_not_matter_on_open_paths(status: int) -> None:
    refused = Refused(status)
    assert refused.principal_of("/health") is None
    assert refused.reported == []


@pytest.mark.parametrize("status", [401, 429])
def test_ticket_lets_a_websocket_in_however_many_wrong_tokens_came_from_there(status: int) -> None:
    refused = Refused(status)
    asked = {"type": "websocket", "query_string": b"ticket=good"}
    assert refused.principal_of("/ws", **asked) == Principal("all")
    assert refused.reported == []


@pytest.mark.parametrize(
    ("status", "path", "kind"),
    [
        (401, "/api/call", "http"),
        (429, "/api/call", "http"),
        (403, "/", "http"),
        (401, "/ws", "websocket"),
    ],
)
def test_request_that_is_not_let_in_is_reported(status: int, path: str, kind: str) -> None:
    refused = Refused(status)
    with pytest.raises(HttpRefusal):
        refused.principal_of(path, type=kind)
    assert refused.reported == [("10.0.0.5", path, refused.refusal)]
