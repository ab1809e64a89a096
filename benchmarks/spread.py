"""Sums up repeated measurements of one figure: their median, lowest and highest value."""

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
        """Return the spread of one or more values."""
        return cls(statistics.median(values), min(values), max(values), len(values))

    def __format__(self, spec: str) -> str:
        return f"{self.median:{spec}} ({self.lowest:{spec}} to {self.highest:{spec}})"


def ratio_of(values: Sequence[float], base: Sequence[float]) -> Spread:
    """Return the spread of the ratios, each of a value and the base measured in the same round."""
    return Spread.of([value / other for value, other in zip(values, base, strict=True)])
