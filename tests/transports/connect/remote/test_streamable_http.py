"""Streamable HTTP upstreams, played by a fake server."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from msgspec import Raw

from router.messages.frames import Notification, Request, RequestWithHeaders, Response
from tests.transports.connect.remote.fake_server import (
    Call,
    CutConnection,
    answer,
    discovered,
    initialized,
    never,
    notice,
    serve,
    session_server,
)
from tests.transports.connect.remote.test_credentials import FakeCredentials
from transports.connect.remote.connect import connect_http

# --- Payloads and calls ---


@pytest.mark.parametrize("as_stream", [False, True])
async def test_payloads_pass_unchanged_in_both_directions(as_stream: bool) -> None:
    odd = '{"big": 123456789012345678901234567890, "f": 1.10, "e": 1e400, "x": "é\\ud83d\\ude00"}'

    async def play(call: Call) -> None:
        if not as_stream:
            await call.result(odd)
            return
        await call.stream()
        await call.event(answer(call.id, odd))
        await call.end()

    async with initialized(session_server(play)) as talk:
        for request_id in (7, "seven", 2**60):
            frame = await talk.request(request_id, "tools/call", odd)
            assert isinstance(frame, Response)
            assert (frame.id, bytes(frame.result)) == (request_id, odd.encode())
            assert odd.encode() in talk.server.calls[-1].body


async def test_every_request_carries_headers_session_and_revision() -> None:
    async def get(call: Call) -> None:
        await call.stream()
        opened.set()
        await call.closed()
        raise CutConnection

    opened = trio.Event()
    async with serve(session_server(Call.result, get)) as server:
        async with server.connect(headers={"Authorization": "Bearer t", "X-Own": "1"}) as talk:
            await talk.initialize()
            await opened.wait()
            await server.wait_for("notifications/initialized")
        first, *rest = server.calls
        assert sorted(call.method for call in rest) == ["DELETE", "GET", "POST"]
        assert all(call.headers["authorization"] == "Bearer t" for call in server.calls)
        assert all(call.headers["x-own"] == "1" for call in server.calls)
        assert "mcp-protocol-version" not in first.headers
        assert all(call.headers["mcp-protocol-version"] == "2025-11-25" for call in rest)
        assert all(call.headers["mcp-session-id"] == "s1" for call in rest)


async def test_frames_of_a_call_come_before_its_answer_and_name_it() -> None:
    async def play(call: Call) -> None:
        await call.stream()
        await call.event(notice("notifications/progress", '{"progress":1}'))
        await call.event(b'{"jsonrpc":"2.0","id":1,"method":"roots/list"}')
        await call.event(answer(call.id, "{}"))
        await call.end()

    async with initialized(session_server(play)) as talk:
        await talk.send(Request(9, "tools/call"))
        received = [await talk.receive() for _ in range(3)]
        assert [type(item.frame) for item in received] == [Notification, Request, Response]
        assert [item.related for item in received] == [9, 9, 9]


async def test_frames_of_the_standalone_stream_name_no_call() -> None:
    async def get(call: Call) -> None:
        await call.stream()
        await call.event(notice("notifications/tools/list_changed"), id="1")
        await call.closed()
        raise CutConnection

    async with initialized(session_server(Call.result, get)) as talk:
        received = await talk.receive()
        assert received.frame == Notification("notifications/tools/list_changed", Raw(b"{}"))
        assert received.related is None


async def test_a_message_of_two_mebibytes_passes() -> None:
    async def play(call: Call) -> None:
        await call.stream()
        await call.event(answer(call.id, f'"{"x" * 2**21}"'))
        await call.end()

    async with initialized(session_server(play)) as talk:
        frame = await talk.request(3, "tools/call")
        assert isinstance(frame, Response)
        assert len(bytes(frame.result)) == 2**21 + 2


async def test_connections_are_kept_after_streamed_answers() -> None:
    async def play(call: Call) -> None:
        await call.stream()
        await call.event(answer(call.id, "{}"))
        await call.end()

    async with initialized(session_server(play)) as talk:
        for number in range(20):
            await talk.request(2 * number + 3, "tools/call")
        assert talk.server.connections <= 4


async def test_slow_calls_and_unacknowledged_messages_hold_up_nothing() -> None:
    async def play(call: Call) -> None:
        await (never() if call.rpc == "slow" else call.result())

    async def script(call: Call) -> None:
        await (never() if call.rpc == "notifications/late" else session_server(play)(call))

    async with initialized(script) as talk:
        slow = [Request(2 * number + 3, "slow") for number in range(30)]
        late = [Notification("notifications/late")] * 10
        await talk.send(*slow, *late)
        assert await talk.request(101, "fast") == Response(101, Raw(b"{}"))


# --- Cancellation ---


async def test_a_cancellation_is_forwarded_and_frees_what_waits_for_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("transports.connect.remote.connection.ABANDON_S", 0.0)
    begun, freed = trio.Event(), trio.Event()

    async def play(call: Call) -> None:
        begun.set()
        await call.closed()
        freed.set()
        raise CutConnection

    async with initialized(session_server(play)) as talk:
        await talk.send(Request("a", "tools/call"))
        await begun.wait()
        await talk.send(Notification("notifications/cancelled", Raw(b'{"requestId":"a"}')))
        await freed.wait()
        await talk.server.wait_for("notifications/cancelled")


# --- Headers of clients ---


@pytest.mark.parametrize("is_stateless", [False, True])
async def test_headers_of_a_client_go_with_its_request_alone(is_stateless: bool) -> None:
    begin = discovered if is_stateless else initialized
    asked = RequestWithHeaders(3, "tools/call", Raw(b'{"name":"x"}'), {"x-tenant": "t1"})
    async with begin(session_server(Call.result), headers={"X-Own": "1"}) as talk:
        await talk.send(asked, Request(5, "tools/list"))
        await talk.receive()
        await talk.receive()
        sent = {call.rpc: call.headers for call in talk.server.calls if call.rpc}
    assert sent["tools/call"]["x-tenant"] == "t1"
    assert sent["tools/call"]["x-own"] == "1"
    assert "x-tenant" not in sent["tools/list"]


async def test_credentials_win_over_what_a_client_sends() -> None:
    connect = partial(connect_http, credentials=FakeCredentials(["own"]))
    asked = RequestWithHeaders(3, "tools/call", headers={"authorization": "Bearer theirs"})
    async with initialized(session_server(Call.result), connect) as talk:
        await talk.send(asked)
        await talk.receive()
        call = await talk.server.wait_for("tools/call")
    assert call.headers["authorization"] == "Bearer own"
