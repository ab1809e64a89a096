"""What is asked before the instances are known.

Job: hold that back, so that the router can shake hands while `data/` is still being read, and yet
never says of a configured instance that there is none. Neighbours: stands in front of `core`, as
the dispatch actor sees it. Pure.

Invariants: nothing of one client overtakes, but its `ping`s. What is held is bounded in number
and time; beyond either, the core answers from what it knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.messages.events import Abandoned, AdminCommand, Drain, FromClient, InstancesChanged
from router.messages.frames import Request

if TYPE_CHECKING:
    from router.core.core import Core
    from router.messages.effects import Effect
    from router.messages.events import Event
    from router.messages.frames import Frame

HELD_LIMIT: Final = 10_000
"""Frames and commands that are held, of everybody."""

PATIENCE_S: Final = 10.0
"""How long: reading files takes milliseconds, unless their disk is in trouble."""

_HELD: Final = (FromClient, AdminCommand, Abandoned)
_ANSWERED_EARLY: Final = frozenset({"initialize", "ping", "server/discover"})


class EarlyCore:
    """The core, until it has been told of the instances and after; see `Core`."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._held: list[Event] | None = []
        self._until_s: float | None = None

    def handle(self, event: Event, now_s: float) -> list[Effect]:
        """See `Core.handle`."""
        if self._held is None:
            return self._core.handle(event, now_s)
        if isinstance(event, _HELD) and self._holds(event, now_s):
            return []
        if isinstance(event, InstancesChanged):
            return self._core.handle(event, now_s) + self._release(now_s)
        if isinstance(event, Drain) or (self._until_s is not None and now_s >= self._until_s):
            return self._release(now_s) + self._core.handle(event, now_s)
        return self._core.handle(event, now_s)

    def next_deadline_s(self) -> float | None:
        """See `Core.next_deadline_s`."""
        core_s = self._core.next_deadline_s()
        if self._until_s is None or core_s is None:
            return core_s if self._until_s is None else self._until_s
        return min(core_s, self._until_s)

    def _holds(self, event: Event, now_s: float) -> bool:
        if isinstance(event, FromClient) and _is_answered_early(event.frame):
            return False
        if self._held is None or len(self._held) >= HELD_LIMIT:
            return False
        if self._until_s is None:
            self._until_s = now_s + PATIENCE_S
        self._held.append(event)
        return True

    def _release(self, now_s: float) -> list[Effect]:
        held, self._held, self._until_s = self._held or [], None, None
        return [effect for event in held for effect in self._core.handle(event, now_s)]


def _is_answered_early(frame: Frame) -> bool:
    return isinstance(frame, Request) and frame.method in _ANSWERED_EARLY
