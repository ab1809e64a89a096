"""Medians with their lowest and highest values, and ratios of the same round."""

from __future__ import annotations

from benchmarks.spread import Spread, ratio_of


def test_spread_is_the_median_and_the_ends() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(median=2.0, lowest=1.0, highest=3.0, number=3)


def test_ratio_compares_what_was_measured_side_by_side() -> None:
    assert ratio_of([50.0, 90.0], [100.0, 100.0]) == Spread(0.7, 0.5, 0.9, 2)


def test_spread_is_written_with_its_ends() -> None:
    assert f"{Spread(0.5, 0.25, 0.75, 3):.2f}" == "0.50 (0.25 to 0.75)"
