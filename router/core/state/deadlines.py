"""Keeps many deadlines cheaply: returns the keys that are due and the second of the next one.

Deadlines are kept in buckets a quarter of a second wide. Arming and disarming are two dictionary
operations, and a finished call leaves nothing behind. With 10,000 calls a second and 30 s each, a
heap of stale entries would be the largest object in the process.

Invariant: no key is due early, and each is found due at most one bucket late.
"""

from __future__ import annotations

import heapq
import math
from typing import Final, Generic, TypeVar

from msgspec import Struct

BUCKET_S: Final = 0.25
"""Width of a bucket, well inside the promised tolerance of a call timeout (T ± 0.5 s)."""

K = TypeVar("K")


class Deadlines(Struct, Generic[K]):
    """A set of keys, each with the monotonic second at which it is due.

    A bucket is numbered by its end: bucket `n` is due at second `n * BUCKET_S`.

    Attributes:
        armed: the keys, each with the number of its bucket.
    """

    armed: dict[K, int] = {}
    _buckets: dict[int, set[K]] = {}
    _order: list[int] = []

    def arm(self, key: K, at_s: float) -> None:
        """Make `key` due at `at_s`; this replaces the deadline that it had."""
        bucket = math.ceil(at_s / BUCKET_S)
        before = self.armed.get(key)
        if before is not None:
            if before == bucket:
                return
            self._buckets[before].discard(key)
        self.armed[key] = bucket
        keys = self._buckets.get(bucket)
        if keys is None:
            self._buckets[bucket] = {key}
            heapq.heappush(self._order, bucket)
        else:
            keys.add(key)

    def disarm(self, key: K) -> None:
        """Remove `key`; nothing happens when it is not armed."""
        bucket = self.armed.pop(key, None)
        if bucket is not None:
            # An empty bucket stays until it is first in order: a heap has no cheap removal.
            self._buckets[bucket].discard(key)

    def next_s(self) -> float | None:
        """Return the second at which the next key is due; None when no key is armed."""
        while self._order and not self._buckets[self._order[0]]:
            del self._buckets[heapq.heappop(self._order)]
        return self._order[0] * BUCKET_S if self._order else None

    def due(self, now_s: float) -> list[K]:
        """Disarm and return every key that is due, oldest bucket first."""
        found: list[K] = []
        while self._order and self._order[0] * BUCKET_S <= now_s:
            keys = self._buckets.pop(heapq.heappop(self._order))
            for key in keys:
                del self.armed[key]
            found.extend(keys)
        return found

    def __len__(self) -> int:
        return len(self.armed)
