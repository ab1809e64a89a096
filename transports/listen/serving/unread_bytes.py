"""Bounds the bytes that one listener holds for clients that have yet to read them.

A client may ask for many large results and read none of them. What is held for it counts as unread:
frames on its streams, also those that are kept for it to come back, and data that its connection
has not taken. Beyond a limit the slowest readers lose what is held for them, and their connections.

Invariants:

- To count a frame is an addition. After each `CHECK_BYTES` that came in, everything that is held is
  looked at. So a limit is exceeded by at most that, and by what comes in one turn of the actor.
- Nobody loses anything while everything is within the limits.
- Those whom nobody reads for go first, then those who have read nothing for the longest time.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from typing import TYPE_CHECKING, Final, TypeAlias

import trio
from msgspec import Struct

from transports.listen.serving.counted_warnings import CountedWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

log = logging.getLogger("mcp_router.listen")

MIB: Final = 1024 * 1024

CHECK_BYTES: Final = 16 * MIB
"""Bytes after which everything is looked at again: the size of the largest frame."""

NOBODY_READS: Final = -math.inf
"""The `read_at_s` of what is kept for a client that may come back."""


class UnreadLimits(Struct, frozen=True):
    """The limits of the bytes that are unread.

    Attributes:
        total_bytes: of a listener.
        principal_bytes: of one principal; what is left of the total is for others.
    """

    total_bytes: int = 256 * MIB
    principal_bytes: int = 192 * MIB


class Holding(Struct, frozen=True):
    """Bytes that are held for one client.

    Attributes:
        principal: the name of the client's principal.
        size_bytes: how many.
        read_at_s: when the client last read something; `NOBODY_READS` while it does not read.
        drop: frees them, and cuts the connection that reads them.
    """

    principal: str
    size_bytes: int
    read_at_s: float
    drop: Callable[[], None]


Source: TypeAlias = "Callable[[], Iterable[Holding]]"


class Peer:
    """The other end of one connection.

    Attributes:
        principal: the name of the principal of its last request; written by the endpoint.
        unsent_bytes: data that is being sent and that the system has not taken yet.
        progressed_at_s: when the system last took some of it.
    """

    __slots__ = ("principal", "progressed_at_s", "unsent_bytes")

    def __init__(self) -> None:
        self.principal = ""
        self.unsent_bytes = 0
        self.progressed_at_s = trio.current_time()

    def cut(self) -> None:
        """Close the connection at once."""
        raise NotImplementedError


class UnreadBytes:
    """Counts what comes in for the clients of a listener, and keeps it within the limits.

    Attributes:
        sources: each returns all that one part of the listener holds.
    """

    def __init__(self, limits: UnreadLimits | None = None) -> None:
        self.sources: list[Source] = []
        self._limits = limits or UnreadLimits()
        self._added_bytes = 0
        self._is_due = trio.Event()
        self._dropped = CountedWarning(self._warn)

    def add(self, size_bytes: int) -> None:
        """Count bytes that are held from now on."""
        self._added_bytes += size_bytes
        if self._added_bytes >= CHECK_BYTES:
            self._added_bytes = 0
            self._is_due.set()

    def held_bytes(self) -> int:
        """Return the bytes that are held at the moment."""
        return sum(holding.size_bytes for source in self.sources for holding in source())

    async def run(self) -> None:
        """Keep the limits until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._dropped.run)
            while True:
                await self._is_due.wait()
                self._is_due = trio.Event()
                self.keep_limits()

    def keep_limits(self) -> None:
        """Look at everything that is held, and drop what is too much."""
        held = [holding for source in self.sources for holding in source()]
        dropped = beyond_limits(held, self._limits)
        for holding in dropped:
            holding.drop()
        if dropped:
            self._dropped.note(len(dropped))

    def _warn(self, times: int) -> None:
        log.warning(
            "Clients have too much to read (at most %d MB, and %d MB for one token): the slowest "
            "lost their connections or what was kept for them, %d times",
            self._limits.total_bytes // MIB,
            self._limits.principal_bytes // MIB,
            times,
        )


def beyond_limits(held: Sequence[Holding], limits: UnreadLimits) -> list[Holding]:
    """Return what has to be dropped so that the rest is within the limits, the slowest first."""
    total_bytes = sum(holding.size_bytes for holding in held)
    of_principal: Counter[str] = Counter()
    for holding in held:
        of_principal[holding.principal] += holding.size_bytes
    beyond: list[Holding] = []
    rest: list[Holding] = []
    for holding in sorted(held, key=lambda one: (one.read_at_s, -one.size_bytes)):
        if of_principal[holding.principal] > limits.principal_bytes:
            of_principal[holding.principal] -= holding.size_bytes
            total_bytes -= holding.size_bytes
            beyond.append(holding)
        else:
            rest.append(holding)
    for holding in rest:
        if total_bytes <= limits.total_bytes:
            break
        total_bytes -= holding.size_bytes
        beyond.append(holding)
    return beyond
