"""Reads the lists of an upstream again when they have changed.

Invariant: several changes in a row cost one reading, and a server whose lists change all the time
is read more and more rarely. The last change always counts.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import trio
from msgspec import Struct, field

from router.messages.observability.log_fields import about

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from router.messages.catalog import Catalog
    from transports.connect.session.lists.listings import Lists

log = logging.getLogger("mcp_router.upstream")

RELIST_LIMIT_S: Final = 30.0
"""Time for reading lists again; after that the session keeps the lists it has."""

RELIST_PAUSE_S: Final = 0.2
"""Pause after a reading of the lists, for upstreams that announce each of many changes."""

MAX_RELIST_PAUSE_S: Final = 5.0
"""The pause doubles up to this while the lists are announced to change again within it."""


class Relisting(Struct, eq=False):
    """Notes the changes of the lists of one session, and reads them.

    Attributes:
        name: the name of the instance.
        announced: the capabilities (`tools`, ...) whose change the server itself announced, since
            the last reading.
    """

    name: str
    announced: set[str] = set()
    _changed: set[str] = set()
    _has_changed: trio.Event = field(default_factory=trio.Event)

    def note(self, capability: str) -> None:
        """Have the lists of a capability read again."""
        self._changed.add(capability)
        self._has_changed.set()

    async def keep_current(
        self, lists: Lists, publish: Callable[[Catalog, frozenset[str]], Awaitable[None]]
    ) -> None:
        """Read lists again when they have changed, for ever.

        Args:
            lists: the lists as they were read last.
            publish: takes lists that differ from those before, or whose change was announced.
        """
        pause_s = RELIST_PAUSE_S
        while True:
            await self._has_changed.wait()
            changed, self._changed, self._has_changed = self._changed, set(), trio.Event()
            announced, self.announced = frozenset(self.announced), set()
            before = lists.catalog
            with trio.move_on_after(RELIST_LIMIT_S) as limit:
                await lists.read_again(changed)
            if limit.cancelled_caught:
                text = "%s: listing again took too long; kept the old"
                log.warning(text, self.name, extra=about(self.name))
            # A change that the server announced is passed on, even if the lists read the same.
            if lists.catalog != before or (announced and lists.catalog is not before):
                await publish(lists.catalog, announced)
            await trio.sleep(pause_s)
            has_changed = self._has_changed.is_set()
            pause_s = min(2 * pause_s, MAX_RELIST_PAUSE_S) if has_changed else RELIST_PAUSE_S
