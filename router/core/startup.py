"""Holds requests and commands back until the instances are known.

So the router answers handshakes while `data/` is still being read, and yet never says that a
configured instance does not exist.

Invariants:

- Frames of one client keep their order; only requests that need no instance are answered at once.
- The queue is bounded in number and time; beyond either, the core answers from what it knows.
- Once the queue is released, the dispatch actor calls the core itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.messages.events import Abandoned, AdminCommand, Drain, FromClient, InstancesChanged
from router.messages.frames import Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.core.core import Core
    from router.messages.effects import Effect
    from router.messages.events import Event

MAX_QUEUED: Final = 10_000
"""Frames and commands in the queue, of all clients together."""

MAX_WAIT_S: Final = 10.0
"""Seconds from the first queued event: reading the files takes milliseconds on a sound disk."""

_QUEUED_EVENTS: Final = (FromClient, AdminCommand, Abandoned)
_HANDSHAKES: Final = frozenset({"initialize", "server/discover"})
"""Methods that are answered without any instance, unless the client's view is transparent."""


class EarlyCore:
    """A core that queues what it cannot answer before the instances are known.

    Attributes:
        handle: see `Core.handle`; the core's own method once the queue is released.
        next_deadline_s: see `Core.next_deadline_s`; likewise.
    """

    handle: Callable[[Event, float], list[Effect]]
    next_deadline_s: Callable[[], float | None]

    def __init__(self, core: Core) -> None:
        self._core = core
        self._queue: list[Event] = []
        self._release_at_s: float | None = None
        self.handle = self._queue_or_handle
        self.next_deadline_s = self._earlier_deadline_s

    def _queue_or_handle(self, event: Event, now_s: float) -> list[Effect]:
        if self._is_to_queue(event):
            if self._release_at_s is None:
                self._release_at_s = now_s + MAX_WAIT_S
            self._queue.append(event)
            return []
        if isinstance(event, InstancesChanged):
            return self._core.handle(event, now_s) + self._release(now_s)
        is_late = self._release_at_s is not None and now_s >= self._release_at_s
        if is_late or isinstance(event, Drain):
            return self._release(now_s) + self._core.handle(event, now_s)
        return self._core.handle(event, now_s)

    def _is_to_queue(self, event: Event) -> bool:
        if not isinstance(event, _QUEUED_EVENTS) or len(self._queue) >= MAX_QUEUED:
            return False
        if not isinstance(event, FromClient) or not isinstance(event.frame, Request):
            return True
        if event.frame.method in _HANDSHAKES:
            return self._core.needs_instances(event.client)
        return event.frame.method != "ping"

    def _earlier_deadline_s(self) -> float | None:
        deadlines_s = (self._core.next_deadline_s(), self._release_at_s)
        return min((at_s for at_s in deadlines_s if at_s is not None), default=None)

    def _release(self, now_s: float) -> list[Effect]:
        """Handle the queue, and step out of the way: nothing is queued from now on."""
        self.handle, self.next_deadline_s = self._core.handle, self._core.next_deadline_s
        queue, self._queue = self._queue, []
        return [effect for event in queue for effect in self._core.handle(event, now_s)]
