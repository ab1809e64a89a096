"""Writes moments as RFC 3339 has them, in UTC, for lines that programs read."""

from __future__ import annotations

import time


def utc_time(wall_s: float) -> str:
    """Return a moment such as `2026-11-30T06:50:59.123+00:00`.

    Args:
        wall_s: seconds since 1970, as `time.time` returns them.
    """
    ms = int(wall_s * 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(ms // 1000))}.{ms % 1000:03d}+00:00"
