"""Finds figures among the rows of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.rows import Row


@attrs.frozen
class Figures:
    """The rows of a run, by suite, load, proxy and metric."""

    rows: dict[tuple[str, str, str, str], Row]

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Self:
        """Index rows."""
        return cls({(one.suite, one.load, one.proxy, one.metric): one for one in rows})

    def get(self, suite: str, load: str, proxy: str, metric: str) -> Row | None:
        """Return a row; None if it was not measured."""
        return self.rows.get((suite, load, proxy, metric))

    def median(self, suite: str, load: str, proxy: str, metric: str) -> float | None:
        """Return the median of a row; None if it was not measured."""
        row = self.get(suite, load, proxy, metric)
        return None if row is None else row.median

    def quotient(
        self, suite: str, load: str, proxy: str, other: str, metric: str = "calls"
    ) -> float | None:
        """Return the median of a proxy divided by that of another; None without one of them."""
        above = self.median(suite, load, proxy, metric)
        below = self.median(suite, load, other, metric)
        return above / below if above is not None and below else None

    def loads(self, suite: str) -> list[str]:
        """Return the loads of a suite, in their order."""
        return list(dict.fromkeys(load for name, load, *_ in self.rows if name == suite))

    def proxies(self, suite: str, load: str) -> list[str]:
        """Return the proxies of a load, in their order."""
        places = [(row.suite, row.load, row.proxy) for row in self.rows.values()]
        return list(dict.fromkeys(who for *place, who in places if place == [suite, load]))

    def metrics(self, suite: str) -> list[tuple[str, str]]:
        """Return the metrics of a suite with their units, in their order."""
        found = [(row.metric, row.unit) for row in self.rows.values() if row.suite == suite]
        return list(dict.fromkeys(found))
