"""The router's local socket: where the user who runs it reaches it, whatever else it listens on.

Invariants:

- The socket has mode 0600 before anybody can connect.
- A router holds the lock of its socket for as long as it has it. So the socket of a living router
  is never taken, and that of a dead one is replaced, however it died.
- What it removes in the end is its own.
- Without a local socket a router works as ever: there is a line in the log, and no failed start.
"""

from __future__ import annotations

import logging
import os
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, ClassVar, Final

from msgspec import Struct

from router.files.local_sockets import own_folder, socket_name

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

log = logging.getLogger("mcp_router.listen")

BACKLOG: Final = 128
"""Connections that may wait to be accepted: those of one person's clients and commands."""


class LocalSocket(Struct, eq=False):
    """A Unix socket for one user; it listens once it is taken.

    Attributes:
        path: of the socket.
        sock: the socket.
        token: none, since the system lets nobody else connect.
    """

    token: ClassVar[str] = ""

    path: Path
    sock: socket.socket
    _lock: int | None = None

    def take(self) -> bool:
        """Take the socket unless another router has it; return whether it is this one's now.

        Raises:
            OSError: nobody has it, and it cannot be made.
        """
        if self._lock is not None:
            return True
        lock = _take_lock(_lock_path(self.path))
        if lock is None:
            return False
        try:
            self._listen()
        except BaseException:
            self._give_back(lock)
            raise
        self._lock = lock
        return True

    def _listen(self) -> None:
        with suppress(FileNotFoundError):
            self.path.unlink()  # of a router that is dead, since its lock is free
        self.sock.bind(os.fspath(self.path))
        # Until it listens, nobody can connect.
        os.chmod(self.path, 0o600)
        self.sock.listen(BACKLOG)

    def _give_back(self, lock: int) -> None:
        # Where somebody has tidied up meanwhile, the files may be those of another router.
        if _is_there(lock, _lock_path(self.path)):
            for path in (self.path, _lock_path(self.path)):
                with suppress(OSError):
                    path.unlink()
        os.close(lock)

    @property
    def address(self) -> str:
        """The place of the socket, for people."""
        return str(self.path)

    def close(self) -> None:
        """Remove the socket and close it; a second time does nothing."""
        lock, self._lock = self._lock, None
        if lock is not None:
            self._give_back(lock)
        self.sock.close()


def open_local_socket(config: Path, environ: Mapping[str, str]) -> LocalSocket | None:
    """Return the local socket of a router with this `config.json`; None if it can have none.

    It is not taken yet if another router has it; then, and where there is none, the log says so.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        local = LocalSocket(own_folder(environ) / socket_name(config), sock)
        if not local.take():
            text = "Another router runs for %s and has its local socket; commands reach that one "
            text += "until it ends, and then this one"
            log.info(text, config)
    except OSError as exc:
        sock.close()
        log.info("There is no local socket (%s); set api.enabled for commands", exc)
        return None
    return local


@contextmanager
def local_socket(config: Path, environ: Mapping[str, str]) -> Generator[LocalSocket | None]:
    """Hold what `open_local_socket` returns."""
    local = open_local_socket(config, environ)
    try:
        yield local
    finally:
        if local is not None:
            local.close()


def _lock_path(path: Path) -> Path:
    return path.with_suffix(".lock")


def _take_lock(path: Path) -> int | None:
    """Return the descriptor of a lock that is taken; None if another process holds it.

    Raises:
        OSError: the file cannot be made or locked.
    """
    assert fcntl is not None
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_there(fd, path):
                return fd
            # Its holder has removed it between the two steps; the next one makes another.
            os.close(fd)
        except BlockingIOError:
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise


def _is_there(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False
