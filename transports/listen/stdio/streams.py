"""Opens this process's stdin and stdout as streams for MCP alone.

Invariant: after `open_stdio` neither a stray `print` nor a child process can write to the client.
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
        # A thread that was left behind may still use the descriptor; the process's end closes it.
        await trio.lowlevel.checkpoint()


def _write_all(fd: int, data: bytes | bytearray | memoryview) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]
