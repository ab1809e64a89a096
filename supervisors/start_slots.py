"""Gives starting children their turns: first come, first served, only so many at the same time.

Nothing runs here while nobody waits. While children wait, the first of them looks from time to time
whether there is room. Whoever leaves the queue, for whatever reason, wakes the first one.

Invariants:

- A child that waits is served before those that came later, but for one case: a restart after a
  failure also waits for its `RestartRate`, and first starts pass it meanwhile.
- A slot is held for at most `HELD_AT_MOST_S`, so starts that hang hold nobody up for long.
- Leaving the queue by cancellation leaves no slot behind.
"""

import math
from typing import Final

import trio
from msgspec import Struct, field

from supervisors.start_limits import TICK_S, RestartRate, StartLimit

HELD_AT_MOST_S: Final = 20.0
"""A start that takes longer waits for something other than a CPU (a network, or for ever), or the
machine is so slow that one start more in this time changes little."""


class _Waiter(Struct, eq=False):
    """A child in the queue.

    Attributes:
        is_restart: see `StartSlots.acquire`.
        wake: set to have it look at the queue.
    """

    is_restart: bool
    wake: trio.Event = field(default_factory=trio.Event)


class StartSlots(Struct, eq=False):
    """The turns to start of the children of one or several supervisors.

    Attributes:
        limit: how many may start at the same time.
        restart_rate: limits the restarts after failures; None for no limit.
    """

    limit: StartLimit
    restart_rate: RestartRate | None = None
    _held_since_s: dict[object, float] = {}
    _queue: dict[object, _Waiter] = {}

    @property
    def held(self) -> int:
        """The slots that have not been given back."""
        return len(self._held_since_s)

    @property
    def waiting(self) -> int:
        """The children that wait for their turn."""
        return len(self._queue)

    def acquire_nowait(self, holder: object, *, is_restart: bool = False) -> bool:
        """Take a slot if there is one and nobody waits; as `acquire`.

        Returns:
            Whether the holder has a slot now.
        """
        if self._queue:
            return False
        self._queue[holder] = _Waiter(is_restart)
        self._serve()
        return self._queue.pop(holder, None) is None

    async def acquire(self, holder: object, *, is_restart: bool = False) -> None:
        """Wait for a slot.

        Args:
            holder: the start that takes it, to `release` it with. It holds and awaits no other.
            is_restart: True for a restart after a failure, which `restart_rate` limits.
        """
        waiter = self._queue[holder] = _Waiter(is_restart)
        self._wake_first()
        try:
            await trio.lowlevel.checkpoint()
            while holder in self._queue:
                look_again_s = self._serve() if waiter is self._first() else math.inf
                with trio.move_on_after(look_again_s):
                    await waiter.wake.wait()
                waiter.wake = trio.Event()
        except BaseException:
            self._queue.pop(holder, None)
            self._held_since_s.pop(holder, None)
            raise
        finally:
            self._wake_first()

    def release(self, holder: object) -> None:
        """Give back the slot of a holder, if it has one."""
        if self._held_since_s.pop(holder, None) is not None:
            self._wake_first()

    def _first(self) -> _Waiter | None:
        return next(iter(self._queue.values()), None)

    def _wake_first(self) -> None:
        first = self._first()
        if first is not None:
            first.wake.set()

    def _serve(self) -> float:
        """Give free slots to those who may have one; return the seconds until to look again."""
        now_s = trio.current_time()
        size = self.limit.size(now_s)
        for holder, waiter in list(self._queue.items()):
            if len(self._leaving_in_s(now_s)) >= size:
                break
            if waiter.is_restart and self.restart_rate is not None:
                if self.restart_rate.wait_s(now_s) > 0:
                    continue
                self.restart_rate.take(now_s)
            del self._queue[holder]
            self._held_since_s[holder] = now_s
            waiter.wake.set()
        return self._look_again_s(now_s, size)

    def _look_again_s(self, now_s: float, size: int) -> float:
        if not self._queue:
            return math.inf
        leaving_in_s = self._leaving_in_s(now_s)
        if len(leaving_in_s) >= size:
            return min(self.limit.look_again_s, *leaving_in_s)
        # There is room, and yet they wait.
        return math.inf if self.restart_rate is None else self.restart_rate.wait_s(now_s)

    def _leaving_in_s(self, now_s: float) -> list[float]:
        """Return the seconds after which each slot that counts will count no more."""
        held_for_s = (now_s - since_s for since_s in self._held_since_s.values())
        left_s = (HELD_AT_MOST_S - held_s for held_s in held_for_s)
        return [seconds for seconds in left_s if seconds > TICK_S]
