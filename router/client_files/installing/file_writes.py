"""Reads, replaces and removes files that are not ours, so that nothing of theirs is ever lost.

Invariants:

- A file is replaced in one step (see `SafeFolder`): whenever the process or the machine stops, the
  old or the new content is there.
- A link stays a link: the file that it leads to is replaced. Its mode stays.
- A file that has changed since it was read is not touched.
- What is written is read back and compared.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

from router.files.safe_folder import NEW_FOLDER_MODE, SafeFolder
from router.messages.errors import ConfigError

FILE_LIMIT_BYTES: Final = 64 * 1024 * 1024
"""Some clients keep their history in the same file."""

_WRITABLE: Final = 0o222


class Content(Struct, frozen=True):
    """A file as it was read.

    Attributes:
        path: as the client knows it.
        real_path: the file itself, behind all links.
        data: its bytes; None if there is no such file.
    """

    path: Path
    real_path: Path
    data: bytes | None


def read_content(path: Path) -> Content:
    """Read a file, through links.

    Raises:
        ConfigError: it cannot be read, is no regular file, is too large, or is a link to nothing.
    """
    try:
        real_path = Path(os.path.realpath(path, strict=path.exists()))
        data = _read(real_path)
    except OSError as exc:
        raise ConfigError(str(path), f"cannot be read: {exc.strerror or exc}") from None
    if data is None and path.is_symlink():
        raise ConfigError(str(path), f"is a link to {real_path}, which is not there")
    if data is not None and len(data) > FILE_LIMIT_BYTES:
        raise ConfigError(str(path), f"is larger than {FILE_LIMIT_BYTES // 1024**2} MB")
    return Content(path, real_path, data)


def _read(real_path: Path) -> bytes | None:
    try:
        with SafeFolder.open(real_path.parent) as folder:
            return folder.read(real_path.name, FILE_LIMIT_BYTES + 1)
    except FileNotFoundError:
        return None


def check_writable(content: Content) -> None:
    """Check that a file may be replaced, before anything is asked or written.

    Raises:
        ConfigError: the file or its folder is read-only, or the file is not only the user's own;
            with the way out.
    """
    place, real = str(content.path), content.real_path
    if content.data is not None:
        found = real.stat()
        if not found.st_mode & _WRITABLE or not os.access(real, os.W_OK):
            raise ConfigError(place, f"is read-only; allow it with: chmod u+w '{real}'")
        if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
            problem = "belongs to another user; run this command as that user"
            raise ConfigError(place, problem)
        if found.st_nlink > 1:
            problem = "has a second name (a hard link), which would keep the old content"
            raise ConfigError(place, f"{problem}; make it a symbolic link")
    folder = real.parent
    if folder.is_dir() and not (
        folder.stat().st_mode & _WRITABLE and os.access(folder, os.W_OK | os.X_OK)
    ):
        raise ConfigError(str(folder), f"is read-only; allow it with: chmod u+w '{folder}'")


def write_content(content: Content, data: bytes) -> None:
    """Replace a file that is still as it was read, or make it, with the folders around it.

    Raises:
        ConfigError: the file has changed, cannot be written, or does not hold what was written.
    """
    place, real = str(content.path), content.real_path
    check_unchanged(content)
    try:
        if content.data is None:
            _make_folder(real.parent)
        with SafeFolder.open(real.parent) as folder:
            folder.write(real.name, data)
    except OSError as exc:
        raise ConfigError(place, f"cannot be written: {exc.strerror or exc}") from None
    if read_content(content.path).data != data:
        raise ConfigError(place, "does not hold what was written; another program may write to it")


def remove_content(content: Content, made_folders: tuple[Path, ...]) -> None:
    """Remove a file that is still as it was read, and those of the given folders that are empty.

    Raises:
        ConfigError: the file has changed, or cannot be removed.
    """
    check_unchanged(content)
    try:
        with SafeFolder.open(content.real_path.parent) as folder:
            folder.remove(content.real_path.name)
    except OSError as exc:
        problem = f"cannot be removed: {exc.strerror or exc}"
        raise ConfigError(str(content.path), problem) from None
    for made in made_folders:
        with suppress(OSError):
            made.rmdir()


def check_unchanged(content: Content) -> None:
    """Raise `ConfigError` if a file is not as it was read."""
    now = read_content(content.path)
    if (now.real_path, now.data) != (content.real_path, content.data):
        problem = "has changed since it was read; nothing was written, run the command again"
        raise ConfigError(str(content.path), problem)


def missing_folders(path: Path) -> tuple[Path, ...]:
    """Return the folders that have to be made for a file, the innermost first."""
    return tuple(folder for folder in path.parents if not folder.exists())


def _make_folder(folder: Path) -> None:
    for missing in reversed(missing_folders(folder / "file")):
        with suppress(FileExistsError):
            missing.mkdir(NEW_FOLDER_MODE)
