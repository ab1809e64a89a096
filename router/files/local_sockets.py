"""The places of local sockets: where a router listens for its own user, and where commands look.

A local socket is a Unix socket `mcp-router/{id}.sock` in a folder for run-time files, where `id`
stands for the path of `config.json`. Both sides go through the same folders, since a program that a
desktop starts has fewer variables than a shell.

Invariants:

- A folder counts only if it is this user's own, no link, and nobody else may write into it. So no
  other user can put a socket in the place of the router's.
- Nothing is made here but such a folder.
"""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOLDER: Final = "mcp-router"

SERVICE_FOLDER: Final = Path("/run") / FOLDER
"""Where systemd puts `RuntimeDirectory=mcp-router` of the machine's service; only root can make
anything in `/run`."""

ID_DIGITS: Final = 16
"""Hexadecimal digits of a SHA-256: enough that two files never have the same, and few enough for
the length of a socket's path, 104 bytes on some systems."""

PATH_LIMIT_BYTES: Final = 103
"""The length of a socket's path on those systems; there are 4 bytes more on Linux."""

_NAME_BYTES: Final = ID_DIGITS + len(".sock")

_NOT_FOR_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


def has_local_sockets() -> bool:
    """Return whether this system has them; Python knows none on Windows.

    Where it has none, routers have local ports instead (`router.files.local_ports`).
    """
    return hasattr(socket, "AF_UNIX") and hasattr(os, "geteuid")


def socket_name(config: Path) -> str:
    """Return the name of the socket of a router that reads this `config.json`."""
    path = os.fsencode(os.path.normcase(os.path.realpath(config)))
    return f"{hashlib.sha256(path).hexdigest()[:ID_DIGITS]}.sock"


def folders(environ: Mapping[str, str]) -> Iterator[tuple[Path, ...]]:
    """Yield the folders in which this user's sockets may be, the first choice first.

    Each comes after those above it that have to be this user's own as well. `RUNTIME_DIRECTORY` is
    of systemd.exec(5), and counts only if it is a router's: a router that another service starts
    would be found by nobody. The rest is as platformdirs has it.
    """
    for path in environ.get("RUNTIME_DIRECTORY", "").split(":"):
        if os.path.isabs(path) and os.path.basename(path) == FOLDER:
            yield (Path(path),)
    named = environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(named):
        yield Path(named), Path(named) / FOLDER
    for usual in _usual_folders(environ):
        yield usual, usual / FOLDER


def _usual_folders(environ: Mapping[str, str]) -> Iterator[Path]:
    user = os.geteuid()
    if sys.platform == "darwin":
        home = environ.get("HOME") or os.path.expanduser("~")
        yield Path(home) / "Library" / "Caches" / "TemporaryItems"
    else:
        yield Path(f"/run/user/{user}")
    # Not $TMPDIR, which a shell may have and a desktop may not.
    yield Path(f"/tmp/runtime-{user}")


def own_folder(environ: Mapping[str, str]) -> Path:
    """Return the first folder for sockets that can be used; it is made if it is missing.

    Raises:
        OSError: there is none; the text has the reason of each.
    """
    problems: list[str] = []
    for chain in folders(environ):
        try:
            for folder in chain:
                if folder.name == FOLDER or folder.parent == Path("/tmp"):
                    with suppress(FileExistsError):
                        os.mkdir(folder, 0o700)
                check_own(folder)
            _check_length(chain[-1])
        except OSError as exc:
            problems.append(f"{exc.filename}: {exc.strerror}")
        else:
            return chain[-1]
    raise OSError("; ".join(problems))


def _check_length(folder: Path) -> None:
    if len(os.fsencode(folder)) + 1 + _NAME_BYTES > PATH_LIMIT_BYTES:
        raise OSError(errno.ENAMETOOLONG, "is too long a path for a socket", str(folder))


def check_own(folder: Path) -> None:
    """Check that a folder is this user's own, and that nobody else may write into it.

    Raises:
        OSError: it is not, or it is a link or no folder.
    """
    found = os.lstat(folder)
    problem = None
    if not stat.S_ISDIR(found.st_mode):
        problem = "is a link or no folder"
    elif found.st_uid != os.geteuid():
        problem = "belongs to another user"
    elif found.st_mode & _NOT_FOR_OTHERS:
        problem = "may be written to by other users"
    if problem is not None:
        raise OSError(errno.EPERM, problem, str(folder))


def sockets_of(config: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the sockets that a router with this `config.json` may have, as far as they are there.

    That of the machine's service comes last, for root and for the user of the service.
    """
    if not has_local_sockets():
        return
    name = socket_name(config)
    for chain in folders(environ):
        with suppress(OSError):
            for folder in chain:
                check_own(folder)
            path = chain[-1] / name
            if stat.S_ISSOCK(os.lstat(path).st_mode):
                yield path
    with suppress(OSError):
        if os.geteuid() != 0:
            check_own(SERVICE_FOLDER)
        if stat.S_ISSOCK(os.lstat(SERVICE_FOLDER / name).st_mode):
            yield SERVICE_FOLDER / name
