"""Decides when a failed child may run again, by arithmetic on times that the caller supplies.

Invariants:

- Nothing here reads a clock, draws a random number, or imports trio.
- Times are seconds on one monotonic clock; only differences between them matter.
- A wait is never longer than the `max_s` of its `Backoff`, however many failures there were; only a
  child that itself asks for more time gets that, up to `MAX_ASKED_S`.
- A history keeps the times of at most `max_restarts` failures, and the text of the last one.
"""

import re
from collections import deque
from typing import Final

from msgspec import Struct, field

from supervisors.requirements import require

MAX_PATIENCE: Final = 8
"""A start gets at most this many times the usual time, however often it was cut off."""

MAX_ASKED_S: Final = 300.0
"""The longest wait that a child may ask for: it may err, and its reason may be over sooner."""

_NUMBERS: Final = re.compile(r"0x[0-9a-fA-F]+|\d+")


class Backoff(Struct, frozen=True):
    """The wait before each next start: exponential, capped, jittered.

    Attributes:
        initial_s: the wait after the first failure.
        factor: each further failure multiplies the wait by this.
        max_s: no wait is longer than this.
        jitter: the fraction of a wait that chance may take off, so that children that failed
            together do not all come back together. With 0.2, 10 s become 8 to 10 s.
        healthy_after_s: a child that was up for this long has its earlier failures forgiven. (Not
            used for the waits before probes.)
    """

    initial_s: float = 0.5
    factor: float = 2.0
    max_s: float = 60.0
    jitter: float = 0.2
    healthy_after_s: float = 60.0

    def __post_init__(self) -> None:
        require(
            (self.initial_s > 0, "initial_s must be > 0"),
            (self.factor >= 1, "factor must be >= 1"),
            (self.max_s > 0, "max_s must be > 0"),
            (0 <= self.jitter <= 1, "jitter must be from 0 to 1"),
            (self.healthy_after_s > 0, "healthy_after_s must be > 0"),
        )

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


class RestartWindow(Struct, eq=False):
    """Counts failures, and notices too many of them within a period."""

    max_restarts: int
    period_s: float
    _failed_at_s: deque[float] = field(default_factory=deque[float])

    def __post_init__(self) -> None:
        require(
            (self.max_restarts >= 1, "max_restarts must be >= 1"),
            (self.period_s > 0, "period_s must be > 0"),
        )

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


class Ending(Struct, frozen=True):
    """The end of one life of a child.

    Attributes:
        error: see `child.Down`.
        up_for_s: how long the child had been up; None if it never was.
        was_cut_off: whether it was ended because it did not start in time.
        asked_s: the least wait that the child asks for; 0 if it asks for none.
        stays_down: whether the child says that no start is worth trying.
    """

    error: Exception | None
    up_for_s: float | None
    was_cut_off: bool = False
    asked_s: float = 0.0
    stays_down: bool = False


class Verdict(Struct, frozen=True):
    """The decision after a failure: wait, then start again.

    Attributes:
        gave_up: whether the next start is only a probe.
        wait_s: the seconds to wait for the next start.
        is_repeated: whether a probe failed as the run before it did, so that this is no news.
    """

    gave_up: bool
    wait_s: float
    is_repeated: bool = False


class AlikeStarts(Struct, eq=False):
    """Counts the starts in a row that failed alike, until the child has been up once.

    Two errors are alike if their texts are equal but for numbers: a time or a process id in a text
    does not make it another error.

    Attributes:
        limit: so many are enough to give up.
    """

    limit: int
    _was_up: bool = False
    _text: str | None = None
    _count: int = 0

    def __post_init__(self) -> None:
        require((self.limit >= 1, "limit must be >= 1"))

    @property
    def is_again(self) -> bool:
        """True if the last failure was like the one before it."""
        return self._count > 1

    def record(self, ending: Ending) -> bool:
        """Note a failure; return whether that makes `limit` starts that failed alike."""
        self._was_up |= ending.up_for_s is not None
        text = _NUMBERS.sub("#", str(ending.error))
        self._count = self._count + 1 if text == self._text else 1
        self._text = text
        return self._count >= self.limit and not self._was_up


class FailureHistory(Struct, eq=False):
    """The failures of one child since the last command.

    A child is given up after too many failures within a period, or, as long as it has never been
    up, after a few starts that failed alike. Giving up lasts until a run has been healthy. Until
    then every start is a probe, and any failure, even of a probe that got up for a while, means
    giving up again.

    Attributes:
        backoff: the waits before the restarts.
        window: notices too many failures within a period.
        cool_down: the waits before the probes.
        alike: notices starts that fail alike.
        patience: the next start may take this many times the usual time. It doubles each time that
            a start is cut off, up to `MAX_PATIENCE`, until a start succeeds.
    """

    backoff: Backoff
    window: RestartWindow
    cool_down: Backoff
    alike: AlikeStarts
    patience: int = 1
    _failures: int = 0
    _given_up: int = 0  # the failures since it was given up

    def failed(self, now_s: float, ending: Ending, rand: float) -> Verdict:
        """Note the end of a run that should not have ended, and decide what to do.

        Args:
            now_s: the time of its end.
            ending: how it ended.
            rand: a random number in [0, 1).
        """
        if ending.was_cut_off:
            self.patience = min(2 * self.patience, MAX_PATIENCE)
        elif ending.up_for_s is not None:
            self.patience = 1
            if ending.up_for_s >= self.backoff.healthy_after_s:
                self._forgive()
        self._failures += 1
        asked_s = min(ending.asked_s, MAX_ASKED_S)
        is_too_often = self.window.record(now_s)
        if self.alike.record(ending) or is_too_often or self._given_up:
            self._given_up += 1
            was_probe = self._given_up > 1 and ending.up_for_s is None
            return Verdict(
                gave_up=True,
                wait_s=max(self.cool_down.delay_s(self._given_up, rand), asked_s),
                is_repeated=was_probe and self.alike.is_again,
            )
        wait_s = max(self.backoff.delay_s(self._failures, rand), asked_s)
        return Verdict(gave_up=False, wait_s=wait_s)

    def _forgive(self) -> None:
        self._failures = 0
        self._given_up = 0
        self.window.clear()
