"""What is to be written to the stdio client: a bounded queue of lines, and its writer.

Job: the client's `Outbox`. Neighbours: `stdio` owns it; the dispatch actor sends into it.

Invariants: lines go out in the order they came in, all there are in one write; what is queued,
the write under way included, is bounded in number and in bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from transports.json_rpc import encode_line

if TYPE_CHECKING:
    from router.messages.frames import Frame

WRITE_SIZE_BYTES: Final = 256 * 1024
"""Lines are collected for one write until they are this many bytes."""

OUTBOX_LINES: Final = 4096
"""Lines that may wait: half of it is more than one read of requests can ask for."""

OUTBOX_BYTES: Final = 64 * 1024 * 1024
"""What they may add up to; a single one may be larger."""


class StdioOutbox:
    """Lines to be written, until it is ended.

    Attributes:
        ended: nothing more is taken, for `reason`.
        written: everything taken has been written, or can never be.
    """

    def __init__(self) -> None:
        self._put, self._get = trio.open_memory_channel[bytes](OUTBOX_LINES)
        self._lines = self._bytes = 0  # taken and not yet written
        self._has_room = trio.Event()
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
            trio.BrokenResourceError: it has ended.
        """
        if self.ended.is_set():
            raise trio.BrokenResourceError
        if self._lines and self._bytes + len(line) > OUTBOX_BYTES:
            raise trio.WouldBlock
        self._put.send_nowait(line)
        self._lines += 1
        self._bytes += len(line)

    def close(self) -> None:
        """End it, as the router decided."""
        self.end("the router closed it")

    def end(self, reason: str) -> None:
        """Take no more; what is queued is still written. The first reason stays."""
        if not self.ended.is_set():
            self.reason = reason
            self.ended.set()
            self._put.close()

    def has_room(self) -> bool:
        """Is no more than half of it taken?"""
        return self._lines <= OUTBOX_LINES // 2 and self._bytes <= OUTBOX_BYTES // 2

    async def room(self) -> None:
        """Wait until it has room."""
        await trio.lowlevel.checkpoint()
        while not self.has_room():
            self._has_room = trio.Event()
            await self._has_room.wait()

    async def write_to(self, stdout: trio.abc.SendStream) -> None:
        """Write until it is ended and empty, or stdout is gone."""
        try:
            with self._get:
                async for line in self._get:
                    await self._write(stdout, self._with_more(line))
        except trio.BrokenResourceError:
            self.end("stdout is closed")
        self.written.set()

    def _with_more(self, line: bytes) -> list[bytes]:
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
        self._lines -= len(lines)
        self._bytes -= len(data)
        if self.has_room():
            self._has_room.set()
