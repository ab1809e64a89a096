"""The ASGI application, with a server and an endpoint that do as the test says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from router.messages.errors import HttpRefusal
from transports.listen.serving import asgi
from transports.listen.serving.asgi import (
    BODY_LIMIT_BYTES,
    BODY_S,
    LEAST_BYTES_PER_S,
    SEND_S,
    UNWATCHED_S,
    AsgiApp,
)
from transports.listen.serving.exchange import (
    Answer,
    EventStream,
    HttpRequest,
    PendingResponse,
    empty_answer,
    error_answer,
    json_answer,
)
from transports.listen.serving.server_sent_events import KEEP_ALIVE_S
from transports.listen.serving.unread_bytes import UnreadBytes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from transports.listen.serving.exchange import Headers

FINE = json_answer(b'{"fine": true}')


class Server:
    """An ASGI server with one connection."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.sends = trio.Event()
        self.send_blocks_s = 0.0
        self._to_app, self._from_client = trio.open_memory_channel[dict[str, Any]](1000)

    def body(self, *parts: bytes, more: bool = False) -> Server:
        for number, part in enumerate(parts, 1):
            is_more = more or number < len(parts)
            self._to_app.send_nowait({"type": "http.request", "body": part, "more_body": is_more})
        return self

    def disconnect(self) -> Server:
        self._to_app.send_nowait({"type": "http.disconnect"})
        return self

    async def receive(self) -> dict[str, Any]:
        return await self._from_client.receive()

    async def send(self, sent: Any) -> None:
        await trio.sleep(self.send_blocks_s)
        self.sent.append(sent)
        self.sends.set()
        self.sends = trio.Event()

    async def run(self, endpoint: Any, method: str = "POST", **scope: Any) -> None:
        headers = scope.pop("headers", [(b"host", b"x"), (b"content-length", b"2")])
        whole = {"type": "http", "method": method, "path": "/mcp", "headers": headers, **scope}
        with trio.fail_after(600):
            await AsgiApp(endpoint)(whole, self.receive, self.send)

    @property
    def status(self) -> int:
        return self.sent[0]["status"]

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def text(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


class Scripted:
    """An endpoint that responds with what it was given."""

    def __init__(self, response: Any) -> None:
        self.unread = UnreadBytes()
        self.response = response
        self.asked: list[HttpRequest] = []

    async def respond(self, request: HttpRequest) -> Any:
        await trio.lowlevel.checkpoint()
        self.asked.append(request)
        return self.response

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await trio.sleep_forever()

    def end(self) -> None: ...


class Echo(Scripted):
    """An endpoint that says how long the body was; a refusal of the body becomes an answer."""

    def __init__(self) -> None:
        super().__init__(None)

    async def respond(self, request: HttpRequest) -> Answer:
        try:
            return json_answer(b"%d" % len(await request.read_body()))
        except HttpRefusal as refused:
            return error_answer(refused)


class Late(PendingResponse):
    """An outcome that comes after a while, and perhaps an event stream before."""

    def __init__(self, delay_s: float, outcome: Any, instead: EventStream | None = None) -> None:
        self.at_s = trio.current_time() + delay_s
        self._outcome = outcome
        self._instead = instead
        self.abandoned_at_s: float | None = None

    async def outcome(self) -> Any:
        await trio.sleep_until(self.at_s)
        return self._outcome

    def commit(self) -> EventStream | None:
        return self._instead

    def abandon(self) -> None:
        self.abandoned_at_s = trio.current_time()


class Chunks(EventStream):
    """An event stream of these chunks; after them it goes on for ever, or ends."""

    headers: Headers = ((b"content-type", b"text/event-stream"),)

    def __init__(self, *chunks: bytes, ends: bool = True) -> None:
        self.opening = b"opening "
        self._chunks = list(chunks)
        self._ends = ends
        self.times_closed = 0

    async def next_chunk(self) -> bytes | None:
        await trio.lowlevel.checkpoint()
        if self._chunks:
            return self._chunks.pop(0)
        if not self._ends:
            await trio.sleep_forever()
        return None

    def close(self) -> None:
        self.times_closed += 1


@pytest.fixture
def server() -> Server:
    return Server()


# --- Requests --------------------------------------------------------------------------------


async def test_request_reaches_the_endpoint_and_its_answer_the_client(server: Server) -> None:
    endpoint = Scripted(FINE)
    headers = [(b"host", b"x"), (b"accept", b"a"), (b"accept", b"b"), (b"content-length", b"2")]
    await server.body(b"{}").run(
        endpoint, headers=headers, path="/at/mcp", root_path="/at", query_string=b"a=b"
    )
    (asked,) = endpoint.asked
    assert (asked.method, asked.path, asked.root_path, asked.query) == (
        "POST",
        "/mcp",
        "/at",
        "a=b",
    )
    assert asked.headers == {"host": "x", "accept": "a, b", "content-length": "2"}
    assert (server.status, server.text) == (200, b'{"fine": true}')
    assert server.headers[b"content-length"] == b"14"
    assert b"connection" not in server.headers


async def test_no_content_has_no_length(server: Server) -> None:
    await server.body(b"").run(Scripted(empty_answer(204)), "DELETE", headers=[])
    assert (server.status, b"content-length" in server.headers) == (204, False)


@pytest.mark.parametrize(
    "headers",
    [
        [(b"host", b"a"), (b"host", b"a")],
        [(b"content-length", b"2"), (b"transfer-encoding", b"chunked")],
        [(b"content-length", b"2"), (b"content-length", b"3")],
        [(b"content-length", b"-1")],
    ],
    ids=["two hosts", "length and encoding", "two lengths", "negative length"],
)
async def test_head_that_can_be_read_in_two_ways_is_400_and_closed(
    server: Server, headers: list[Any]
) -> None:
    endpoint = Scripted(FINE)
    await server.body(b"{}").run(endpoint, headers=headers)
    assert (server.status, server.headers[b"connection"]) == (400, b"close")
    assert not endpoint.asked


async def test_body_in_parts_is_joined(server: Server) -> None:
    await server.body(b"12", b"", b"345").run(Echo(), headers=[(b"transfer-encoding", b"chunked")])
    assert server.text == b"5"


async def test_largest_body_is_taken(server: Server) -> None:
    half = b"x" * (BODY_LIMIT_BYTES // 2)
    await server.body(half, half).run(Echo())
    assert server.text == b"%d" % BODY_LIMIT_BYTES


@pytest.mark.parametrize("announced", [True, False])
async def test_larger_body_is_413_after_it_was_read(server: Server, announced: bool) -> None:
    length = (b"content-length", b"%d" % (BODY_LIMIT_BYTES + 1))
    headers = [length] if announced else [(b"transfer-encoding", b"chunked")]
    await server.body(b"x" * BODY_LIMIT_BYTES, b"x", b"").run(Echo(), headers=headers)
    assert server.status == 413
    detail = "Request body too large. Maximum size: 10485760 bytes"
    assert json.loads(server.text) == {"detail": detail}
    assert b"connection" not in server.headers


async def test_endless_body_is_413_and_closed(
    autojump_clock: trio.testing.MockClock, server: Server
) -> None:
    part = b"x" * (1024 * 1024)
    await server.body(*[part] * 40, more=True).run(Echo(), headers=[(b"transfer-encoding", b"x")])
    assert (server.status, server.headers[b"connection"]) == (413, b"close")


async def test_body_that_does_not_arrive_is_408_and_closed(
    autojump_clock: trio.testing.MockClock, server: Server
) -> None:
    await server.body(b"{", more=True).run(Echo())
    assert (server.status, server.headers[b"connection"]) == (408, b"close")
    assert trio.current_time() == pytest.approx(BODY_S + asgi.DISCARD_S)


async def test_client_that_leaves_while_it_sends_gets_no_answer(server: Server) -> None:
    await server.body(b"{", more=True).disconnect().run(Echo())
    assert server.sent == []


async def test_refused_body_is_read_before_the_answer(server: Server) -> None:
    await server.body(b"{", b"}").run(Scripted(FINE))
    assert server.status == 200
    assert b"connection" not in server.headers


async def test_client_that_leaves_instead_of_sending_what_is_refused(server: Server) -> None:
    await server.body(b"{", more=True).disconnect().run(Scripted(FINE))
    assert server.sent == []


# --- Responses that are pending ---------------------------------------------------------------


@pytest.mark.parametrize("delay_s", [0.0, UNWATCHED_S, 1.0, KEEP_ALIVE_S, 100.0])
async def test_outcome_is_waited_for(
    autojump_clock: trio.testing.MockClock, server: Server, delay_s: float
) -> None:
    late = Late(delay_s, FINE)
    await server.body(b"{}").run(Read(late))
    assert (server.text, late.abandoned_at_s) == (FINE.body, None)


class Read(Scripted):
    """An endpoint that reads the body first."""

    async def respond(self, request: HttpRequest) -> Any:
        await request.read_body()
        return self.response


async def test_long_silence_becomes_an_event_stream(
    autojump_clock: trio.testing.MockClock, server: Server
) -> None:
    events = Chunks(b"more")
    late = Late(100, FINE, instead=events)
    await server.body(b"{}").run(Read(late))
    assert server.text == b"opening more"
    assert trio.current_time() == KEEP_ALIVE_S
    assert (events.times_closed, late.abandoned_at_s) == (1, None)


@pytest.mark.parametrize("after_s", [0.1, 5.0, 50.0])
async def test_disconnect_abandons_within_a_second(
    autojump_clock: trio.testing.MockClock, server: Server, after_s: float
) -> None:
    late = Late(100, FINE)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.body(b"{}").run, Read(late))
        await trio.sleep(after_s)
        server.disconnect()
    assert server.sent == []
    assert late.abandoned_at_s is not None
    assert late.abandoned_at_s - after_s < 1.0


async def test_cancellation_abandons(
    autojump_clock: trio.testing.MockClock, server: Server
) -> None:
    for after_s in (0.1, 5.0):
        late = Late(100, FINE)
        with trio.move_on_after(after_s):
            await server.body(b"{}").run(Read(late))
        assert late.abandoned_at_s is not None


# --- Writing ---------------------------------------------------------------------------------


async def test_event_stream_is_sent_chunk_by_chunk(server: Server) -> None:
    events = Chunks(b"one ", b"two")
    await server.run(Scripted(events), "GET")
    assert server.headers == {b"content-type": b"text/event-stream"}
    assert [message.get("body") for message in server.sent[1:]] == [
        b"opening ",
        b"one ",
        b"two",
        b"",
    ]
    assert [message.get("more_body", False) for message in server.sent[1:]] == [True] * 3 + [False]
    assert events.times_closed == 1


@pytest.mark.parametrize("how", ["disconnect", "cancel"])
async def test_event_stream_is_left_when_its_client_is_gone(
    autojump_clock: trio.testing.MockClock, server: Server, how: str
) -> None:
    events = Chunks(ends=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run, Scripted(events), "GET")
        await trio.sleep(1)
        if how == "cancel":
            nursery.cancel_scope.cancel()
        else:
            server.disconnect()
    assert events.times_closed == 1


@pytest.mark.parametrize("delay_s", [0.0, 1.0])
async def test_client_that_does_not_read_its_answer_is_given_up(
    autojump_clock: trio.testing.MockClock, server: Server, delay_s: float
) -> None:
    server.send_blocks_s = 1000
    await server.body(b"{}").run(Read(Late(delay_s, FINE)))
    longest_s = SEND_S + len(FINE.body) / LEAST_BYTES_PER_S
    assert trio.current_time() == pytest.approx(longest_s + delay_s)


async def test_client_that_reads_a_large_answer_slowly_gets_it(
    autojump_clock: trio.testing.MockClock, server: Server
) -> None:
    large = json_answer(b"x" * 100_000)
    server.send_blocks_s = 0.6 * 100_000 / LEAST_BYTES_PER_S  # head and body each
    await server.body(b"{}").run(Read(Late(0.0, large)))
    assert server.sent[-1]["body"] == large.body


async def test_client_that_does_not_read_its_events_is_given_up(
    autojump_clock: trio.testing.MockClock, server: Server
) -> None:
    events = Chunks(b"one", ends=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run, Scripted(events), "GET")
        await trio.sleep(100)
        assert events.times_closed == 0
        server.disconnect()
    events = Chunks(b"one", ends=False)
    server = Server()
    server.send_blocks_s = 1000
    began_s = trio.current_time()
    await server.run(Scripted(events), "GET")
    assert SEND_S <= trio.current_time() - began_s < SEND_S + 1
    assert events.times_closed == 1


# --- Other kinds of scope --------------------------------------------------------------------


def _driven(server: Server, kind: str) -> Callable[[], Awaitable[None]]:
    app = AsgiApp(Scripted(FINE))
    return lambda: app({"type": kind}, server.receive, server.send)


async def test_lifespan_completes(server: Server) -> None:
    for name in ("startup", "shutdown"):
        server._to_app.send_nowait({"type": f"lifespan.{name}"})
    await _driven(server, "lifespan")()
    assert [message["type"] for message in server.sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


async def test_websocket_is_closed(server: Server) -> None:
    server.disconnect()
    await _driven(server, "websocket")()
    assert server.sent == [{"type": "websocket.close"}]
