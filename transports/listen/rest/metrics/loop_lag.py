"""Measures how late the event loop wakes a task, once a second, after somebody has asked for it.

Invariant: while nobody asks, nothing wakes up, so a laptop may sleep.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

import trio

LAG_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""The upper bounds of the buckets, each inclusive; one more bucket has none."""

MEASURE_EVERY_S: Final = 1.0


class LoopLag:
    """The delays that were measured.

    Attributes:
        buckets: the number of measurements, by `LAG_BOUNDS_S`.
        sum_s: the seconds of all delays together.
    """

    def __init__(self) -> None:
        self.buckets = [0] * (len(LAG_BOUNDS_S) + 1)
        self.sum_s = 0.0
        self._is_wanted = trio.Event()

    def want(self) -> None:
        """Measure from now on."""
        self._is_wanted.set()

    async def run(self) -> None:
        """Measure until cancelled, once that is wanted."""
        await self._is_wanted.wait()
        while True:
            due_s = trio.current_time() + MEASURE_EVERY_S
            await trio.sleep_until(due_s)
            self.note(max(0.0, trio.current_time() - due_s))

    def note(self, lag_s: float) -> None:
        """Count one delay."""
        self.buckets[bisect_left(LAG_BOUNDS_S, lag_s)] += 1
        self.sum_s += lag_s
