"""Opens files to append to, and tells whether such a file is still in its place.

Invariants: a file is for its user alone, and no link is followed. Every write goes to the end of
the file, so a file that somebody cuts to nothing while it is written (`copytruncate` of logrotate)
has no hole.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import FileIO
    from pathlib import Path

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700

OPEN_FLAGS: Final = (
    os.O_WRONLY
    | os.O_APPEND
    | os.O_CREAT
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # otherwise, opening a pipe would wait for its reader
)


def make_folder(path: Path) -> None:
    """Make a folder for this user alone, if it is missing.

    Raises:
        OSError: it cannot be made.
    """
    if not path.is_dir():
        path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)


def open_descriptor(path: Path) -> int:
    """Return a descriptor of a regular file, which is made if it is missing.

    Raises:
        OSError: it cannot be opened, or is something else than a file.
    """
    try:
        fd = os.open(path, OPEN_FLAGS, FILE_MODE)
    except OSError as exc:
        if exc.errno == errno.ENXIO:  # a pipe that nobody reads, or a socket
            raise _not_regular(path) from None
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise _not_regular(path)
    return fd


def unbuffered(fd: int, path: Path) -> FileIO:
    """Return the file of a descriptor from `open_descriptor`; its `name` is its path."""
    return open(path, "ab", buffering=0, opener=_opener(fd))


def _opener(fd: int) -> Callable[[str, int], int]:
    return lambda _path, _flags: fd


def is_in_place(file: FileIO) -> bool:
    """Return whether a file from `unbuffered` is what its path leads to.

    Raises:
        OSError: the path cannot be looked at.
    """
    try:
        found = os.stat(file.name, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(file.fileno()), found)


def _not_regular(path: Path) -> OSError:
    return OSError(0, f"{path.name} is no regular file")
