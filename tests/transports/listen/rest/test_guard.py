"""The guard of the REST API: admission, body limits, and headers of every answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from router.messages.commands import Principal
from router.messages.errors import HttpRefusal
from tests.transports.listen.rest.rest_client import Got, RestSite, rest_site
from transports.listen.rest.guard import POLICY_VIOLATION, Guard
from transports.listen.rest.rest_admission import OPEN_PATHS, Cors, RestAdmission
from transports.listen.serving.asgi import BODY_LIMIT_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE = "http://127.0.0.1:9999"
FOREIGN = "https://ui.example.org"
PREFLIGHT: Any = {"access_control_request_method": "POST"}


def _assert_guarded(got: Got) -> None:
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["x-frame-options"] == "DENY"
    assert got.headers["content-security-policy"] == "default-src 'self'"
    assert "access-control-allow-credentials" not in got.headers


async def test_every_answer_has_the_security_headers() -> None:
    async with rest_site() as site:
        for method, target, token in [
            ("GET", "/", None),
            ("GET", "/docs", None),
            ("GET", "/nothing", "all"),
            ("PUT", "/api/call", "all"),
            ("GET", "/api/instances", None),
            ("GET", "/api/instances/..", "all"),
            ("POST", "/api/call", "all"),
        ]:
            got = await site.ask(method, target, token=token)
            _assert_guarded(got)
            assert "strict-transport-security" not in got.headers


async def test_over_tls_browsers_are_told_to_stay_there() -> None:
    async with rest_site() as site:
        got = await site.ask("GET", "/", scheme="https")
    assert got.headers["strict-transport-security"].startswith("max-age=")


async def test_all_but_the_open_routes_want_a_token() -> None:
    async with rest_site() as site:
        for target in ("/api/instances", "/api/config", "/api/nothing", "/elsewhere", "/ws"):
            missing = await site.ask("GET", target, token=None)
            wrong = await site.ask("GET", target, token="é")
            assert (missing.status, missing.json) == (
                401,
                {"detail": "Bearer token required but not provided"},
            )
            assert (wrong.status, wrong.json) == (401, {"detail": "Invalid bearer token"})
        for target in OPEN_PATHS:
            assert (await site.ask("GET", target, token=None)).status == 200
        assert not site.actor.asked


@pytest.mark.parametrize(
    "headers", [{"host": "evil.test"}, {"origin": "null"}, {"origin": "http://127.0.0.1.evil.com"}]
)
async def test_wrong_host_or_origin_is_403_on_every_route(headers: Any) -> None:
    async with rest_site(cors_origin=PAGE) as site:
        for target in (*OPEN_PATHS, "/api/instances", "/nothing"):
            got = await site.ask("GET", target, **headers)
            assert got.status == 403
            _assert_guarded(got)


@pytest.mark.parametrize(
    "header", [("content-length", "5"), ("host", "127.0.0.1:8001")], ids=["framing", "host"]
)
async def test_ambiguous_head_is_400_before_anything_else_of_it_is_read(
    header: tuple[str, str],
) -> None:
    async with rest_site() as site:
        statuses: list[int] = []

        async def receive() -> dict[str, Any]:
            raise AssertionError("what follows such a head means nothing")

        async def send(message: Any) -> None:
            await trio.lowlevel.checkpoint()
            statuses.append(message.get("status", 0))

        name, value = header
        headers = [
            (b"host", b"127.0.0.1:8001"),
            (b"transfer-encoding", b"chunked"),
            (name.encode(), value.encode()),
        ]
        scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
        await site.app(scope, receive, send)
    assert statuses[0] == 400


# --- Bodies ----------------------------------------------------------------------------------

TOO_LARGE = {"detail": f"Request body too large. Maximum size: {BODY_LIMIT_BYTES} bytes"}


async def test_body_that_is_announced_too_large_is_413() -> None:
    async with rest_site() as site:
        got = await site.ask("POST", "/api/call", content_length=str(BODY_LIMIT_BYTES + 1))
    assert (got.status, got.json) == (413, TOO_LARGE)
    _assert_guarded(got)


async def test_body_that_turns_out_too_large_is_413() -> None:
    async with rest_site() as site:
        data = b" " * (BODY_LIMIT_BYTES + 1)
        got = await site.ask("POST", "/api/call", data=data, content_length="7")
    assert (got.status, got.json) == (413, TOO_LARGE)


async def test_body_that_does_not_arrive_in_time_is_408(autojump_clock: Any) -> None:
    async with rest_site() as site:
        messages: list[Any] = []

        async def send(message: Any) -> None:
            await trio.lowlevel.checkpoint()
            messages.append(message)

        headers = [(b"host", b"127.0.0.1:8001"), (b"authorization", b"Bearer all")]
        scope = {"type": "http", "method": "POST", "path": "/api/call", "headers": headers}
        await _run_slowly(site, scope, send)
    assert messages[0]["status"] == 408


async def _run_slowly(site: RestSite, scope: Any, send: Any) -> None:
    async def receive() -> dict[str, Any]:
        await trio.sleep_forever()
        raise AssertionError

    await site.app(
        {**scope, "headers": [*scope["headers"], (b"content-length", b"9")]}, receive, send
    )


# --- CORS ------------------------------------------------------------------------------------


async def test_preflight_needs_no_token() -> None:
    async with rest_site() as site:
        got = await site.ask("OPTIONS", "/api/call", token=None, origin=PAGE, **PREFLIGHT)
    assert (got.status, got.body) == (204, b"")
    assert got.headers["access-control-allow-origin"] == "*"
    assert "PATCH" in got.headers["access-control-allow-methods"]
    assert "Authorization" in got.headers["access-control-allow-headers"]
    _assert_guarded(got)


async def test_page_of_another_origin_may_come_in_with_a_token_where_all_may_read() -> None:
    async with rest_site() as site:
        site.actor.answers.append([])
        asked = await site.ask("OPTIONS", "/api/call", token=None, origin=FOREIGN, **PREFLIGHT)
        got = await site.ask("GET", "/api/instances", origin=FOREIGN)
        lost = await site.ask("GET", "/api/instances", origin=FOREIGN, token=None)
        sandboxed = await site.ask("GET", "/api/instances", origin="null")
    assert (asked.status, got.status, lost.status, sandboxed.status) == (204, 200, 401, 403)
    assert got.headers["access-control-allow-origin"] == "*"


async def test_page_of_another_origin_stays_out_where_there_is_no_token() -> None:
    async with rest_site(needs_token=lambda: False) as site:
        asked = await site.ask("OPTIONS", "/api/call", origin=FOREIGN, **PREFLIGHT)
        got = await site.ask("GET", "/api/instances", origin=FOREIGN)
    assert (asked.status, got.status) == (403, 403)


async def test_origin_that_may_read_some_does_not_open_the_door_for_others() -> None:
    async with rest_site(cors_origin=PAGE) as site:
        assert (await site.ask("GET", "/", origin=FOREIGN)).status == 403


# --- Request targets -------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, "all"])
@pytest.mark.parametrize(
    "target", ["http://evil.test/health", "http://127.0.0.1:8001/", "*", "evil.test:80", "health"]
)
async def test_target_that_is_no_path_of_ours_reaches_no_route(
    target: str, token: str | None
) -> None:
    async with rest_site() as site:
        for method in ("GET", "OPTIONS", "CONNECT"):
            got = await site.ask(method, target, token=token)
            assert got.status == (401 if token is None else 400)
            _assert_guarded(got)


# --- Those who are not welcome any more ------------------------------------------------------


async def test_slow_sender_is_admitted_again_after_its_body() -> None:
    """Otherwise a slow body could change something after its token was revoked."""
    rules, served, sent = Rules(), list[Any](), list[Any]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        served.append(scope)

    async def receive() -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        rules.of_token = {}
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Any) -> None:
        await trio.lowlevel.checkpoint()
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/api/call", **BY_TOKEN}
    admission = RestAdmission(rules.admit, lambda: True, Cors("*"), rules.redeem, rules.is_known)
    await Guard(app, admission)(scope, receive, send)
    assert (served, sent[0]["status"]) == ([], 401)


# --- WebSockets of those who are not welcome any more ----------------------------------------


class Rules:
    """Rules of admission that can change."""

    def __init__(self) -> None:
        self.of_token: dict[str, Principal] = {"all": Principal("all")}

    def admit(self, headers: Mapping[str, str], _address: str) -> Principal:
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.of_token:
            raise HttpRefusal(401, "Invalid bearer token")
        return self.of_token[token]

    def is_known(self, principal: Principal) -> bool:
        return principal in self.of_token.values()

    def redeem(self, ticket: str) -> Principal | None:
        return Principal("all") if ticket == "good" else None


class Talking:
    """An application that says everything it is told to on a WebSocket."""

    def __init__(self) -> None:
        self.say, self._said = trio.open_memory_channel[str](10)
        self.was_cancelled = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await send({"type": "websocket.accept"})
            async for text in self._said:
                await send({"type": "websocket.send", "text": text})
        except trio.Cancelled:
            self.was_cancelled = True
            raise


BY_TOKEN: Any = {"headers": [(b"authorization", b"Bearer all")]}
BY_TICKET: Any = {"query_string": b"ticket=good"}


async def sent_on(scope: Any, rules: Rules, talking: Talking) -> list[dict[str, Any]]:
    """Everything that goes out on a WebSocket until it ends."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        await trio.lowlevel.checkpoint()
        sent.append(message)

    admission = RestAdmission(rules.admit, lambda: True, Cors("*"), rules.redeem, rules.is_known)
    guard = Guard(talking, admission)
    with trio.fail_after(5):
        full: Any = {"type": "websocket", "path": "/ws", "headers": [], "query_string": b""}
        await guard(full | scope, receive, send)
    return sent


