"""The table of faults that `make chaos` prints: each with its promise, and what was measured.

A test names its fault and its promise with `@pytest.mark.fault(number, fault, promise)`, and gives
what it measured to the fixture `measured`. `make chaos` runs all of these tests, one after the
other. `make test` runs those that are not `slow`, side by side on a busy machine, and allows them
more time.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest
    from _pytest.terminal import TerminalReporter

IS_CHAOS: Final = "CHAOS" in os.environ
"""True under `make chaos`."""

SLACK: Final = 1 if IS_CHAOS else 10
"""Promised times are multiplied by this where other tests run on the same cores."""


@attrs.frozen
class Measured:
    """Takes what a test measured."""

    item: pytest.Item

    def __call__(self, text: str) -> None:
        """Note a fact for the table."""
        self.item.user_properties.append(("measured", text))

    def took(self, what: str, took_s: float, promised_s: float) -> None:
        """Note a time, and compare it with the promise."""
        self(f"{what} {took_s:.2f} s")
        assert took_s <= promised_s * SLACK, f"{what} took {took_s:.2f} s; promised: {promised_s} s"


def note_marks(item: pytest.Item) -> None:
    """Hand the faults and promises of a test on to its report."""
    for mark in item.iter_markers("fault"):
        item.user_properties.append(("fault", mark.args))


def table(reporter: TerminalReporter) -> Iterator[str]:
    """Yield the lines of the table, in Markdown, sorted by number."""
    rows: list[tuple[int, str]] = []
    for outcome in ("passed", "failed"):
        for report in reporter.stats.get(outcome, []):
            told = report.user_properties
            facts = ", ".join(value for key, value in told if key == "measured")
            kept = "kept" if outcome == "passed" else "BROKEN"
            for number, fault, promise in (value for key, value in told if key == "fault"):
                rows.append((number, f"| {number} | {fault} | {promise} | {facts} | {kept} |"))
    yield "| # | fault | promise | measured | |"
    yield "|---|---|---|---|---|"
    yield from (line for _, line in sorted(rows))
