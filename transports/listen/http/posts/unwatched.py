"""Tells responses that have waited for a while that they are not prompt. No I/O.

A timer for each response would cost as much as parsing its request, and nearly all are decided long
before. So one task looks at all of them every `UNWATCHED_S`, and each costs two sets.
"""

from __future__ import annotations

from typing import Protocol

import trio

from transports.listen.serving.exchange import UNWATCHED_S


class Waiting(Protocol):
    """A response that waits to be decided."""

    def interrupt(self) -> None:
        """Stop waiting; nobody has decided the response yet."""
        ...


class Unwatched:
    """The responses whose clients are not watched yet."""

    def __init__(self) -> None:
        self._new: set[Waiting] = set()
        self._waited: set[Waiting] = set()  # since before the last look
        self._has_some: trio.Event | None = None  # made while there are none

    def add(self, response: Waiting) -> None:
        """Interrupt this response after `UNWATCHED_S`, or up to twice that; see `run`."""
        self._new.add(response)
        if self._has_some is not None:
            self._has_some.set()
            self._has_some = None

    def discard(self, response: Waiting) -> None:
        """Leave this response alone from now on."""
        self._new.discard(response)
        self._waited.discard(response)

    async def run(self) -> None:
        """Interrupt the responses that take long, until cancelled."""
        while True:
            if not self._new and not self._waited:
                self._has_some = trio.Event()
                await self._has_some.wait()
            await trio.sleep(UNWATCHED_S)
            overdue, self._waited, self._new = self._waited, self._new, set()
            for response in overdue:
                response.interrupt()
