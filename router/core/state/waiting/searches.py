"""Keeps the searches that wait for the search index, and knows what the index was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from router.core.state.clients import Awaiting

if TYPE_CHECKING:
    from router.core.names.exposed_catalog import ExposedCatalog
    from router.core.state.instances import Instance
    from router.messages.own_tools.search import Kind


class Search(Awaiting, frozen=True, eq=False):
    """A search that waits for its results.

    Attributes:
        kind: the kind of what is searched.
        limit: the greatest number of results.
        rows: the addresses of the rows that are searched.
    """

    kind: Kind
    limit: int
    rows: frozenset[str]


class IndexedRow(Struct, frozen=True, eq=False):
    """A row as it was sent to the index last. Once any of these has changed, it is sent again.

    Attributes:
        row: the row: of an instance, or of the part of it that one person has.
        offers: its lists.
        summary: the line about it.
        name_limit: the greatest length of the direct names.
    """

    row: Instance
    offers: ExposedCatalog
    summary: str
    name_limit: int


class Searches(Struct, eq=False):
    """The searches of all clients.

    Attributes:
        waiting: those without results yet, by the key of their `SearchTools`.
        indexed: what the index was sent, by the address of the row.
        is_in_use: True once somebody has searched.
    """

    waiting: dict[int, Search] = {}
    indexed: dict[str, IndexedRow] = {}
    is_in_use: bool = False
