"""The numbers of connections of a listener."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from transports.listen.serving.unread_bytes import UnreadBytes


class ConnectionCounts(Struct, eq=False):
    """The connections of one listener, also after it was restarted, for those who watch the router.

    Attributes:
        accepted: all so far that got a place.
        open: those that are open now.
        turned_away: all so far that got no place.
        unread: what the listener holds for its clients; None while it does not run.
    """

    accepted: int = 0
    open: int = 0
    turned_away: int = 0
    unread: UnreadBytes | None = None

    @property
    def unread_bytes(self) -> int:
        """The bytes that are held for clients that have yet to read them."""
        return 0 if self.unread is None else self.unread.held_bytes()
