"""One accepted connection: sends the data of responses, and is cut if its client does not read.

Invariants:

- A client that reads slowly but steadily is never cut. It is cut for reading nothing, or less than
  `LEAST_BYTES_PER_S`, over half a minute.
- As read counts what the other side's system has acknowledged, where this system can tell. What the
  own system takes would not do: it takes megabytes at once, and then nothing for minutes.
- A send that is over before the next look of the one task that watches costs two dictionary writes,
  and one that the system takes at once costs nothing.
"""

from __future__ import annotations

import enum
import errno
import logging
import socket
import struct
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import trio
from msgspec import Struct

from transports.listen.serving.asgi import LEAST_BYTES_PER_S, SEND_S
from transports.listen.serving.unread_bytes import Peer

try:
    import fcntl
    import termios
except ImportError:  # pragma: no cover - Windows
    fcntl = termios = None

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from transports.listen.serving.unread_bytes import UnreadBytes

log = logging.getLogger("mcp_router.listen")

LOOK_S: Final = 2.0
"""How often sends that take long are looked at."""

SMALL_BYTES: Final = 4096
"""Nearly all requests are smaller than this, head and body together."""

LARGE_BYTES: Final = 64 * 1024
"""Data of more than this is never copied to be sent together with something else."""


class Phase(enum.Enum):
    """The phases of a connection, over and over again."""

    IDLE = enum.auto()
    """It is without a request."""
    ASKED = enum.auto()
    """The head of a request has come, and nothing was answered."""
    ANSWERED = enum.auto()
    """The response has begun."""


_ASKED: Final = Phase.ASKED
_ANSWERED: Final = Phase.ANSWERED
_CONTINUE: Final = b"HTTP/1.1 100"


