"""Tells commands of this user the local port of a router, where there are no Unix sockets.

A local port is a free port of 127.0.0.1. A router that listens there writes `{id}.json`, with its
URL and its token, into a folder of this user's; `id` stands for the path of `config.json`.

Invariants:

- The token is in that file alone. The file has mode 0600; on Windows it has the access rules that
  it inherits from the user's profile, which let in no other user.
- A router holds the lock `{id}.lock` for as long as it runs, and the file counts only while some
  process holds it. So nobody who takes the port of a dead router is ever sent anything.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from router.files.local_sockets import socket_name
from router.files.safe_folder import NEW_FOLDER_MODE, SafeFolder, lock_within

HOST: Final = "127.0.0.1"

SUBFOLDER: Final = "run"

FILE_LIMIT_BYTES: Final = 4096
"""More than a URL and a token take."""


class LocalPortFile(msgspec.Struct, frozen=True):
    """The content of the file.

    Attributes:
        url: of the router, such as `http://127.0.0.1:49152`.
        token: that each request has to have; 64 hexadecimal digits.
        pid: of the router, for people.
    """

    url: str
    token: str
    pid: int

    def __repr__(self) -> str:
        return f"LocalPortFile({self.url!r}, pid={self.pid})"


def state_folder() -> Path:
    """Return the folder for the state of this user's programs, as platformdirs has it.

    The folder for run-time files would be a temporary one on Windows, in which the system removes
    what was not changed for long.
    """
    # For start-up time: most systems have Unix sockets.
    import platformdirs

    return platformdirs.user_state_path("mcp-router", appauthor=False)


def open_ports_folder(*, create: bool = False) -> SafeFolder:
    """Open the folder of the files; with `create`, make it if it is missing.

    Raises:
        OSError: there is none, or it cannot be used.
    """
    state = state_folder()
    if create:
        os.makedirs(state, NEW_FOLDER_MODE, exist_ok=True)
    with SafeFolder.open(state) as parent:
        return parent.subfolder(SUBFOLDER, create=create)


def file_name(config: Path) -> str:
    """Return the name of the file of a router that reads this `config.json`."""
    return f"{_id(config)}.json"


def lock_name(config: Path) -> str:
    """Return the name of the lock of a router that reads this `config.json`."""
    return f"{_id(config)}.lock"


def _id(config: Path) -> str:
    return Path(socket_name(config)).stem


def local_port_of(config: Path) -> LocalPortFile | None:
    """Return the local port of the router that runs with this `config.json`; None without one."""
    with suppress(OSError, msgspec.MsgspecError), open_ports_folder() as folder:
        data = folder.read(file_name(config), FILE_LIMIT_BYTES)
        if _is_held(folder, lock_name(config)):
            return msgspec.json.decode(data, type=LocalPortFile)
    return None


def _is_held(folder: SafeFolder, name: str) -> bool:
    fd = folder.open_lock_file(name)
    try:
        return not lock_within(fd, 0.0)
    finally:
        os.close(fd)
