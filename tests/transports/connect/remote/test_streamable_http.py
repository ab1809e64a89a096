"""Streamable HTTP upstreams, played by a fake server."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from msgspec import Raw

from router.messages.errors import INTERNAL_ERROR, SESSION_LOST
from router.messages.frames import ErrorResponse, Notification, Request, Response
from tests.transports.connect.remote.fake_server import (
    Call,
    CutConnection,
    answer,
    error_of,
    initialized,
    never,
    notice,
    serve,
    session_server,
)

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


async def test_an_id_that_comes_back_as_a_string_is_still_ours() -> None:
    async def play(call: Call) -> None:
        await call.reply(body=answer(str(call.id), "{}"))

    async with initialized(session_server(play)) as talk:
        assert await talk.request(3, "tools/call") == Response(3, Raw(b"{}"))


async def test_an_answer_to_another_call_is_not_taken_for_ours() -> None:
    first = trio.Event()

    async def play(call: Call) -> None:
        if call.id == 3:
            first.set()
            await never()
        await call.stream()
        await call.event(answer(3, '"for 3"'))
        await call.event(answer(call.id, '"for 5"'))
        await call.end()

    async with initialized(session_server(play)) as talk:
        await talk.send(Request(3, "tools/call"))
        await first.wait()
        await talk.send(Request(5, "tools/call"))
        assert (await talk.receive()).frame == Response(3, Raw(b'"for 3"'))
        assert (await talk.receive()).frame == Response(5, Raw(b'"for 5"'))


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


# --- Failures of one request ---


@pytest.mark.parametrize(
    ("reply", "code", "text"),
    [
        ({"status": 503}, INTERNAL_ERROR, "URL answered 503 Service Unavailable"),
        ({"status": 403}, INTERNAL_ERROR, "URL answered 403 Forbidden; may the headers"),
        ({"status": 202}, INTERNAL_ERROR, "URL answered 202 Accepted instead of an answer"),
        ({"body": b"<p>", "kind": "text/html"}, INTERNAL_ERROR, "URL answered with text/html"),
        (
            {"body": b'{"jsonrpc"'},
            INTERNAL_ERROR,
            "URL answered with something that is no JSON-RPC",
        ),
        (
            {
                "status": 400,
                "body": b'{"jsonrpc":"2.0","id":null,"error":{"code":-5,"message":"no"}}',
            },
            -5,
            "no",
        ),
    ],
)
async def test_a_failing_request_is_answered_and_the_session_goes_on(
    reply: dict[str, Any], code: int, text: str
) -> None:
    async def play(call: Call) -> None:
        await (call.reply(**reply) if call.rpc == "bad" else call.result())

    async with initialized(session_server(play)) as talk:
        frame = await talk.request(3, "bad")
        assert isinstance(frame, ErrorResponse)
        assert frame.id == 3
        got_code, message = error_of(frame)
        assert got_code == code
        assert message.replace(talk.server.url, "URL").startswith(text)
        assert await talk.request(5, "good") == Response(5, Raw(b"{}"))


@pytest.mark.parametrize("headers_first", [True, False])
async def test_an_answer_that_breaks_off_is_an_error_to_its_request(headers_first: bool) -> None:
    async def play(call: Call) -> None:
        if call.rpc == "bad":
            if headers_first:
                await call.stream()
                await call.event(notice("notifications/message"))
            raise CutConnection
        await call.result()

    async with initialized(session_server(play)) as talk:
        frame = await talk.request(3, "bad")
        if headers_first:
            frame = (await talk.receive()).frame
        assert error_of(frame)[0] == SESSION_LOST
        assert await talk.request(5, "good") == Response(5, Raw(b"{}"))


async def test_an_interrupted_answer_is_resumed_where_it_broke_off() -> None:
    async def play(call: Call) -> None:
        await call.stream()
        await call.event(b"", id="e1", retry="1")
        await call.event(notice("notifications/message", '{"data":1}'), id="e2")
        raise CutConnection

    async def get(call: Call) -> None:
        if "last-event-id" not in call.headers:
            await call.reply(405)
            return
        assert call.headers["last-event-id"] == "e2"
        await call.stream()
        await call.event(notice("notifications/message", '{"data":2}'), id="e3")
        await call.event(answer(3, "{}"), id="e4")
        await call.end()

    async with initialized(session_server(play, get)) as talk:
        await talk.send(Request(3, "tools/call"))
        received = [await talk.receive() for _ in range(3)]
        assert [item.related for item in received] == [3, 3, 3]
        assert received[2].frame == Response(3, Raw(b"{}"))


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
