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


# --- Browsers that have logged in ------------------------------------------------------------


ALICE = Principal("https://id.example.org alice")


class Browsers:
    """One browser that has logged in, until it is logged out."""

    def __init__(self) -> None:
        self.is_logged_in = True
        self.asked: list[str] = []

    def admit(self, method: str, headers: Mapping[str, str]) -> Principal | None:
        self.asked.append(method)
        if headers.get("cookie") != "session" or not self.is_logged_in:
            return None
        if "origin" in headers:
            raise HttpRefusal(403, "Another site")
        return ALICE

    def is_known(self, principal: Principal) -> bool:
        return principal == ALICE and self.is_logged_in


class Site:
    """Admission where a browser has logged in, and one token is known."""

    def __init__(self) -> None:
        self.browsers = Browsers()
        self.reported: list[int] = []
        self.admission = RestAdmission(
            self._admit,
            needs_token=lambda: True,
            cors=Cors("*"),
            redeem=lambda _: ALICE,
            is_known=lambda _: False,
            refused=lambda _address, _path, refusal: self.reported.append(refusal.status),
            browsers=self.browsers,
        )

    def _admit(self, headers: Mapping[str, str], _address: str) -> Principal:
        if headers.get("authorization") != "Bearer good":
            raise HttpRefusal(401, "Why")
        return Principal("good")

    def principal_of(self, kind: str = "http", path: str = "/api/call", **headers: str) -> Any:
        scope = {"type": kind, "path": path, "method": "POST", "client": ("10.0.0.5", 1)}
        try:
            return self.admission.principal_of(scope, headers)
        except HttpRefusal as refusal:
            return refusal.status


def test_cookie_of_a_login_admits_and_is_judged_by_the_kind_of_request() -> None:
    site = Site()
    assert site.principal_of(cookie="session") == ALICE
    assert site.principal_of("websocket", "/ws", cookie="session") == ALICE
    assert site.browsers.asked == ["POST", ""]
    assert site.principal_of(cookie="other") == 401


def test_page_of_another_site_is_refused_although_all_may_try_a_token() -> None:
    site = Site()
    assert site.principal_of(cookie="session", origin=FOREIGN) == 403
    assert site.reported == [403]


@pytest.mark.parametrize(("token", "expected"), [("good", Principal("good")), ("bad", 401)])
def test_token_that_was_sent_goes_before_the_cookie(token: str, expected: Any) -> None:
    given = {"authorization": f"Bearer {token}", "cookie": "session"}
    assert Site().principal_of(**given) == expected


def test_cookie_does_not_matter_on_open_paths() -> None:
    site = Site()
    assert site.principal_of(path="/docs", cookie="session", origin=FOREIGN) is None
    assert site.browsers.asked == []


@pytest.mark.parametrize("query", [b"", b"ticket=x"])
def test_websocket_is_admitted_until_the_browser_is_logged_out(query: bytes) -> None:
    site = Site()
    scope = {"type": "websocket", "path": "/ws", "query_string": query}
    headers = {} if query else {"cookie": "session"}
    assert site.admission.principal_of(scope, headers) == ALICE
    assert site.admission.is_still_admitted(ALICE, scope, headers)
    site.browsers.is_logged_in = False
    assert not site.admission.is_still_admitted(ALICE, scope, headers)
