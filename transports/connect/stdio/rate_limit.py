"""A token bucket, which limits how much of an upstream's output is logged.

Pure: the caller passes the time.
"""

from __future__ import annotations

from msgspec import Struct


class TokenBucket(Struct, eq=False):
    """Allows a number of tokens at once, and a number per second in the long run.

    Attributes:
        burst: the most tokens that can be taken at once, after a quiet time.
        per_s: the tokens that are added each second.
    """

    burst: float
    per_s: float
    _tokens: float = 0.0
    _at_s: float = 0.0

    def __post_init__(self) -> None:
        self._tokens = self.burst

    def take(self, wanted: int, now_s: float) -> int:
        """Take as many of the `wanted` tokens as there are now, and return their number.

        Args:
            wanted: a number of tokens.
            now_s: monotonic seconds.
        """
        self._tokens = min(self.burst, self._tokens + (now_s - self._at_s) * self.per_s)
        self._at_s = now_s
        taken = min(wanted, int(self._tokens))
        self._tokens -= taken
        return taken
