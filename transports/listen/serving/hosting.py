"""Serves an ASGI application on a bound socket: Hypercorn on Trio, one connection at a time.

`AsgiListener` is a supervised child. It accepts connections, lets Hypercorn speak HTTP on each
(`http1`), and ends everything in bounded time. Hypercorn's own `serve` is not used, because it
leaves no place for `_Connection`; only its server of a single stream is.

Invariants:

- The socket stays open and usable: each run serves on a duplicate, so a restart finds the socket as
  it was.
- Hypercorn sends in a shield and without a deadline. A `_Connection` is cut when a send takes too
  long, so neither a client that does not read nor a stop can be held up by it.
- A connection that fails ends nothing but itself.
- A connection counts towards `max_connections` until its client is gone, and no longer.
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

from transports.listen.serving.asgi import SEND_S
from transports.listen.serving.http1 import Http1Server

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from transports.listen.serving.asgi import Message, Receive, Send

log = logging.getLogger("mcp_router.listen")

BACKLOG: Final = 1024
"""Connections the kernel holds until they are accepted: a burst of clients after a restart."""

IDLE_S: Final = 30.0
"""A connection may be without a request for so long, and the head of a request may take so long.

This is longer than clients keep idle connections (httpx 5 s, Node 4 s), so that the clients close.
"""

HEAD_LIMIT_BYTES: Final = 32 * 1024
"""The largest head of a request; tokens in it may be long."""

REQUESTS_PER_CONNECTION: Final = 2**62
"""No limit: Hypercorn would close a busy client's connection after 1,000 requests."""

GRACE_S: Final = 2.0
"""How long connections may take to close after all streams and calls have ended."""

MAX_CONNECTIONS: Final = 4096
"""The most connections of one listener, each about 25 kB; see `connection_limit`."""

LARGE_BYTES: Final = 64 * 1024
"""Data of more than this is never copied to be sent together with something else."""

FULL_UNTIL: Final = 0.9
"""The listener counts as full until it falls below this share of its limit.

At a higher share, clients that come and go would fill the log with warnings.
"""


def connection_limit() -> int:
    """Return the number of connections that one listener may hold.

    There are at most three listeners. A full one has to leave open files for the others and for
    everything else, such as the pipes to servers. So each listener gets a quarter.
    """
    if sys.platform == "win32":
        return MAX_CONNECTIONS
    import resource  # does not exist on Windows

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, soft // 4)


class Application(Protocol):
    """An ASGI application with background work and an end."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        ...

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Do the application's background work until cancelled."""
        ...

    def end(self) -> None:
        """End every stream and WebSocket; answer later requests with 503."""
        ...


@attrs.frozen
class AsgiListener:
    """One ASGI application on one socket, as a supervised child.

    Attributes:
        sock: bound; not closed here.
        address: the URL for people, such as `http://127.0.0.1:8001`; passed to `started`.
        make_app: makes the application of one run.
        max_connections: connections beyond this number are closed as soon as they are accepted.
    """

    sock: socket.socket
    address: str
    make_app: Callable[[], Application]
    max_connections: int = attrs.field(factory=connection_limit)

    async def __call__(
        self,
        stopping: trio.Event,
        *,
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until `stopping` is set, then end every stream and session."""
        app = self.make_app()
        async with trio.open_nursery() as nursery:
            await nursery.start(app.run)
            try:
                async with trio.open_nursery() as serving:
                    connections = _Connections(app, self.max_connections)
                    await serving.start(connections.serve, self.sock)
                    task_status.started(self.address)
                    await stopping.wait()
                    app.end()
                    await connections.stop()
                    serving.cancel_scope.cancel("the listener has stopped")
            finally:
                app.end()  # on cancellation and errors; a second time does nothing
            nursery.cancel_scope.cancel("the listener has stopped")


class _Connections:
    """The open connections of one listener."""

    def __init__(self, app: Callable[..., Any], max_connections: int) -> None:
        self._config = _hypercorn_config()
        self._app = ASGIWrapper(cast("Any", app))
        self._context = WorkerContext(None)
        self._max_connections = max_connections
        self._open: set[_Connection] = set()
        self._deadlines = _SendDeadlines()
        self._accepting = trio.CancelScope()
        self._all_closed: trio.Event | None = None  # made by `stop`
        self._is_full = False

    async def serve(
        self, sock: socket.socket, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Accept and serve connections until cancelled."""
        duplicate = sock.dup()
        duplicate.listen(BACKLOG)
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(duplicate))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._deadlines.enforce)
            with self._accepting:
                await trio.serve_listeners(
                    self._serve_one,
                    [listener],
                    handler_nursery=nursery,
                    task_status=cast("Any", _StartedWithoutValue(task_status)),
                )

    async def stop(self) -> None:
        """Accept no more connections, let the open ones end for a while, then cut the rest."""
        self._accepting.cancel("the listener is stopping")
        await self._context.terminated.set()  # Hypercorn closes idle connections on this
        if self._open:
            self._all_closed = trio.Event()
            with trio.move_on_after(GRACE_S):
                await self._all_closed.wait()
        for connection in list(self._open):
            connection.cut()

    async def _serve_one(self, stream: trio.SocketStream) -> None:
        connection = _Connection(stream, self._deadlines)
        if len(self._open) >= self._max_connections:
            self._warn_that_full()
            connection.cut()
            return
        self._open.add(connection)
        try:
            state = ConnectionState({})
            stream_like = cast("Any", connection)
            await Http1Server(self._app, self._config, self._context, state, stream_like)
        except Exception:  # one connection must not end the others
            log.exception("a connection failed")
        finally:
            connection.cut()
            self._open.discard(connection)
            if len(self._open) < self._max_connections * FULL_UNTIL:
                self._is_full = False
            if self._all_closed is not None and not self._open:
                self._all_closed.set()

    def _warn_that_full(self) -> None:
        if not self._is_full:
            self._is_full = True
            log.warning("%d connections are open; closing new ones", self._max_connections)


