"""Hands each record to those who keep records: the audit log, the traces.

Invariant: nobody waits, and a keeper that fails does so alone.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.messages.records import Record

log = logging.getLogger("mcp_router.app")

Keeper: TypeAlias = "Callable[[Record], None]"
"""Takes a record and returns at once. It is called in the Trio thread."""


@attrs.define(eq=False)
class Records:
    """The keepers of records.

    Attributes:
        keepers: all of them; whoever wires the router adds its own.
        drop_counts: each returns the records that one keeper had to drop so far.
    """

    keepers: list[Keeper] = attrs.field(factory=list[Keeper])
    drop_counts: list[Callable[[], int]] = attrs.field(factory=list["Callable[[], int]"])

    def dropped(self) -> int:
        """Return the records that keepers had to drop so far."""
        return sum(count() for count in self.drop_counts)

    def write(self, record: Record) -> None:
        """Hand a record to each keeper."""
        for keeper in self.keepers:
            try:
                keeper(record)
            except Exception:
                log.exception("a record was not kept")
