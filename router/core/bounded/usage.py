"""Counts the calls of one token against its limits. Pure.

A token bucket: it holds `burst` calls, each call takes one out, and `calls_per_minute` are put back
in a minute. So a client that comes after a pause may be quick, and none is faster in the long run.
"""

from __future__ import annotations

import math
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from router.messages.rates import RateLimits  # noqa: TC001 - attrs keeps it in annotations

LimitName: TypeAlias = Literal["calls_per_minute", "concurrent_calls"]

WAIT_FOR_A_CALL_S: Final = 1.0
"""Proposed to a client whose calls in flight are too many: nobody knows when the next one ends."""

_ENOUGH: Final = 1 - 1e-6
"""One call, less the error of adding up fractions of it."""


class Shortage(Struct, frozen=True):
    """A call that may not begin now.

    Attributes:
        limit: the limit that is reached.
        retry_in_s: the seconds after which it may be tried again.
    """

    limit: LimitName
    retry_in_s: float


class Usage(Struct, eq=False):
    """The use that one token makes of its limits. The limits may change between calls.

    Attributes:
        in_flight: its calls in flight, also those that wait for a server.
        refused: the calls that were refused since the limits were set.
        told: of these, the ones that the log tells of.
        tell_at_s: the monotonic second from which the log may tell of the next ones.
    """

    in_flight: int = 0
    refused: int = 0
    told: int = 0
    tell_at_s: float = -math.inf
    _calls_left: float = math.inf  # At its first use it becomes the burst, as at each pause.
    _counted_at_s: float = 0.0

    def take(self, limits: RateLimits, now_s: float) -> Shortage | None:
        """Count a call that is to begin now; return why it may not, if it may not."""
        shortage = self._shortage(limits, now_s)
        if shortage is not None:
            self.refused += 1
        elif limits.calls_per_minute is not None:
            self._calls_left -= 1
        return shortage

    def _shortage(self, limits: RateLimits, now_s: float) -> Shortage | None:
        if limits.concurrent_calls is not None and self.in_flight >= limits.concurrent_calls:
            return Shortage("concurrent_calls", WAIT_FOR_A_CALL_S)
        if limits.calls_per_minute is None:
            return None
        per_s = limits.calls_per_minute / 60
        refilled = self._calls_left + (now_s - self._counted_at_s) * per_s
        self._calls_left, self._counted_at_s = min(float(limits.burst), refilled), now_s
        if self._calls_left >= _ENOUGH:
            return None
        return Shortage("calls_per_minute", (1 - self._calls_left) / per_s)
