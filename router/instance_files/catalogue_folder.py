"""Reads, writes and removes the files of the instances' last known lists. Blocks on disk.

Invariants:

- A file that cannot be read or used is as good as none: the log says so, and it is replaced when
  its server is next ready.
- Only files of configured instances are written, and none whose content is there already.
- Files of others in the folder are left alone.

Several routers may share the folder: a file is replaced in one step, and the last one wins.
"""

from __future__ import annotations

import hashlib
import logging
import time
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from router.files.safe_folder import NEW_FOLDER_MODE, SafeFolder
from router.instance_files.catalogue_files import (
    MAX_FILE_BYTES,
    UnusableCatalogue,
    decode_catalogue,
    encode_catalogue,
    hash_entry,
    is_file_name,
    is_temporary_name,
    name_file,
)
from router.messages.observability.log_fields import about

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from router.messages.catalog import KnownServer
    from router.messages.instances.instance_spec import InstanceSpec

log = logging.getLogger("mcp_router.catalogues")

FOLDER_NAME: Final = "catalogues"

MAX_TOTAL_BYTES: Final = 64 * 1024 * 1024
"""The most that one reading takes, of all files together: it must not delay the start."""

TEMPORARY_AGE_S: Final = 3600.0
"""Age from which a temporary file is a left-over. Another router may be writing a younger one."""


class _Configured(Struct, frozen=True):
    """The files of the configured instances.

    Attributes:
        entries: name of an instance that is to be started -> the hash of its entry.
        kept: the names of the files that there may be.
        switched_off: the names of the files that must not be there.
    """

    entries: Mapping[str, str] = {}
    kept: frozenset[str] = frozenset()
    switched_off: frozenset[str] = frozenset()