@pytest.mark.parametrize("scope", [BY_TOKEN, BY_TICKET], ids=["token", "ticket"])
async def test_admitted_client_gets_everything(scope: Any) -> None:
    talking = Talking()
    talking.say.send_nowait("one")
    talking.say.close()
    sent = await sent_on(scope, Rules(), talking)
    assert [one["type"] for one in sent] == ["websocket.accept", "websocket.send"]


@pytest.mark.parametrize("scope", [BY_TOKEN, BY_TICKET], ids=["token", "ticket"])
@pytest.mark.parametrize(
    "of_token", [{}, {"all": Principal("all", frozenset({"call"}))}, {"new": Principal("new")}]
)
async def test_client_that_is_not_admitted_any_more_gets_nothing_and_is_closed(
    scope: Any, of_token: dict[str, Principal]
) -> None:
    rules, talking = Rules(), Talking()

    async def change() -> None:
        await trio.testing.wait_all_tasks_blocked()
        rules.of_token = of_token
        talking.say.send_nowait("secret")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(change)
        sent = await sent_on(scope, rules, talking)
    assert [one["type"] for one in sent] == ["websocket.accept", "websocket.close"]
    assert sent[-1]["code"] == POLICY_VIOLATION
    assert talking.was_cancelled


async def test_ticket_of_somebody_who_is_gone_opens_nothing() -> None:
    rules = Rules()
    rules.of_token = {}
    sent = await sent_on(BY_TICKET, rules, Talking())
    assert [one["type"] for one in sent] == ["websocket.close"]
