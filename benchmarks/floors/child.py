"""A stdio server behind the floors: one process, its answers matched to requests by their order.

That is what the floors may do and no proxy may: nothing is parsed, no id is looked at. It holds as
long as the server answers in the order it was asked, as the echo does.
"""

from __future__ import annotations

import subprocess
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Self

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RECEIVE_BYTES = 1 << 16


class OrderedChild:
    """The process, and those who wait for its next lines, the longest waiting first."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._unwritten: list[bytes] = []
        self._waiting: deque[Callable[[bytes], None]] = deque()
        self._news = trio.Event()

    @classmethod
    async def start(cls, nursery: trio.Nursery, command: Sequence[str]) -> Self:
        """Run the command; it is ended with the nursery."""
        process: trio.Process = await nursery.start(
            partial(trio.run_process, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        )
        child = cls(process)
        nursery.start_soon(child._write)
        nursery.start_soon(child._read)
        return child

    def send(self, line: bytes) -> None:
        """Send a message that has no answer."""
        self._unwritten.append(line + b"\n")
        self._news.set()

    def ask(self, line: bytes, take: Callable[[bytes], None]) -> None:
        """Send a request; `take` gets the line that answers it."""
        self._waiting.append(take)
        self.send(line)

    async def answer(self, line: bytes) -> bytes:
        """Send a request; return the line that answers it."""
        came = trio.Event()
        lines: list[bytes] = []

        def take(line: bytes) -> None:
            lines.append(line)
            came.set()

        self.ask(line, take)
        await came.wait()
        return lines[0]

    async def _write(self) -> None:
        assert self._process.stdin is not None
        while True:
            await self._news.wait()
            self._news = trio.Event()
            data = b"".join(self._unwritten)
            self._unwritten.clear()
            await self._process.stdin.send_all(data)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        begun: list[bytes | bytearray] = []
        while data := await self._process.stdout.receive_some(RECEIVE_BYTES):
            first, *more = data.split(b"\n")
            begun.append(first)
            for line in more:
                self._waiting.popleft()(b"".join(begun))
                begun = [line]
