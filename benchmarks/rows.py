"""The figures of all suites: one row for each suite, load, proxy and metric."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Self

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence


@attrs.frozen
class Row:
    """One figure, of several rounds.

    Attributes:
        suite: the suite, such as "http".
        load: the work, such as "16 callers".
        proxy: the name of the proxy.
        metric: the name of the figure, such as "calls".
        median, low, high: the median of the rounds, the lowest and the highest.
        unit: the unit, such as "1/s"; empty for ratios and numbers.
    """

    suite: str
    load: str
    proxy: str
    metric: str
    median: float
    low: float
    high: float
    unit: str = ""

    @classmethod
    def of(
        cls,
        suite: str,
        load: str,
        proxy: str,
        metric: str,
        values: Sequence[float],
        unit: str = "",
    ) -> Self:
        """Return the row of one or more rounds."""
        median = statistics.median(values)
        return cls(suite, load, proxy, metric, median, min(values), max(values), unit)

    @property
    def half_range(self) -> float:
        return (self.high - self.low) / 2
