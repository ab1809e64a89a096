"""The one subscription to an upstream without sessions (MCP 2026-07-28, Subscriptions).

Job: keep `subscriptions/listen` open for the lists that the upstream declares to change.
Neighbours: `session` runs this beside everything else and reads lists again when it is told;
`questions` carries the request, whose answer is the end of the subscription.

Invariants: a subscription that ends is opened again, ever more rarely where it does not hold. What
has changed before it was open is unknown, so all its lists are read again then.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec
import trio
from msgspec import Raw, Struct

from router.messages.errors import METHOD_NOT_FOUND
from router.messages.revisions import LISTEN_METHOD
from transports.connect.session.listings import LIST_CHANGED
from transports.connect.session.requests import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

log = logging.getLogger("mcp_router.upstream")

ACKNOWLEDGED: Final = "notifications/subscriptions/acknowledged"

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 300.0
"""Between the end of a subscription and the next: twice as long each time."""

STEADY_S: Final = 60.0
"""A subscription that has held so long begins with the first pause again."""


class _Declared(Struct, gc=False):
    listChanged: bool = False


_declared: Final = msgspec.json.Decoder(_Declared)


@attrs.define(eq=False)
class Subscription:
    """What keeps a catalog true while there is no session.

    Attributes:
        name: the instance, for the log.
        ask: sends a request and returns its result, or raises `Refused`.
        capabilities: those whose lists may change.
        missed: is told those whose lists are to be read again, since they may have changed.
    """

    name: str
    ask: Callable[[str, dict[str, Any]], Awaitable[Raw]]
    capabilities: tuple[str, ...]
    missed: Callable[[str], None]

    async def keep(self) -> None:
        """Keep it open, if there is anything to listen for and the upstream knows how to tell."""
        pause_s = FIRST_PAUSE_S
        await trio.lowlevel.checkpoint()
        while self.capabilities:
            opened_at_s = trio.current_time()
            try:
                await self._listen()
            except RequestRefused as refused:
                if _is_unknown(refused):
                    log.info("%s: does not tell when its lists change: %s", self.name, refused)
                    return
                log.debug("%s: subscriptions/listen was refused: %s", self.name, refused)
            if trio.current_time() - opened_at_s >= STEADY_S:
                pause_s = FIRST_PAUSE_S
            await trio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def acknowledged(self) -> None:
        """It is open; what was missed before it was is read now."""
        for capability in self.capabilities:
            self.missed(capability)

    async def _listen(self) -> None:
        kinds = {f"{capability}ListChanged": True for capability in self.capabilities}
        await self.ask(LISTEN_METHOD, {"notifications": kinds})


def announced(capabilities: Mapping[str, Raw]) -> tuple[str, ...]:
    """The capabilities for whose lists the server declares that it says when they change."""
    return tuple(
        name for name in LIST_CHANGED.values() if _is_announced(capabilities.get(name, Raw()))
    )


def _is_announced(capability: Raw) -> bool:
    try:
        return _declared.decode(capability).listChanged
    except msgspec.MsgspecError:
        return False


def _is_unknown(refused: RequestRefused) -> bool:
    return refused.code == METHOD_NOT_FOUND or "method not found" in refused.reason.lower()
