"""The limits of the calls of one token. Data only."""

from __future__ import annotations

from msgspec import Struct


class RateLimits(Struct, frozen=True):
    """Limits of the calls of one token, all its sessions together.

    Attributes:
        calls_per_minute: the calls that it may begin in a minute; None for no limit.
        burst: the calls that it may begin at once after a pause, at least 1.
        concurrent_calls: the calls that it may have in flight; None for no limit.
    """

    calls_per_minute: int | None = None
    burst: int = 1
    concurrent_calls: int | None = None
