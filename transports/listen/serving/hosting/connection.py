"""One accepted connection: receives, and sends the data of responses.

Invariants:

- A send that does not end at once is watched; see `slow_readers`.
- As read counts what the other side's system has acknowledged, where this system can tell. What the
  own system takes would not do: it takes megabytes at once, and then nothing for minutes.
"""

from __future__ import annotations

import errno
import logging
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import trio

from transports.listen.serving.hosting.phase import Phase
from transports.listen.serving.unread_bytes import Peer

try:
    import fcntl
    import termios
except ImportError:  # pragma: no cover - Windows
    fcntl = termios = None

if TYPE_CHECKING:
    from collections.abc import Callable

    from transports.listen.serving.hosting.arrivals import Arrivals
    from transports.listen.serving.hosting.slow_readers import SlowReaders

log = logging.getLogger("mcp_router.listen")

SMALL_BYTES: Final = 4096
"""Nearly all requests are smaller than this, head and body together."""

LARGE_BYTES: Final = 64 * 1024
"""Data of more than this is never copied to be sent together with something else."""


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
        arrivals: watches the socket; without it each wait is registered with the system by itself.
        phase: see `Phase`; changed by `enter`.
        on_change: called after each change of `phase`; None for nobody.
    """

    __slots__ = (
        "_count",
        "_held_head",
        "_is_interrupted",
        "_is_receiving",
        "_max_bytes",
        "_receive_bytes",
        "_result",
        "_returned",
        "_slow_readers",
        "_take",
        "_taken_bytes",
        "_task",
        "arrivals",
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
        self.arrivals: Arrivals | None = None
        self._max_bytes = 0  # of the wait in `_receive_by_arrivals`
        self._task: trio.lowlevel.Task | None = None  # the same
        self._take = _take_nothing  # the same
        self._result: bytes | Exception | None = None  # the same
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
        data = await self.receive_unless_interrupted(max_bytes)
        while data is None:  # nobody interrupts those that call this
            data = await self.receive_unless_interrupted(max_bytes)
        return data

    async def receive_unless_interrupted(
        self, max_bytes: int, take: Callable[[bytes], bool] | None = None
    ) -> bytes | None:
        """Return received data as `receive_some` does; None if `interrupt` was called meanwhile.

        Args:
            max_bytes: the most to return.
            take: is called with data that is received; the wait goes on if it returns True.
        """
        if self._returned:
            data, self._returned = self._returned, b""
            return data
        if self.arrivals is not None and take is not None and self._is_watched(self.arrivals):
            self._max_bytes, self._take = max_bytes, take
            return await self._receive_by_arrivals()
        self._is_receiving, self._is_interrupted = True, False
        try:
            while not self._is_interrupted:
                await self._wait_readable()
                data = self._receive_now(max_bytes)
                if data is not None and not (data and take is not None and take(data)):
                    return data
            return None
        finally:
            self._is_receiving = False

    async def _wait_readable(self) -> None:
        # Nothing is there yet, nearly always: asking first would be a system call for nothing.
        if self.socket.fileno() < 0:
            raise trio.ClosedResourceError("the connection was cut")
        try:
            await trio.lowlevel.wait_readable(self.socket)
        except trio.ClosedResourceError:
            if not self._is_interrupted:
                raise

    def _receive_now(self, max_bytes: int) -> bytes | None:
        """Return what has come; None if there is nothing, or somebody has interrupted the wait."""
        if self._is_interrupted:  # perhaps in the moment in which something came
            return None
        try:
            data = self.socket.recv(min(self._receive_bytes, max_bytes))
        except BlockingIOError:
            return None
        except OSError as exc:
            raise _stream_error(exc) from exc
        self._receive_bytes = max_bytes if len(data) >= SMALL_BYTES else SMALL_BYTES
        return data

    def _is_watched(self, arrivals: Arrivals) -> bool:
        number = self.socket.fileno()
        return number >= 0 and arrivals.watch(number, self._receive_for_task)

    async def _receive_by_arrivals(self) -> bytes | None:
        """Wait as `receive_unless_interrupted` does, while the task of `Arrivals` receives."""

        def stop_waiting(_: object) -> trio.lowlevel.Abort:
            self._task = None
            return trio.lowlevel.Abort.SUCCEEDED

        self._task, self._result = trio.lowlevel.current_task(), None
        self._is_interrupted = False
        try:
            await trio.lowlevel.wait_task_rescheduled(stop_waiting)
        finally:
            self._take = _take_nothing  # its owner has this connection, too
        return self._take_result()

    def _take_result(self) -> bytes | None:
        result, self._result = self._result, None
        if not isinstance(result, Exception):
            return result
        try:
            raise result
        finally:
            del result  # its traceback has this frame: both would be there until a collection

    def _receive_for_task(self) -> bool:
        """See `Arrivals.watch`; data that is not taken, and errors, are for the task that waits."""
        if self._task is None:
            return False
        try:
            data = self._receive_now(self._max_bytes)
            if data is None or (data and self._take(data)):
                return True
            self._result = data
        except Exception as exc:  # noqa: BLE001 - `_take_result` raises it
            self._result = exc
        self._resume()
        return False

    def _resume(self) -> None:
        task, self._task = self._task, None
        if task is not None:  # it may have been interrupted in the same moment
            trio.lowlevel.reschedule(task)

    def interrupt(self) -> None:
        """End the wait of the task that receives now, if there is one.

        A cancel scope around each wait would cost a tenth of a call. Trio tells a waiting task that
        its socket is about to be closed, in the same way for all systems; this one stays open.
        """
        self._resume()  # with nothing
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

    async def send_now(self, data: bytes | memoryview) -> None:
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
            await self._send_rest(memoryview(data)[taken_bytes:])

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

    async def _send_rest(self, data: memoryview) -> None:
        self._slow_readers.start(self)
        try:
            while data:
                self.unsent_bytes = len(data)
                if self.socket.fileno() < 0:
                    raise trio.ClosedResourceError("the connection was cut")
                await trio.lowlevel.wait_writable(self.socket)
                data = data[self.send_nowait(data) :]
                self.progressed_at_s = trio.current_time()
        finally:
            self.unsent_bytes = 0
            self._slow_readers.stop(self)

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
        number = self.socket.fileno()
        if number < 0:
            return
        if self._task is not None:
            self._result = trio.ClosedResourceError("the connection was cut")
            self._resume()
        if self.arrivals is not None:
            self.arrivals.forget(number)
        trio.lowlevel.notify_closing(self.socket)
        self.socket.close()


def _take_nothing(_: bytes) -> bool:
    return False


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
