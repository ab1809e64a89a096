"""An HTTP server of a few lines, on which each test plays an MCP server, and a wire to it.

A test gives `serve` or `connected` a script: an async function that is called with each request
(`Call`) and answers it as it likes, or not at all. Most tests begin with `initialized` or
`discovered`, which have the first messages behind them.
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

from router.messages.frames import Notification, Request, Response
from router.messages.instances.instance_spec import InstanceSpec
from transports.connect.remote.connect import connect_http
from transports.connect.wire import WireLost
from transports.json_rpc import decode

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from router.messages.frames import Frame, RequestId
    from transports.connect.wire import Received, Wire

    Script = Callable[["Call"], Awaitable[None]]
    Play = Callable[["SseServer", "Call"], Awaitable[None]]
    ConnectSpec = Callable[[InstanceSpec], AbstractAsyncContextManager[Wire]]

PATIENCE_S = 30.0
"""Far more than any step takes on a busy machine, including the first import of the SDK."""


class CutConnection(Exception):
    """Raised by a script to have the connection of its request cut."""


@attrs.define(eq=False)
class Call:
    """One HTTP request, with methods to answer it."""

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

    @property
    def mcp_headers(self) -> dict[str, str]:
        """The headers that MCP defines."""
        return {name: value for name, value in self.headers.items() if name.startswith("mcp-")}

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

    async def all_but_the_end(self, body: bytes) -> None:
        """Reply with all of the body but its last byte."""
        kind = ("content-type", "application/json")
        headers = [kind, ("content-length", str(len(body)))]
        await self._send(h11.Response(status_code=200, headers=headers))
        await self._send(h11.Data(body[:-1]))

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
    """A running server.

    Attributes:
        script: answers the requests.
        calls: all requests, in order.
        connections: the number of TCP connections so far.
        life: cuts all connections and takes no more when it is cancelled.
        door: takes no more connections when it is cancelled; open connections go on.
    """

    script: Script
    calls: list[Call] = attrs.field(factory=list)
    connections: int = 0
    port: int = 0
    life: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    door: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _news: trio.Event = attrs.field(factory=trio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    @asynccontextmanager
    async def connect(
        self, connect: ConnectSpec = connect_http, **fields: Any
    ) -> AsyncGenerator[Talk]:
        """Connect a wire to this server; `fields` are those of the instance."""
        async with connect(spec(**{"url": self.url} | fields)) as wire:
            yield Talk(wire, self)

    async def wait_for(self, rpc: str) -> Call:
        """Wait for the first message of this method, and return its request."""
        while True:
            await trio.lowlevel.checkpoint()
            for call in self.calls:
                if call.rpc == rpc:
                    return call
            await self._news.wait()

    async def run(self, listeners: list[trio.SocketListener]) -> None:
        with self.life:
            async with trio.open_nursery() as conversations:
                with self.door:
                    await trio.serve_listeners(
                        self.converse, listeners, handler_nursery=conversations
                    )

    async def converse(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        try:
            await self._converse(stream)
        except (trio.BrokenResourceError, CutConnection, h11.RemoteProtocolError):
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
async def serve(script: Script) -> AsyncGenerator[Server]:
    """Run a server on a free port of loopback."""
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
    """The session's end of the wire: sends one frame at a time and waits for one frame."""

    wire: Wire
    server: Server
    _queue: list[Received] = attrs.field(factory=list)

    async def send(self, *frames: Frame) -> None:
        await self.wire.send(frames)

    async def receive(self) -> Received:
        await trio.lowlevel.checkpoint()
        while not self._queue:
            self._queue.extend(await self.wire.receive())
        return self._queue.pop(0)

    async def lost_reason(self) -> str:
        """Receive everything until the wire is lost; return the reason, with `URL` for the URL."""
        await trio.lowlevel.checkpoint()
        try:
            while True:
                await self.receive()
        except WireLost as gone:
            return gone.reason.replace(self.server.url, "URL")

    async def request(self, request_id: RequestId, method: str, params: str = "{}") -> Frame:
        """Send a request, and return the next frame that comes."""
        await self.send(Request(request_id, method, Raw(params)))
        return (await self.receive()).frame

    async def initialize(self) -> Frame:
        """Begin a session; return the answer to `initialize`."""
        frame = await self.request(1, "initialize")
        self.wire.set_revision("2025-11-25")
        await self.send(Notification("notifications/initialized"))
        return frame

    async def discover(self) -> None:
        """Send `server/discover`, and agree on 2026-07-28."""
        assert isinstance(await self.request(1, "server/discover"), Response)
        self.wire.set_revision("2026-07-28")


@asynccontextmanager
async def connected(
    script: Script, connect: ConnectSpec = connect_http, **fields: Any
) -> AsyncGenerator[Talk]:
    """Run a server, and connect a wire to it as `Server.connect`."""
    async with serve(script) as server, server.connect(connect, **fields) as talk:
        yield talk


@asynccontextmanager
async def initialized(
    script: Script, connect: ConnectSpec = connect_http, **fields: Any
) -> AsyncGenerator[Talk]:
    """As `connected`, with a session that has begun."""
    async with connected(script, connect, **fields) as talk:
        await talk.initialize()
        yield talk


@asynccontextmanager
async def discovered(script: Script, **fields: Any) -> AsyncGenerator[Talk]:
    """As `connected`, with an agreement on 2026-07-28."""
    async with connected(script, **fields) as talk:
        await talk.discover()
        yield talk


async def refusal(script: Script, **fields: Any) -> str:
    """Return the reason for the loss of the wire after `initialize`."""
    async with connected(script, **fields) as talk:
        await talk.send(Request(1, "initialize"))
        return await talk.lost_reason()


def session_server(play: Script, get: Script | None = None) -> Script:
    """Return the script of a server with a session, over streamable HTTP.

    Args:
        play: answers the requests after `initialize`.
        get: answers the GET for the standalone stream, which is refused without it.
    """

    async def script(call: Call) -> None:
        if call.method == "GET":
            await (get(call) if get else call.reply(405))
        elif call.method == "DELETE":
            await call.reply(200)
        elif call.rpc == "initialize":
            await call.result('{"protocolVersion":"2025-11-25"}', mcp_session_id="s1")
        elif not isinstance(call.frame, Request):
            await call.reply(202)
        else:
            await play(call)

    return script


@attrs.define(eq=False)
class SseServer:
    """The script of a server of HTTP+SSE.

    Attributes:
        play: answers each POST.
        endpoint: the URL that the event stream names for POSTs.
        stream: the GET on which the event stream goes out.
        over: ends the event stream when it is set.
    """

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
            raise CutConnection
        assert call.target == "/messages?sessionId=s1"
        await self.play(self, call)

    async def send(self, data: bytes) -> None:
        assert self.stream is not None
        await self.stream.event(data, event="message")


async def echo(server: SseServer, call: Call) -> None:
    """Acknowledge every message, and answer a request with its own params."""
    await call.reply(202)
    if isinstance(frame := call.frame, Request):
        await server.send(answer(frame.id, bytes(frame.params).decode()))


def sse_only_server(status: int) -> Script:
    """Return the script of a server that speaks HTTP+SSE, and refuses other POSTs with `status`."""
    sse = SseServer(echo)

    async def script(call: Call) -> None:
        is_streamable_http = call.method == "POST" and call.target == "/mcp"
        await (call.reply(status) if is_streamable_http else sse(call))

    return script


def error_of(frame: Any) -> tuple[int, str]:
    """Return the code and the message of an error response."""
    error = msgspec.json.decode(frame.error)
    return error["code"], error["message"]


async def never() -> None:
    await trio.sleep_forever()
