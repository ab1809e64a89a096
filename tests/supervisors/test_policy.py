"""The arithmetic of restarting."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisors.policy import (
    MAX_ASKED_S,
    AlikeStarts,
    Backoff,
    Ending,
    FailureHistory,
    RestartWindow,
    Verdict,
)

failure_counts = st.integers(min_value=1, max_value=10**400)
rands = st.floats(min_value=0, max_value=1, exclude_max=True)
backoffs = st.builds(
    Backoff,
    initial_s=st.floats(min_value=0.001, max_value=100),
    factor=st.floats(min_value=1, max_value=1e6),
    max_s=st.floats(min_value=0.001, max_value=1000),
    jitter=st.floats(min_value=0, max_value=1),
)


def history(max_restarts: int = 5) -> FailureHistory:
    return FailureHistory(
        Backoff(),
        RestartWindow(max_restarts, period_s=60),
        cool_down=Backoff(initial_s=15),
        alike=AlikeStarts(limit=3),
    )


def retry(wait_s: float) -> Verdict:
    return Verdict(gave_up=False, wait_s=wait_s)


def probe(wait_s: float, *, is_repeated: bool = False) -> Verdict:
    return Verdict(gave_up=True, wait_s=wait_s, is_repeated=is_repeated)


# --- Backoff ---------------------------------------------------------------------------------


def test_waits_double_from_half_a_second_to_a_minute() -> None:
    waits_s = [Backoff().delay_s(failures, rand=0) for failures in range(1, 10)]
    assert waits_s == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]


def test_jitter_shortens_a_wait_by_up_to_its_fraction() -> None:
    backoff = Backoff(initial_s=10, jitter=0.2)
    assert backoff.delay_s(1, rand=0) == 10
    assert backoff.delay_s(1, rand=0.5) == 9
    assert backoff.delay_s(1, rand=math.nextafter(1, 0)) == pytest.approx(8)


@given(backoffs, failure_counts, rands)
def test_a_wait_is_within_its_bounds_however_many_failures(
    backoff: Backoff, failures: int, rand: float
) -> None:
    shortest_s = min(backoff.initial_s, backoff.max_s) * (1 - backoff.jitter)
    assert shortest_s <= backoff.delay_s(failures, rand) <= backoff.max_s


@given(backoffs, failure_counts, failure_counts, rands)
def test_a_wait_never_shrinks_with_more_failures(
    backoff: Backoff, one: int, other: int, rand: float
) -> None:
    fewer, more = sorted((one, other))
    assert backoff.delay_s(fewer, rand) <= backoff.delay_s(more, rand)


@pytest.mark.parametrize(
    "nonsense",
    [{"initial_s": 0}, {"factor": 0.5}, {"max_s": 0}, {"jitter": 1.1}, {"healthy_after_s": 0}],
)
def test_nonsense_is_refused(nonsense: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(nonsense))):
        Backoff(**nonsense)


# --- RestartWindow ---------------------------------------------------------------------------


def test_the_fifth_failure_within_the_period_is_one_too_many() -> None:
    window = RestartWindow(max_restarts=5, period_s=60)
    assert [window.record(at_s) for at_s in (0, 10, 20, 30, 59.9)] == [False] * 4 + [True]


def test_a_failure_is_forgotten_after_the_period() -> None:
    window = RestartWindow(max_restarts=5, period_s=60)
    assert [window.record(at_s) for at_s in (0, 10, 20, 30, 60, 69)] == [False] * 5 + [True]


def test_a_cleared_window_counts_from_nothing() -> None:
    window = RestartWindow(max_restarts=2, period_s=60)
    window.record(0)
    window.clear()
    assert not window.record(1)


@given(
    st.integers(min_value=1, max_value=6),
    st.integers(min_value=1, max_value=20),
    st.lists(st.integers(min_value=0, max_value=10)),
)
def test_too_many_means_that_many_within_less_than_the_period(
    max_restarts: int, period_s: int, gaps_s: list[int]
) -> None:
    window = RestartWindow(max_restarts, period_s)
    failed_at_s: list[int] = []
    for gap_s in gaps_s:
        now_s = failed_at_s[-1] + gap_s if failed_at_s else gap_s
        failed_at_s.append(now_s)
        recent = [at_s for at_s in failed_at_s if now_s - at_s < period_s]
        assert window.record(now_s) == (len(recent) >= max_restarts)


# --- AlikeStarts -----------------------------------------------------------------------------


def ended(text: str = "boom", up_for_s: float | None = None) -> Ending:
    return Ending(OSError(text), up_for_s)


def test_three_starts_that_fail_alike_are_enough() -> None:
    alike = AlikeStarts(limit=3)
    assert [alike.record(ended()) for _ in range(4)] == [False, False, True, True]


def test_starts_that_fail_in_different_ways_are_counted_from_one() -> None:
    alike = AlikeStarts(limit=2)
    assert [alike.record(ended(text)) for text in "abab"] == [False] * 4
    assert alike.record(ended("b"))


def test_numbers_in_an_error_do_not_make_it_another() -> None:
    alike = AlikeStarts(limit=2)
    assert not alike.record(ended("12:30:07 pid 4711: <Object at 0x7fab> has no name"))
    assert alike.record(ended("12:30:19 pid 4800: <Object at 0x60cd> has no name"))


def test_a_child_that_was_up_once_may_fail_alike() -> None:
    alike = AlikeStarts(limit=2)
    assert not alike.record(ended(up_for_s=0))
    assert not any(alike.record(ended()) for _ in range(9))


# --- FailureHistory --------------------------------------------------------------------------


def test_quick_failures_wait_longer_and_longer_and_then_give_up() -> None:
    child = history()
    verdicts = [child.failed(at_s, ended(up_for_s=0), rand=0) for at_s in range(6)]
    assert verdicts == [retry(0.5), retry(1), retry(2), retry(4), probe(15), probe(30)]


def test_child_that_never_was_up_is_given_up_after_starts_that_failed_alike() -> None:
    child = history()
    verdicts = [child.failed(100 * n, ended(), rand=0) for n in range(4)]
    assert verdicts == [retry(0.5), retry(1), probe(15), probe(30, is_repeated=True)]


def test_probe_that_fails_in_another_way_is_followed_by_a_probe_and_is_news() -> None:
    child = history()
    for _ in range(3):
        child.failed(0, ended(), rand=0)
    assert child.failed(1000, ended("other"), rand=0) == probe(30)
    assert child.failed(2000, ended("other"), rand=0) == probe(60, is_repeated=True)
    assert child.failed(3000, ended("other", up_for_s=1), rand=0) == probe(60)


def test_slow_failures_back_off_but_do_not_give_up() -> None:
    child = history()
    verdicts = [child.failed(20 * n, ended(up_for_s=15), rand=0) for n in range(9)]
    assert verdicts[-1] == retry(60)


def test_a_healthy_run_forgives_what_was_before_it() -> None:
    child = history()
    for at_s in range(4):
        child.failed(at_s, ended(up_for_s=0), rand=0)
    assert child.failed(64, ended(up_for_s=60), rand=0) == retry(0.5)


def test_having_given_up_lasts_until_a_run_is_healthy() -> None:
    child = history(max_restarts=1)
    assert child.failed(0, ended(up_for_s=0), rand=0) == probe(15)
    assert child.failed(1000, ended(up_for_s=59), rand=0) == probe(30)
    assert child.failed(2000, ended(up_for_s=60), rand=0) == probe(15)
    child.window.max_restarts = 5
    assert child.failed(3000, ended(up_for_s=60), rand=0) == retry(0.5)


def test_waits_for_probes_grow_up_to_their_maximum_and_are_jittered() -> None:
    child = history(max_restarts=1)
    verdicts = [child.failed(1000 * n, ended(), rand=0.5) for n in range(4)]
    assert [verdict.wait_s for verdict in verdicts] == [13.5, 27, 54, 54]


def test_each_start_that_is_cut_off_doubles_the_patience_up_to_eight_times() -> None:
    child = history()
    assert child.patience == 1
    cut_off = Ending(TimeoutError("not started"), None, was_cut_off=True)
    patience: list[int] = []
    for _ in range(5):
        child.failed(0, cut_off, rand=0)
        patience.append(child.patience)
    assert patience == [2, 4, 8, 8, 8]


def test_patience_is_kept_by_a_start_that_fails_and_ended_by_one_that_succeeds() -> None:
    child = history()
    child.failed(0, Ending(TimeoutError("not started"), None, was_cut_off=True), rand=0)
    child.failed(0, ended(), rand=0)
    assert child.patience == 2
    child.failed(0, ended(up_for_s=1), rand=0)
    assert child.patience == 1


@given(st.floats(min_value=0, max_value=1000), st.integers(min_value=1, max_value=9), rands)
def test_a_wait_is_at_least_what_the_child_asks_for_up_to_its_bound(
    asked_s: float, failures: int, rand: float
) -> None:
    child, calm = history(), history()
    asking = Ending(OSError("busy"), up_for_s=None, asked_s=asked_s)
    for at_s in range(failures):
        verdict, usual = child.failed(at_s, asking, rand), calm.failed(at_s, ended(), rand)
        assert verdict.gave_up == usual.gave_up
        assert verdict.wait_s == max(usual.wait_s, min(asked_s, MAX_ASKED_S))
