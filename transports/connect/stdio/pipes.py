"""Reads the pipes of a process, with one wait for each read.

`trio.lowlevel.FdStream` gives all other tasks a turn, tries to read, and then mostly has to wait
for data. That wait gives the others their turn too, and one turn of the scheduler costs as much as
the rest of a read.
"""

from __future__ import annotations

import os
from typing import Final

import trio
import trio.abc
import trio.lowlevel

CHUNK_BYTES: Final = 65_536
"""One read: as much as a pipe holds (pipe(7))."""


class ReadPipe(trio.abc.ReceiveStream):
    """The reading end of a pipe, which it closes. For POSIX."""

    def __init__(self, fd: int) -> None:
        self._stream = trio.lowlevel.FdStream(fd)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Wait for data, and return it; none at the end of the pipe.

        Raises:
            trio.BrokenResourceError: the pipe cannot be read.
            trio.ClosedResourceError: this end was closed.
        """
        while True:
            if self._stream.fileno() < 0:
                raise trio.ClosedResourceError("this end of the pipe was closed")
            await trio.lowlevel.wait_readable(self._stream)
            try:
                return os.read(self._stream.fileno(), max_bytes or CHUNK_BYTES)
            except BlockingIOError:
                continue  # somebody else was told of the same data
            except OSError as exc:
                if self._stream.fileno() < 0:  # since there was data
                    continue
                raise trio.BrokenResourceError from exc

    async def aclose(self) -> None:
        """Close this end; whoever waits for data gets a `trio.ClosedResourceError`."""
        await self._stream.aclose()
