"""Renews tokens ahead of time, so that calls need not wait for that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from router.oauth.client.held_login import HeldLogin

LONGEST_SLEEP_S: Final = 600.0
"""The clock of tokens may be set, or stand still while the machine sleeps; so it is looked at."""

MOST_RENEWALS: Final = 8
"""Renewals at once: after a pause of the router, all logins may be due."""


class RenewalTask:
    """The one task that renews all logins of a router."""

    def __init__(
        self,
        held: Callable[[], Collection[HeldLogin]],
        ended: Callable[[HeldLogin], None],
        now_s: Callable[[], float],
    ) -> None:
        """Take what there is to renew.

        Args:
            held: returns the logins that there are.
            ended: told of a login that could not be renewed, and has ended.
            now_s: the clock, Unix time in seconds.
        """
        self._held = held
        self._ended = ended
        self._now_s = now_s
        self._wake = trio.Event()
        self._turns = trio.CapacityLimiter(MOST_RENEWALS)

    def look_again(self) -> None:
        """Have it look again at what is due, since a login has changed."""
        self._wake.set()

    async def run(self) -> None:
        """Renew each login when it is due, for ever."""
        async with trio.open_nursery() as nursery:
            while True:
                now_s = self._now_s()
                for held in self._due(now_s):
                    held.renew_at_s = None  # until the renewal sets the next time
                    nursery.start_soon(self._renew, held)
                times = [held.renew_at_s for held in self._held()]
                next_s = min((at_s for at_s in times if at_s is not None), default=None)
                wait_s = LONGEST_SLEEP_S if next_s is None else max(next_s - now_s, 0)
                self._wake = trio.Event()
                with trio.move_on_after(min(wait_s, LONGEST_SLEEP_S)):
                    await self._wake.wait()

    def _due(self, now_s: float) -> list[HeldLogin]:
        return [
            held
            for held in self._held()
            if held.renew_at_s is not None and held.renew_at_s <= now_s
        ]

    async def _renew(self, held: HeldLogin) -> None:
        async with self._turns:
            await held.renew_ahead()
        if held.is_over:
            self._ended(held)
        self.look_again()
