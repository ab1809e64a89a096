"""This process's stdin and stdout as streams that belong to MCP alone.

Job: the descriptors behind `stdio`, on every platform. Neighbours: the composition root calls
`open_stdio`, once.

Invariants: after `open_stdio` neither a stray `print` nor a child process can reach the client.
"""

from __future__ import annotations

import os
import stat
import sys
from typing import Final

import trio

LINE_LIMIT_BYTES: Final = 10 * 1024 * 1024
"""One message, as in the body of a POST."""

READ_SIZE_BYTES: Final = 64 * 1024
"""What a pipe holds on Linux: more rarely comes at once."""


def open_stdio() -> tuple[trio.abc.ReceiveStream, trio.abc.SendStream]:
    """Take stdin and stdout. From here on, what anybody else prints goes to stderr.

    Descriptors 0, 1 and 2 must be open.
    """
    stdin, stdout = os.dup(0), os.dup(1)  # copies are not inherited by child processes
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return receiver(stdin), sender(stdout)


def receiver(fd: int) -> trio.abc.ReceiveStream:
    """A stream that reads this descriptor."""
    return trio.lowlevel.FdStream(fd) if _is_pollable(fd) else _ThreadReceiver(fd)


def sender(fd: int) -> trio.abc.SendStream:
    """A stream that writes to this descriptor."""
    return trio.lowlevel.FdStream(fd) if _is_pollable(fd) else _ThreadSender(fd)


def _is_pollable(fd: int) -> bool:
    """Can the event loop wait for it? Not for regular files, and on Windows for none of these."""
    if sys.platform == "win32":
        return False
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode)


class _ThreadReceiver(trio.abc.ReceiveStream):
    """Reads in a thread, which is left behind when it is cancelled."""

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
        # A thread that was left behind may still use the descriptor: the process's end closes it.
        await trio.lowlevel.checkpoint()


class _ThreadSender(trio.abc.SendStream):
    """Writes in a thread, which is left behind when it is cancelled."""

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
        # As in `_ThreadReceiver`.
        await trio.lowlevel.checkpoint()


def _write_all(fd: int, data: bytes | bytearray | memoryview) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]
