"""Warnings that are told once, and then with a count."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from transports.listen.serving.counted_warnings import QUIET_S, CountedWarning


async def test_first_time_is_told_at_once_and_the_next_ones_together(
    autojump_clock: trio.abc.Clock,
) -> None:
    told: list[tuple[float, int]] = []
    began_s = trio.current_time()
    warning = CountedWarning(lambda times: told.append((trio.current_time() - began_s, times)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(warning.run)
        await wait_all_tasks_blocked()
        assert told == []
        warning.note()
        await trio.sleep(1)
        assert told == [(0, 1)]
        for _ in range(1000):
            warning.note()
        warning.note(5)
        await trio.sleep(10 * QUIET_S)
        assert told[1:] == [(QUIET_S, 1005)]
        warning.note()
        await trio.sleep(1)
        assert told[2:] == [(1 + 10 * QUIET_S, 1)]
        nursery.cancel_scope.cancel()


async def test_count_that_is_not_told_yet_is_told_at_the_end(
    autojump_clock: trio.abc.Clock,
) -> None:
    told: list[int] = []
    warning = CountedWarning(told.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(warning.run)
        warning.note()
        await trio.sleep(1)
        warning.note(3)
        nursery.cancel_scope.cancel()
    assert told == [1, 3]
