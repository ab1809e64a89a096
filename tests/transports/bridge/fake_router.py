"""A router in memory: a test sees each request that the bridge sends, and decides its response."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs
import h11
import trio
import trio.testing

from transports.bridge.bridge import Bridge
from transports.bridge.endpoint import Endpoint
from transports.bridge.http_connection import Router

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LIMIT_S: Final = 300
HOW: Final = "Start it so"
INITIALIZE_PARAMS: Final = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"roots": {}},
    "clientInfo": {"name": "test", "version": "1"},
}
RESULT: Final = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {"listChanged": True}, "resources": {}},
    "serverInfo": {"name": "router", "version": "1"},
}
UNKNOWN: Final = {
    "jsonrpc": "2.0",
    "id": None,
    "error": {"code": -32600, "message": "Session not found; initialize again"},
}


@attrs.define(eq=False)
class Received:
    """A request of the bridge, to be answered."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    _stream: trio.abc.Stream
    _connection: h11.Connection
    is_answered: trio.Event = attrs.field(factory=trio.Event)

    @property
    def message(self) -> dict[str, Any]:
        return json.loads(self.body)

    async def answer(self, body: Any = None, status: int = 200, **headers: str) -> None:
        """Answer with one JSON body, or without one."""
        content = b"" if body is None else json.dumps(body).encode()
        await self._start(status, content_type="application/json", **headers)
        await self._send(h11.Data(content), h11.EndOfMessage())
        self.is_answered.set()

    async def result(self, result: Any, **headers: str) -> None:
        """Answer a request with a result."""
        answer = {"jsonrpc": "2.0", "id": self.message["id"], "result": result}
        await self.answer(answer, 200, **headers)

    async def events(self, *events: tuple[str, dict[str, Any] | None]) -> None:
        """Begin an event stream with these events, each an id and a message."""
        await self._start(200, content_type="text/event-stream")
        await self.more(*events)

    async def more(self, *events: tuple[str, dict[str, Any] | None]) -> None:
        """Send more events."""
        for event_id, message in events:
            data = "" if message is None else json.dumps(message)
            await self._send(h11.Data(f"id: {event_id}\ndata: {data}\n\n".encode()))

    async def end(self) -> None:
        """End an event stream as it should."""
        await self._send(h11.EndOfMessage())
        self.is_answered.set()

    async def cut(self) -> None:
        """Close the connection."""
        await trio.aclose_forcefully(self._stream)
        self.is_answered.set()

    async def until_closed(self) -> None:
        """Wait until the bridge closes the connection."""
        while await self._stream.receive_some():
            pass

    async def _start(self, status: int, **headers: str) -> None:
        pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
        await self._send(h11.Response(status_code=status, headers=pairs))

    async def _send(self, *events: Any) -> None:
        for event in events:
            data = self._connection.send(event)
            if data:
                await self._stream.send_all(data)


