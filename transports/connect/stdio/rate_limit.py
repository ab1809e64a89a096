"""How much of what an upstream says may be logged: a token bucket.

Pure: the caller says what time it is. Neighbours: `stderr` and `stdio`.
"""

from __future__ import annotations

import attrs


@attrs.define
class Allowance:
    """So many at once, and so many per second in the long run.

    Attributes:
        burst: how many may come at once after a quiet time.
        per_s: how many more become allowed each second.
    """

    burst: float
    per_s: float
    _left: float = attrs.field(init=False)
    _at_s: float = attrs.field(init=False, default=0.0)

    def __attrs_post_init__(self) -> None:
        self._left = self.burst

    def take(self, wanted: int, now_s: float) -> int:
        """How many of `wanted` are allowed now; those are taken off.

        Args:
            wanted: how many there are.
            now_s: monotonic seconds.
        """
        self._left = min(self.burst, self._left + (now_s - self._at_s) * self.per_s)
        self._at_s = now_s
        taken = min(wanted, int(self._left))
        self._left -= taken
        return taken
