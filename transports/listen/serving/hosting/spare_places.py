"""Turns connections away for which a listener has no place.

Invariant: a connection that is turned away costs little, and for `TURN_AWAY_S` at most.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from transports.listen.serving.counted_warnings import CountedWarning
from transports.listen.serving.refusals import RETRY_AFTER

if TYPE_CHECKING:
    from transports.listen.serving.hosting.connection_counts import ConnectionCounts

log = logging.getLogger("mcp_router.listen")

SPARE_PLACES: Final = 32
"""Connections that may be told at the same time that all places are taken."""

SPARE_SHARE: Final = 16
"""With few open files, one spare place for so many others: the last quarter is for the rest."""

TURN_AWAY_S: Final = 1.0
"""How long such a connection may take to read the answer and to close."""


def _turned_away() -> bytes:
    body = msgspec.json.encode({"detail": "Too many connections; try again later"})
    lines = [
        "HTTP/1.1 503 Service Unavailable",
        "content-type: application/json",
        "x-content-type-options: nosniff",
        f"content-length: {len(body)}",
        "connection: close",
        *(f"{name.lower()}: {value}" for name, value in RETRY_AFTER),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


TURNED_AWAY: Final = _turned_away()
"""The answer to a connection for which there is no place."""


class SparePlaces:
    """The places for connections beyond the most that a listener serves.

    Args:
        max_connections: how many it serves.
        counts: counts those that are turned away.
    """

    def __init__(self, max_connections: int, counts: ConnectionCounts) -> None:
        self._max_connections = max_connections
        self._counts = counts
        self._free = max(1, min(SPARE_PLACES, max_connections // SPARE_SHARE))
        self._warning = CountedWarning(self._warn)

    async def run(self) -> None:
        """Warn with a count, until cancelled."""
        await self._warning.run()

    async def turn_away(self, stream: trio.SocketStream) -> None:
        """Answer with 503 if there is a spare place, and close.

        A socket that is closed with received data in it resets its connection, and the client may
        lose the answer. So its request is read, until the client closes.
        """
        self._warning.note()
        self._counts.turned_away += 1
        if not self._free:
            stream.socket.close()
            return
        self._free -= 1
        try:
            with trio.move_on_after(TURN_AWAY_S):
                await stream.send_all(TURNED_AWAY)
                await stream.send_eof()
                while await stream.receive_some():
                    pass
        except trio.BrokenResourceError:
            pass  # the client is gone
        finally:
            stream.socket.close()
            self._free += 1

    def _warn(self, times: int) -> None:
        log.warning(
            "All %d places for connections are taken; turned away: %d",
            self._max_connections,
            times,
        )
