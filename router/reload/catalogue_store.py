"""Keeps the last known lists of each instance on disk, without holding up anybody.

Invariants:

- The disk is used in worker threads only, by one thread at a time, for a limited time.
- Changes of an instance in quick succession are written once: the last one counts.
- A disk that cannot be written to costs one warning. The next change is tried again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import trio
from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from router.instance_files.catalogue_folder import CatalogueFolder
    from router.messages.catalog import KnownServer
    from router.messages.effects import SaveCatalogue
    from router.messages.instances.instance_spec import InstanceSpec

log = logging.getLogger("mcp_router.catalogues")

SETTLE_S: Final = 1.0
"""Time from a change until it is written: servers announce several changes in a row."""

DISK_LIMIT_S: Final = 5.0
"""Time to write one file, or to tidy: a disk that hangs must not hold up a reload or the stop."""


class CatalogueStore(Struct, eq=False):
    """The last known lists of the instances.

    Attributes:
        cache: the cache folder; the files are in a folder of their own in it.
    """

    cache: Path
    _folder: CatalogueFolder | None = None
    _is_failing: bool = False
    # Of its own, for one thread: a disk that hangs must not take the threads of others.
    _limiter: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(1))

    def read(self, specs: Iterable[InstanceSpec]) -> dict[str, KnownServer]:
        """See `CatalogueFolder.read`; for a worker thread."""
        return self._opened().read(specs)

    async def tidy(self, *, is_complete: bool) -> None:
        """See `CatalogueFolder.tidy`."""
        with trio.move_on_after(DISK_LIMIT_S):
            await trio.to_thread.run_sync(
                self._tidy, is_complete, abandon_on_cancel=True, limiter=self._limiter
            )

    async def keep(self, saves: trio.MemoryReceiveChannel[SaveCatalogue]) -> None:
        """Write what the actor wants kept, until all senders have closed, and then the rest."""
        with saves:
            async for save in saves:
                latest = {save.spec.name: save}
                with trio.move_on_after(SETTLE_S):
                    async for later in saves:
                        latest[later.spec.name] = later
                for wanted in latest.values():
                    if not await self._write_in_time(wanted):
                        break

    async def _write_in_time(self, save: SaveCatalogue) -> bool:
        """Write one file; return False if the disk hangs."""
        with trio.move_on_after(DISK_LIMIT_S) as scope:
            await trio.to_thread.run_sync(
                self._write, save, abandon_on_cancel=True, limiter=self._limiter
            )
        if scope.cancelled_caught:
            self._warn(f"the disk took longer than {DISK_LIMIT_S:g} s")
        return not scope.cancelled_caught

    def _warn(self, why: str) -> None:
        """Log a failure, as a warning if it is the first one since something was written."""
        level = logging.DEBUG if self._is_failing else logging.WARNING
        self._is_failing = True
        consequence = "after the next start, tools are listed once their servers are ready"
        log.log(level, "Nothing can be kept in %s (%s): %s", self.cache, why, consequence)

    # --- In a worker thread ------------------------------------------------------------------

    def _tidy(self, is_complete: bool) -> None:
        self._opened().tidy(is_complete=is_complete)

    def _write(self, save: SaveCatalogue) -> None:
        try:
            is_written = self._opened().write(save.spec, save.known)
        except OSError as exc:
            self._warn(exc.strerror or str(exc))
        else:
            self._is_failing = self._is_failing and not is_written

    def _opened(self) -> CatalogueFolder:
        # For start-up time: this runs in a thread, beside the first answers.
        from router.instance_files.catalogue_folder import CatalogueFolder

        if self._folder is None:
            self._folder = CatalogueFolder(self.cache)
        return self._folder
