"""Warns of something that happens again and again: once at first, then in one line for many.

Invariant: to note one more time costs an addition and never waits, so anything may do it, also the
dispatch actor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

QUIET_S: Final = 60.0
"""The least time between two lines of one kind; the second has the count of that time."""


class CountedWarning:
    """Counts how often something happened, and tells the count now and then.

    Args:
        tell: is called with the number of times since the last call, which is at least 1. The
            first time is told at once, further times after `QUIET_S`.
    """

    def __init__(self, tell: Callable[[int], None]) -> None:
        self._tell = tell
        self._untold = 0
        self._noted = trio.Event()

    def note(self, times: int = 1) -> None:
        """Note that it has happened."""
        self._untold += times
        self._noted.set()

    async def run(self) -> None:
        """Tell the counts until cancelled; what is untold then is told at the end."""
        try:
            while True:
                await self._noted.wait()
                self._tell_count()
                await trio.sleep(QUIET_S)
        finally:
            self._tell_count()

    def _tell_count(self) -> None:
        times, self._untold = self._untold, 0
        self._noted = trio.Event()
        if times:
            self._tell(times)
