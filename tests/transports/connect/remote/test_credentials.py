"""Credentials for a remote server: they go with each request, and are renewed when refused."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
from attrs import define, field
from msgspec import Raw

from router.messages.errors import TRANSPORT_ERROR
from router.messages.frames import Notification, Request, Response
from tests.transports.connect.remote.fake_server import (
    Call,
    SseServer,
    connected,
    echo,
    error_of,
    initialized,
    never,
    serve,
    session_server,
)
from transports.connect.credentials import LoginNeeded
from transports.connect.remote.connect import connect_http, connect_sse
from transports.connect.wire import WireLost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.transports.connect.remote.fake_server import Script, Talk

CHALLENGE = 'Bearer resource_metadata="https://there.example/meta"'
URL = "https://router.example/oauth/login/t1"


@define
class FakeCredentials:
    """Has one token after the other, each good until it is refused.

    Attributes:
        tokens: the tokens; when the last one is refused, a login is needed.
        refusals: status, challenges and headers of each refusal.
        is_about_tokens: False if refusals are taken for something else.
    """

    tokens: list[str] = field(factory=lambda: ["t1"])
    refusals: list[tuple[int, str, dict[str, str]]] = field(factory=list)
    is_about_tokens: bool = True

    async def headers(self) -> Mapping[str, str]:
        await trio.lowlevel.checkpoint()
        if not self.tokens:
            raise LoginNeeded("it wants a login; run: mcp-router login there", URL)
        return {"authorization": f"Bearer {self.tokens[0]}"} if self.tokens[0] else {}

    async def refused(self, status: int, challenges: str, sent: Mapping[str, str]) -> bool:
        await trio.lowlevel.checkpoint()
        self.refusals.append((status, challenges, dict(sent)))
        if self.is_about_tokens:
            self.tokens.pop(0)
        return self.is_about_tokens


def guarded(script: Script, *good: str, status: int = 401) -> Script:
    """Return a script that refuses each request without one of these tokens."""

    async def guard(call: Call) -> None:
        if call.headers.get("authorization", "").removeprefix("Bearer ") in good:
            await script(call)
        else:
            await call.reply(status, b"who are you?", "text/plain", www_authenticate=CHALLENGE)

    return guard


async def lost(talk: Talk) -> WireLost:
    """Receive everything until the wire is lost."""
    await trio.lowlevel.checkpoint()
    try:
        while True:
            await talk.receive()
    except WireLost as gone:
        return gone


async def test_each_request_carries_the_credentials_of_that_moment() -> None:
    credentials = FakeCredentials(["t1"])
    connect = partial(connect_http, credentials=credentials)
    async with initialized(session_server(Call.result), connect) as talk:
        await talk.server.wait_for("notifications/initialized")
        credentials.tokens = ["t2"]
        assert await talk.request(3, "tools/call") == Response(3, Raw(b"{}"))
        sent = {call.rpc: call.headers["authorization"] for call in talk.server.calls if call.rpc}
    assert sent == {
        "initialize": "Bearer t1",
        "notifications/initialized": "Bearer t1",
        "tools/call": "Bearer t2",
    }
    assert talk.server.calls[-1].method == "DELETE"
    assert talk.server.calls[-1].headers["authorization"] == "Bearer t2"


async def test_a_configured_authorization_wins() -> None:
    credentials = FakeCredentials(["t1"])
    connect = partial(connect_http, credentials=credentials)
    script = guarded(session_server(Call.result), "mine")
    headers = {"authorization": "Bearer mine"}
    async with initialized(script, connect, headers=headers) as talk:
        assert await talk.request(3, "tools/call") == Response(3, Raw(b"{}"))
    assert credentials.refusals == []


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_request_is_sent_once_more_with_better_credentials(status: int) -> None:
    credentials = FakeCredentials(["old", "new"])
    connect = partial(connect_http, credentials=credentials)
    script = guarded(session_server(Call.result), "new", status=status)
    async with initialized(script, connect) as talk:
        assert await talk.request(3, "tools/call") == Response(3, Raw(b"{}"))
    assert credentials.refusals == [(status, CHALLENGE, {"authorization": "Bearer old"})]


async def test_a_refused_notification_is_sent_once_more() -> None:
    credentials = FakeCredentials(["first", "second"])
    connect = partial(connect_http, credentials=credentials)
    is_expired, taken = False, trio.Event()

    async def script(call: Call) -> None:
        nonlocal is_expired
        is_expired |= call.rpc == "notifications/roots/list_changed"
        if is_expired and call.headers["authorization"] == "Bearer second":
            taken.set()
        good = "second" if is_expired else "first"
        await guarded(session_server(Call.result), good)(call)

    async with initialized(script, connect) as talk:
        assert await talk.request(3, "tools/call") == Response(3, Raw(b"{}"))
        await talk.send(Notification("notifications/roots/list_changed"))
        await taken.wait()


async def test_credentials_that_stay_refused_are_not_tried_a_third_time() -> None:
    credentials = FakeCredentials(["a", "b", "c"])
    connect = partial(connect_http, credentials=credentials)
    async with connected(guarded(session_server(Call.result), "none"), connect) as talk:
        await talk.send(Request(1, "initialize"))
        gone = await lost(talk)
        assert [call.headers["authorization"] for call in talk.server.calls] == [
            "Bearer a",
            "Bearer b",
        ]
    assert "answered 401 Unauthorized: who are you?" in gone.reason
    assert not gone.needs_login


@pytest.mark.parametrize("is_about_tokens", [True, False])
async def test_a_refusal_without_a_challenge_counts_as_it_is(is_about_tokens: bool) -> None:
    credentials = FakeCredentials(["t1"], is_about_tokens=is_about_tokens)
    connect = partial(connect_http, credentials=credentials)

    async def play(call: Call) -> None:
        await call.reply(403, b"not you", "text/plain")

    async with initialized(session_server(play), connect) as talk:
        _, message = error_of(await talk.request(3, "tools/call"))
    assert message.endswith("answered 403 Forbidden: not you")
    assert credentials.refusals == []


async def test_a_refusal_that_is_no_matter_of_credentials_counts_as_it_is() -> None:
    credentials = FakeCredentials(["t1"], is_about_tokens=False)
    connect = partial(connect_http, credentials=credentials)

    async def play(call: Call) -> None:
        await call.reply(403, b"not you", "text/plain", www_authenticate=CHALLENGE)

    async with initialized(session_server(play), connect) as talk:
        _, message = error_of(await talk.request(3, "tools/call"))
    assert message.endswith("answered 403 Forbidden: not you")
    assert len(credentials.refusals) == 1


async def test_a_token_without_a_scope_for_anything_ends_the_start_with_that_reason() -> None:
    connect = partial(connect_http, credentials=FakeCredentials(["t1"], is_about_tokens=False))
    challenge = 'Bearer error="insufficient_scope", scope="admin"'

    async def play(call: Call) -> None:
        await call.reply(403, b"not enough", "text/plain", www_authenticate=challenge)

    async with connected(play, connect) as talk:
        await talk.send(Request(1, "server/discover"))
        gone = await lost(talk)
    assert gone.reason.endswith("answered 403 Forbidden: not enough")


async def test_without_credentials_a_challenge_is_answered_as_any_401() -> None:
    async with connected(guarded(session_server(Call.result), "none")) as talk:
        await talk.send(Request(1, "initialize"))
        gone = await lost(talk)
    assert "set headers.Authorization for this instance" in gone.reason
    assert not gone.needs_login


@define
class LacksScope(FakeCredentials):
    """Has a good token, which lacks a scope for some requests."""

    async def refused(self, status: int, challenges: str, sent: Mapping[str, str]) -> bool:
        await super().refused(status, challenges, sent)
        self.tokens = ["t1"]
        why, way_out = "it wants the scope admin", "run: mcp-router login there"
        raise LoginNeeded(why, way_out=way_out, is_for_one_request=True)


async def test_a_call_that_lacks_a_scope_fails_alone_and_says_how_to_get_it() -> None:
    connect = partial(connect_http, credentials=LacksScope())

    async def play(call: Call) -> None:
        if call.rpc == "prompts/get":
            await call.result()
        else:
            await call.reply(403, b"", "text/plain", www_authenticate=CHALLENGE)

    async with initialized(session_server(play), connect) as talk:
        code, message = error_of(await talk.request(3, "tools/call"))
        assert await talk.request(4, "prompts/get") == Response(4, Raw(b"{}"))
    assert code == TRANSPORT_ERROR
    why = "it wants the scope admin; run: mcp-router login there"
    assert message.endswith(f"answered 403 Forbidden: {why}")


async def test_a_start_that_lacks_a_scope_needs_a_login() -> None:
    connect = partial(connect_http, credentials=LacksScope())

    async def play(call: Call) -> None:
        await call.reply(403, b"", "text/plain", www_authenticate=CHALLENGE)

    async with connected(play, connect) as talk:
        await talk.send(Request(1, "initialize"))
        gone = await lost(talk)
    assert gone.needs_login


async def test_a_login_that_is_needed_ends_the_start() -> None:
    connect = partial(connect_http, credentials=FakeCredentials([""]))
    async with connected(guarded(session_server(Call.result), "good"), connect) as talk:
        await talk.send(Request(1, "initialize"))
        gone = await lost(talk)
    assert gone.reason == "it wants a login; run: mcp-router login there"
    assert gone.needs_login
    assert gone.stays_down
    assert gone.login_url == URL


async def test_a_login_that_is_needed_later_answers_the_refused_call_and_ends_all_others() -> None:
    credentials = FakeCredentials(["t1"])
    connect = partial(connect_http, credentials=credentials)

    async def play(call: Call) -> None:
        await (never() if call.rpc == "slow" else call.result())

    async with initialized(session_server(play), connect) as talk:
        await talk.send(Request(3, "slow"))
        await talk.server.wait_for("slow")
        credentials.tokens = []
        code, message = error_of(await talk.request(5, "tools/call"))
        gone = await lost(talk)
        assert not [call for call in talk.server.calls if call.rpc == "tools/call"]
    assert (code, message) == (TRANSPORT_ERROR, "it wants a login; run: mcp-router login there")
    assert gone.needs_login
    assert gone.login_url == URL


async def test_a_start_that_begins_with_discover_is_not_taken_for_one_that_was_refused() -> None:
    connect = partial(connect_http, credentials=FakeCredentials([]))
    async with connected(session_server(Call.result), connect) as talk:
        await talk.send(Request(1, "server/discover"))
        received = await talk.receive()
        gone = await lost(talk)
    assert received.failure is not None
    assert (received.failure.login_url, gone.needs_login) == (URL, True)


async def test_another_transport_is_not_tried_without_a_login() -> None:
    connect = partial(connect_http, credentials=FakeCredentials([]))
    async with connected(SseServer(echo), connect, try_sse=True) as talk:
        await talk.send(Request(1, "initialize"))
        gone = await lost(talk)
        assert talk.server.calls == []
    assert gone.needs_login


async def test_both_requests_of_http_sse_carry_credentials() -> None:
    credentials = FakeCredentials(["old", "new"])
    connect = partial(connect_sse, credentials=credentials)
    async with serve(guarded(SseServer(echo), "new")) as server, server.connect(connect) as talk:
        assert await talk.request(1, "initialize") == Response(1, Raw(b"{}"))
        sent = [(call.method, call.headers["authorization"]) for call in server.calls]
    assert sent == [("GET", "Bearer old"), ("GET", "Bearer new"), ("POST", "Bearer new")]


async def test_a_token_that_is_refused_without_a_word_is_renewed_too() -> None:
    credentials = FakeCredentials(["old", "new"])
    inner = session_server(Call.result)

    async def silent(call: Call) -> None:
        if call.headers.get("authorization") == "Bearer new":
            await inner(call)
        else:
            await call.reply(401, b"", "text/plain")

    connect = partial(connect_http, credentials=credentials)
    async with initialized(silent, connect) as talk:
        assert await talk.request(3, "tools/call") == Response(3, Raw(b"{}"))
    assert [refusal[:2] for refusal in credentials.refusals] == [(401, "")]


async def test_an_event_stream_that_needs_a_login_ends_the_start() -> None:
    connect = partial(connect_sse, credentials=FakeCredentials(["old"]))
    async with serve(guarded(SseServer(echo), "good")) as server, server.connect(connect) as talk:
        with pytest.raises(WireLost) as gone:
            await talk.request(1, "initialize")
    assert gone.value.needs_login


def test_the_page_for_a_login_is_no_part_of_the_reason() -> None:
    needed = WireLost("it wants a login", needs_login=True, login_url=URL)
    assert str(needed) == str(LoginNeeded("it wants a login", URL)) == "it wants a login"
    assert needed.again("elsewhere").login_url == URL
