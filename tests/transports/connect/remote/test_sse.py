"""HTTP+SSE upstreams, played by a fake server."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import trio
from msgspec import Raw

from router.messages.errors import TRANSPORT_ERROR
from router.messages.frames import ErrorResponse, Notification, Request, Response
from tests.transports.connect.remote.fake_server import (
    Call,
    CutConnection,
    SseServer,
    answer,
    connected,
    echo,
    error_of,
    initialized,
    never,
    notice,
    serve,
)
from transports.connect.remote.connect import connect_sse
from transports.connect.wire import WireLost

connected_sse = partial(connected, connect=connect_sse)
initialized_sse = partial(initialized, connect=connect_sse)


async def refusal(script: Any) -> str:
    """Return the reason for which no session can begin with `script`."""
    async with connected_sse(script) as talk:
        with pytest.raises(WireLost) as caught:
            await talk.request(1, "initialize")
        return caught.value.reason.replace(talk.server.url, "URL")


async def test_payloads_pass_unchanged_in_both_directions() -> None:
    odd = '{"big": 123456789012345678901234567890, "f": 1.10, "e": 1e400, "n": null, "x": "é"}'
    async with initialized_sse(SseServer(echo)) as talk:
        for request_id in (3, "three", 2**60):
            frame = await talk.request(request_id, "x", odd)
            assert frame == Response(request_id, Raw(odd.encode()))


async def test_messages_come_in_wire_order_and_name_no_call() -> None:
    async def play(server: SseServer, call: Call) -> None:
        if call.rpc == "tools/call":
            await server.send(notice("notifications/progress"))
            await server.send(b'{"jsonrpc":"2.0","id":1,"method":"roots/list"}')
        await echo(server, call)

    async with initialized_sse(SseServer(play)) as talk:
        await talk.send(Request(3, "tools/call", Raw(b"{}")))
        received = [await talk.receive() for _ in range(3)]
        assert [type(item.frame) for item in received] == [Notification, Request, Response]
        assert [item.related for item in received] == [None, None, None]


async def test_every_request_carries_the_headers() -> None:
    async with initialized_sse(SseServer(echo), headers={"Authorization": "Bearer t"}) as talk:
        await talk.server.wait_for("notifications/initialized")
        assert {call.headers["authorization"] for call in talk.server.calls} == {"Bearer t"}


async def test_a_message_of_two_mebibytes_passes() -> None:
    async def play(server: SseServer, call: Call) -> None:
        if call.rpc != "big":
            await echo(server, call)
            return
        await call.reply(202)
        await server.send(answer(call.id, f'"{"x" * 2**21}"'))

    async with initialized_sse(SseServer(play)) as talk:
        frame = await talk.request(3, "big")
        assert isinstance(frame, Response)
        assert len(bytes(frame.result)) == 2**21 + 2


async def test_a_message_that_is_not_acknowledged_holds_up_nothing() -> None:
    async def play(server: SseServer, call: Call) -> None:
        await (never() if call.rpc == "slow" else echo(server, call))

    async with initialized_sse(SseServer(play)) as talk:
        await talk.send(*[Request(2 * number + 3, "slow") for number in range(20)])
        assert await talk.request(101, "fast") == Response(101, Raw(b"{}"))


async def test_a_failing_message_is_an_error_to_its_request_alone() -> None:
    async def play(server: SseServer, call: Call) -> None:
        await (call.reply(503) if call.rpc == "bad" else echo(server, call))

    async with initialized_sse(SseServer(play)) as talk:
        frame = await talk.request(3, "bad")
        assert isinstance(frame, ErrorResponse)
        sentence = f"{talk.server.url} answered 503 Service Unavailable"
        assert error_of(frame) == (TRANSPORT_ERROR, sentence)
        assert await talk.request(5, "good") == Response(5, Raw(b"{}"))


async def test_the_end_of_the_event_stream_is_the_end_of_the_wire() -> None:
    there = SseServer(echo)
    async with initialized_sse(there) as talk:
        there.over.set()
        reason = "the connection to URL broke: it was closed by the other side"
        assert await talk.lost_reason() == reason


async def test_a_session_that_is_no_longer_known_ends_the_wire() -> None:
    async def play(server: SseServer, call: Call) -> None:
        await (call.reply(404) if call.rpc == "late" else echo(server, call))

    async with initialized_sse(SseServer(play)) as talk:
        await talk.send(Request(3, "late"))
        assert "lost the session" in await talk.lost_reason()


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ({"status": 401}, "URL answered 401 Unauthorized; set headers.Authorization"),
        ({"status": 404}, "URL answered 404 Not Found; is the URL right?"),
        (
            {"status": 302, "location": "http://other.invalid/"},
            "URL answered 302 Found, a redirect",
        ),
        ({"body": b"<p>", "kind": "text/html"}, "the connection to URL broke: its event stream"),
    ],
)
async def test_a_server_that_refuses_to_begin_is_named_with_its_reason(
    reply: dict[str, Any], text: str
) -> None:
    assert (await refusal(lambda call: call.reply(**reply))).startswith(text)


async def test_an_event_stream_that_ends_before_its_start_is_an_error() -> None:
    async def script(call: Call) -> None:
        await call.stream()
        await call.end()

    assert await refusal(script) == "the connection to URL broke: its event stream ended"


async def test_messages_are_not_sent_to_another_host() -> None:
    reason = await refusal(SseServer(echo, endpoint="http://other.invalid/messages"))
    assert reason == "URL wants its messages sent to another host, which is not done"


async def test_a_server_that_never_says_where_to_send_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("transports.connect.remote.remote_wire.OPEN_S", 0.2)

    async def script(call: Call) -> None:
        await call.stream()
        await never()

    assert await refusal(script) == "cannot connect to URL: it was not ready within 0.2 s"


async def test_leaving_ends_the_stream() -> None:
    left = trio.Event()

    async def script(call: Call) -> None:
        if call.method == "GET":
            await call.stream()
            await call.event(b"/messages?sessionId=s1", event="endpoint")
            await call.closed()
            left.set()
            raise CutConnection
        await call.reply(202)

    async with serve(script) as server:
        async with server.connect(connect_sse) as talk:
            await talk.send(Request(1, "initialize"))
            await server.wait_for("initialize")
        await left.wait()


async def test_leaving_before_it_is_connected_is_at_once() -> None:
    begun = trio.Event()

    async def script(call: Call) -> None:
        begun.set()
        await never()

    async with connected_sse(script):
        await begun.wait()
