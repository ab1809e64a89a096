"""Reads, replaces and removes files of one folder, and locks it against other processes.

Invariants:

- A symbolic link is never followed, neither as a file nor as a subfolder. Only the folder that is
  opened first may be reached through links of the user's own.
- A file is replaced in one step (write a temporary file, fsync, rename, fsync the folder): after
  a crash or on a full disk either the old or the new content is there, never half of it.

On POSIX every name is resolved relative to the opened folder's descriptor, so that nobody can
exchange the folder between two steps. Windows cannot open folders; names are joined to a path.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Self

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

NEW_FILE_MODE: Final = 0o600
"""Files written here may hold tokens; an existing file keeps its own mode."""

NEW_FOLDER_MODE: Final = 0o700

LOCK_NAME: Final = ".lock"

LOCK_TIMEOUT_S: Final = 10.0
"""A change takes milliseconds: a process that holds the lock for longer is stopped or hangs."""

_LOCK_RETRY_S: Final = 0.01

_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT: Final = getattr(os, "O_NONBLOCK", 0)  # otherwise, opening a pipe would wait for a writer
_BINARY: Final = getattr(os, "O_BINARY", 0)
_DIRECTORY: Final = getattr(os, "O_DIRECTORY", 0)


class SafeFolder(Struct, frozen=True):
    """An opened folder; use it as a context manager.

    Attributes:
        path: for messages, and to reach files where folders cannot be opened (Windows).
    """

    path: Path
    _fd: int | None

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a folder of the user's own choice, which may lie behind links.

        Raises:
            OSError: there is no such folder, or it cannot be opened.
        """
        if not _DIRECTORY:
            return cls(path, None)
        return cls(path, os.open(path, os.O_RDONLY | _DIRECTORY))

    def subfolder(self, name: str, *, create: bool = False) -> SafeFolder:
        """Open a folder in this one; with `create`, make it if it is missing, for its owner only.

        Raises:
            OSError: there is no such folder, or it is a link or not a folder.
        """
        path, dir_fd = self._locate(name)
        if create:
            with suppress(FileExistsError):
                os.mkdir(path, NEW_FOLDER_MODE, dir_fd=dir_fd)
                self._sync()
        self._refuse_link(name)
        if self._fd is None:
            return SafeFolder(self.path / name, None)
        flags = os.O_RDONLY | _DIRECTORY | _NO_FOLLOW
        return SafeFolder(self.path / name, os.open(path, flags, dir_fd=dir_fd))

    def read(self, name: str, limit_bytes: int) -> bytes:
        """Return the first `limit_bytes` of a regular file.

        Raises:
            OSError: there is no such file, it is a link or not regular, or it cannot be read.
        """
        self._refuse_link(name)
        path, dir_fd = self._locate(name)
        flags = os.O_RDONLY | _NO_WAIT | _BINARY | _NO_FOLLOW
        with os.fdopen(os.open(path, flags, dir_fd=dir_fd), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.EINVAL, "it is no regular file", str(self.path / name))
            return file.read(limit_bytes)

    def write(self, name: str, data: bytes) -> None:
        """Replace a file by one that holds `data`, or leave it exactly as it was.

        Raises:
            OSError: the file could not be written; or it is a link: replacing that would not
                change the file that it points to.
        """
        self._refuse_link(name)
        temporary = f".{name}.{secrets.token_hex(8)}.tmp"
        source, dir_fd = self._locate(temporary)
        target, _ = self._locate(name)
        try:
            self._write_new(temporary, data, self._mode_of(name))
            os.replace(source, target, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        except BaseException:
            with suppress(OSError):
                os.unlink(source, dir_fd=dir_fd)
            raise
        self._sync()

    def remove(self, name: str) -> None:
        """Remove a file, for good.

        Raises:
            OSError: the file could not be removed.
        """
        path, dir_fd = self._locate(name)
        os.unlink(path, dir_fd=dir_fd)
        self._sync()

    def remove_empty_folder(self, name: str) -> None:
        """Remove a folder in this one, unless it holds anything."""
        path, dir_fd = self._locate(name)
        with suppress(OSError):
            os.rmdir(path, dir_fd=dir_fd)
            self._sync()

    def open_lock_file(self, name: str = LOCK_NAME) -> int:
        """Return a descriptor of a file that stands for a lock; see `locked` and `lock_within`."""
        path, dir_fd = self._locate(name)
        return os.open(path, os.O_RDWR | os.O_CREAT | _NO_FOLLOW, NEW_FILE_MODE, dir_fd=dir_fd)

    def close(self) -> None:
        """Close the folder's descriptor."""
        if self._fd is not None:
            os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _locate(self, name: str) -> tuple[str | Path, int | None]:
        """Return the path and the `dir_fd` by which the functions of `os` find a name here."""
        return (self.path / name, None) if self._fd is None else (name, self._fd)

    def _write_new(self, name: str, data: bytes, mode: int) -> None:
        path, dir_fd = self._locate(name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY | _NO_FOLLOW
        with os.fdopen(os.open(path, flags, NEW_FILE_MODE, dir_fd=dir_fd), "wb") as file:
            file.write(data)
            file.flush()
            if sys.platform != "win32":
                os.fchmod(file.fileno(), mode)  # whatever the umask
            os.fsync(file.fileno())

    def _sync(self) -> None:
        """Make what was renamed, made or removed durable. Windows needs no such thing."""
        if self._fd is not None:
            # Some network file systems refuse this. The change is in place then: no failure.
            with suppress(OSError):
                os.fsync(self._fd)

    def _mode_of(self, name: str) -> int:
        path, dir_fd = self._locate(name)
        try:
            return stat.S_IMODE(os.stat(path, dir_fd=dir_fd, follow_symlinks=False).st_mode)
        except OSError:
            return NEW_FILE_MODE

    def _refuse_link(self, name: str) -> None:
        """Raise for a symbolic link, in words: O_NOFOLLOW alone gives the system's."""
        path, dir_fd = self._locate(name)
        try:
            mode = os.stat(path, dir_fd=dir_fd, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return
        if stat.S_ISLNK(mode):
            problem = "it is a symbolic link; edit what it points to"
            raise OSError(errno.ELOOP, problem, str(self.path / name))


# --- One process at a time -------------------------------------------------------------------


@contextmanager
def locked(folder: SafeFolder) -> Generator[None]:
    """Hold the lock of a folder, which no other process (or thread) then holds. Blocks.

    Raises:
        OSError: the lock cannot be had; `ETIMEDOUT` when another process holds it for too long.
    """
    fd = folder.open_lock_file()
    try:
        if not lock_within(fd, LOCK_TIMEOUT_S):
            problem = "another process is changing it and does not come to an end"
            raise OSError(errno.ETIMEDOUT, problem, str(folder.path))
        yield
    finally:
        os.close(fd)  # which gives the lock back


def lock_within(fd: int, wait_s: float) -> bool:
    """Take the lock of a file until it is closed; return False if it cannot be had in time. Blocks.

    Raises:
        OSError: the system locks no files there.
    """
    ends_at_s = time.monotonic() + wait_s
    # The system's own waiting call has no time limit.
    while not _try_to_lock(fd):
        if time.monotonic() >= ends_at_s:
            return False
        time.sleep(_LOCK_RETRY_S)
    return True


if sys.platform == "win32":
    import msvcrt

    def _try_to_lock(fd: int) -> bool:
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try_to_lock(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
