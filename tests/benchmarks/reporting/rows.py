"""Rows of a run that was never made."""

from __future__ import annotations

from benchmarks.rows import Row


def http_rows() -> list[Row]:
    """Return calls and ratios of two proxies with 1, 16 and 64 callers, of three rounds each."""
    rows: list[Row] = []
    for load, ratios in {
        "1 caller": [0.5, 0.55, 0.6],
        "16 callers": [0.6, 0.6, 0.7],
        "64 callers": [0.8, 0.9, 1.2],
    }.items():
        for proxy, factor in {"byte proxy": 1.0, "router": None}.items():
            values = [factor] * 3 if factor else ratios
            calls = [10_000 * value for value in values]
            rows.append(Row.of("http", load, proxy, "calls", calls, "1/s"))
            rows.append(Row.of("http", load, proxy, "ratio", values))
    return rows
