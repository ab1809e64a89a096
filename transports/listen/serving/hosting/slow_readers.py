"""Finds the clients that read too slowly, and cuts their connections.

Invariants:

- A client that reads slowly but steadily is never cut. It is cut for reading nothing, or less than
  `LEAST_BYTES_PER_S`, over half a minute.
- A send that is over before the next look of the one task that watches costs two dictionary writes.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import Final, Protocol

import trio

from transports.listen.serving.asgi import LEAST_BYTES_PER_S, SEND_S

log = logging.getLogger("mcp_router.listen")

LOOK_S: Final = 2.0
"""How often sends that take long are looked at."""


class Reader(Protocol):
    """A connection whose client is to read what is sent to it.

    Attributes:
        progressed_at_s: when the system last took some of what is being sent.
    """

    progressed_at_s: float

    def read_bytes(self) -> int:
        """Return how much the client has read so far."""
        ...

    def cut(self) -> None:
        """Close the connection at once."""
        ...


class SlowReaders:
    """Watches all sends in progress with one task, and cuts connections that are read too slowly.

    A cancel scope for each send would cost a tenth of a whole request. A look at a connection costs
    a system call, so the first look at a send is at the next round, and a second one decides within
    `SEND_S` of the start.
    """

    def __init__(self) -> None:
        self._new: dict[Reader, float] = {}  # -> when the send began
        self._watched: OrderedDict[Reader, _Look] = OrderedDict()  # the earliest due first
        self._has_sends: trio.Event | None = None  # made while there is nothing to watch

    def start(self, connection: Reader) -> None:
        """Note that a connection sends. Hypercorn never sends twice at a time on a connection."""
        connection.progressed_at_s = self._new[connection] = trio.current_time()
        if self._has_sends is not None:
            self._has_sends.set()
            self._has_sends = None

    def stop(self, connection: Reader) -> None:
        """Note that the send is over."""
        if self._new.pop(connection, None) is None:
            self._watched.pop(connection, None)

    async def cut_them(self) -> None:
        """Cut connections that are read too slowly, until cancelled."""
        while True:
            if not self._new and not self._watched:
                self._has_sends = trio.Event()
                await self._has_sends.wait()
            slept_at_s = trio.current_time()
            await trio.sleep(LOOK_S)
            now_s = trio.current_time()
            if now_s - slept_at_s > 2 * LOOK_S:
                # This process was stopped or had no CPU, so nobody could read.
                self._new.update(dict.fromkeys([*self._watched, *self._new], now_s))
                self._watched.clear()
            self._watch_new(now_s)
            self._cut_overdue(now_s)

    def _cut_overdue(self, now_s: float) -> None:
        for connection, look in list(self._watched.items()):
            # One more round would be too late.
            if look.due_s > now_s + LOOK_S:
                return
            read_bytes = connection.read_bytes()
            if read_bytes - look.read_bytes >= LEAST_BYTES_PER_S * (now_s - look.at_s):
                self._watched[connection] = _Look(now_s, read_bytes, now_s + SEND_S)
                self._watched.move_to_end(connection)
                continue
            log.info("cut a connection whose client read next to nothing for %g s", SEND_S)
            self.stop(connection)
            connection.cut()

    def _watch_new(self, now_s: float) -> None:
        for connection, began_s in self._new.items():
            look = _Look(now_s, connection.read_bytes(), began_s + SEND_S)
            self._watched[connection] = look
        self._new.clear()


class _Look:
    """A look at one send.

    Attributes:
        at_s: when it was.
        read_bytes: what `Connection.read_bytes` said.
        due_s: by when the next look has to decide.
    """

    __slots__ = ("at_s", "due_s", "read_bytes")

    def __init__(self, at_s: float, read_bytes: int, due_s: float) -> None:
        self.at_s = at_s
        self.read_bytes = read_bytes
        self.due_s = due_s
