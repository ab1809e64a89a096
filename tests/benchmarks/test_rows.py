"""Rows: a median with the lowest and the highest of its rounds."""

from __future__ import annotations

from benchmarks.rows import Row


def test_row_is_the_median_and_the_ends_of_its_rounds() -> None:
    row = Row.of("http", "1 caller", "router", "p50", [3.0, 1.0, 9.0, 5.0], "us")
    assert (row.median, row.low, row.high, row.unit) == (4, 1, 9, "us")
    assert row.half_range == 4
