"""The reading end of a pipe."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import trio
import trio.lowlevel
from trio.testing import wait_all_tasks_blocked

from tests.transports.connect.stdio.children import on_posix
from transports.connect.stdio.pipes import ReadPipe

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = on_posix


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """The reading and the writing end; the test closes the first."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb"):
        yield reading, writing


async def test_it_waits_for_data_and_returns_what_is_there(
    nursery: trio.Nursery, ends: tuple[int, int]
) -> None:
    pipe = ReadPipe(ends[0])
    read: list[bytes] = []

    async def read_once() -> None:
        read.append(await pipe.receive_some())

    nursery.start_soon(read_once)
    await wait_all_tasks_blocked()
    os.write(ends[1], b"abc")
    await wait_all_tasks_blocked()
    os.write(ends[1], b"defgh")
    assert [*read, await pipe.receive_some(3), await pipe.receive_some(3)] == [
        b"abc",
        b"def",
        b"gh",
    ]
    await pipe.aclose()


async def test_it_returns_nothing_at_the_end_of_the_pipe() -> None:
    reading, writing = os.pipe()
    async with ReadPipe(reading) as pipe:
        os.write(writing, b"last")
        os.close(writing)
        assert [await pipe.receive_some() for _ in range(3)] == [b"last", b"", b""]


async def test_others_have_their_turn_between_two_reads(
    nursery: trio.Nursery, ends: tuple[int, int]
) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    os.write(ends[1], b"x" * 100)
    async with ReadPipe(ends[0]) as pipe:
        nursery.start_soon(other)
        for _ in range(100):
            await pipe.receive_some(1)
    nursery.cancel_scope.cancel("all is read")
    assert turns >= 98


async def test_closing_ends_a_read_that_waits_and_all_later_ones(
    nursery: trio.Nursery, ends: tuple[int, int]
) -> None:
    pipe = ReadPipe(ends[0])
    ended = trio.Event()

    async def read() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await pipe.receive_some()
        ended.set()

    nursery.start_soon(read)
    await wait_all_tasks_blocked()
    await pipe.aclose()
    await ended.wait()
    with pytest.raises(trio.ClosedResourceError):
        await pipe.receive_some()


async def test_a_cancelled_read_loses_nothing(ends: tuple[int, int]) -> None:
    async with ReadPipe(ends[0]) as pipe:
        os.write(ends[1], b"abc")
        with trio.CancelScope() as scope:
            scope.cancel()
            await pipe.receive_some()
        assert scope.cancelled_caught
        assert await pipe.receive_some() == b"abc"


async def test_a_pipe_that_is_closed_once_there_is_data_was_closed_and_did_not_break(
    ends: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = ReadPipe(ends[0])

    async def close_meanwhile(_: object) -> None:
        await pipe.aclose()

    monkeypatch.setattr(trio.lowlevel, "wait_readable", close_meanwhile)
    with pytest.raises(trio.ClosedResourceError):
        await pipe.receive_some()
