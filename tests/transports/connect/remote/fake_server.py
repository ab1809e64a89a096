"""An HTTP server of a few lines, on which each test plays an MCP server.

A test gives `serve` a script: an async function that is called with each request (`Call`) and
answers it as it likes, or not at all. Nothing here knows MCP beyond JSON bodies.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import h11
import msgspec
import trio
from msgspec import Raw

from router.messages.frames import Notification, Request
from router.messages.instance_spec import InstanceSpec
from transports.connect.wire import WireLost
from transports.json_rpc import decode

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from router.messages.frames import Frame, RequestId
    from transports.connect.wire import Received, Wire

PATIENCE_S = 30.0
"""Far more than any step takes on a busy machine; the first import of the SDK is in it."""


class Gone(Exception):
    """The script wants this connection cut."""


@attrs.define(eq=False)
class Call:
    """One HTTP request, and how to answer it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    _stream: trio.SocketStream
    _conn: h11.Connection

    @property
    def frame(self) -> Frame:
        return decode(self.body)

    @property
    def rpc(self) -> str:
        """The JSON-RPC method of the body, empty for a response or no body."""
        if not self.body:
            return ""
        frame = self.frame
        return frame.method if isinstance(frame, (Request, Notification)) else ""

    @property
    def id(self) -> RequestId:
        frame = self.frame
        assert isinstance(frame, Request)
        return frame.id

    async def _send(self, event: Any) -> None:
        await self._stream.send_all(self._conn.send(event) or b"")

    async def reply(
        self,
        status: int = 200,
        body: bytes = b"",
        kind: str = "application/json",
        **headers: str,
    ) -> None:
        named = _named(headers)
        sizes = [("content-length", str(len(body))), ("content-type", kind)]
        await self._send(h11.Response(status_code=status, headers=[*named, *sizes]))
        await self._send(h11.Data(body))
        await self._send(h11.EndOfMessage())

    async def result(self, raw: str = "{}", **headers: str) -> None:
        await self.reply(200, answer(self.id, raw), **headers)

    async def stream(self, **headers: str) -> None:
        named = _named(headers)
        kind = ("content-type", "text/event-stream")
        await self._send(h11.Response(status_code=200, headers=[*named, kind]))

    async def event(self, data: bytes, **fields: str) -> None:
        lines = "".join(f"{name}: {value}\n" for name, value in fields.items())
        await self._send(h11.Data(lines.encode() + b"data: " + data + b"\n\n"))

    async def end(self) -> None:
        await self._send(h11.EndOfMessage())

    async def closed(self) -> None:
        """Wait until the client closes the connection."""
        await trio.lowlevel.checkpoint()
        try:
            while await self._stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass


def _named(headers: dict[str, str]) -> list[tuple[str, str]]:
    return [(name.replace("_", "-"), value) for name, value in headers.items()]


def answer(request_id: RequestId, raw: str) -> bytes:
    return f'{{"jsonrpc":"2.0","id":{json.dumps(request_id)},"result":{raw}}}'.encode()


def notice(method: str, raw: str = "{}") -> bytes:
    return f'{{"jsonrpc":"2.0","method":"{method}","params":{raw}}}'.encode()


@attrs.define(eq=False)
class Server:
    """A running fake; `calls` are all requests it got, in order."""

    script: Callable[[Call], Awaitable[None]]
    calls: list[Call] = attrs.field(factory=list)
    connections: int = 0
    port: int = 0
    life: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    """Cancelled, it cuts all connections and takes no more."""
    _news: trio.Event = attrs.field(factory=trio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    async def got(self, rpc: str) -> Call:
        """The first message of this method, once it is there."""
        while True:
            await trio.lowlevel.checkpoint()
            for call in self.calls:
                if call.rpc == rpc:
                    return call
            await self._news.wait()

    async def run(self, listeners: list[trio.SocketListener]) -> None:
        with self.life:
            await trio.serve_listeners(self.converse, listeners)

    async def converse(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        try:
            await self._converse(stream)
        except (trio.BrokenResourceError, Gone, h11.RemoteProtocolError):
            await trio.aclose_forcefully(stream)

    async def _converse(self, stream: trio.SocketStream) -> None:
        conn = h11.Connection(h11.SERVER, max_incomplete_event_size=100_000)
        async with stream:
            while (call := await _read(stream, conn)) is not None:
                self.calls.append(call)
                self._news.set()
                self._news = trio.Event()
                await self.script(call)
                if conn.our_state is not h11.DONE:
                    return
                conn.start_next_cycle()


async def _read(stream: trio.SocketStream, conn: h11.Connection) -> Call | None:
    head, body = None, b""
    while True:
        await trio.lowlevel.checkpoint()
        event = conn.next_event()
        if event is h11.NEED_DATA:
            conn.receive_data(await stream.receive_some())
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            headers = {name.decode(): value.decode() for name, value in head.headers}
            return Call(head.method.decode(), head.target.decode(), headers, body, stream, conn)
        else:
            return None


@asynccontextmanager
async def serve(script: Callable[[Call], Awaitable[None]]) -> AsyncGenerator[Server]:
    """A fake server on a free port of loopback."""
    server = Server(script)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server.port = listeners[0].socket.getsockname()[1]
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.run, listeners)
            yield server
            nursery.cancel_scope.cancel()


def spec(url: str, **fields: Any) -> InstanceSpec:
    return InstanceSpec(name="there", provider="there", type="http", url=url, **fields)


@attrs.define(eq=False)
class Talk:
    """The session's side: sends one thing at a time and waits for one thing."""

    wire: Wire
    _queue: list[Received] = attrs.field(factory=list)

    async def tell(self, *frames: Frame) -> None:
        await self.wire.send(frames)

    async def hear(self) -> Received:
        await trio.lowlevel.checkpoint()
        while not self._queue:
            self._queue.extend(await self.wire.receive())
        return self._queue.pop(0)

    async def lost(self) -> str:
        """Hear everything to the end; why it ended."""
        await trio.lowlevel.checkpoint()
        try:
            while True:
                await self.hear()
        except WireLost as gone:
            return gone.reason

    async def ask(self, request_id: RequestId, method: str, params: str = "{}") -> Frame:
        await self.tell(Request(request_id, method, Raw(params)))
        return (await self.hear()).frame

    async def initialize(self) -> Frame:
        frame = await self.ask(1, "initialize")
        self.wire.set_revision("2025-11-25")
        await self.tell(Notification("notifications/initialized"))
        return frame


def error_of(frame: Any) -> tuple[int, str]:
    error = msgspec.json.decode(frame.error)
    return error["code"], error["message"]


async def never() -> None:
    await trio.sleep_forever()
