"""Sends a listener's events into the dispatch actor's inbox, also from where nothing can wait."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import trio

from transports.listen.serving.refusals import router_overloaded, router_stopping

if TYPE_CHECKING:
    from router.messages.events import Event

BUSY_S: Final = 30.0
"""How long a request waits for a place in the actor's inbox."""

LAST_EVENTS_S: Final = 1.0
"""How long the end of a listener waits for the actor to take the last `ClientClosed` events."""


class ActorInbox:
    """The send end of the actor's inbox.

    A task that can wait uses `send`, and the wait is the back-pressure. Some events occur where
    nothing can wait: a client is gone, in a `finally`, or a request cannot reach its client, in the
    actor's own task. They use `send_soon`, which queues them if the inbox is full. The queue holds
    at most one event for each client or request, so it is as bounded as those are.

    Args:
        inbox: the dispatch actor's; not closed here.
    """

    def __init__(self, inbox: trio.MemorySendChannel[Event]) -> None:
        self._inbox = inbox
        self._queue: deque[Event] = deque()
        self._has_queued = trio.Event()

    def send_now(self, event: Event) -> bool:
        """Send an event; return False if there is no room for it, and `send` has to wait.

        Raises:
            HttpRefusal: 503, the actor is gone, because the router stops.
        """
        try:
            self._inbox.send_nowait(event)
        except trio.WouldBlock:
            return False
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise router_stopping() from None
        return True

    async def send(self, event: Event) -> None:
        """Send an event. This waits while the actor is busy, and is no checkpoint otherwise.

        Raises:
            HttpRefusal: 503, the actor took nothing for `BUSY_S`, or is gone because the router
                stops.
        """
        if self.send_now(event):
            return
        with trio.move_on_after(BUSY_S):
            try:
                await self._inbox.send(event)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise router_stopping() from None
            return
        raise router_overloaded()

    def send_soon(self, event: Event) -> None:
        """Send an event now, or queue it for `run`; events sent this way keep their order."""
        try:
            if self._queue:
                raise trio.WouldBlock
            self._inbox.send_nowait(event)
        except trio.WouldBlock:
            self._queue.append(event)
            self._has_queued.set()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # the actor is gone, and with it everything it knew of clients

    async def run(self) -> None:
        """Send queued events until cancelled, then send the rest within `LAST_EVENTS_S`."""
        try:
            while True:
                await self._has_queued.wait()
                self._has_queued = trio.Event()
                await self._send_queued()
        finally:
            with trio.move_on_after(LAST_EVENTS_S, shield=True):
                await self._send_queued()

    async def _send_queued(self) -> None:
        while self._queue:
            try:
                await self._inbox.send(self._queue[0])
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._queue.clear()
                return
            self._queue.popleft()  # only now: a cancelled send leaves its event to the next run
