"""Reports refused requests: the first of its kind at once, all that follow with their number.

Refusals are of one kind if they come from the same address, with the same status and the same
reason. A kind is reported at once, then at most once in `QUIET_S`, as long as there are more.

Invariants:

- Neither a line nor a record holds a token.
- To note a refusal never waits.
- However many addresses are refused, the reports of a minute are bounded: beyond `MAX_KINDS`, the
  refusals of further addresses are counted together.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Final

import trio
from msgspec import Struct, field

from router.messages.observability.records import RefusalRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.messages.errors import HttpRefusal

log = logging.getLogger("mcp_router.access")

NO_TOKEN: Final = "Bearer token required but not provided"
"""The reason of the one refusal that is nothing to worry about."""

QUIET_S: Final = 60.0
"""The least time between two reports of one kind; the second has the number of that time."""

MAX_KINDS: Final = 256
"""Kinds that are counted at the same time, each some hundred bytes."""

OTHERS: Final = "other addresses"
"""Stands for the addresses beyond `MAX_KINDS`."""

PATH_LIMIT: Final = 200
"""Characters of a path that are reported: the path is the client's own text."""


def keep_no_record(_: RefusalRecord) -> None:
    """Do nothing, while nobody keeps records."""


class _Kind(Struct):
    """The refusals of one kind since the first one.

    Attributes:
        path: of the newest.
        report_at_s: the monotonic second of the next report.
        untold: the number since the last report.
        total: the number of all.
    """

    path: str
    report_at_s: float
    untold: int = 0
    total: int = 1


class Refusals(Struct, eq=False):
    """Counts refusals and reports them, in the log and as records.

    Attributes:
        on_record: is called with each record, in the task of whoever was refused. It must neither
            wait nor fail.
    """

    on_record: Callable[[RefusalRecord], None] = keep_no_record
    _kinds: dict[tuple[str, int, str], _Kind] = {}
    _added: trio.Event = field(default_factory=trio.Event)

    def note(self, address: str, path: str, refusal: HttpRefusal) -> None:
        """Note that a request was refused; the first of its kind is reported at once.

        Args:
            address: the IP address of the client; empty for one without.
            path: the path that it asked for.
            refusal: the answer. Its text is not to hold anything that the client sent.
        """
        path = path if len(path) <= PATH_LIMIT else f"{path[:PATH_LIMIT]}..."
        key = address, refusal.status, refusal.detail
        if key not in self._kinds and len(self._kinds) >= MAX_KINDS:
            key = OTHERS, refusal.status, refusal.detail
        kind = self._kinds.get(key)
        if kind is not None:
            kind.path = path
            kind.untold += 1
            kind.total += 1
            return
        self._kinds[key] = _Kind(path, trio.current_time() + QUIET_S)
        self._added.set()
        self._report(key, path, 1, "")

    async def run(self) -> None:
        """Report the numbers until cancelled; what is untold then is told at the end."""
        try:
            while True:
                self._added = trio.Event()
                with trio.move_on_at(self._next_report_s()):
                    await self._added.wait()
                self._report_due(trio.current_time())
        finally:
            self._report_due(math.inf)

    def _next_report_s(self) -> float:
        return min((kind.report_at_s for kind in self._kinds.values()), default=math.inf)

    def _report_due(self, now_s: float) -> None:
        """Report the kinds whose time has come; forget those of which there are no more."""
        for key, kind in list(self._kinds.items()):
            if kind.report_at_s > now_s:
                continue
            if not kind.untold:
                del self._kinds[key]
                continue
            self._report(key, kind.path, kind.untold, f", {kind.total:,} in all")
            kind.untold, kind.report_at_s = 0, now_s + QUIET_S

    def _report(self, key: tuple[str, int, str], path: str, count: int, total: str) -> None:
        address, status, reason = key
        # A client without a token looks for a way to get one, as MCP clients do at each start.
        level = logging.INFO if reason == NO_TOKEN else logging.WARNING
        times = f" {count:,} times more{total}" if total else ""
        text = "Refused %s%s (%s): %d %s"
        log.log(level, text, address or "a client", times, path, status, reason)
        self.on_record(RefusalRecord(address, status, path, reason, count))
