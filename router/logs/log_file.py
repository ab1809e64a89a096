"""Opens the file that a router logs to, `latest-{mode}.txt`, and puts the last one aside.

Invariants:

- No log is ever overwritten or written to by two routers. A router holds a lock on its file for as
  long as it lives; the next router of the same mode finds that lock, and takes
  `latest-{mode}-2.txt`. (Windows refuses to rename an open file, which tells the same.)
- A file that was moved away by others is left at `reopen_log`, for a new one of its name.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from router.logs.writing.append_file import (
    FILE_MODE,
    OPEN_FLAGS,
    is_in_place,
    make_folder,
    open_descriptor,
    unbuffered,
)

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None

if TYPE_CHECKING:
    from io import FileIO

MAX_FILES: Final = 100
"""Routers of one mode that may log to one folder at the same time."""

ATTEMPTS: Final = 10
"""For one name: other routers may put the file aside before it is locked here."""


def open_log(folder: Path, mode: str) -> FileIO:
    """Open a fresh log for a router of this mode, to append to.

    Args:
        folder: is made if it is missing, for this user alone.
        mode: as in `latest-{mode}.txt`.

    Raises:
        OSError: the folder or a file in it cannot be made, or too many routers log there.
    """
    make_folder(folder)
    for number in range(1, MAX_FILES + 1):
        suffix = "" if number == 1 else f"-{number}"
        path = folder / f"latest-{mode}{suffix}.txt"
        fd = _claim(path, mode)
        if fd is not None:
            return unbuffered(fd, path)
    raise OSError(0, f"{MAX_FILES} routers of this mode log there already")


def reopen_log(file: FileIO, mode: str) -> FileIO:
    """Return a log to go on with: the same, or a fresh one if it is not in its place any more.

    Then the old file is closed.

    Raises:
        OSError: as `open_log`; the old file is still open.
    """
    if is_in_place(file):
        return file
    fresh = open_log(Path(file.name).parent, mode)
    file.close()
    return fresh


def _claim(path: Path, mode: str) -> int | None:
    """Return a descriptor of the empty file at `path`; None when another router logs there."""
    claim_once = _claim_unlocked if fcntl is None else _claim_locked
    for _ in range(ATTEMPTS):
        # Both errors mean that another router was faster.
        with suppress(FileNotFoundError, FileExistsError):
            return claim_once(path, mode)
    return None


def _claim_locked(path: Path, mode: str) -> int | None:
    """Lock the file, and only then decide by its content whether it is an old log."""
    fd = open_descriptor(path)
    try:
        if not _lock(fd):
            os.close(fd)
            return None
        status = os.fstat(fd)
        if not os.path.samestat(status, os.stat(path)):
            raise FileNotFoundError  # put aside before it was locked
        if status.st_size:
            put_aside(path, mode)
            raise FileNotFoundError  # the next attempt makes a new one
    except OSError:
        os.close(fd)
        raise
    return fd


def _claim_unlocked(path: Path, mode: str) -> int | None:
    """Claim by renaming, where there are no locks (Windows)."""
    try:
        put_aside(path, mode)
    except PermissionError:
        return None  # another router has it open
    except FileNotFoundError:
        pass
    return os.open(path, OPEN_FLAGS | os.O_EXCL, FILE_MODE)


def _lock(fd: int) -> bool:
    assert fcntl is not None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # some network file systems have no locks
    return True


def put_aside(path: Path, mode: str) -> Path:
    """Rename an old log by its time of modification, and return its new path.

    Raises:
        OSError: there is no such log, or it cannot be renamed.
    """
    changed_at = time.localtime(path.stat().st_mtime)
    stem = f"{time.strftime('%y.%m.%d-%H-%M', changed_at)}-{mode}"
    number = 0
    while True:
        aside = path.with_name(f"{stem}-{number}.txt" if number else f"{stem}.txt")
        try:
            # The name is taken first, so that renaming replaces nothing but this empty file.
            os.close(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE))
        except FileExistsError:
            number += 1
            continue
        try:
            os.replace(path, aside)
        except OSError:
            os.unlink(aside)
            raise
        return aside
