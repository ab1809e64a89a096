"""Decides how many children may start at the same time, and how many restart in a second.

Invariants:

- Nothing here reads a clock, looks at the machine, or imports trio: the caller supplies the time,
  and a function that measures how busy the machine is.
- Times are seconds on one monotonic clock.
- There is always room for one start, so every child gets its turn.
"""

import math
from collections.abc import Callable
from typing import Final, Protocol

from msgspec import Struct

from supervisors.requirements import require

MEASURE_EVERY_S: Final = 0.25
"""Time between two measurements. CPU time is counted in steps of 10 ms on most systems, so a
shorter one says little."""

STALE_AFTER_S: Final = 1.0
"""A measurement over a longer time is about something else than the starts of this moment."""

IDLE_BELOW: Final = 0.75
"""With all turns taken and the machine less busy than this, the starts wait for something other
than a CPU, and more of them at the same time take no longer."""

BUSY_ABOVE: Final = 0.95
"""Beyond this, more starts at the same time only make each of them slower."""

MOST_AT_ONCE: Final = 32
"""More starts than this at the same time are of use to no machine, unless two a core are more."""

TICK_S: Final = 1e-6
"""A wait that is shorter is over: by rounding it could be too short for any clock to show."""


class StartLimit(Protocol):
    """The number of children that may start at the same time, which may change."""

    def size(self, now_s: float) -> int:
        """Return the number, at least 1, for a moment in which children wait for their turn."""
        ...

    @property
    def look_again_s(self) -> float:
        """The seconds after which `size` may return another number; infinite if it never does."""
        ...


class FixedLimit(Struct, frozen=True):
    """The same number always."""

    starts: int

    def __post_init__(self) -> None:
        require((self.starts >= 1, "starts must be >= 1"))

    def size(self, now_s: float) -> int:
        """Return the number."""
        return self.starts

    @property
    def look_again_s(self) -> float:
        """Infinite: it never changes."""
        return math.inf


class AdaptiveLimit(Struct, eq=False):
    """Two starts a core, more while the machine is idle, fewer while it is busy.

    It grows by one a core for each measurement of an idle machine, up to eight a core. It shrinks
    by one for each of a busy machine, down to one a core, but never below two. Once nobody has
    waited for a while, it is two a core again.

    Attributes:
        cores: the CPUs that the children can run on.
        measure_busy: returns which part of their time these CPUs were busy since the last call,
            from 0 to 1; None if that is not known, as at the first call.
    """

    cores: int
    measure_busy: Callable[[], float | None]
    _size: int = 0
    _measured_at_s: float = -math.inf

    def __post_init__(self) -> None:
        require((self.cores >= 1, "cores must be >= 1"))

    def size(self, now_s: float) -> int:
        """Return the number, after a measurement if one is due."""
        since_s = now_s - self._measured_at_s
        if since_s < MEASURE_EVERY_S:
            return self._size
        self._measured_at_s = now_s
        busy = self.measure_busy()
        if busy is None or since_s > STALE_AFTER_S:
            self._size = 2 * self.cores
        elif busy < IDLE_BELOW:
            self._size = min(self._size + self.cores, self._most)
        elif busy > BUSY_ABOVE:
            self._size = max(self._size - 1, self._least)
        return self._size

    @property
    def look_again_s(self) -> float:
        """The time between two measurements."""
        return MEASURE_EVERY_S

    @property
    def _least(self) -> int:
        # Two: while one of them waits for something, the other uses the CPU.
        return max(2, self.cores)

    @property
    def _most(self) -> int:
        return max(2 * self.cores, min(8 * self.cores, MOST_AT_ONCE))


class RestartRate(Struct, eq=False):
    """The restarts after failures, of all children together: a few at once, then so many a second.

    Attributes:
        per_s: the restarts a second in the long run.
        burst: the restarts at once after a quiet time.
    """

    per_s: float = 5.0
    burst: int = 10
    _spent: float = 0.0
    _at_s: float = -math.inf

    def __post_init__(self) -> None:
        require(
            (self.per_s > 0, "per_s must be > 0"),
            (self.burst >= 1, "burst must be >= 1"),
        )

    def wait_s(self, now_s: float) -> float:
        """Return the seconds until the next restart is allowed; 0 if it is now."""
        wait_s = (self._spent_at(now_s) + 1 - self.burst) / self.per_s
        return wait_s if wait_s > TICK_S else 0.0

    def take(self, now_s: float) -> None:
        """Note a restart."""
        self._spent, self._at_s = self._spent_at(now_s) + 1, now_s

    def _spent_at(self, now_s: float) -> float:
        return max(0.0, self._spent - (now_s - self._at_s) * self.per_s)
