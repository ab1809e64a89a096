"""Opens this process's stdin and stdout as streams for MCP alone, and splits bytes into lines.

Invariants:

- After `open_stdio` neither a stray `print` nor a child process can write to the client.
- At most one line, of at most `LINE_LIMIT_BYTES`, is held in memory.
"""

from __future__ import annotations

import os
import stat
import sys
from typing import Final

import trio

LINE_LIMIT_BYTES: Final = 10 * 1024 * 1024
"""The largest message; the body of a POST has the same limit."""

READ_SIZE_BYTES: Final = 64 * 1024
"""A pipe holds as much on Linux, so a larger read would rarely return more."""


class LineSplitter:
    """Bytes as they come -> lines."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size_bytes = 0
        self._is_skipping = False

    def feed(self, data: bytes) -> list[bytes | None]:
        """The lines that `data` completes, without their ends; blank ones are left out.

        None stands for a line beyond the limit, as soon as it is; the rest of it is skipped.
        """
        lines: list[bytes | None] = []
        *ends, rest = data.split(b"\n")
        for end in ends:
            self._add(end, lines)
            self._complete(lines)
        self._add(rest, lines)
        return lines

    def rest(self) -> list[bytes | None]:
        """The last line, where the bytes ended without an end of line."""
        lines: list[bytes | None] = []
        self._complete(lines)
        return lines

    def _add(self, part: bytes, lines: list[bytes | None]) -> None:
        if self._is_skipping or not part:
            return
        self._size_bytes += len(part)
        if self._size_bytes > LINE_LIMIT_BYTES:
            self._parts, self._is_skipping = [], True
            lines.append(None)
        else:
            self._parts.append(part)

    def _complete(self, lines: list[bytes | None]) -> None:
        line = b"".join(self._parts)
        if line and not line.isspace():
            lines.append(line)
        self._parts, self._size_bytes, self._is_skipping = [], 0, False


def open_stdio() -> tuple[trio.abc.ReceiveStream, trio.abc.SendStream]:
    """Return stdin and stdout. All other code that prints writes to stderr from now on.

    Descriptors 0, 1 and 2 must be open.
    """
    stdin, stdout = os.dup(0), os.dup(1)  # child processes do not inherit these copies
    devnull = os.open(os.devnull, os.O_RDWR)
    os.dup2(devnull, 0)
    os.dup2(2, 1)
    os.close(devnull)
    return receive_stream(stdin), send_stream(stdout)


def receive_stream(fd: int) -> trio.abc.ReceiveStream:
    """Return a stream that reads from a descriptor."""
    return trio.lowlevel.FdStream(fd) if _is_pollable(fd) else _ThreadReceiveStream(fd)


def send_stream(fd: int) -> trio.abc.SendStream:
    """Return a stream that writes to a descriptor."""
    return trio.lowlevel.FdStream(fd) if _is_pollable(fd) else _ThreadSendStream(fd)


def _is_pollable(fd: int) -> bool:
    """Return whether the event loop can wait for a descriptor.

    This is false for regular files, and on Windows always.
    """
    if sys.platform == "win32":
        return False
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode)


class _ThreadReceiveStream(trio.abc.ReceiveStream):
    """Reads in a thread, which is left behind when the read is cancelled."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        size_bytes = READ_SIZE_BYTES if max_bytes is None else max_bytes
        try:
            return await trio.to_thread.run_sync(
                os.read, self._fd, size_bytes, abandon_on_cancel=True
            )
        except OSError as exc:
            raise trio.BrokenResourceError from exc

    async def aclose(self) -> None:
        # A thread that was left behind may still use the descriptor; the process's end closes it.
        await trio.lowlevel.checkpoint()


class _ThreadSendStream(trio.abc.SendStream):
    """Writes in a thread, which is left behind when the write is cancelled."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        try:
            await trio.to_thread.run_sync(_write_all, self._fd, data, abandon_on_cancel=True)
        except OSError as exc:
            raise trio.BrokenResourceError from exc

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        # See `_ThreadReceiveStream.aclose`.
        await trio.lowlevel.checkpoint()


def _write_all(fd: int, data: bytes | bytearray | memoryview) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]
