"""The descriptors behind the stdio listener, whatever they are."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import trio

from transports.listen.stdio.streams import receive_stream, send_stream

if TYPE_CHECKING:
    from pathlib import Path

WAIT_S = 10.0

STRAY_PRINTS = """
import os, subprocess, sys, trio
from transports.listen.stdio.streams import open_stdio

async def main():
    stdin, stdout = open_stdio()
    print("stray")
    os.write(1, b"deeper\\n")
    subprocess.run(["echo", "of a child"])
    assert sys.stdin.read() == ""
    await stdout.send_all(b"heard: " + await stdin.receive_some())

trio.run(main)
"""


async def test_pipes_are_waited_for() -> None:
    out_fd, in_fd = os.pipe()
    with trio.fail_after(WAIT_S):
        async with receive_stream(out_fd) as stdin, trio.open_nursery() as nursery:
            stdout = send_stream(in_fd)
            nursery.start_soon(stdout.send_all, b"x" * 200_000)
            received = 0
            while received < 200_000:
                received += len(await stdin.receive_some())
            await stdout.aclose()
            assert await stdin.receive_some() == b""


async def test_files_are_read_and_written_in_threads(tmp_path: Path) -> None:
    file = tmp_path / "file"
    fd = os.open(file, os.O_RDWR | os.O_CREAT)
    with trio.fail_after(WAIT_S):
        async with send_stream(fd) as stdout:
            await stdout.wait_send_all_might_not_block()
            await stdout.send_all(b"what was said")
        os.lseek(fd, 0, os.SEEK_SET)
        async with receive_stream(fd) as stdin:
            assert await stdin.receive_some(8) == b"what was"
            assert await stdin.receive_some() == b" said"
            assert await stdin.receive_some() == b""
    os.close(fd)


async def test_file_that_is_gone_counts_as_a_broken_stream(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    stdin, stdout = receive_stream(fd), send_stream(fd)
    os.close(fd)
    with trio.fail_after(WAIT_S), pytest.raises(trio.BrokenResourceError):
        await stdin.receive_some()
    with trio.fail_after(WAIT_S), pytest.raises(trio.BrokenResourceError):
        await stdout.send_all(b"x")


@pytest.mark.skipif(os.name != "posix", reason="runs echo")
def test_nobody_else_can_reach_stdin_and_stdout() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STRAY_PRINTS],
        input=b"for us",
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == b"heard: for us"
    assert sorted(done.stderr.split(b"\n")) == [b"", b"deeper", b"of a child", b"stray"]
