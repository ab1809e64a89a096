"""The end of accepting on sockets on which another process goes on listening.

The service manager holds such a socket. So a connection that this process does not accept any more
is not refused: it waits for the next process.

Invariants, once it has begun:

- No connection is accepted.
- A request on a connection that was accepted is served as ever, and its answer closes the
  connection (`Connection: close`). So there are ever fewer connections.
- A connection without a request is closed after `HAND_OVER_IDLE_S`. A new connection that has sent
  nothing yet gets that time, too.
- It is complete once each connection is closed or its response has begun. Event streams may go on:
  what they still have to bring is in the dispatch actor's hands.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Generator

HAND_OVER_IDLE_S: Final = 1.0
"""A client that uses its connection more often than this never finds it closed in its face."""


class HandOver:
    """The hand-over of some listeners, asked for or not yet."""

    def __init__(self) -> None:
        self.begun = trio.Event()
        self._parts: set[trio.Event] = set()

    @contextmanager
    def taking_part(self) -> Generator[trio.Event]:
        """Take part as a listener, which sets the event once it is through."""
        done = trio.Event()
        self._parts.add(done)
        try:
            yield done
        finally:
            self._parts.discard(done)
            done.set()

    async def complete(self) -> None:
        """Begin, and wait until all listeners that take part are through."""
        self.begun.set()
        for done in list(self._parts):
            await done.wait()
