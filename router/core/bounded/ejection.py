"""Decides when calls to a server that fails are held back, and for how long. Pure.

Outlier ejection, as load balancers do it: a server that refuses one call after the other is spared
for a while. After that one call is let through as a trial, and its outcome decides.

Invariants:

- A server that names the time of the next try (`Retry-After`, RFC 9110 section 10.2.3) is obeyed at
  once, up to `LONGEST_RETRY_AFTER_S`.
- Outcomes of calls that were sent before an ejection neither end it nor count for the next one.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

FAILURES_IN_A_ROW: Final = 5
"""Failed calls without a success between them after which a server is ejected."""

BASE_S: Final = 30.0
"""Length of the first ejection; each that follows without a success between is longer by this."""

LONGEST_S: Final = 300.0

LONGEST_RETRY_AFTER_S: Final = 3600.0
"""A server that asks for more is tried again after this, because clocks and servers err."""

TRIAL_S: Final = 5.0
"""Time for the outcome of a trial. A slow server may need longer; then one more call is tried."""

_TOO_MANY_REQUESTS: Final = 429


def is_failure(status: int | None) -> bool:
    """Return whether the outcome of a call says that its server is in trouble.

    Args:
        status: the HTTP status; None if the connection broke.
    """
    return status is None or status >= 500 or status == _TOO_MANY_REQUESTS


class Ejection(Struct):
    """The failures in a row of one session, and the time for which it is ejected.

    Attributes:
        failures: the failures since the last success.
        count: the ejections since the last success.
        ends_at_s: monotonic second from which one call is let through; None if all are.
        is_on_trial: True once a call was let through, until its outcome is known.
    """

    failures: int = 0
    count: int = 0
    ends_at_s: float | None = None
    is_on_trial: bool = False

    def record_failure(self, now_s: float, retry_after_s: float | None) -> bool:
        """Record a failed call.

        Args:
            now_s: monotonic second of the event.
            retry_after_s: the seconds for which the server asks not to be called, if it does.

        Returns:
            True if the server is ejected from now on, until `ends_at_s`.
        """
        asked_s = min(retry_after_s or 0.0, LONGEST_RETRY_AFTER_S)
        if self.ends_at_s is not None and not self.is_on_trial:
            self.ends_at_s = max(self.ends_at_s, now_s + asked_s)
            return False
        self.failures += 1
        if not (asked_s or self.is_on_trial or self.failures >= FAILURES_IN_A_ROW):
            return False
        self.count += 1
        self.is_on_trial = False
        self.ends_at_s = now_s + (asked_s or min(BASE_S * self.count, LONGEST_S))
        return True

    def record_success(self) -> bool:
        """Record an answered call; return whether nothing is held against the server any more."""
        return self.ends_at_s is None or self.is_on_trial

    def lets_through(self, now_s: float) -> bool:
        """Return whether a call may be sent now; after an ejection, only one as a trial."""
        if self.ends_at_s is None:
            return True
        if now_s < self.ends_at_s:
            return False
        self.is_on_trial, self.ends_at_s = True, now_s + TRIAL_S
        return True
