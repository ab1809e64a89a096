"""The lag of the event loop: measured only once somebody asks, and then once a second."""

from typing import Any

import trio
from trio.testing import MockClock

from transports.listen.rest.metrics.loop_lag import LAG_BOUNDS_S, LoopLag


async def test_nothing_is_measured_before_somebody_asks(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    lag = LoopLag()
    nursery.start_soon(lag.run)
    await trio.sleep(10)
    assert sum(lag.buckets) == 0
    lag.want()
    lag.want()
    await trio.sleep(3.5)
    assert sum(lag.buckets) == lag.buckets[0] == 3
    assert lag.sum_s == 0


async def test_a_late_wake_up_is_counted_with_its_delay(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    lag = LoopLag()
    lag.want()
    nursery.start_soon(lag.run)
    await trio.testing.wait_all_tasks_blocked()
    mock_clock.jump(1.2)  # as if another task had worked for so long
    await trio.testing.wait_all_tasks_blocked()
    (at,) = [index for index, number in enumerate(lag.buckets) if number]
    assert LAG_BOUNDS_S[at] == 0.25
    assert round(lag.sum_s, 3) == 0.2