def _hypercorn_config() -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = log
    config.include_server_header = False
    config.keep_alive_timeout = cast("int", IDLE_S)
    config.keep_alive_max_requests = REQUESTS_PER_CONNECTION
    config.h11_max_incomplete_size = HEAD_LIMIT_BYTES
    # A read timeout would end idle event streams too; bodies have a deadline of their own, in
    # `asgi`.
    config.read_timeout = None
    # Hypercorn's ping task would hold a connection for one interval after its end. Clients may
    # ping.
    config.websocket_ping_interval = None
    return config


@attrs.frozen
class _StartedWithoutValue:
    """Reports `started` without the listeners that `trio.serve_listeners` passes."""

    outer: trio.TaskStatus[None]

    def started(self, _: Any = None) -> None:
        self.outer.started()


class _Connection:
    """A socket stream that is cut when a send takes too long; see `_SendDeadlines`.

    This has the methods that Hypercorn uses of a `trio.SocketStream`. Hypercorn sends the head, the
    content and the end of a response one by one. A head that announces content waits here for the
    content: that saves a system call, a packet, and waking the client for half an answer.
    """

    __slots__ = ("_deadlines", "_held_head", "_stream", "receive_some", "send_eof", "socket")

    def __init__(self, stream: trio.SocketStream, deadlines: _SendDeadlines) -> None:
        self._stream = stream
        self._deadlines = deadlines
        self._held_head = b""
        self.socket = stream.socket
        self.receive_some = stream.receive_some
        self.send_eof = stream.send_eof

    async def send_all(self, data: bytes) -> None:
        """Send data, or hold the head of a response until its content comes.

        Raises:
            trio.BrokenResourceError: the client is gone.
            trio.ClosedResourceError: the connection was cut.
        """
        if self._held_head:
            head, self._held_head = self._held_head, b""
            if len(data) > LARGE_BYTES:
                # To copy that much costs more than another system call.
                await self._send(head)
            else:
                data = head + data
        elif _announces_content(data):
            self._held_head = data
            return
        if data:
            await self._send(data)

    async def _send(self, data: bytes) -> None:
        self._deadlines.start(self)
        try:
            await self._stream.send_all(data)
        finally:
            self._deadlines.stop(self)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    def cut(self) -> None:
        """Close the socket at once; every task that sends or receives gets an error."""
        self.socket.close()


def _announces_content(data: bytes) -> bool:
    """Return whether this is the head of a response with a `Content-Length` above 0.

    Hypercorn always sends something after such a head, at least `b""` (for HEAD). Event streams
    have no length, so their heads are never held back.
    """
    if not data.startswith(b"HTTP/1.1 "):
        return False
    _, found, length = data.partition(b"\r\ncontent-length: ")
    return bool(found) and not length.startswith(b"0\r\n")


class _SendDeadlines:
    """The deadlines of all sends in progress, the earliest first, enforced by one task.

    A cancel scope for each send would cost a tenth of a whole request.
    """

    def __init__(self) -> None:
        self._ends_at_s: OrderedDict[_Connection, float] = OrderedDict()

    def start(self, connection: _Connection) -> None:
        """Note that a connection sends. Hypercorn never sends twice at a time on a connection."""
        self._ends_at_s[connection] = trio.current_time() + SEND_S

    def stop(self, connection: _Connection) -> None:
        """Note that the send is over."""
        self._ends_at_s.pop(connection, None)

    async def enforce(self) -> None:
        """Cut connections whose send takes too long, until cancelled."""
        while True:
            # A send that starts while this task sleeps cannot be due before the task wakes.
            first_s = next(iter(self._ends_at_s.values()), trio.current_time() + SEND_S)
            await trio.sleep_until(first_s)
            self._cut_overdue(trio.current_time())

    def _cut_overdue(self, now_s: float) -> None:
        for connection, ends_at_s in list(self._ends_at_s.items()):
            if ends_at_s > now_s:
                return
            log.info("cut a connection whose client did not read for %g s", SEND_S)
            self.stop(connection)
            connection.cut()
