"""Rules of outlier ejection: when a server is spared, for how long, and what ends it."""

import pytest

from router.core.bounded.ejection import (
    BASE_S,
    FAILURES_IN_A_ROW,
    LONGEST_RETRY_AFTER_S,
    LONGEST_S,
    TRIAL_S,
    Ejection,
    is_failure,
)


def ejected(retry_after_s: float | None = None) -> Ejection:
    """Return an ejection that began at second 0."""
    ejection = Ejection()
    for _ in range(FAILURES_IN_A_ROW - 1):
        assert not ejection.record_failure(0.0, None)
    assert ejection.record_failure(0.0, retry_after_s)
    return ejection


@pytest.mark.parametrize(
    ("status", "failed"),
    [(None, True), (500, True), (503, True), (429, True), (200, False), (404, False)],
)
def test_server_errors_too_many_requests_and_broken_connections_are_failures(
    status: int | None, failed: bool
) -> None:
    assert is_failure(status) is failed


def test_server_is_ejected_after_five_failures_in_a_row() -> None:
    assert ejected().ends_at_s == BASE_S


def test_success_between_failures_begins_the_count_again() -> None:
    ejection = Ejection()
    for _ in range(FAILURES_IN_A_ROW - 1):
        ejection.record_failure(0.0, None)
    assert ejection.record_success()


def test_server_that_names_a_time_is_obeyed_at_once() -> None:
    ejection = Ejection()
    assert ejection.record_failure(10.0, 7.0)
    assert ejection.ends_at_s == 17.0


def test_time_that_a_server_names_counts_also_after_five_failures() -> None:
    assert ejected(7.0).ends_at_s == 7.0


def test_time_that_a_server_names_has_a_limit() -> None:
    ejection = Ejection()
    ejection.record_failure(0.0, 1e9)
    assert ejection.ends_at_s == LONGEST_RETRY_AFTER_S


def test_one_call_is_let_through_when_the_time_is_over() -> None:
    ejection = ejected()
    assert not ejection.lets_through(BASE_S - 0.1)
    assert ejection.lets_through(BASE_S)
    assert not ejection.lets_through(BASE_S + TRIAL_S - 0.1)


def test_trial_without_an_outcome_is_followed_by_another() -> None:
    ejection = ejected()
    assert ejection.lets_through(BASE_S)
    assert ejection.lets_through(BASE_S + TRIAL_S)


def test_trial_that_fails_ejects_for_longer_each_time() -> None:
    ejection, now_s, lengths_s = ejected(), BASE_S, list[float]()
    for _ in range(12):
        assert ejection.lets_through(now_s)
        assert ejection.record_failure(now_s, None)
        assert ejection.ends_at_s is not None
        lengths_s.append(ejection.ends_at_s - now_s)
        now_s = ejection.ends_at_s
    assert lengths_s[:3] == [2 * BASE_S, 3 * BASE_S, 4 * BASE_S]
    assert lengths_s[-3:] == [LONGEST_S] * 3


def test_trial_that_succeeds_ends_it() -> None:
    ejection = ejected()
    ejection.lets_through(BASE_S)
    assert ejection.record_success()


def test_outcomes_of_calls_that_were_sent_before_change_nothing() -> None:
    ejection = ejected()
    assert not ejection.record_failure(1.0, None)
    assert not ejection.record_success()
    assert (ejection.count, ejection.ends_at_s) == (1, BASE_S)


def test_later_failure_may_ask_for_more_time_and_never_shortens_it() -> None:
    ejection = ejected()
    ejection.record_failure(1.0, 2 * BASE_S)
    ejection.record_failure(2.0, 1.0)
    assert ejection.ends_at_s == 1.0 + 2 * BASE_S
