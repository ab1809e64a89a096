"""How many may start at the same time, and how many restart in a second."""

import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisors.start_limits import (
    MEASURE_EVERY_S,
    STALE_AFTER_S,
    AdaptiveLimit,
    FixedLimit,
    RestartRate,
)

IDLE, BUSY, JUST_RIGHT = 0.2, 1.0, 0.85


def sizes(*measured: float | None, cores: int = 2) -> list[int]:
    """Return the sizes of a limit whose measurements, one every 0.25 s, are these."""
    each = iter(measured)
    limit = AdaptiveLimit(cores, lambda: next(each))
    return [limit.size(n * MEASURE_EVERY_S) for n in range(len(measured))]


def test_a_fixed_limit_never_changes() -> None:
    limit = FixedLimit(7)
    assert (limit.size(0), limit.size(1e9), limit.look_again_s) == (7, 7, math.inf)


def test_without_any_measurement_it_is_two_a_core() -> None:
    assert sizes(None, None, None) == [4, 4, 4]


def test_it_grows_by_one_a_core_while_the_machine_is_idle_up_to_eight_a_core() -> None:
    assert sizes(None, *[IDLE] * 8) == [4, 6, 8, 10, 12, 14, 16, 16, 16]


def test_it_shrinks_by_one_while_the_machine_is_busy_down_to_one_a_core() -> None:
    assert sizes(None, *[BUSY] * 6, cores=4) == [8, 7, 6, 5, 4, 4, 4]


def test_two_start_at_the_same_time_on_a_single_core_too() -> None:
    assert sizes(None, *[BUSY] * 3, cores=1) == [2, 2, 2, 2]


def test_it_stays_while_the_machine_has_just_enough_to_do() -> None:
    assert sizes(None, IDLE, JUST_RIGHT, JUST_RIGHT) == [4, 6, 6, 6]


def test_many_cores_start_two_each_however_idle_they_are() -> None:
    assert sizes(None, IDLE, IDLE, cores=12) == [24, 32, 32]
    assert sizes(None, IDLE, IDLE, cores=64) == [128, 128, 128]


def test_it_measures_only_when_a_measurement_is_due() -> None:
    calls: list[None] = []
    limit = AdaptiveLimit(1, lambda: calls.append(None))
    for at_s in (0, 0.1, 0.2, MEASURE_EVERY_S, 0.3):
        assert limit.size(at_s) == 2
    assert len(calls) == 2
    assert limit.look_again_s == MEASURE_EVERY_S


def test_after_a_quiet_time_it_begins_anew() -> None:
    limit = AdaptiveLimit(1, lambda: IDLE)
    assert [limit.size(at_s) for at_s in (0, 0.25, 0.5)] == [2, 3, 4]
    # This measurement is about the whole quiet time, not about starts.
    assert limit.size(0.6 + STALE_AFTER_S) == 2
    assert limit.size(0.9 + STALE_AFTER_S) == 3


@given(st.integers(1, 200), st.lists(st.one_of(st.none(), st.floats(0, 1))))
def test_there_is_room_for_two_and_for_one_a_core_whatever_is_measured(
    cores: int, measured: list[float | None]
) -> None:
    found = sizes(*measured, cores=cores)
    assert all(max(2, cores) <= size <= max(2 * cores, min(8 * cores, 32)) for size in found)


@pytest.mark.parametrize(
    "make", [lambda: FixedLimit(0), lambda: AdaptiveLimit(0, lambda: None), lambda: RestartRate(0)]
)
def test_nonsense_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match="must be"):
        make()


# --- RestartRate -----------------------------------------------------------------------------


def taken_at_s(rate: RestartRate, wanted: int, from_s: float = 0.0) -> Iterator[float]:
    """Take turns as early as possible; yield their times."""
    now_s = from_s
    for _ in range(wanted):
        now_s += rate.wait_s(now_s)
        assert rate.wait_s(now_s) == 0
        rate.take(now_s)
        yield now_s


def test_a_few_restarts_at_once_and_then_so_many_a_second() -> None:
    rate = RestartRate(per_s=4, burst=3)
    assert list(taken_at_s(rate, 6)) == [0, 0, 0, 0.25, 0.5, 0.75]


def test_a_quiet_time_allows_no_more_than_a_burst() -> None:
    rate = RestartRate(per_s=4, burst=2)
    list(taken_at_s(rate, 5))
    assert list(taken_at_s(rate, 4, from_s=1000)) == [1000, 1000, 1000.25, 1000.5]


@given(st.floats(0.01, 100), st.integers(1, 20), st.integers(1, 60), st.floats(0, 1e6))
def test_there_are_never_more_than_the_burst_and_the_rate_allow(
    per_s: float, burst: int, wanted: int, from_s: float
) -> None:
    at_s = list(taken_at_s(RestartRate(per_s, burst), wanted, from_s))
    for first, last in ((a, b) for b in range(wanted) for a in range(b + 1)):
        assert last - first + 1 <= burst + (at_s[last] - at_s[first]) * per_s + 0.01