@attrs.define(eq=False)
class FakeRouter:
    """The router, and the client of the bridge."""

    nursery: trio.Nursery
    stdin: trio.abc.SendStream
    stdout: trio.abc.ReceiveStream
    is_there: bool = True
    said: list[str] = attrs.field(factory=list[str])
    arrived: Any = None
    requests: Any = None
    _lines: bytes = b""

    def __attrs_post_init__(self) -> None:
        self.arrived, self.requests = trio.open_memory_channel[Received](64)

    # --- The router --------------------------------------------------------------------------

    async def connect(self) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        if not self.is_there:
            raise ConnectionRefusedError(111, "Connection refused")
        ours, theirs = trio.testing.memory_stream_pair()
        self.nursery.start_soon(self._serve, theirs)
        return ours

    async def _serve(self, stream: trio.abc.Stream) -> None:
        connection = h11.Connection(h11.SERVER)
        try:
            while True:
                received = await self._read(stream, connection)
                if received is None:
                    return
                self.arrived.send_nowait(received)
                await received.is_answered.wait()
                if connection.our_state is not h11.DONE:
                    return
                connection.start_next_cycle()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async def _read(self, stream: trio.abc.Stream, connection: h11.Connection) -> Received | None:
        head: h11.Request | None = None
        body = b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(bytes(await stream.receive_some()))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                headers = {name.decode(): value.decode() for name, value in head.headers}
                method, target = head.method.decode(), head.target.decode()
                return Received(method, target, headers, body, stream, connection)
            else:
                return None

    async def next(self, method: str = "POST", what: str | None = None) -> Received:
        """Return the next request, which has to be this."""
        received: Received = await self.requests.receive()
        assert received.method == method, (received.method, received.body)
        if what is not None:
            assert received.message.get("method") == what, received.body
        return received

    def has_no_request(self) -> bool:
        return self.requests.statistics().current_buffer_used == 0

    # --- The client --------------------------------------------------------------------------

    async def say(self, *messages: Any, **message: Any) -> None:
        """Write lines to the bridge's stdin."""
        lines = [*messages, *([message] if message else [])]
        for line in lines:
            whole = {"jsonrpc": "2.0", **line} if isinstance(line, dict) else line
            text = whole if isinstance(whole, bytes) else json.dumps(whole).encode()
            await self.stdin.send_all(text + b"\n")

    async def hear(self) -> dict[str, Any]:
        """Return the next message for the client."""
        while b"\n" not in self._lines:
            data = await self.stdout.receive_some()
            assert data, "stdout has ended"
            self._lines += data
        line, _, self._lines = self._lines.partition(b"\n")
        return json.loads(line)

    async def end_stdin(self) -> None:
        await self.stdin.aclose()

    def hears_nothing(self) -> bool:
        return not self._lines

    # --- The beginning -----------------------------------------------------------------------

    async def begin(self) -> Received:
        """Do the handshake; return the request for the stream of the session."""
        await self.say(id=0, method="initialize", params=INITIALIZE_PARAMS)
        await self.accept_session("s1")
        assert (await self.hear())["result"] == RESULT
        await self.say(method="notifications/initialized")
        initialized = await self.next(what="notifications/initialized")
        await initialized.answer(status=202)
        return await self.next("GET")

    async def accept_session(self, session: str) -> Received:
        """Answer an `initialize`; return it."""
        request = await self.next(what="initialize")
        await request.result(RESULT, mcp_session_id=session)
        return request

    async def restart(self, stream: Received) -> None:
        """Be another process, and see that the bridge joins it: the session is `s2` then."""
        await stream.cut()
        again = await self.next("GET")
        await again.answer(UNKNOWN, 404)
        request = await self.accept_session("s2")
        assert request.message["params"] == INITIALIZE_PARAMS
        assert "mcp-session-id" not in request.headers
        initialized = await self.next(what="notifications/initialized")
        assert initialized.headers["mcp-session-id"] == "s2"
        await initialized.answer(status=202)


@asynccontextmanager
async def bridged(path: str = "/mcp") -> AsyncIterator[FakeRouter]:
    """Run a bridge between a fake client and a fake router; it has to end with its client."""
    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            to_bridge, stdin = trio.testing.memory_stream_one_way_pair()
            stdout, from_bridge = trio.testing.memory_stream_one_way_pair()
            fake = FakeRouter(nursery, to_bridge, from_bridge)
            router = Router(fake.connect, "localhost", {"Authorization": "Bearer t"})
            bridge = Bridge(Endpoint(router, path), stdin, stdout, fake.said.append, HOW)
            is_over = trio.Event()
            nursery.start_soon(_run, bridge, is_over)
            yield fake
            await fake.end_stdin()
            nursery.start_soon(_end_sessions, fake)
            await is_over.wait()
            nursery.cancel_scope.cancel()


async def _run(bridge: Bridge, is_over: trio.Event) -> None:
    await bridge.run()
    is_over.set()


async def _end_sessions(fake: FakeRouter) -> None:
    while True:
        request = await fake.requests.receive()
        if request.method == "DELETE":
            await request.answer(status=204)
