"""A queue from which clients take turns: first in, first out for one client, fair between several.

Invariant: a client is in the queue exactly as long as one of its keys is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

K = TypeVar("K")

ClientName: TypeAlias = "Hashable"
"""Names a client; equal names are one client."""


class FairQueue(Struct, Generic[K], eq=False):
    """Keys that wait, each for one client."""

    # The client that was longest without a turn comes first.
    _waiting: dict[ClientName, dict[K, None]] = {}
    _length: int = 0

    def __len__(self) -> int:
        return self._length

    def add(self, client: ClientName, key: K) -> None:
        """Let a key of a client wait, behind all others of this client."""
        self._waiting.setdefault(client, {})[key] = None
        self._length += 1

    def discard(self, client: ClientName, key: K) -> None:
        """Let a key wait no more; nothing happens if it does not."""
        of_client = self._waiting.get(client)
        if of_client is None or key not in of_client:
            return
        del of_client[key]
        if not of_client:
            del self._waiting[client]
        self._length -= 1

    @property
    def has_several_clients(self) -> bool:
        """True if keys of more than one client wait."""
        return len(self._waiting) > 1

    def next_key(self, loads: Mapping[Any, int]) -> K:
        """Return the key whose turn it is; it stays until it is discarded.

        It is the oldest key of the client that has the least of what the keys wait for. Of several
        clients with as little, it is the one that was longest without a turn.

        Args:
            loads: how much each client has; a client that is missing has nothing.
        """
        client = min(self._waiting, key=lambda name: loads.get(name, 0))
        of_client = self._waiting.pop(client)
        self._waiting[client] = of_client  # Behind the others.
        return next(iter(of_client))

    def key_to_drop_for(self, client: ClientName) -> K | None:
        """Return the key that has to go if another one of this client is to have its place.

        It is the newest key of the client with the most keys. None if no client has at least two
        keys more than this one: the place would go back and forth.
        """
        most = max(self._waiting, key=lambda name: len(self._waiting[name]), default=None)
        if most is None:
            return None
        has = len(self._waiting.get(client, ()))
        if len(self._waiting[most]) < has + 2:
            return None
        return next(reversed(self._waiting[most]))
