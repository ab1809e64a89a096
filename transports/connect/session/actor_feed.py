"""Hands what a server says to the actor, no faster than its pacing allows (see `pacing`).

Now and then one frame goes between two barriers, so that the time between them is the actor's work
for that frame alone. Then the session waits until everything is handled that it handed over: a
backlog shows in that wait.

Invariants: the order of frames is kept, and nothing is dropped.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import trio
import trio.lowlevel
from msgspec import Struct, field

from router.messages.events import Barrier
from router.messages.observability.log_fields import about
from transports.connect.session.pacing import FRAMES_PER_REQUEST, Pacing

if TYPE_CHECKING:
    from router.messages.events import Event

log = logging.getLogger("mcp_router.upstream")

CREDIT_FRAMES: Final = 1024
"""Answers that are not counted, although they come long after what asked for them: many at once."""


class ActorFeed(Struct, eq=False):
    """Hands over the frames of one session.

    Attributes:
        name: the name of the instance, for the log.
        inbox: the actor's inbox; not closed here.
    """

    name: str
    inbox: trio.MemorySendChannel[Event | Barrier]
    _pacing: Pacing = field(default_factory=Pacing)
    _unasked: int = 0
    _is_paced: bool = False

    def allow_for(self, frames: int) -> None:
        """Note that frames were sent to the server, and allow it some frames for each."""
        left = self._unasked - FRAMES_PER_REQUEST * frames
        # Below zero one for each, because answers come after what asked for them.
        self._unasked = left if left > 0 else max(-CREDIT_FRAMES, min(self._unasked, 0) - frames)

    def put_nowait(self, event: Event | None) -> bool:
        """Hand over what came of one frame, if anything did.

        Returns:
            False if the session has to wait for the actor: call `put` with the same event.
        """
        if self._unasked >= self._pacing.quota:
            return False
        if event is not None:
            try:
                self.inbox.send_nowait(event)
            except trio.WouldBlock:
                return False
        self._unasked += 1
        return True

    async def put(self, event: Event | None) -> None:
        """Hand over what came of one frame as soon as there is room for it.

        If it is time for that, wait until everything is handled, and longer if the server says too
        much unasked.
        """
        self._unasked += 1
        if self._unasked > self._pacing.quota:
            await self._let_others_pass(event)
        elif event is None:
            await trio.lowlevel.checkpoint()
        else:
            await self.inbox.send(event)

    async def _let_others_pass(self, event: Event | None) -> None:
        began_s = trio.current_time()
        measured = _Measured()
        if not self._send_between_barriers(measured, event):
            if event is not None:
                await self.inbox.send(event)
            await self.inbox.send(Barrier(measured.end))
        await measured.passed.wait()
        await trio.lowlevel.checkpoint()  # in which clients are sent what came of it
        now_s = trio.current_time()
        took_s = now_s - began_s
        pause_s = self._pacing.pause_s(self._unasked, took_s, measured.handled_s, now_s)
        self._unasked = 0
        if pause_s:
            if not self._is_paced:
                self._is_paced = True
                text = "%s says too much unasked; from now on it has to wait"
                log.warning(text, self.name, extra=about(self.name))
            await trio.sleep(pause_s)

    def _send_between_barriers(self, measured: _Measured, event: Event | None) -> bool:
        """Send a frame between two barriers, or nothing; return whether there was room for all."""
        inside = () if event is None else (event,)
        around = (Barrier(measured.begin), *inside, Barrier(measured.end))
        room = self.inbox.statistics()
        if room.max_buffer_size - room.current_buffer_used < len(around):
            return False
        for one in around:
            self.inbox.send_nowait(one)
        return True


class _Measured(Struct, eq=False):
    """The time in which the actor handled one frame.

    Attributes:
        handled_s: the seconds; None if there was no room to measure.
        passed: set once the actor has handled that frame, and all before it.
    """

    handled_s: float | None = None
    passed: trio.Event = field(default_factory=trio.Event)
    _began_s: float | None = None

    def begin(self) -> None:
        self._began_s = trio.current_time()

    def end(self) -> None:
        if self._began_s is not None:
            self.handled_s = trio.current_time() - self._began_s
        self.passed.set()
