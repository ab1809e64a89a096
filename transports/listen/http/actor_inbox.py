"""The way of a listener's frames into the dispatch actor's inbox, and the end of it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import trio

from transports.listen.serving.refusals import stopping

if TYPE_CHECKING:
    from router.messages.events import Event


class ActorInbox:
    """Into the actor's inbox.

    A task that can wait awaits its send: that is the back-pressure. What has to be said where
    nothing can wait (a client is gone, in a `finally`; a question cannot be put, in the actor's
    own task) is put aside when the inbox is full, and sent by `run`. That is at most one event for
    each client or question, so it is as bounded as those are.
    """

    def __init__(self, inbox: trio.MemorySendChannel[Event]) -> None:
        self._inbox = inbox
        self._aside: deque[Event] = deque()
        self._woken = trio.Event()

    async def tell(self, event: Event) -> None:
        """Send an event; waits while the actor is busy, and does not checkpoint otherwise.

        Raises:
            Refused: 503, the actor is gone, because the router stops.
        """
        try:
            try:
                self._inbox.send_nowait(event)
            except trio.WouldBlock:
                await self._inbox.send(event)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise stopping() from None

    def tell_soon(self, event: Event) -> None:
        """Send an event without waiting."""
        try:
            if self._aside:
                raise trio.WouldBlock
            self._inbox.send_nowait(event)
        except trio.WouldBlock:
            self._aside.append(event)
            self._woken.set()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # the actor is gone, and with it all it knew of clients

    async def run(self) -> None:
        """Send what was put aside, until cancelled; then send the rest."""
        try:
            while True:
                await self._woken.wait()
                self._woken = trio.Event()
                await self._send_aside()
        finally:
            with trio.move_on_after(FAREWELL_S, shield=True):
                await self._send_aside()

    async def _send_aside(self) -> None:
        while self._aside:
            try:
                await self._inbox.send(self._aside[0])
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._aside.clear()
                return
            self._aside.popleft()


FAREWELL_S: Final = 1.0
"""How long the end of a listener waits for the actor to take the last `ClientClosed`s."""
