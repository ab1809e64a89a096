"""Notes what was done to which file of a client, with a backup of what was there before.

Both are in the state folder of the user, not in the folders of clients, and only the user can read
them: the files may hold tokens.

Invariants:

- A row and its backup are on disk before the file of the client is changed. A row whose change did
  not happen, because the process was stopped, does no harm: see `undo`.
- The ledger is replaced in one step, and only while its lock is held.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec import Struct

from router.files.safe_folder import NEW_FOLDER_MODE, SafeFolder, locked
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from datetime import datetime
    from pathlib import Path

LEDGER_NAME: Final = "installed.json"
BACKUPS_NAME: Final = "backups"
LEDGER_LIMIT_BYTES: Final = 64 * 1024 * 1024

_STAMP: Final = "%Y%m%dT%H%M%S.%fZ"


class Change(Struct, frozen=True, omit_defaults=True):
    """One value that was put into a file, replaced, or taken out.

    Attributes:
        path: the keys that lead to it; for an item, to its array.
        before: the value that was there; None for none.
        after: the value that was written; None if it was taken out.
        is_item: it is an item of an array.
        made: the keys that lead to the outermost object or array that was made for it.
    """

    path: Annotated[list[str], msgspec.Meta(min_length=1)]
    before: Any = None
    after: Any = None
    is_item: bool = False
    made: list[str] | None = None


class Row(Struct, frozen=True, omit_defaults=True):
    """A change of one file.

    Attributes:
        client: the client's name.
        path: the file as the client knows it.
        format: of the file.
        time: when it was changed, in UTC.
        sha256_after: of the content that was written.
        changes: what was changed in it.
        sha256_before: of the content before; None if there was no such file.
        backup: the name of the file in the folder of backups with that content.
        made_folders: folders that were made for the file, the innermost first.
    """

    client: str
    path: str
    format: str
    time: str
    sha256_after: str
    changes: list[Change]
    sha256_before: str | None = None
    backup: str | None = None
    made_folders: list[str] = []


class Ledger(Struct, frozen=True):
    """The rows of this user, in the order of time, and the backups.

    Attributes:
        folder: where they are; it need not exist.
    """

    folder: Path

    @classmethod
    def of_user(cls) -> Ledger:
        """Return the ledger in the state folder of the user who runs this."""
        # For start-up time: only commands that change clients need it.
        import platformdirs

        state = platformdirs.user_state_path("mcp-router", appauthor=False)
        return cls(state / "clients")

    @contextmanager
    def locked(self) -> Generator[None]:
        """Hold the lock, with which no other process changes the ledger or a file of a client.

        Raises:
            OSError: the folder cannot be made, or another process holds the lock for too long.
        """
        self.folder.mkdir(NEW_FOLDER_MODE, parents=True, exist_ok=True)
        with SafeFolder.open(self.folder) as folder, locked(folder):
            yield

    def rows(self) -> list[Row]:
        """Return all rows.

        Raises:
            ConfigError: the ledger cannot be read.
        """
        path = self.folder / LEDGER_NAME
        try:
            with SafeFolder.open(self.folder) as folder:
                data = folder.read(LEDGER_NAME, LEDGER_LIMIT_BYTES)
        except FileNotFoundError:
            return []
        except OSError as exc:
            raise ConfigError(str(path), f"cannot be read: {exc.strerror or exc}") from None
        try:
            # The `json` module keeps lone surrogates, which values from files may hold.
            return msgspec.convert(json.loads(data)["rows"], list[Row])
        except (ValueError, KeyError, TypeError, RecursionError):
            problem = "is not as this program writes it"
            raise ConfigError(str(path), f"{problem}; move it away to begin anew") from None

    def write(self, rows: Iterable[Row]) -> None:
        """Replace the rows, while the lock is held.

        Raises:
            OSError: they could not be written, and are as they were.
        """
        text = json.dumps({"rows": msgspec.to_builtins(list(rows))}, indent=1)
        with SafeFolder.open(self.folder) as folder:
            folder.write(LEDGER_NAME, f"{text}\n".encode())

    def add(self, row: Row) -> None:
        """Write one more row, while the lock is held.

        If the file is again as it was before an older row, that one and those after it are void:
        they did not happen, or were undone by hand.

        Raises:
            ConfigError: the ledger cannot be read.
            OSError: it could not be written, and is as it was.
        """
        kept: list[Row] = []
        is_void = False
        for old in self.rows():
            is_same_file = old.path == row.path
            is_void = is_void or (is_same_file and old.sha256_before == row.sha256_before)
            if not (is_same_file and is_void):
                kept.append(old)
        self.write([*kept, row])

    def save_backup(self, client: str, path: Path, data: bytes, now: datetime) -> str:
        """Keep the content of a file and return the backup's name, while the lock is held.

        Raises:
            OSError: it could not be written.
        """
        name = f"{now.strftime(_STAMP)}-{client}-{path.name}"
        with (
            SafeFolder.open(self.folder) as folder,
            folder.subfolder(BACKUPS_NAME, create=True) as backups,
        ):
            backups.write(name, data)
        return name

    def path_of(self, row: Row) -> Path:
        """Return the path of the backup of a row that has one."""
        assert row.backup is not None
        return self.folder / BACKUPS_NAME / row.backup

    def read_backup(self, row: Row) -> bytes | None:
        """Return the content before a change; None if the backup is gone or is another."""
        if row.backup is None:
            return None
        try:
            with (
                SafeFolder.open(self.folder) as folder,
                folder.subfolder(BACKUPS_NAME) as backups,
            ):
                data = backups.read(row.backup, LEDGER_LIMIT_BYTES + 1)
        except OSError:
            return None
        return data if sha256_of(data) == row.sha256_before else None

    def remove_backups(self, rows: Iterable[Row]) -> None:
        """Remove the backups of rows that are not needed any more, while the lock is held.

        One that is another content, or cannot be removed, stays: nothing depends on it.
        """
        names = [row.backup for row in rows if self.read_backup(row) is not None]
        with (
            suppress(OSError),
            SafeFolder.open(self.folder) as folder,
            folder.subfolder(BACKUPS_NAME) as backups,
        ):
            for name in filter(None, names):
                backups.remove(name)


def sha256_of(data: bytes | None) -> str | None:
    """Return the SHA-256 of a content in hex; None for a file that does not exist."""
    return None if data is None else hashlib.sha256(data).hexdigest()
