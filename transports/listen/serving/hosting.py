"""Hypercorn on Trio, serving an ASGI application on a socket that is given to it.

Job: accept connections on a listening socket, have Hypercorn speak HTTP on each of them, and end
all of it in bounded time. Neighbours: the composition root binds the socket and supervises an
`HttpListener` for an endpoint, with `asgi` around it, or an `AsgiListener` for `rest`; `http1` is
what is spoken.

Invariants:

- The socket that was handed in stays open and usable: each run serves on a duplicate of it, so
  a restart finds it as it was.
- Hypercorn sends in a shield and without a deadline. A `_Connection` is cut when one takes too
  long, so neither a client that does not read nor a stop can be held up by it.
- One connection that fails ends nothing but itself.
- A connection has its place among `max_connections` until its client is gone, and no longer.

Hypercorn's own `serve` is not used, because it leaves no place for `_Connection`; what is used is
the part of it that speaks HTTP on one stream.
"""

from __future__ import annotations

import logging
import sys
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import attrs
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from transports.listen.serving.asgi import SEND_S, AsgiApp
from transports.listen.serving.http1 import Http1Server

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from transports.listen.serving.asgi import Message, Receive, Send
    from transports.listen.serving.exchange import Endpoint

log = logging.getLogger("mcp_router.listen")

BACKLOG: Final = 1024
"""Connections the kernel holds until they are accepted: a burst of clients after a restart."""

IDLE_S: Final = 30.0
"""How long a connection may be without a request, and how long the head of one may take.

Longer than clients keep idle connections (httpx 5 s, Node 4 s), so that it is they who close.
"""

HEAD_LIMIT_BYTES: Final = 32 * 1024
"""The head of a request; tokens in it may be long."""

REQUESTS_PER_CONNECTION: Final = 2**62
"""Hypercorn closes a connection after so many, in the middle of a busy client's work."""

GRACE_S: Final = 2.0
"""From the end of all streams and calls to cutting what connections are left."""

MAX_CONNECTIONS: Final = 4096
"""On one listener, where the limit of open files allows it; one that is idle costs about 25 kB."""

RELIEVED: Final = 0.9
"""At so much of it, being full is over. Sooner, whoever comes and goes would fill the log."""


class Served(Protocol):
    """An ASGI application, and what goes on beside it."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        ...

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """What has to go on beside the requests; until cancelled."""
        ...

    def end(self) -> None:
        """End every stream and WebSocket; whoever asks from here on is told to come back later."""
        ...


@attrs.frozen
class AsgiListener:
    """One ASGI application on one socket, as a supervised child.

    Attributes:
        sock: bound; not closed here.
        address: what it is called, such as `http://127.0.0.1:8001`; given to `started`.
        app: makes the application of one run.
        max_connections: beyond it, connections are closed as soon as they are accepted.
    """

    sock: socket.socket
    address: str
    app: Callable[[], Served]
    max_connections: int = attrs.field(factory=lambda: connection_limit())

    async def __call__(
        self,
        stopping: trio.Event,
        *,
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until `stopping` is set, then end every stream and session."""
        app = self.app()
        async with trio.open_nursery() as nursery:
            await nursery.start(app.run)
            try:
                async with trio.open_nursery() as serving:
                    host = _Host(app, self.max_connections)
                    await serving.start(host.serve, self.sock)
                    task_status.started(self.address)
                    await stopping.wait()
                    app.end()
                    await host.stop()
                    serving.cancel_scope.cancel("the listener has stopped")
            finally:
                app.end()
            nursery.cancel_scope.cancel("the listener has stopped")


@attrs.frozen
class HttpListener:
    """One endpoint on one socket, as a supervised child.

    Attributes:
        sock: bound; not closed here.
        address: what it is called, such as `http://127.0.0.1:3000/mcp`; given to `started`.
        endpoint: makes the endpoint of one run.
        max_connections: beyond it, connections are closed as soon as they are accepted.
    """

    sock: socket.socket
    address: str
    endpoint: Callable[[], Endpoint]
    max_connections: int = attrs.field(factory=lambda: connection_limit())

    async def __call__(
        self,
        stopping: trio.Event,
        *,
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until `stopping` is set, then end every stream and session."""
        listener = AsgiListener(
            self.sock, self.address, lambda: AsgiApp(self.endpoint()), self.max_connections
        )
        await listener(stopping, task_status=task_status)


class _Host:
    """Connections on one socket."""

    def __init__(self, app: Callable[..., Any], max_connections: int) -> None:
        self._config = _config()
        self._app = ASGIWrapper(cast("Any", app))
        self._context = WorkerContext(None)
        self._max_connections = max_connections
        self._open: set[_Connection] = set()
        self._sends = _Sends()
        self._accepting = trio.CancelScope()
        self._emptied: trio.Event | None = None
        self._is_full = False

    async def serve(
        self, sock: socket.socket, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Accept and serve connections until cancelled."""
        duplicate = sock.dup()
        duplicate.listen(BACKLOG)
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(duplicate))
        async with trio.open_nursery() as connections:
            connections.start_soon(self._sends.watch)
            with self._accepting:
                await trio.serve_listeners(
                    self._connection,
                    [listener],
                    handler_nursery=connections,
                    task_status=cast("Any", _Started(task_status)),
                )

    async def stop(self) -> None:
        """Accept no more, let connections end for a while, then cut them."""
        self._accepting.cancel("the listener is stopping")
        await self._context.terminated.set()
        if self._open:
            self._emptied = trio.Event()
            with trio.move_on_after(GRACE_S):
                await self._emptied.wait()
        for connection in list(self._open):
            connection.cut()

    async def _connection(self, stream: trio.SocketStream) -> None:
        connection = _Connection(stream, self._sends)
        if len(self._open) >= self._max_connections:
            self._log_full()
            connection.cut()
            return
        self._open.add(connection)
        try:
            await self._speak(connection)
        except Exception:  # one connection must not end the others
            log.exception("a connection failed")
        finally:
            connection.cut()
            self._open.discard(connection)
            if len(self._open) < self._max_connections * RELIEVED:
                self._is_full = False
            if self._emptied is not None and not self._open:
                self._emptied.set()

    async def _speak(self, connection: _Connection) -> None:
        state = ConnectionState({})
        stream = cast("Any", connection)
        await _Server(self._app, self._config, self._context, state, stream)

    def _log_full(self) -> None:
        if not self._is_full:
            self._is_full = True
            log.warning("%d connections are open; closing new ones", self._max_connections)


