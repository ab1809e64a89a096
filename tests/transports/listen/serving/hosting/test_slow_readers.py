"""Connections whose clients read slowly or not at all, with a clock that can be moved."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from transports.listen.serving.asgi import LEAST_BYTES_PER_S, SEND_S
from transports.listen.serving.hosting import slow_readers as module
from transports.listen.serving.hosting.slow_readers import LOOK_S, SlowReaders

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Reader:
    """A connection whose client reads as fast as the test says."""

    def __init__(self, bytes_per_s: float = 0.0) -> None:
        self.bytes_per_s = bytes_per_s
        self.pause_s = 0.0
        self.cut_at_s: float | None = None
        self.progressed_at_s = 0.0
        self._began_s = trio.current_time()

    def read_bytes(self) -> int:
        went_s = trio.current_time() - self._began_s
        if self.pause_s:
            went_s -= went_s % self.pause_s
        return int(self.bytes_per_s * went_s)

    def cut(self) -> None:
        self.cut_at_s = trio.current_time() - self._began_s


@asynccontextmanager
async def watching() -> AsyncIterator[SlowReaders]:
    slow_readers = SlowReaders()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(slow_readers.cut_them)
        await wait_all_tasks_blocked()
        yield slow_readers
        nursery.cancel_scope.cancel()


def sending(slow_readers: SlowReaders, *readers: Reader) -> None:
    for reader in readers:
        slow_readers.start(reader)


@pytest.mark.parametrize("waited_s", [0.0, 0.5, 1.9, 17.3])
async def test_client_that_reads_nothing_is_cut_within_30_s(
    autojump_clock: trio.abc.Clock, waited_s: float
) -> None:
    async with watching() as slow_readers:
        sending(slow_readers, Reader())  # keeps the watch going
        await trio.sleep(waited_s)
        reader = Reader()
        sending(slow_readers, reader)
        await trio.sleep(100)
        assert reader.cut_at_s is not None
        assert SEND_S - 2 * LOOK_S <= reader.cut_at_s <= SEND_S


async def test_client_that_reads_slowly_but_steadily_is_never_cut(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with watching() as slow_readers:
        slow = Reader(1.01 * LEAST_BYTES_PER_S)
        slower = Reader(0.9 * LEAST_BYTES_PER_S)
        in_lumps = Reader(20 * LEAST_BYTES_PER_S)
        in_lumps.pause_s = 12.0
        sending(slow_readers, slow, slower, in_lumps)
        await trio.sleep(3600)
        assert (slow.cut_at_s, in_lumps.cut_at_s) == (None, None)
        assert slower.cut_at_s is not None


async def test_client_that_stops_reading_is_cut_within_a_minute(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with watching() as slow_readers:
        reader = Reader(50_000)
        sending(slow_readers, reader)
        await trio.sleep(300)
        assert reader.cut_at_s is None
        read_bytes = reader.read_bytes()
        reader.read_bytes = lambda: read_bytes
        await trio.sleep(2 * SEND_S)
        assert reader.cut_at_s is not None


async def test_send_that_is_over_is_forgotten(autojump_clock: trio.abc.Clock) -> None:
    async with watching() as slow_readers:
        quick, longer = Reader(), Reader(5000)
        sending(slow_readers, quick, longer)
        slow_readers.stop(quick)
        await trio.sleep(60)
        slow_readers.stop(longer)
        longer.bytes_per_s = 0
        await trio.sleep(100)
        assert (quick.cut_at_s, longer.cut_at_s) == (None, None)


async def test_time_in_which_this_process_was_stopped_does_not_count(
    autojump_clock: trio.abc.Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A late wake-up stands for SIGSTOP, or for a machine that was asleep."""
    async with watching() as slow_readers:
        reader = Reader()
        sending(slow_readers, reader)
        await trio.sleep(SEND_S - 3 * LOOK_S)

        async def oversleep(_: float) -> None:
            monkeypatch.undo()
            await trio.sleep(500)

        monkeypatch.setattr(module.trio, "sleep", oversleep)
        await trio.sleep_until(trio.current_time() + 510)
        assert reader.cut_at_s is None
        await trio.sleep(SEND_S)
        assert reader.cut_at_s is not None
