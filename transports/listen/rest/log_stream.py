"""Sends the router's log over WebSockets, and issues the tickets that open them.

Browsers cannot send a token when they open a WebSocket, so a page asks for a ticket first.

Invariants:

- A follower that reads slowly loses the oldest lines, learns how many, and delays nobody.
- A ticket can be redeemed once, within a short time.
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
"""The time from a ticket to its WebSocket; a browser needs milliseconds."""

MAX_TICKETS: Final = 1000
"""The most unused tickets; beyond that the oldest are dropped."""

MAX_FOLLOWERS: Final = 64
"""The most followers: up to a megabyte of lines may wait for each."""

LEVEL_NUMBERS: Final = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
"""The levels a follower may ask for, with their numbers in `logging`."""

GOING_AWAY: Final = 1001
"""The close code of a WebSocket whose server stops (RFC 6455 section 7.4.1)."""


class Lines(Protocol):
    """The lines that one follower has still to read."""

    def take(self) -> list[str]:
        """Return all lines since the last call."""
        ...

    def close(self) -> None:
        """Stop following."""
        ...


class Follow(Protocol):
    """Begins to follow the log.

    `wake` may be called from any thread, when there are lines to take.
    """

    def __call__(self, level: int, wake: Callable[[], None], /) -> Lines: ...


class Tickets:
    """The tickets that are not used yet."""

    def __init__(self) -> None:
        self._unused: OrderedDict[str, tuple[Principal, float]] = OrderedDict()

    def issue(self, principal: Principal) -> str:
        """Return a ticket that opens one WebSocket as this principal."""
        ticket = secrets.token_urlsafe(32)
        self._unused[ticket] = (principal, trio.current_time() + TICKET_S)
        if len(self._unused) > MAX_TICKETS:
            self._unused.popitem(last=False)
        return ticket

    def redeem(self, ticket: str) -> Principal | None:
        """Return the principal the ticket was issued to; None if it is unknown or too old."""
        principal, ends_at_s = self._unused.pop(ticket, (None, 0.0))
        return principal if trio.current_time() < ends_at_s else None


class Followers:
    """The WebSockets that follow the log.

    Args:
        follow: begins to follow the log.
        greeting: the first frame for each follower.
    """

    def __init__(self, follow: Follow, greeting: str) -> None:
        self._follow = follow
        self._greeting = greeting
        self._scopes: set[trio.CancelScope] = set()

    @property
    def is_full(self) -> bool:
        """True if there is no place for another follower."""
        return len(self._scopes) >= MAX_FOLLOWERS

    async def serve(
        self,
        level: int,
        send: Callable[[str], Awaitable[None]],
        receive: Callable[[], Awaitable[object]],
    ) -> bool:
        """Send lines until cancelled; return False if `end` was the reason.

        Everything the follower sends is read and ignored, because its close arrives the same way.
        """
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                await send(self._greeting)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_ignore_received, receive)
                    await self._send_lines(level, send)
            finally:
                self._scopes.discard(scope)
        return not scope.cancelled_caught

    async def _send_lines(self, level: int, send: Callable[[str], Awaitable[None]]) -> None:
        has_lines = _ThreadSafeEvent()
        lines = self._follow(level, has_lines.set)
        try:
            while True:
                await has_lines.wait()
                for line in lines.take():
                    await send(line)
        finally:
            lines.close()

    def end(self) -> None:
        """End all of them; their `serve` returns False."""
        for scope in self._scopes:
            scope.cancel("the listener is stopping")


class _ThreadSafeEvent:
    """An event that any thread can set, and that resets itself when a wait is over."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._event = trio.Event()

    def set(self) -> None:
        with suppress(trio.RunFinishedError):  # then there is no task to wake
            self._token.run_sync_soon(self._set_in_loop)

    def _set_in_loop(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()
        self._event = trio.Event()


async def _ignore_received(receive: Callable[[], Awaitable[object]]) -> None:
    while True:
        await receive()
