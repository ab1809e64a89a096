"""The limits of what clients have yet to read: who loses what is held for it, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from trio.testing import wait_all_tasks_blocked

from transports.listen.serving import unread_bytes
from transports.listen.serving.unread_bytes import (
    CHECK_BYTES,
    NOBODY_READS,
    Holding,
    UnreadBytes,
    UnreadLimits,
    beyond_limits,
)

if TYPE_CHECKING:
    import pytest

LIMITS = UnreadLimits(total_bytes=100, principal_bytes=70)


def held(principal: str, size_bytes: int, read_at_s: float) -> Holding:
    return Holding(principal, size_bytes, read_at_s, lambda: None)


def test_nobody_loses_anything_within_the_limits() -> None:
    assert beyond_limits([], LIMITS) == []
    assert beyond_limits([held("a", 70, NOBODY_READS), held("b", 30, 1.0)], LIMITS) == []


def test_slowest_go_first_and_only_as_many_as_need_to() -> None:
    kept = held("a", 10, NOBODY_READS)
    slow, slower, fast = held("b", 30, 5.0), held("c", 30, 4.0), held("d", 50, 9.0)
    assert beyond_limits([fast, slow, kept, slower], LIMITS) == [kept, slower]


def test_of_two_that_are_as_slow_the_larger_goes_first() -> None:
    small, large = held("a", 50, 5.0), held("b", 51, 5.0)
    assert beyond_limits([small, large], LIMITS) == [large]


def test_principal_beyond_its_own_limit_loses_although_others_are_slower() -> None:
    slowest, slow, fast = held("b", 20, 1.0), held("a", 31, 2.0), held("a", 40, 3.0)
    assert beyond_limits([slowest, slow, fast], LIMITS) == [slow]


def test_both_limits_are_kept() -> None:
    of_a = [held("a", 40, float(at)) for at in range(3)]
    of_b = [held("b", 40, float(at)) for at in range(2)]
    dropped = beyond_limits([*of_a, *of_b], LIMITS)
    assert dropped == [of_a[0], of_b[0], of_a[1]]


async def test_everything_is_looked_at_after_so_many_bytes(
    autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    looks: list[float] = []
    dropped: list[str] = []
    unread = UnreadBytes(LIMITS)

    def source() -> list[Holding]:
        looks.append(trio.current_time())
        large = Holding("a", 90, 2.0, lambda: dropped.append("large"))
        return [] if dropped else [large, held("a", 10, 3.0)]

    unread.sources.append(source)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(unread.run)
        unread.add(CHECK_BYTES - 1)
        await wait_all_tasks_blocked()
        assert looks == []
        unread.add(1)
        await wait_all_tasks_blocked()
        assert (len(looks), dropped) == (1, ["large"])
        for _ in range(4):
            unread.add(CHECK_BYTES // 4)
        await wait_all_tasks_blocked()
        assert len(looks) == 2
        assert caplog.text.count("too much to read") == 1
        nursery.cancel_scope.cancel()


def test_limits_leave_room_for_others_than_the_one_principal() -> None:
    limits = UnreadLimits()
    assert limits.total_bytes == 256 * unread_bytes.MIB
    assert limits.principal_bytes < limits.total_bytes - CHECK_BYTES
