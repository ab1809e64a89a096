"""Decides when a failed child may run again, by arithmetic on times that the caller supplies.

Invariants:

- Nothing here reads a clock, draws a random number, or imports trio.
- Times are seconds on one monotonic clock; only differences between them matter.
- A wait is never longer than `Backoff.max_s` or the cool-down, however many failures there were.
- A history keeps the times of at most `max_restarts` failures.
"""

from collections import deque

from attrs import define, field, frozen
from attrs.validators import and_, ge, gt, le


@frozen
class Backoff:
    """The wait before each next start: exponential, capped, jittered.

    Attributes:
        initial_s: the wait after the first failure.
        factor: each further failure multiplies the wait by this.
        max_s: no wait is longer than this.
        jitter: the fraction of a wait that chance may take off, so that children that failed
            together do not all come back together. With 0.2, 10 s become 8 to 10 s.
        healthy_after_s: a child that was up for this long has its earlier failures forgiven.
    """

    initial_s: float = field(default=0.5, validator=gt(0))
    factor: float = field(default=2.0, validator=ge(1))
    max_s: float = field(default=60.0, validator=gt(0))
    jitter: float = field(default=0.2, validator=and_(ge(0), le(1)))
    healthy_after_s: float = field(default=60.0, validator=gt(0))

    def delay_s(self, failures: int, rand: float) -> float:
        """Return the wait after the given number of failures in a row.

        Args:
            failures: the number of failures, at least 1.
            rand: a random number in [0, 1), see `jitter`.
        """
        try:
            grown_s = self.initial_s * self.factor ** (failures - 1)
        except OverflowError:
            grown_s = self.max_s
        return min(grown_s, self.max_s) * (1 - self.jitter * rand)


@define
class RestartWindow:
    """Counts failures, and notices too many of them within a period."""

    max_restarts: int = field(validator=ge(1))
    period_s: float = field(validator=gt(0))
    _failed_at_s: deque[float] = field(init=False, factory=deque[float])

    def record(self, now_s: float) -> bool:
        """Note a failure; return whether it is the `max_restarts`-th in less than `period_s`."""
        if len(self._failed_at_s) == self.max_restarts:
            self._failed_at_s.popleft()
        self._failed_at_s.append(now_s)
        is_full = len(self._failed_at_s) == self.max_restarts
        return is_full and now_s - self._failed_at_s[0] < self.period_s

    def clear(self) -> None:
        """Forget all failures."""
        self._failed_at_s.clear()


@frozen
class Verdict:
    """The decision after a failure: wait, then start again.

    Attributes:
        gave_up: whether the next start is only a probe.
        wait_s: the seconds to wait for the next start.
    """

    gave_up: bool
    wait_s: float


@define
class FailureHistory:
    """The failures of one child.

    Giving up lasts until a run has been healthy. Until then every start is a probe, one for each
    cool-down, and any failure, even of a probe that got up for a while, means giving up again.
    """

    backoff: Backoff
    window: RestartWindow
    cool_down_s: float
    failures: int = field(default=0, init=False)
    has_given_up: bool = field(default=False, init=False)

    def failed(self, now_s: float, up_for_s: float, rand: float) -> Verdict:
        """Note the end of a run that should not have ended, and decide what to do.

        Args:
            now_s: the time of its end.
            up_for_s: how long it had been up; 0 if it never was.
            rand: a random number in [0, 1).
        """
        if up_for_s >= self.backoff.healthy_after_s:
            self._forgive()
        self.failures += 1
        self.has_given_up |= self.window.record(now_s)
        if self.has_given_up:
            return Verdict(gave_up=True, wait_s=self.cool_down_s)
        return Verdict(gave_up=False, wait_s=self.backoff.delay_s(self.failures, rand))

    def _forgive(self) -> None:
        self.failures = 0
        self.has_given_up = False
        self.window.clear()
