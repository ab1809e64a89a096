"""Hands each record to those who keep records: the audit log, the traces, the log at DEBUG.

Invariant: nobody waits, and a keeper that fails does so alone.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from router.messages.observability.log_fields import about
from router.messages.observability.records import CallRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.messages.observability.records import Record

log = logging.getLogger("mcp_router.app")
call_log = logging.getLogger("mcp_router.calls")

Keeper: TypeAlias = "Callable[[Record], None]"
"""Takes a record and returns at once. It is called in the Trio thread."""


class Records(Struct, eq=False):
    """The keepers of records.

    Attributes:
        keepers: all of them; whoever wires the router adds its own.
        drop_counts: each returns the records that one keeper had to drop so far.
    """

    keepers: list[Keeper] = []
    drop_counts: list[Callable[[], int]] = []

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


def log_call(record: Record) -> None:
    """Log a call that has ended, at level DEBUG; a keeper of records."""
    if not isinstance(record, CallRecord) or not call_log.isEnabledFor(logging.DEBUG):
        return
    what = " ".join(filter(None, (record.method, record.instance, record.target)))
    extra = {
        **about(record.instance),
        "principal": record.principal,
        "request_id": record.request_id,
        "duration_s": round(record.duration_s, 6),
    }
    call_log.debug("%s: %s in %.1f ms", what, record.outcome, record.duration_s * 1000, extra=extra)
