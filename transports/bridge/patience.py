"""Waits for a router that is not there, and says so once.

Invariant: what waits has a bound. A router that restarts is back within it; one that is not there
at all makes nobody wait for long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import trio
from msgspec import Struct

from transports.bridge.endpoint import NotBegun

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

FIRST_S: Final = 5.0
"""How long a client waits for a router that was not there yet, or is gone for long."""

RETURN_S: Final = 30.0
"""How long a router may take to come back: an old one may have to finish its calls before."""

SHORTEST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 0.5


class Unreachable(Exception):
    """There is no router, after the wait for it."""


class Patience(Struct, eq=False):
    """The patience of a bridge with its router.

    Attributes:
        say: takes a line for a person.
        how_to_start: a sentence on how to start the router.
    """

    say: Callable[[str], None]
    how_to_start: str
    _was_there: bool = False
    _gone_since_s: float | None = None

    async def until_begun(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Return what `attempt` returns once it does not raise `NotBegun` any more.

        Raises:
            Unreachable: it still did after the bound.
        """
        ends_at_s = None
        pause_s = SHORTEST_PAUSE_S
        while True:
            try:
                result = await attempt()
            except NotBegun as exc:
                why = str(exc)
            except Exception:
                self.note_there()
                raise
            else:
                self.note_there()
                return result
            if ends_at_s is None:
                ends_at_s = self._end_of_wait_s(why)
            if trio.current_time() >= ends_at_s:
                raise Unreachable(f"No router answers ({why}). {self.how_to_start}")
            await trio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def note_there(self) -> None:
        """Note that the router is there."""
        if self._gone_since_s is not None:
            self._gone_since_s = None
            self.say("the router is there")
        self._was_there = True

    def note_gone(self, why: str) -> None:
        """Note that the router is not there."""
        if self._gone_since_s is None:
            self._gone_since_s = trio.current_time()
            self.say(f"waiting for the router ({why}). {self.how_to_start}")

    def _end_of_wait_s(self, why: str) -> float:
        self.note_gone(why)
        now_s = trio.current_time()
        since_s = now_s if self._gone_since_s is None else self._gone_since_s
        limit_s = RETURN_S if self._was_there else FIRST_S
        return max(since_s + limit_s, now_s + FIRST_S)