@attrs.frozen
class _Started:
    """Tells `started` without the listeners that `trio.serve_listeners` would give."""

    outer: trio.TaskStatus[None]

    def started(self, _: Any = None) -> None:
        self.outer.started()


class _Server(Http1Server):
    """What speaks on one stream, and ends with its client.

    Where a client leaves after an answer, Hypercorn would still wait `IDLE_S` for its next request:
    whoever comes and leaves again and again would take all the places.
    """

    async def _read_data(self) -> None:
        await super()._read_data()
        await self.idle_task.stop()


class _Connection:
    """A socket stream that is cut when a send takes too long; see `_Sends`.

    It has what Hypercorn uses of a `trio.SocketStream`. Hypercorn sends the head of a response,
    its content and its end one by one; a head that announces content waits here for that, which
    spares a system call, a packet and the client's waking up for half an answer.
    """

    __slots__ = ("_held", "_sends", "_stream", "receive_some", "send_eof", "socket")

    def __init__(self, stream: trio.SocketStream, sends: _Sends) -> None:
        self._stream = stream
        self._sends = sends
        self._held = b""
        self.socket = stream.socket
        self.receive_some = stream.receive_some
        self.send_eof = stream.send_eof

    async def send_all(self, data: bytes) -> None:
        """Send it.

        Raises:
            trio.BrokenResourceError: the client is gone.
            trio.ClosedResourceError: it was cut.
        """
        if self._held:
            data, self._held = self._held + data, b""
        elif _announces_content(data):
            self._held = data
            return
        if not data:
            return
        self._sends.began(self)
        try:
            await self._stream.send_all(data)
        finally:
            self._sends.ended(self)

    async def aclose(self) -> None:
        """Close it."""
        await self._stream.aclose()

    def cut(self) -> None:
        """Close it at once; whoever sends or receives on it sees it closed."""
        self.socket.close()


def _announces_content(data: bytes) -> bool:
    """Is this the head of a response that has a `Content-Length` and is not empty?

    Content, or the end of the response (for HEAD) follows at once; Hypercorn then sends at least
    `b""`. Event streams have no length, so their heads are never held back.
    """
    if not data.startswith(b"HTTP/1.1 "):
        return False
    _, found, length = data.partition(b"\r\ncontent-length: ")
    return bool(found) and not length.startswith(b"0\r\n")


class _Sends:
    """The sends in progress, oldest first. One task watches all of them.

    A cancel scope for each send would cost a tenth of a whole request.
    """

    def __init__(self) -> None:
        self._ends_at_s: OrderedDict[_Connection, float] = OrderedDict()

    def began(self, connection: _Connection) -> None:
        """Hypercorn sends one thing at a time on a connection."""
        self._ends_at_s[connection] = trio.current_time() + SEND_S

    def ended(self, connection: _Connection) -> None:
        """It is sent, or failed."""
        self._ends_at_s.pop(connection, None)

    async def watch(self) -> None:
        """Cut connections whose send takes too long, until cancelled."""
        while True:
            # Nothing that begins while this sleeps can be due before it wakes.
            first_s = next(iter(self._ends_at_s.values()), trio.current_time() + SEND_S)
            await trio.sleep_until(first_s)
            self._cut_overdue(trio.current_time())

    def _cut_overdue(self, now_s: float) -> None:
        for connection, ends_at_s in list(self._ends_at_s.items()):
            if ends_at_s > now_s:
                return
            log.info("cut a connection whose client did not read for %g s", SEND_S)
            self.ended(connection)
            connection.cut()


def _config() -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = log
    config.include_server_header = False
    config.keep_alive_timeout = cast("int", IDLE_S)
    config.keep_alive_max_requests = REQUESTS_PER_CONNECTION
    config.h11_max_incomplete_size = HEAD_LIMIT_BYTES
    # It would end idle event streams too; bodies have a deadline of their own, in `asgi`.
    config.read_timeout = None
    # Its task for that would hold a connection for as long as the interval after its end. Clients
    # may ping.
    config.websocket_ping_interval = None
    return config


def connection_limit() -> int:
    """How many connections one listener may hold.

    There are at most three listeners, and one that is full must leave room for the others and for
    the files of the rest, such as the streams of servers. So each gets a quarter.
    """
    if sys.platform == "win32":
        return MAX_CONNECTIONS
    # Only where there is such a module.
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, soft // 4)
