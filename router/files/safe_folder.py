"""Folders that are written to: no name in them leads anywhere else, and one program at a time.

Job: read, replace and remove files of a folder through its descriptor, and hold a lock between
processes. Neighbours: `files`, `store` and `changes` above; nothing of ours below.

Invariants:

- A symbolic link is never followed, neither as a file nor as a folder in a folder; only the
  folder that was opened first may be reached through links of the user's own.
- A file is replaced in one step (write a temporary file, fsync, rename, fsync the folder): after
  a crash or on a full disk either the old or the new content is there, never half of it.
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

import attrs

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

NEW_FILE_MODE: Final = 0o600
"""Files written here may hold tokens; an existing file keeps its own mode."""

NEW_FOLDER_MODE: Final = 0o700

LOCK_NAME: Final = ".lock"

LOCK_PATIENCE_S: Final = 10.0
"""A change takes milliseconds: whoever holds the lock for longer is stopped or hangs."""

_LOCK_RETRY_S: Final = 0.01

_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)
_BINARY: Final = getattr(os, "O_BINARY", 0)
_DIRECTORY: Final = getattr(os, "O_DIRECTORY", 0)


@attrs.frozen
class Folder:
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
            OSError: there is none, or it cannot be opened.
        """
        if not _DIRECTORY:
            return cls(path, None)
        return cls(path, os.open(path, os.O_RDONLY | _DIRECTORY))

    def sub(self, name: str, *, create: bool = False) -> Folder:
        """Open a folder in this one; with `create`, make it if it is missing, for its owner only.

        Raises:
            OSError: there is none, or it is a link or no folder.
        """
        path, at = self._at(name)
        if create and self._make(path, at):
            self.sync()
        self._refuse_link(name)
        if self._fd is None:
            return Folder(self.path / name, None)
        flags = os.O_RDONLY | _DIRECTORY | _NO_FOLLOW
        return Folder(self.path / name, os.open(path, flags, dir_fd=at))

    def read(self, name: str, limit_bytes: int) -> bytes:
        """The first `limit_bytes` of a regular file.

        Raises:
            OSError: there is none, it is a link or something else, or cannot be read.
        """
        self._refuse_link(name)
        path, at = self._at(name)
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _BINARY | _NO_FOLLOW
        with os.fdopen(os.open(path, flags, dir_fd=at), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.EINVAL, "it is no regular file", str(self.path / name))
            return file.read(limit_bytes)

    def write(self, name: str, data: bytes) -> None:
        """Replace a file by one that holds `data`, or leave it exactly as it was.

        Raises:
            OSError: it could not be written; or it is a link, which would stop being one, while
                the file it points to would not change.
        """
        self._refuse_link(name)
        temporary = f".{name}.{secrets.token_hex(8)}.tmp"
        try:
            self._write_new(temporary, data, self._mode_of(name))
            self._rename(temporary, name)
        except BaseException:
            with suppress(OSError):
                self._unlink(temporary)
            raise
        self.sync()

    def remove(self, name: str) -> None:
        """Remove a file, for good.

        Raises:
            OSError: it could not be removed.
        """
        self._unlink(name)
        self.sync()

    def remove_folder(self, name: str) -> None:
        """Remove a folder in this one if it is empty."""
        path, at = self._at(name)
        with suppress(OSError):
            os.rmdir(path, dir_fd=at)
            self.sync()

    def open_lock(self) -> int:
        """A descriptor of the file that stands for the lock; see `locked`."""
        path, at = self._at(LOCK_NAME)
        return os.open(path, os.O_RDWR | os.O_CREAT | _NO_FOLLOW, NEW_FILE_MODE, dir_fd=at)

    def sync(self) -> None:
        """Make what was renamed, made or removed durable. Windows needs no such thing."""
        if self._fd is not None:
            # Some network file systems refuse this. The change is in place then: no failure.
            with suppress(OSError):
                os.fsync(self._fd)

    def close(self) -> None:
        """Let go of it."""
        if self._fd is not None:
            os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _at(self, name: str) -> tuple[str | Path, int | None]:
        """How the functions of `os` are told of a name here: itself and `dir_fd`."""
        return (self.path / name, None) if self._fd is None else (name, self._fd)

    def _make(self, path: str | Path, at: int | None) -> bool:
        """Make a folder; was it missing?"""
        try:
            os.mkdir(path, NEW_FOLDER_MODE, dir_fd=at)
        except FileExistsError:
            return False
        return True

    def _write_new(self, name: str, data: bytes, mode: int) -> None:
        path, at = self._at(name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY | _NO_FOLLOW
        with os.fdopen(os.open(path, flags, NEW_FILE_MODE, dir_fd=at), "wb") as file:
            file.write(data)
            file.flush()
            if sys.platform != "win32":
                os.fchmod(file.fileno(), mode)  # whatever the umask
            os.fsync(file.fileno())

    def _rename(self, old: str, new: str) -> None:
        (source, at), (target, _) = self._at(old), self._at(new)
        os.replace(source, target, src_dir_fd=at, dst_dir_fd=at)

    def _unlink(self, name: str) -> None:
        path, at = self._at(name)
        os.unlink(path, dir_fd=at)

    def _mode_of(self, name: str) -> int:
        path, at = self._at(name)
        try:
            return stat.S_IMODE(os.stat(path, dir_fd=at, follow_symlinks=False).st_mode)
        except OSError:
            return NEW_FILE_MODE

    def _refuse_link(self, name: str) -> None:
        path, at = self._at(name)
        try:
            mode = os.stat(path, dir_fd=at, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return
        if stat.S_ISLNK(mode):
            problem = "it is a symbolic link; edit what it points to"
            raise OSError(errno.ELOOP, problem, str(self.path / name))


# --- One process at a time -------------------------------------------------------------------


@contextmanager
def locked(folder: Folder) -> Generator[None]:
    """Hold the lock of a folder, which no other process (or thread) then holds. Blocks.

    Raises:
        OSError: it cannot be had; `ETIMEDOUT` when another one holds it for too long.
    """
    fd = folder.open_lock()
    try:
        _wait_for_lock(fd, folder.path)
        yield
    finally:
        os.close(fd)  # which gives the lock back


def _wait_for_lock(fd: int, folder: Path) -> None:
    ends_at_s = time.monotonic() + LOCK_PATIENCE_S
    while not _try_to_lock(fd):
        if time.monotonic() > ends_at_s:
            problem = "another process is changing it and does not come to an end"
            raise OSError(errno.ETIMEDOUT, problem, str(folder))
        time.sleep(_LOCK_RETRY_S)


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
