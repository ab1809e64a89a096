"""Remembers on disk which packages have been ready once, so that their next start is no first one.

Invariants:

- The disk is used in worker threads only, by one thread at a time, for a limited time. It is read
  once, when the first package is asked for.
- A file that cannot be read is as good as none, and one that cannot be written costs a line in the
  log: then a start counts as the first one again.
- Only hashes are written, because a package may be a URL that holds a secret.
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Final

import msgspec
import trio
import trio.lowlevel

from router.files.safe_folder import NEW_FOLDER_MODE, SafeFolder

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("mcp_router.packages")

FILE_NAME: Final = "packages.json"

MAX_PACKAGES: Final = 1_000
"""The newest packages are kept; each takes 70 bytes of the file."""

MAX_FILE_BYTES: Final = 1024 * 1024

DISK_LIMIT_S: Final = 5.0
"""Time to read or write the file: a disk that hangs must not hold up a start."""

_hashes: Final = msgspec.json.Decoder(list[str])


class PackageStore:
    """The packages that have been ready once.

    Attributes:
        cache: the cache folder; it is made when something is first written.
    """

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        # In the order in which they were added; None until the file was read.
        self._known: dict[str, None] | None = None
        self._lock = trio.Lock()
        # Of its own, for one thread: a disk that hangs must not take the threads of others.
        self._limiter = trio.CapacityLimiter(1)

    async def knows(self, *names: str) -> bool:
        """Return whether a package has been ready once.

        Args:
            names: what tells the package apart from all others, such as its manager and its name.
        """
        async with self._lock:
            return _hash(names) in await self._read_once()

    async def add(self, *names: str) -> None:
        """Remember a package; see `knows`."""
        async with self._lock:
            known = await self._read_once()
            known.pop(_hash(names), None)
            known[_hash(names)] = None
            while len(known) > MAX_PACKAGES:
                del known[next(iter(known))]
            with trio.move_on_after(DISK_LIMIT_S) as scope:
                await trio.to_thread.run_sync(
                    self._write, list(known), abandon_on_cancel=True, limiter=self._limiter
                )
            if scope.cancelled_caught:
                log.info("%s was not written within %g s", self._path, DISK_LIMIT_S)

    async def _read_once(self) -> dict[str, None]:
        if self._known is None:
            self._known = {}
            with trio.move_on_after(DISK_LIMIT_S):
                self._known = await trio.to_thread.run_sync(
                    self._read, abandon_on_cancel=True, limiter=self._limiter
                )
        await trio.lowlevel.checkpoint()
        return self._known

    @property
    def _path(self) -> Path:
        return self.cache / FILE_NAME

    # --- In a worker thread ------------------------------------------------------------------

    def _read(self) -> dict[str, None]:
        try:
            with SafeFolder.open(self.cache) as folder:
                data = folder.read(FILE_NAME, MAX_FILE_BYTES)
            return dict.fromkeys(_hashes.decode(data)[-MAX_PACKAGES:])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError) as exc:
            log.info("%s is not used, and written anew: %s", self._path, exc)
            return {}

    def _write(self, known: list[str]) -> None:
        try:
            self.cache.mkdir(NEW_FOLDER_MODE, parents=True, exist_ok=True)
            with SafeFolder.open(self.cache) as folder:
                folder.write(FILE_NAME, msgspec.json.encode(known))
        except OSError as exc:
            log.info("%s cannot be written: %s", self._path, exc.strerror or exc)


def _hash(names: tuple[str, ...]) -> str:
    return hashlib.sha256("\0".join(names).encode("utf-8", "surrogatepass")).hexdigest()
