"""HTTP+SSE upstreams, played by a fake server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
from msgspec import Raw

from router.messages.errors import INTERNAL_ERROR
from router.messages.frames import ErrorResponse, Notification, Request, Response
from tests.transports.connect.remote.fake_server import (
    Call,
    Gone,
    Talk,
    answer,
    error_of,
    never,
    notice,
    serve,
    spec,
)
from transports.connect.remote.connect import connect_sse
from transports.connect.wire import WireLost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Play = Callable[["Stream", Call], Awaitable[None]]


@attrs.define(eq=False)
class Stream:
    """A server of HTTP+SSE. `play` is given the event stream and a POST to acknowledge."""

    play: Play
    endpoint: str = "/messages?sessionId=s1"
    stream: Call | None = None
    over: trio.Event = attrs.field(factory=trio.Event)

    async def __call__(self, call: Call) -> None:
        if call.method == "GET":
            self.stream = call
            await call.stream()
            await call.event(self.endpoint.encode(), event="endpoint")
            await self.over.wait()
            raise Gone
        assert call.target == "/messages?sessionId=s1"
        await self.play(self, call)

    async def say(self, data: bytes) -> None:
        assert self.stream is not None
        await self.stream.event(data, event="message")


async def echo(stream: Stream, call: Call) -> None:
    """Acknowledge everything; answer a request with its own params."""
    await call.reply(202)
    if isinstance(frame := call.frame, Request):
        await stream.say(answer(frame.id, bytes(frame.params).decode()))


async def refusal(script: Any) -> str:
    """What is said when a session is begun with `script`."""
    async with serve(script) as server, connect_sse(spec(server.url)) as wire:
        talk = Talk(wire)
        with pytest.raises(WireLost) as caught:
            await talk.ask(1, "initialize")
        return caught.value.reason.replace(server.url, "URL")


async def test_payloads_pass_unchanged_in_both_directions() -> None:
    odd = '{"big": 123456789012345678901234567890, "f": 1.10, "e": 1e400, "n": null, "x": "é"}'
    async with serve(Stream(echo)) as server, connect_sse(spec(server.url)) as wire:
        talk = Talk(wire)
        await talk.initialize()
        for request_id in (3, "three", 2**60):
            assert await talk.ask(request_id, "x", odd) == Response(request_id, Raw(odd.encode()))


async def test_messages_come_in_wire_order_and_name_no_call() -> None:
    async def play(stream: Stream, call: Call) -> None:
        if call.rpc == "tools/call":
            await stream.say(notice("notifications/progress"))
            await stream.say(b'{"jsonrpc":"2.0","id":1,"method":"roots/list"}')
        await echo(stream, call)

    async with serve(Stream(play)) as server, connect_sse(spec(server.url)) as wire:
        talk = Talk(wire)
        await talk.initialize()
        await talk.tell(Request(3, "tools/call", Raw(b"{}")))
        heard = [await talk.hear() for _ in range(3)]
        assert [type(item.frame) for item in heard] == [Notification, Request, Response]
        assert [item.related for item in heard] == [None, None, None]


async def test_every_request_carries_the_headers() -> None:
    there_headers = {"Authorization": "Bearer t"}
    async with (
        serve(Stream(echo)) as server,
        connect_sse(spec(server.url, headers=there_headers)) as wire,
    ):
        await Talk(wire).initialize()
        await server.got("notifications/initialized")
        assert {call.headers["authorization"] for call in server.calls} == {"Bearer t"}


async def test_a_message_of_two_mebibytes_passes() -> None:
    async def play(stream: Stream, call: Call) -> None:
        if call.rpc != "big":
            await echo(stream, call)
            return
        await call.reply(202)
        await stream.say(answer(call.id, f'"{"x" * 2**21}"'))

    async with serve(Stream(play)) as server, connect_sse(spec(server.url)) as wire:
        talk = Talk(wire)
        await talk.initialize()
        frame = await talk.ask(3, "big")
        assert isinstance(frame, Response)
        assert len(bytes(frame.result)) == 2**21 + 2


async def test_a_message_that_is_not_acknowledged_holds_up_nothing() -> None:
    async def play(stream: Stream, call: Call) -> None:
        await (never() if call.rpc == "slow" else echo(stream, call))

    async with serve(Stream(play)) as server, connect_sse(spec(server.url)) as wire:
        talk = Talk(wire)
        await talk.initialize()
        await talk.tell(*[Request(2 * number + 3, "slow") for number in range(20)])
        assert await talk.ask(101, "fast") == Response(101, Raw(b"{}"))


async def test_a_failing_message_is_an_error_to_its_request_alone() -> None:
    async def play(stream: Stream, call: Call) -> None:
        await (call.reply(503) if call.rpc == "bad" else echo(stream, call))

    async with serve(Stream(play)) as server, connect_sse(spec(server.url)) as wire:
        talk = Talk(wire)
        await talk.initialize()
        frame = await talk.ask(3, "bad")
        assert isinstance(frame, ErrorResponse)
        assert error_of(frame) == (INTERNAL_ERROR, f"{server.url} answered 503 Service Unavailable")
        assert await talk.ask(5, "good") == Response(5, Raw(b"{}"))


async def test_an_answer_to_a_cancelled_request_is_dropped() -> None:
    async def play(stream: Stream, call: Call) -> None:
        await call.reply(202)
        if call.rpc == "notifications/cancelled":
            await stream.say(answer(3, '"late"'))
            await stream.say(notice("notifications/after"))

    async with serve(Stream(play)) as server, connect_sse(spec(server.url)) as wire:
        talk = Talk(wire)
        await talk.tell(Request(3, "slow"))
        await server.got("slow")
        await talk.tell(Notification("notifications/cancelled", Raw(b'{"requestId":3}')))
        assert (await talk.hear()).frame == Notification("notifications/after", Raw(b"{}"))


async def test_the_end_of_the_event_stream_is_the_end_of_the_wire() -> None:
    there = Stream(echo)
    async with serve(there) as server, connect_sse(spec(server.url)) as wire:
        talk = Talk(wire)
        await talk.initialize()
        there.over.set()
        assert await talk.lost() == (
            f"the connection to {server.url} broke: it was closed by the other side"
        )


async def test_a_session_that_is_no_longer_known_ends_the_wire() -> None:
    async def play(stream: Stream, call: Call) -> None:
        await (call.reply(404) if call.rpc == "late" else echo(stream, call))

    async with serve(Stream(play)) as server, connect_sse(spec(server.url)) as wire:
        talk = Talk(wire)
        await talk.initialize()
        await talk.tell(Request(3, "late"))
        assert "lost the session" in await talk.lost()


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
    reason = await refusal(Stream(echo, endpoint="http://other.invalid/messages"))
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
            raise Gone
        await call.reply(202)

    async with serve(script) as server:
        async with connect_sse(spec(server.url)) as wire:
            await Talk(wire).tell(Request(1, "initialize"))
            await server.got("initialize")
        await left.wait()


async def test_leaving_before_it_is_connected_is_at_once() -> None:
    begun = trio.Event()

    async def script(call: Call) -> None:
        begun.set()
        await never()

    async with serve(script) as server, connect_sse(spec(server.url)):
        await begun.wait()
