"""Serves an ASGI application on a bound socket: Hypercorn on Trio, one connection at a time.

`AsgiListener` is a supervised child. It accepts connections, lets the fast lane or Hypercorn speak
HTTP on each (`lane`, `hypercorn_server`), and ends everything in bounded time. Hypercorn's own
`serve` is not used, because it leaves no place for `Connection`; only its server of a single stream
is.

Invariants:

- The socket stays open and usable: each run serves on a duplicate, so a restart finds the socket as
  it was.
- Hypercorn sends in a shield and without a deadline. A `Connection` is cut when its client does not
  read, and at the end of a stop, so neither can hold anything up.
- A connection that fails ends nothing but itself.
- A connection counts towards `max_connections` until its client is gone, and no longer.
- While this process has no files left, connections wait in the kernel, and are tried every
  `ACCEPT_RETRY_S`.
"""

from __future__ import annotations

import errno
import logging
import sys
from typing import TYPE_CHECKING, Final, Protocol

import trio
from msgspec import Struct, field

from transports.listen.serving.counted_warnings import CountedWarning
from transports.listen.serving.hosting.connection import Connection
from transports.listen.serving.hosting.connection_counts import ConnectionCounts
from transports.listen.serving.hosting.hand_over import HAND_OVER_IDLE_S
from transports.listen.serving.hosting.lane.lanes import Lanes
from transports.listen.serving.hosting.phase import Phase
from transports.listen.serving.hosting.slow_readers import LOOK_S, SlowReaders
from transports.listen.serving.hosting.spare_places import SparePlaces
from transports.listen.serving.unread_bytes import Holding, UnreadBytes

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Container, Iterable, Iterator

    from transports.listen.serving.asgi import Message, Receive, Send
    from transports.listen.serving.exchange import Endpoint, Locate
    from transports.listen.serving.hosting.hand_over import HandOver
    from transports.listen.serving.hosting.hypercorn_server import HypercornServer

log = logging.getLogger("mcp_router.listen")

BACKLOG: Final = 1024
"""Connections the kernel holds until they are accepted: a burst of clients after a restart."""

IDLE_S: Final = 30.0
"""A connection may be without a request for so long, and the head of a request may take so long.

This is longer than clients keep idle connections (httpx 5 s, Node 4 s), so that the clients close.
"""

HEAD_LIMIT_BYTES: Final = 32 * 1024
"""The largest head of a request; tokens in it may be long."""

_HYPERCORN_SERVER: Final = "transports.listen.serving.hosting.hypercorn_server"

GRACE_S: Final = 2.0
"""How long connections may take to close after all streams and calls have ended."""

MAX_CONNECTIONS: Final = 4096
"""The most connections of one listener, each about 25 kB; see `connection_limit`."""

ACCEPT_RETRY_S: Final = 0.1
"""The pause after a connection could not be accepted."""

OUT_OF_RESOURCES: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""The errors of `accept` while this process or the system has no files or memory left."""


def connection_limit() -> int:
    """Return the number of connections that one listener may hold.

    There are at most three listeners, and the local one, which takes less. A full one has to leave
    open files for the others and for everything else, such as the pipes to servers. So each
    listener gets a quarter.
    """
    if sys.platform == "win32":
        return MAX_CONNECTIONS
    import resource  # does not exist on Windows

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, soft // 4)


def _do_nothing() -> None:
    pass


class Application(Protocol):
    """An ASGI application with background work and an end.

    Attributes:
        unread: bounds what is held for its clients; `run` runs it.
    """

    unread: UnreadBytes

    @property
    def own_paths(self) -> Container[str]:
        """Paths that the application answers itself, although it has an endpoint."""
        ...

    @property
    def endpoint(self) -> Endpoint | None:
        """Answers requests that do not come through ASGI; None if all have to."""
        ...

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        ...

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Do the application's background work until cancelled."""
        ...

    def end(self) -> None:
        """End every stream and WebSocket; answer later requests with 503."""
        ...


def as_connected(peer: str, _headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, str]:
    """Return the address of the other end of the connection, and no prefix: no proxy is trusted."""
    return peer, ""


