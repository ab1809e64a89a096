"""The calls of a token are counted against its limits."""

from __future__ import annotations

import pytest

from router.core.bounded.usage import WAIT_FOR_A_CALL_S, Shortage, Usage
from router.messages.rates import RateLimits

NOW_S = 1000.0


def begun(usage: Usage, limits: RateLimits, now_s: float, tries: int) -> int:
    """Return how many of so many calls may begin."""
    return sum(usage.take(limits, now_s) is None for _ in range(tries))


def test_burst_may_begin_at_once_and_then_as_many_a_minute_as_are_allowed() -> None:
    limits, usage = RateLimits(60, burst=5), Usage()
    assert begun(usage, limits, NOW_S, 20) == 5
    assert sum(begun(usage, limits, NOW_S + second, 20) for second in range(1, 61)) == 60


def test_pause_fills_up_the_burst_and_no_more() -> None:
    limits, usage = RateLimits(60, burst=5), Usage()
    begun(usage, limits, NOW_S, 20)
    assert begun(usage, limits, NOW_S + 3600, 20) == 5


@pytest.mark.parametrize("a_minute", [1, 7, 600, 100_000])
def test_call_may_begin_after_exactly_the_time_that_is_said(a_minute: int) -> None:
    limits, usage = RateLimits(a_minute), Usage()
    assert usage.take(limits, NOW_S) is None
    shortage = usage.take(limits, NOW_S)
    assert shortage is not None
    assert (shortage.limit, shortage.retry_in_s) == (
        "calls_per_minute",
        pytest.approx(60 / a_minute),
    )
    assert usage.take(limits, NOW_S + shortage.retry_in_s) is None


def test_refused_calls_cost_nothing() -> None:
    limits, usage = RateLimits(60), Usage()
    begun(usage, limits, NOW_S, 1000)
    assert usage.refused == 999
    assert begun(usage, limits, NOW_S + 1, 1) == 1


def test_no_more_calls_may_be_in_flight_than_are_allowed() -> None:
    limits, usage = RateLimits(concurrent_calls=2), Usage(in_flight=2)
    assert usage.take(limits, NOW_S) == Shortage("concurrent_calls", WAIT_FOR_A_CALL_S)
    usage.in_flight = 1
    assert usage.take(limits, NOW_S) is None


def test_call_that_would_be_one_too_many_in_flight_takes_nothing_out_of_the_burst() -> None:
    limits, usage = RateLimits(60, burst=1, concurrent_calls=1), Usage(in_flight=1)
    begun(usage, limits, NOW_S, 10)
    usage.in_flight = 0
    assert usage.take(limits, NOW_S) is None


def test_other_limits_hold_from_the_next_call_on() -> None:
    usage = Usage()
    assert begun(usage, RateLimits(600, burst=100), NOW_S, 10) == 10
    assert begun(usage, RateLimits(60, burst=3), NOW_S, 10) == 3
    assert begun(usage, RateLimits(), NOW_S, 10) == 10
    assert begun(usage, RateLimits(60_000, burst=10), NOW_S + 1, 20) == 10
