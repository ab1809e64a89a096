"""Keeps the approved tools on disk, and digests tools, without holding up anybody.

Invariants:

- Disk and digests are for worker threads, one at a time, for a limited time.
- Each `PinTools` gets exactly one `ToolsPinned`.
- With pinning off nothing is read, and nothing of it is imported.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio
from msgspec import Struct, field

from router.messages.errors import NOT_SAVED, ConfigError, RpcError
from router.messages.instances.pin_events import PinsRead, ToolsPinned

if TYPE_CHECKING:
    from pathlib import Path

    from router.core.pinning.reviews import PinReview
    from router.dispatch.actor import Inbound
    from router.messages.core_settings import PinningSetting
    from router.messages.effects import PinTools

log = logging.getLogger("mcp_router.pins")

DISK_LIMIT_S: Final = 20.0
"""Time for one batch; to wait for the lock of the folder may take half of it."""


class PinStore(Struct, eq=False):
    """The approved tools of all instances.

    Attributes:
        path: the file.
    """

    path: Path
    _is_read: bool = False
    _problem: str | None = None
    # Of its own, for one thread: a disk that hangs must not take the threads of others.
    _limiter: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(1))

    async def keep(
        self,
        batches: trio.MemoryReceiveChannel[PinTools],
        inbox: trio.MemorySendChannel[Inbound],
    ) -> None:
        """Digest and save what the actor asks for, until its end has closed."""
        with batches, inbox:
            async for batch in batches:
                await inbox.send(await self._carry_out_in_time(batch))

    async def _carry_out_in_time(self, batch: PinTools) -> ToolsPinned:
        with trio.move_on_after(DISK_LIMIT_S):
            work = partial(self._carry_out, batch)
            return await trio.to_thread.run_sync(
                work, abandon_on_cancel=True, limiter=self._limiter
            )
        problem = self._not_saved(f"the disk took longer than {DISK_LIMIT_S:g} s")
        return ToolsPinned(batch.key, {}, {}, problem)

    def _not_saved(self, why: str) -> RpcError:
        log.error("Approved tools cannot be saved in %s: %s", self.path, why)
        return RpcError(NOT_SAVED, f"The approval cannot be saved in {self.path.name}: {why}")

    # --- In a worker thread ------------------------------------------------------------------

    def read_if_needed(self, pinning: PinningSetting) -> PinsRead | None:
        """Return what is approved, unless pinning is off, or the router knows it already.

        A file that could not be read is read again, until it can.
        """
        if pinning == "off":
            self._is_read, self._problem = False, None
            return None
        if self._is_read and self._problem is None:
            return None
        # For start-up time: few routers pin tools.
        from router.instance_files.pin_file import read_pins

        before, self._is_read = self._problem, True
        try:
            read = PinsRead(read_pins(self.path))
        except ConfigError as exc:
            read = PinsRead({}, str(exc))
        self._problem = read.problem
        if read.problem is not None and read.problem != before:
            blocked = "; all tools are quarantined" if pinning == "block" else ""
            log.error(
                "Tools cannot be compared with the approved ones: %s%s", read.problem, blocked
            )
        return read

    def _carry_out(self, batch: PinTools) -> ToolsPinned:
        # For start-up time, as above.
        from router.core.pinning.digests import digest_of
        from router.core.pinning.hidden_text import hidden_text
        from router.instance_files.pin_file import approved_forms, change_pins

        digests = {raw: digest_of(raw) for raw in batch.to_digest}
        flags = {raw: found for raw in batch.to_digest if (found := hidden_text(raw))}
        problem = None
        try:
            if batch.to_save:
                change_pins(self.path, approved_forms(batch.to_save, digest_of))
        except ConfigError as exc:
            problem = self._not_saved(str(exc))
        except OSError as exc:
            problem = self._not_saved(exc.strerror or str(exc))
        return ToolsPinned(batch.key, digests, flags, problem)


def review_pins(found: PinReview) -> dict[str, Any]:
    """Return what `GET /api/pins` shows; for a worker thread."""
    # For start-up time, as above.
    from router.core.pinning.reviews import review

    return review(found)
