"""Counts requests as they end, for each instance: integers, and one sum of seconds.

Invariants:

- The labels are bounded: instances are configured, and kinds, outcomes and codes are those here.
- What is counted of an instance is gone with the instance, also if a request ends later.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from router.messages import errors
from router.messages.observability.metrics import DURATION_BOUNDS_S, MethodMetrics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.messages.observability.records import Outcome

CODES: Final = {
    code: str(code)
    for code in (
        *errors.STRING_CODES,
        errors.RESOURCE_NOT_FOUND,
        errors.HEADER_MISMATCH,
        errors.MISSING_CAPABILITY,
        errors.UNSUPPORTED_REVISION,
    )
}
"""The codes that are told apart, as text."""

OTHER_CODE: Final = "other"
"""Stands for every other code: servers may send any number."""


class MethodCounts(Struct, eq=False):
    """The requests of one kind.

    Attributes:
        ends: (outcome, code) -> how many ended so; the code is empty unless the outcome is "error".
        buckets, sum_s: see `MethodMetrics`.
    """

    ends: defaultdict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    buckets: list[int] = field(default_factory=lambda: [0] * (len(DURATION_BOUNDS_S) + 1))
    sum_s: float = 0.0

    def snapshot(self) -> MethodMetrics:
        """Return the counts as they are now."""
        return MethodMetrics(dict(self.ends), tuple(self.buckets), self.sum_s)


class InstanceCounts(Struct, eq=False):
    """The counts of one instance, or of the requests that reached none.

    Attributes:
        methods: kind -> its requests; a kind without any has none.
        shed, retries, restarts, ejections: see `InstanceMetrics`.
    """

    methods: dict[str, MethodCounts] = {}
    shed: int = 0
    retries: int = 0
    restarts: int = 0
    ejections: int = 0

    def answered(self, kind: str, outcome: Outcome, code: int, duration_s: float) -> None:
        """Count a request that was answered.

        Args:
            kind: its kind.
            outcome: "ok" or "error".
            code: the code of the error; 0 without one.
            duration_s: how long it took.
        """
        counts = self.methods.get(kind)
        if counts is None:
            counts = self.methods[kind] = MethodCounts()
        counts.ends[outcome, CODES.get(code, OTHER_CODE) if code else ""] += 1
        counts.buckets[bisect_left(DURATION_BOUNDS_S, duration_s)] += 1
        counts.sum_s += duration_s

    def unanswered(self, kind: str, outcome: Outcome) -> None:
        """Count a request that was cancelled, or whose client is gone."""
        self.methods.setdefault(kind, MethodCounts()).ends[outcome, ""] += 1

    def snapshot(self) -> dict[str, MethodMetrics]:
        """Return the counts of requests as they are now."""
        return {kind: counts.snapshot() for kind, counts in self.methods.items()}


class CallCounts(Struct, eq=False):
    """All counts.

    Attributes:
        own: the requests that reached no instance, and those of the router's own tools.
    """

    own: InstanceCounts = field(default_factory=InstanceCounts)
    _of_instances: dict[str, InstanceCounts] = {}

    def of(self, instance: str) -> InstanceCounts:
        """Return the counts of an instance; nobody shows those of one that is gone."""
        if not instance:
            return self.own
        return self._of_instances.get(instance) or InstanceCounts()

    def configure(self, instances: Iterable[str]) -> None:
        """Count these instances and no others from now on."""
        before = self._of_instances
        self._of_instances = {name: before.get(name) or InstanceCounts() for name in instances}
