"""Faults, each with the promise that the router keeps.

A test here names its fault and its promise with `@pytest.mark.fault(number, fault, promise)`, and
gives what it measured to the fixture `measured`. `make chaos` runs all of them, one after the
other, and prints the table. `make test` runs those that are not `slow`, side by side on a busy
machine, and allows them more time.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import attrs
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _pytest.terminal import TerminalReporter

SLACK: Final = 1 if os.environ.get("CHAOS") else 10
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


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """Takes what the test measured, for the table."""
    return Measured(request.node)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Hand the fault and the promise of each test on to its report."""
    for item in items:
        for mark in item.iter_markers("fault"):
            item.user_properties.append(("fault", mark.args))


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print the table of `make chaos`."""
    if os.environ.get("CHAOS"):
        terminalreporter.section("faults, promises, and what was measured")
        for line in _table(terminalreporter):
            terminalreporter.write_line(line)


def _table(reporter: TerminalReporter) -> Iterator[str]:
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
