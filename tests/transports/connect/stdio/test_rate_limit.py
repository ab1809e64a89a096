"""The token bucket."""

from __future__ import annotations

from transports.connect.stdio.rate_limit import TokenBucket


def test_a_burst_is_allowed_and_no_more() -> None:
    bucket = TokenBucket(burst=5, per_s=1)
    assert [bucket.take(3, 100.0) for _ in range(3)] == [3, 2, 0]


def test_bucket_refills_with_time_up_to_a_burst() -> None:
    bucket = TokenBucket(burst=5, per_s=2)
    bucket.take(5, 100.0)
    assert bucket.take(5, 101.0) == 2
    assert bucket.take(9, 1000.0) == 5


def test_what_is_left_over_of_a_second_is_not_lost() -> None:
    bucket = TokenBucket(burst=5, per_s=1)
    bucket.take(5, 100.0)
    assert [bucket.take(1, 100.0 + 0.3 * turn) for turn in range(1, 8)] == [0, 0, 0, 1, 0, 0, 1]
