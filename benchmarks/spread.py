"""Several measurements of the same thing: their median, and how far they lie apart. Pure."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Self

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence


@attrs.frozen
class Spread:
    """A median, and the lowest and highest of `number` values."""

    median: float
    lowest: float
    highest: float
    number: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """The spread of one or more values."""
        return cls(statistics.median(values), min(values), max(values), len(values))

    def __format__(self, spec: str) -> str:
        return f"{self.median:{spec}} ({self.lowest:{spec}} to {self.highest:{spec}})"


def ratio_of(values: Sequence[float], base: Sequence[float]) -> Spread:
    """Round by round, each value as a share of the base that was measured beside it."""
    return Spread.of([value / other for value, other in zip(values, base, strict=True)])