class AsgiListener(Struct, frozen=True):
    """One ASGI application on one socket, as a supervised child.

    Attributes:
        sock: bound; not closed here.
        address: the URL for people, such as `http://127.0.0.1:8001`; passed to `started`.
        make_app: makes the application of one run.
        max_connections: connections beyond this number get 503, or are closed at once.
        locate: says where clients are; an application finds that in the scope (`client`,
            `root_path`).
        counts: counts the connections.
        has_fast_lane: plain requests for the application's endpoint are served without Hypercorn.
        hand_over: says when to leave the socket to another process; None if it is this process's
            own.
        admits: returns whether a connection is served; any other is closed at once. None to serve
            all.
    """

    sock: socket.socket
    address: str
    make_app: Callable[[], Application]
    max_connections: int = field(default_factory=connection_limit)
    locate: Locate = as_connected
    has_fast_lane: bool = False
    counts: ConnectionCounts = field(default_factory=ConnectionCounts)
    hand_over: HandOver | None = None
    admits: Callable[[trio.SocketStream], bool] | None = None

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
                    connections = _Connections(app, self)
                    await serving.start(connections.serve, self.sock, self.hand_over)
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

    def __init__(self, app: Application, listener: AsgiListener) -> None:
        self._app = _located(app, listener.locate)
        self._hypercorn: HypercornServer | None = None  # until it is needed
        self._is_finishing = False
        self._is_closing_idle = False
        self._max_connections = listener.max_connections
        self._admits = listener.admits
        self._lanes = _lanes_of(app, listener)
        self._open: set[Connection] = set()
        self._slow_readers = SlowReaders()
        self._counts = listener.counts
        self._unread = self._counts.unread = app.unread
        self._accepting = trio.CancelScope()
        self._all_closed: trio.Event | None = None  # made by `stop`
        self._spare_places = SparePlaces(listener.max_connections, self._counts)
        self._not_accepted = CountedWarning(self._warn_of_failures)
        self._last_failure = ""
        self._changed: Callable[[], None] = _do_nothing
        """Called when a connection has ended."""

    async def serve(
        self,
        sock: socket.socket,
        hand_over: HandOver | None,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept and serve connections until cancelled."""
        duplicate = sock.dup()
        if hand_over is None:
            duplicate.listen(BACKLOG)  # else that is a setting of the service manager
        self._unread.sources.append(self._unsent)
        async with (
            trio.SocketListener(trio.socket.from_stdlib_socket(duplicate)) as listener,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(self._slow_readers.cut_them)
            nursery.start_soon(self._spare_places.run)
            if self._lanes is not None:
                nursery.start_soon(self._lanes.receive)
                nursery.start_soon(self._lanes.end_idle, IDLE_S, LOOK_S)
            nursery.start_soon(self._not_accepted.run)
            if hand_over is not None:
                nursery.start_soon(self._hand_over, hand_over)
            task_status.started()
            with self._accepting:
                await self._accept(listener, nursery)
            await listener.aclose()
            await trio.sleep_forever()

    async def _accept(self, listener: trio.SocketListener, nursery: trio.Nursery) -> None:
        while True:
            try:
                stream = await listener.accept()
            except OSError as exc:
                if exc.errno not in OUT_OF_RESOURCES:
                    raise
                self._last_failure = exc.strerror or str(exc)
                self._not_accepted.note()
                await trio.sleep(ACCEPT_RETRY_S)
            else:
                if self._admits is not None and not self._admits(stream):
                    stream.socket.close()
                    continue
                if len(self._open) >= self._max_connections:
                    nursery.start_soon(self._spare_places.turn_away, stream)
                    continue
                connection = Connection(stream, self._slow_readers, self._unread.add)
                self._open.add(connection)
                self._counts.accepted += 1
                self._counts.open += 1
                nursery.start_soon(self._serve_one, connection)

    async def _hand_over(self, hand_over: HandOver) -> None:
        """Leave the socket to another process, and lose no request; see `HandOver`."""
        with hand_over.taking_part() as done:
            await hand_over.begun.wait()
            self._accepting.cancel("another process accepts from now on")
            self._is_finishing = True
            if self._hypercorn is not None:
                self._hypercorn.finish()
            if self._lanes is not None:
                self._lanes.finish()
            with trio.move_on_after(HAND_OVER_IDLE_S):
                await self._wait_until_none_is(Phase.IDLE)
            await self._close_idle()
            await self._wait_until_none_is(Phase.IDLE, Phase.ASKED)
            done.set()

    async def _wait_until_none_is(self, *phases: Phase) -> None:
        while True:
            changed = trio.Event()
            self._changed = changed.set
            for connection in self._open:
                connection.on_change = changed.set
            if not any(connection.phase in phases for connection in self._open):
                return
            await changed.wait()

    async def _close_idle(self) -> None:
        """Close each connection that has no request, and the others after their answers."""
        self._is_closing_idle = True
        if self._hypercorn is not None:
            await self._hypercorn.close_idle()
        if self._lanes is not None:
            self._lanes.end()

    async def stop(self) -> None:
        """Accept no more connections, let the open ones end for a while, then cut the rest."""
        self._accepting.cancel("the listener is stopping")
        await self._close_idle()
        if self._open:
            self._all_closed = trio.Event()
            with trio.move_on_after(GRACE_S):
                await self._all_closed.wait()
        for connection in list(self._open):
            connection.cut()

    async def _serve_one(self, connection: Connection) -> None:
        try:
            if self._lanes is not None and not await self._lanes.serve(connection):
                return
            hypercorn = self._hypercorn or await self._start_hypercorn()
            await hypercorn.serve(connection)
        except Exception:  # one connection must not end the others
            log.exception("a connection failed")
        finally:
            connection.cut()
            self._open.discard(connection)
            self._counts.open -= 1
            self._changed()
            if self._all_closed is not None and not self._open:
                self._all_closed.set()

    async def _start_hypercorn(self) -> HypercornServer:
        """Return the one server of all connections; import it if nobody did before."""
        # While another task imports the module, it is there without its class. Whoever imports it
        # then waits, and nothing else runs meanwhile.
        if not hasattr(sys.modules.get(_HYPERCORN_SERVER), "HypercornServer"):
            await trio.to_thread.run_sync(_hypercorn_class)
        if self._hypercorn is None:  # no other connection was faster
            self._hypercorn = _hypercorn_class()(self._app, IDLE_S, HEAD_LIMIT_BYTES)
            if self._is_finishing:
                self._hypercorn.finish()
            if self._is_closing_idle:
                await self._hypercorn.close_idle()
        return self._hypercorn

    def _unsent(self) -> Iterator[Holding]:
        for connection in self._open:
            size_bytes = connection.unsent_bytes
            if size_bytes:
                read_at_s = connection.progressed_at_s
                yield Holding(connection.principal, size_bytes, read_at_s, connection.cut)

    def _warn_of_failures(self, times: int) -> None:
        text = "No connection can be accepted (%s); failed tries: %d, the next in %g s"
        log.error(text, self._last_failure, times, ACCEPT_RETRY_S)


def _lanes_of(app: Application, listener: AsgiListener) -> Lanes | None:
    if app.endpoint is None or not listener.has_fast_lane:
        return None
    return Lanes(app.endpoint, listener.locate, HEAD_LIMIT_BYTES, app.own_paths)


def _located(app: Application, locate: Locate) -> Callable[..., Awaitable[None]]:
    """Return the application with scopes that say where the client is, not its last proxy."""

    def serve(scope: Message, receive: Receive, send: Send) -> Awaitable[None]:
        client = scope["client"]
        peer = client[0] if client else ""
        address, prefix = locate(peer, scope["headers"])
        if address != peer:
            scope["client"] = (address, 0)
        if prefix:
            # The proxy has taken the prefix away; in ASGI it is a part of the path.
            scope["root_path"] = prefix
            scope["path"] = prefix + scope["path"]
        return app(scope, receive, send)

    return serve


def _hypercorn_class() -> type[HypercornServer]:
    # For start-up time and memory: plain requests do not need it.
    from transports.listen.serving.hosting.hypercorn_server import HypercornServer

    return HypercornServer
