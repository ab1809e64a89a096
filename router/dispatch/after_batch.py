"""Work that is put off until the actor has handled all events that wait.

So a session's writer writes once for all calls of a batch, without a task of its own that would
have to wake up for that.

Invariants: the work runs in the actor's task, so it must not wait. Work that fails is a bug: it is
logged, and ends nothing else.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("mcp_router.dispatch")


class AfterBatch(Struct, eq=False):
    """The work that is put off now. Each part of the router puts at most one piece at a time."""

    _work: list[Callable[[], None]] = []

    def put(self, work: Callable[[], None]) -> None:
        """Have this called once, after the events that wait now."""
        self._work.append(work)

    def run(self) -> None:
        """Do the work."""
        if not self._work:
            return
        work, self._work = self._work, []
        for one in work:
            try:
                one()
            except Exception:
                log.exception("could not finish a batch of events")