class Connection(Peer):
    """A socket stream for Hypercorn, with the methods that it uses of a `trio.SocketStream`.

    Hypercorn sends in a shield and without a deadline, so `SlowReaders` watches each send.

    Hypercorn sends the head, the content and the end of a response one by one. A head that
    announces content waits here for the content: that saves a system call, a packet, and waking the
    client for half an answer.

    Trio's own sockets run the scheduler once more after everything that is done at once. That would
    be a tenth of a whole call, so this uses the socket itself. To receive always waits; to send
    waits only while the system takes no more, so whoever sends in a loop needs a checkpoint.

    Args:
        stream: the accepted connection; the socket is taken out of it.
        slow_readers: watches the sends.
        count: is called with the size of large data; see `UnreadBytes.add`.

    Attributes:
        phase: see `Phase`; changed by `enter`.
        on_change: called after each change of `phase`; None for nobody.
    """

    __slots__ = (
        "_count",
        "_held_head",
        "_is_interrupted",
        "_is_receiving",
        "_receive_bytes",
        "_returned",
        "_slow_readers",
        "_taken_bytes",
        "on_change",
        "phase",
        "socket",
    )

    def __init__(
        self,
        stream: trio.SocketStream,
        slow_readers: SlowReaders,
        count: Callable[[int], None],
    ) -> None:
        super().__init__()
        self._slow_readers = slow_readers
        self._count = count
        self._held_head = b""
        self._returned = b""
        self._taken_bytes = 0  # by this system, of all sends
        accepted = stream.socket
        self.socket = socket.socket(
            accepted.family, accepted.type, accepted.proto, fileno=accepted.detach()
        )
        self.socket.setblocking(False)
        self._receive_bytes = SMALL_BYTES
        self._is_receiving = False
        self._is_interrupted = False
        self.phase = Phase.IDLE
        self.on_change: Callable[[], None] | None = None

    def enter(self, phase: Phase) -> None:
        """Note that the connection is in another phase now."""
        self.phase = phase
        if self.on_change is not None:
            self.on_change()

    async def receive_some(self, max_bytes: int) -> bytes:
        """Return received data, at most `max_bytes`.

        Python allocates as many bytes as are asked for, and then gives back what did not come. With
        64 kB for each request of a few hundred bytes, the heap fragments, and its size grows by 8
        to 17 kB for each thousand requests. So only `SMALL_BYTES` are asked for, and `max_bytes`
        only after these were filled.

        Raises:
            trio.BrokenResourceError: the client is gone.
            trio.ClosedResourceError: the connection was cut.
        """
        while True:
            data = await self.receive_unless_interrupted(max_bytes)
            if data is not None:
                return data

    async def receive_unless_interrupted(self, max_bytes: int) -> bytes | None:
        """Return received data as `receive_some` does; None if `interrupt` was called meanwhile."""
        if self._returned:
            data, self._returned = self._returned, b""
            return data
        wanted_bytes = min(self._receive_bytes, max_bytes)
        while True:
            # Nothing is there yet, nearly always: asking first would be a system call for nothing.
            self._is_receiving, self._is_interrupted = True, False
            try:
                await self._wait(trio.lowlevel.wait_readable)
            except trio.ClosedResourceError:
                if not self._is_interrupted:
                    raise
            finally:
                self._is_receiving = False
            if self._is_interrupted:
                self._is_interrupted = False
                return None
            try:
                data = self.socket.recv(wanted_bytes)
            except BlockingIOError:
                continue
            except OSError as exc:
                raise _stream_error(exc) from exc
            self._receive_bytes = max_bytes if len(data) >= SMALL_BYTES else SMALL_BYTES
            return data

    def interrupt(self) -> None:
        """End the wait of the task that receives now, if there is one.

        A cancel scope around each wait would cost a tenth of a call. Trio tells a waiting task that
        its socket is about to be closed, in the same way for all systems; this one stays open.
        """
        if self._is_receiving and self.socket.fileno() >= 0:
            self._is_interrupted = True
            trio.lowlevel.notify_closing(self.socket)

    def peer_address(self) -> str:
        """Return the IP address of the other end; empty if it has none.

        Raises:
            trio.BrokenResourceError: the client is gone, and its address with it.
        """
        try:
            name: Any = self.socket.getpeername()
        except OSError as exc:
            raise trio.BrokenResourceError(f"the client is gone: {exc}") from exc
        return "" if isinstance(name, (str, bytes)) else name[0]  # on Unix sockets it is a text

    def return_received(self, data: bytes) -> None:
        """Have data received once more, as the next data."""
        self._returned = data

    async def send_all(self, data: bytes) -> None:
        """Send data, or hold the head of a response until its content comes.

        Raises:
            trio.BrokenResourceError: the client is gone.
            trio.ClosedResourceError: the connection was cut.
        """
        if self.phase is _ASKED and not data.startswith(_CONTINUE):
            self.enter(_ANSWERED)
        if self._held_head:
            head, self._held_head = self._held_head, b""
            if len(data) > LARGE_BYTES:
                # To copy that much costs more than another system call.
                await self.send_now(head)
            else:
                data = head + data
        elif _announces_content(data):
            self._held_head = data
            return
        if data:
            await self.send_now(data)

    async def send_now(self, data: bytes) -> None:
        """Send data, which is not empty, at once.

        Raises:
            trio.BrokenResourceError: the client is gone.
            trio.ClosedResourceError: the connection was cut.
        """
        size_bytes = len(data)
        if size_bytes > LARGE_BYTES:
            self._count(size_bytes)
        taken_bytes = self.send_nowait(data)
        if taken_bytes < size_bytes:
            await self.send_rest(memoryview(data)[taken_bytes:])

    def send_nowait(self, data: bytes | memoryview) -> int:
        """Send what the system takes at once, and return how many bytes that are.

        Raises:
            trio.BrokenResourceError: the client is gone.
            trio.ClosedResourceError: the connection was cut.
        """
        try:
            taken_bytes = self.socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as exc:
            raise _stream_error(exc) from exc
        self._taken_bytes += taken_bytes
        return taken_bytes

    async def send_rest(self, data: memoryview) -> None:
        """Send what the system did not take at once; raises as `send_now`."""
        self._slow_readers.start(self)
        try:
            while data:
                self.unsent_bytes = len(data)
                await self._wait(trio.lowlevel.wait_writable)
                data = data[self.send_nowait(data) :]
                self.progressed_at_s = trio.current_time()
        finally:
            self.unsent_bytes = 0
            self._slow_readers.stop(self)

    async def _wait(self, wait: Callable[[socket.socket], Awaitable[None]]) -> None:
        if self.socket.fileno() < 0:
            raise trio.ClosedResourceError("the connection was cut")
        await wait(self.socket)

    def read_bytes(self) -> int:
        """Return how much the other side's system has acknowledged, of all sends."""
        if fcntl is None or termios is None:  # pragma: no cover - Windows
            return self._taken_bytes
        try:
            waiting = fcntl.ioctl(self.socket.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
        except (OSError, ValueError):  # this system cannot tell, or the socket is closed
            return self._taken_bytes
        return self._taken_bytes - struct.unpack("i", waiting)[0]

    async def send_eof(self) -> None:
        """Say that nothing more will be sent.

        Raises:
            trio.BrokenResourceError: the client is gone.
            trio.ClosedResourceError: the connection was cut.
        """
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError as exc:
            raise _stream_error(exc) from exc

    async def aclose(self) -> None:
        """Close the connection."""
        self.cut()
        await trio.lowlevel.checkpoint()

    async def close_gently(self) -> None:
        """Say that nothing more will be sent, and close."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # the client is gone
            await self.send_eof()
        await self.aclose()

    def cut(self) -> None:
        """Close the socket at once; every task that sends or receives gets an error."""
        if self.socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self.socket)
            self.socket.close()


def _stream_error(error: OSError) -> trio.ClosedResourceError | trio.BrokenResourceError:
    """Return the error of a trio stream for an error of its socket."""
    if error.errno in (errno.EBADF, errno.ENOTSOCK):
        return trio.ClosedResourceError("the connection was cut")
    return trio.BrokenResourceError(f"the client is gone: {error}")


def _announces_content(data: bytes) -> bool:
    """Return whether this is the head of a response with a `Content-Length` above 0.

    Hypercorn always sends something after such a head, at least `b""` (for HEAD). Event streams
    have no length, so their heads are never held back.
    """
    if not data.startswith(b"HTTP/1.1 "):
        return False
    _, found, length = data.partition(b"\r\ncontent-length: ")
    return bool(found) and not length.startswith(b"0\r\n")


class SlowReaders:
    """Watches all sends in progress with one task, and cuts connections that are read too slowly.

    A cancel scope for each send would cost a tenth of a whole request. A look at a connection costs
    a system call, so the first look at a send is at the next round, and a second one decides within
    `SEND_S` of the start.
    """

    def __init__(self) -> None:
        self._new: dict[Connection, float] = {}  # -> when the send began
        self._watched: OrderedDict[Connection, _Look] = OrderedDict()  # the earliest due first
        self._has_sends: trio.Event | None = None  # made while there is nothing to watch

    def start(self, connection: Connection) -> None:
        """Note that a connection sends. Hypercorn never sends twice at a time on a connection."""
        connection.progressed_at_s = self._new[connection] = trio.current_time()
        if self._has_sends is not None:
            self._has_sends.set()
            self._has_sends = None

    def stop(self, connection: Connection) -> None:
        """Note that the send is over."""
        if self._new.pop(connection, None) is None:
            self._watched.pop(connection, None)

    async def cut_them(self) -> None:
        """Cut connections that are read too slowly, until cancelled."""
        while True:
            if not self._new and not self._watched:
                self._has_sends = trio.Event()
                await self._has_sends.wait()
            slept_at_s = trio.current_time()
            await trio.sleep(LOOK_S)
            now_s = trio.current_time()
            if now_s - slept_at_s > 2 * LOOK_S:
                # This process was stopped or had no CPU, so nobody could read.
                self._new.update(dict.fromkeys([*self._watched, *self._new], now_s))
                self._watched.clear()
            self._watch_new(now_s)
            self._cut_overdue(now_s)

    def _cut_overdue(self, now_s: float) -> None:
        for connection, look in list(self._watched.items()):
            # One more round would be too late.
            if look.due_s > now_s + LOOK_S:
                return
            read_bytes = connection.read_bytes()
            if read_bytes - look.read_bytes >= LEAST_BYTES_PER_S * (now_s - look.at_s):
                self._watched[connection] = _Look(now_s, read_bytes, now_s + SEND_S)
                self._watched.move_to_end(connection)
                continue
            log.info("cut a connection whose client read next to nothing for %g s", SEND_S)
            self.stop(connection)
            connection.cut()

    def _watch_new(self, now_s: float) -> None:
        for connection, began_s in self._new.items():
            look = _Look(now_s, connection.read_bytes(), began_s + SEND_S)
            self._watched[connection] = look
        self._new.clear()


class _Look:
    """A look at one send.

    Attributes:
        at_s: when it was.
        read_bytes: what `Connection.read_bytes` said.
        due_s: by when the next look has to decide.
    """

    __slots__ = ("at_s", "due_s", "read_bytes")

    def __init__(self, at_s: float, read_bytes: int, due_s: float) -> None:
        self.at_s = at_s
        self.read_bytes = read_bytes
        self.due_s = due_s


class ConnectionCounts(Struct, eq=False):
    """The connections of one listener, also after it was restarted, for those who watch the router.

    Attributes:
        accepted: all so far that got a place.
        open: those that are open now.
        turned_away: all so far that got no place.
        unread: what the listener holds for its clients; None while it does not run.
    """

    accepted: int = 0
    open: int = 0
    turned_away: int = 0
    unread: UnreadBytes | None = None

    @property
    def unread_bytes(self) -> int:
        """The bytes that are held for clients that have yet to read them."""
        return 0 if self.unread is None else self.unread.held_bytes()
