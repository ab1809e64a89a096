"""The byte proxy from stdio to stdio: two tasks that copy what they read.

python -m benchmarks.floors.stdio_proxy [--lines] COMMAND...

With `--lines` it takes what it reads apart, and writes each line by itself, as a proxy does that
has to decide where each message goes.
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING

import trio

from benchmarks.floors.child import RECEIVE_BYTES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    Copy = Callable[[trio.abc.ReceiveStream, trio.abc.SendStream], Awaitable[None]]


async def copy(source: trio.abc.ReceiveStream, sink: trio.abc.SendStream) -> None:
    """Copy until the source ends, and close the sink."""
    async with sink:
        while data := await source.receive_some(RECEIVE_BYTES):
            await sink.send_all(data)


async def copy_lines(source: trio.abc.ReceiveStream, sink: trio.abc.SendStream) -> None:
    """Copy line by line until the source ends, and close the sink."""
    begun = b""
    async with sink:
        while data := await source.receive_some(RECEIVE_BYTES):
            *lines, begun = (begun + data).split(b"\n")
            for line in lines:
                await sink.send_all(line + b"\n")


async def main(command: Sequence[str], copy: Copy) -> None:
    """Serve until stdin ends, and the server has ended for that."""
    async with trio.open_nursery() as nursery:
        run = partial(trio.run_process, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process: trio.Process = await nursery.start(run)
        assert process.stdin is not None
        assert process.stdout is not None
        nursery.start_soon(copy, trio.lowlevel.FdStream(0), process.stdin)
        await copy(process.stdout, trio.lowlevel.FdStream(1))


if __name__ == "__main__":
    by_line = sys.argv[1:2] == ["--lines"]
    trio.run(main, sys.argv[1 + by_line :], copy_lines if by_line else copy)