class CatalogueFolder(Struct, eq=False):
    """The folder `catalogues/` of a cache folder.

    Attributes:
        cache: the cache folder; both are made when something is first written.
    """

    cache: Path
    _configured: _Configured = field(default_factory=_Configured)
    # File name -> SHA-256 of its content, as this process read or wrote it last.
    _digests: dict[str, bytes] = {}
    _removed: frozenset[str] = frozenset()
    _has_swept: bool = False

    @property
    def path(self) -> Path:
        return self.cache / FOLDER_NAME

    def read(self, specs: Iterable[InstanceSpec]) -> dict[str, KnownServer]:
        """Take note of the configured instances, and read the files of those that are new.

        Args:
            specs: all configured instances.

        Returns:
            Name -> last known server, of the instances that are to be started and were not in the
            reading before, or had another entry then.
        """
        before, self._configured = self._configured, _configured(specs)
        new = {
            instance: entry
            for instance, entry in self._configured.entries.items()
            if before.entries.get(instance) != entry
        }
        if not new:
            return {}
        try:
            with self._open() as folder:
                return self._read_files(folder, new)
        except FileNotFoundError:
            return {}
        except OSError as exc:
            log.warning("%s cannot be read: %s", self.path, exc.strerror or exc)
            return {}

    def write(self, spec: InstanceSpec, known: KnownServer) -> bool:
        """Write the file of an instance; return False if that is not needed, or cannot be.

        Raises:
            OSError: the file could not be written; it is as it was.
        """
        entry = hash_entry(spec)
        name = name_file(entry)
        if name not in self._configured.kept:
            return False  # The instance was removed, changed or switched off in the meantime.
        try:
            data = encode_catalogue(entry, known)
        except UnusableCatalogue as exc:
            text = "The catalogue of %s cannot be kept on disk: %s"
            log.warning(text, spec.name, exc, extra=about(spec.name))
            self._digests.pop(name, None)
            self._remove({name})
            return False
        digest = hashlib.sha256(data).digest()
        if self._digests.get(name) == digest:
            return False
        with self._open(create=True) as folder:
            folder.write(name, data)
        self._digests[name] = digest
        return True

    def tidy(self, *, is_complete: bool) -> None:
        """Remove the files of instances whose cache is off; once, also those of no instance.

        Args:
            is_complete: False if the last reading missed entries, whose files may be needed again.
        """
        configured = self._configured
        unneeded = configured.switched_off - self._removed
        if is_complete and not self._has_swept:
            self._has_swept = True
            unneeded |= self._left_over()
        self._removed = configured.switched_off
        for name in self._digests.keys() - configured.kept:
            del self._digests[name]
        if unneeded:
            self._remove(unneeded)

    # --- Single files ------------------------------------------------------------------------

    def _read_files(self, folder: SafeFolder, entries: Mapping[str, str]) -> dict[str, KnownServer]:
        found: dict[str, KnownServer] = {}
        left_bytes = MAX_TOTAL_BYTES
        for instance, entry in entries.items():
            try:
                data = _read_file(folder, name_file(entry), left_bytes)
                left_bytes -= len(data)
                found[instance] = decode_catalogue(data, entry)
            except FileNotFoundError:
                continue
            except (OSError, UnusableCatalogue) as exc:
                why = exc.strerror if isinstance(exc, OSError) else exc
                text = "The catalogue of %s on disk is not used: %s"
                log.warning(text, instance, why, extra=about(instance))
            else:
                # A file that this process wrote in the meantime counts more.
                self._digests.setdefault(name_file(entry), hashlib.sha256(data).digest())
        return found

    def _left_over(self) -> set[str]:
        """Return the names of our files that no instance has, and of old temporary ones."""
        try:
            names = [file.name for file in self.path.iterdir()]
        except OSError:
            return set()
        return {
            name
            for name in names
            if (is_file_name(name) and name not in self._configured.kept)
            or (is_temporary_name(name) and self._is_old(name))
        }

    def _is_old(self, name: str) -> bool:
        try:
            changed_at_s = (self.path / name).lstat().st_mtime
        except OSError:
            return False  # Its writer has just renamed it.
        return time.time() - changed_at_s > TEMPORARY_AGE_S

    def _remove(self, names: Iterable[str]) -> None:
        try:
            with self._open() as folder:
                for name in names:
                    self._remove_one(folder, name)
        except FileNotFoundError:
            return
        except OSError as exc:
            log.warning("%s cannot be tidied: %s", self.path, exc.strerror or exc)

    def _remove_one(self, folder: SafeFolder, name: str) -> None:
        try:
            folder.remove(name)
        except FileNotFoundError:
            return
        except OSError as exc:
            why = exc.strerror or exc
            log.warning("%s is not needed and cannot be removed: %s", self.path / name, why)

    def _open(self, *, create: bool = False) -> SafeFolder:
        if create:
            self.cache.mkdir(NEW_FOLDER_MODE, parents=True, exist_ok=True)
        with SafeFolder.open(self.cache) as cache:
            return cache.subfolder(FOLDER_NAME, create=create)


def _configured(specs: Iterable[InstanceSpec]) -> _Configured:
    entries: dict[str, str] = {}
    kept: set[str] = set()
    switched_off: set[str] = set()
    for spec in specs:
        entry = hash_entry(spec)
        (kept if spec.catalogue_cache else switched_off).add(name_file(entry))
        if spec.catalogue_cache and spec.is_active and spec.problem is None:
            entries[spec.name] = entry
    return _Configured(entries, frozenset(kept), frozenset(switched_off))


def _read_file(folder: SafeFolder, name: str, left_bytes: int) -> bytes:
    """Return the content of a file.

    Raises:
        OSError: it cannot be read.
        UnusableCatalogue: it is larger than `MAX_FILE_BYTES` or `left_bytes`.
    """
    limit_bytes = min(MAX_FILE_BYTES, left_bytes)
    data = folder.read(name, limit_bytes + 1)
    if len(data) > MAX_FILE_BYTES:
        raise UnusableCatalogue("it is too large")
    if len(data) > limit_bytes:
        raise UnusableCatalogue("all of them together are too large")
    return data
