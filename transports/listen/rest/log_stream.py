"""The router's log over a WebSocket, as it is written.

Job: tickets for browsers, which cannot send a token when they open a WebSocket; and one follower's
frames. Neighbours: `rest` has the route; the lines come from a `Follow` that is handed in.

Invariants: whoever reads slowly loses the oldest lines, is told how many, and holds up nobody. A
ticket is good once, for a short time.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from router.messages.commands import Principal

TICKET_S: Final = 30.0
"""From asking for a ticket to opening the WebSocket with it; a browser needs milliseconds."""

MAX_TICKETS: Final = 1000
"""That are not used yet; the oldest go first."""

MAX_FOLLOWERS: Final = 64
"""Each may hold a megabyte of lines that wait for it."""

LEVELS: Final = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}

GOING_AWAY: Final = 1001  # RFC 6455 section 7.4.1


class Lines(Protocol):
    """What one follower is still to read."""

    def take(self) -> list[str]:
        """All lines since the last time."""
        ...

    def close(self) -> None:
        """Follow no longer."""
        ...


class Follow(Protocol):
    """Begin to follow the log.

    `wake` is called from any thread when there are lines to take.
    """

    def __call__(self, level: int, wake: Callable[[], None], /) -> Lines: ...


class Tickets:
    """Tickets that are not used yet."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, tuple[Principal, float]] = OrderedDict()

    def make(self, principal: Principal) -> str:
        """A ticket with which a WebSocket may be opened as this principal, once."""
        ticket = secrets.token_urlsafe(32)
        self._open[ticket] = (principal, trio.current_time() + TICKET_S)
        if len(self._open) > MAX_TICKETS:
            self._open.popitem(last=False)
        return ticket

    def redeem(self, ticket: str) -> Principal | None:
        """Whose it is; None if there is no such ticket any more."""
        principal, ends_at_s = self._open.pop(ticket, (None, 0.0))
        return principal if trio.current_time() < ends_at_s else None


class Followers:
    """Those who follow the log, all of them ended by `end`."""

    def __init__(self, follow: Follow, greeting: str) -> None:
        """Follow with `follow`; `greeting` is everybody's first frame."""
        self._follow = follow
        self._greeting = greeting
        self._scopes: set[trio.CancelScope] = set()

    @property
    def is_full(self) -> bool:
        """Is there no place for one more?"""
        return len(self._scopes) >= MAX_FOLLOWERS

    async def serve(
        self,
        level: int,
        send: Callable[[str], Awaitable[None]],
        receive: Callable[[], Awaitable[object]],
    ) -> bool:
        """Send lines until cancelled; False when that was because the listener ends.

        What the follower sends is read, and ignored: its leaving comes the same way.
        """
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                await send(self._greeting)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_ignore, receive)
                    await self._send_lines(level, send)
            finally:
                self._scopes.discard(scope)
        return not scope.cancelled_caught

    async def _send_lines(self, level: int, send: Callable[[str], Awaitable[None]]) -> None:
        bell = _Bell()
        lines = self._follow(level, bell.ring)
        try:
            while True:
                await bell.wait()
                for line in lines.take():
                    await send(line)
        finally:
            lines.close()

    def end(self) -> None:
        """End all of them."""
        for scope in self._scopes:
            scope.cancel("the listener is stopping")


class _Bell:
    """Wakes a task from any thread."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._rung = trio.Event()

    def ring(self) -> None:
        with suppress(trio.RunFinishedError):  # then there is nobody to wake
            self._token.run_sync_soon(self._set)

    def _set(self) -> None:
        self._rung.set()

    async def wait(self) -> None:
        await self._rung.wait()
        self._rung = trio.Event()


async def _ignore(receive: Callable[[], Awaitable[object]]) -> None:
    while True:
        await receive()
