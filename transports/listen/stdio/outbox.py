"""The outbox of the stdio client: a bounded queue of lines, and the task that writes them.

Invariants:

- Lines are written in the order in which they were put, all that are queued in one write.
- The queue is bounded in lines and in bytes; lines count until they are written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from transports.json_rpc import encode_line

if TYPE_CHECKING:
    from router.messages.frames import Frame

WRITE_SIZE_BYTES: Final = 256 * 1024
"""Queued lines are joined for one write, which saves system calls, until they have this size."""

OUTBOX_LINES: Final = 4096
"""The most lines that may wait: half of it is more than one read of requests can ask for."""

OUTBOX_BYTES: Final = 64 * 1024 * 1024
"""The most bytes that may wait; a single line may be larger."""


class StdioOutbox:
    """Lines for the client, taken until the outbox is ended.

    Attributes:
        ended: set when no more lines are taken.
        reason: the reason for that.
        written: set when every line is written, or can never be.
    """

    def __init__(self) -> None:
        self._put, self._get = trio.open_memory_channel[bytes](OUTBOX_LINES)
        self._unwritten_lines = 0
        self._unwritten_bytes = 0
        self._got_room = trio.Event()
        self.ended = trio.Event()
        self.written = trio.Event()
        self.reason = ""

    def send_nowait(self, frame: Frame) -> None:
        """Queue a frame; raises as `put`."""
        self.put(encode_line(frame))

    def put(self, line: bytes) -> None:
        """Queue a line.

        Raises:
            trio.WouldBlock: too much is waiting.
            trio.BrokenResourceError: the outbox has ended.
        """
        if self.ended.is_set():
            raise trio.BrokenResourceError
        if self._unwritten_lines and self._unwritten_bytes + len(line) > OUTBOX_BYTES:
            raise trio.WouldBlock
        self._put.send_nowait(line)
        self._unwritten_lines += 1
        self._unwritten_bytes += len(line)

    def close(self) -> None:
        """End the outbox, because the router says so."""
        self.end("the router closed it")

    def end(self, reason: str) -> None:
        """Take no more lines; queued lines are still written. The first reason stays."""
        if not self.ended.is_set():
            self.reason = reason
            self.ended.set()
            self._put.close()

    def has_room(self) -> bool:
        """Return whether at most half of the outbox is in use."""
        is_short = self._unwritten_lines <= OUTBOX_LINES // 2
        return is_short and self._unwritten_bytes <= OUTBOX_BYTES // 2

    async def wait_for_room(self) -> None:
        """Wait until `has_room`."""
        await trio.lowlevel.checkpoint()
        while not self.has_room():
            self._got_room = trio.Event()
            await self._got_room.wait()

    async def write_to(self, stdout: trio.abc.SendStream) -> None:
        """Write lines until the outbox is ended and empty, or stdout is closed."""
        try:
            with self._get:
                async for line in self._get:
                    await self._write(stdout, self._with_queued(line))
        except trio.BrokenResourceError:
            self.end("stdout is closed")
        self.written.set()

    def _with_queued(self, line: bytes) -> list[bytes]:
        """Return a line and the queued lines after it, for one write."""
        lines, size_bytes = [line], len(line)
        while size_bytes < WRITE_SIZE_BYTES:
            try:
                line = self._get.receive_nowait()
            except (trio.WouldBlock, trio.EndOfChannel):
                break
            lines.append(line)
            size_bytes += len(line)
        return lines

    async def _write(self, stdout: trio.abc.SendStream, lines: list[bytes]) -> None:
        data = b"".join(lines)
        await stdout.send_all(data)
        self._unwritten_lines -= len(lines)
        self._unwritten_bytes -= len(data)
        if self.has_room():
            self._got_room.set()
