"""The router's local port: in place of the local socket, where there are no Unix sockets.

It is a free port of 127.0.0.1, and takes only requests with its token. The two are in a file of
this user's; see `router.files.local_ports`, also for the invariants.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final

import msgspec

from router.app.sockets import listening_socket
from router.files.local_ports import HOST, LocalPortFile, file_name, lock_name, open_ports_folder
from router.files.safe_folder import lock_within

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from router.files.safe_folder import SafeFolder

log = logging.getLogger("mcp_router.listen")

TOKEN_BYTES: Final = 32

LOCK_WAIT_S: Final = 0.5
"""A command holds the lock for the moment in which it looks whether a router does."""


class LocalPort(msgspec.Struct, eq=False):
    """A listening port, and the token of those who may use it; commands find it once it is taken.

    Attributes:
        address: the URL.
        sock: the socket.
        token: 64 hexadecimal digits.
    """

    address: str
    sock: socket.socket
    token: str
    _config: Path
    _lock: int | None = None

    def __repr__(self) -> str:
        return f"LocalPort({self.address!r})"

    def take(self, wait_s: float = 0.0) -> bool:
        """Have commands find this port unless another router has one; return whether they do now.

        Blocks for at most `wait_s` until the lock is free.

        Raises:
            OSError: the file cannot be written.
        """
        if self._lock is not None:
            return True
        with open_ports_folder(create=True) as folder, ExitStack() as unless_taken:
            lock = folder.open_lock_file(lock_name(self._config))
            unless_taken.callback(os.close, lock)
            if lock_within(lock, wait_s):
                self._write(folder)
                unless_taken.pop_all()
                self._lock = lock
        return self._lock is not None

    def _write(self, folder: SafeFolder) -> None:
        name = file_name(self._config)
        with suppress(FileNotFoundError):
            folder.remove(name)  # of a dead router: a file that is replaced would keep its mode
        content = LocalPortFile(self.address, self.token, os.getpid())
        folder.write(name, msgspec.json.encode(content))

    def close(self) -> None:
        """Remove the file and close the port; a second time does nothing."""
        lock, self._lock = self._lock, None
        if lock is not None:
            with suppress(OSError), open_ports_folder() as folder:
                folder.remove(file_name(self._config))
        self.sock.close()
        if lock is not None:
            os.close(lock)  # which gives the lock back


def open_local_port(config: Path) -> LocalPort | None:
    """Return the local port of a router with this `config.json`; None if it can have none.

    The log says why it has none.
    """
    with ExitStack() as unless_taken:
        try:
            sock = listening_socket(socket.AF_INET, HOST, 0)
            url = f"http://{HOST}:{sock.getsockname()[1]}"
            local = LocalPort(url, sock, secrets.token_hex(TOKEN_BYTES), config)
            unless_taken.callback(local.close)
            if local.take(LOCK_WAIT_S):
                unless_taken.pop_all()
                return local
            text = "Another router runs for %s and has its local port; commands reach that one"
            log.info(text, config)
        except OSError as exc:
            log.info("There is no local port (%s); set api.enabled for commands", exc)
    return None


@contextmanager
def local_port(config: Path) -> Generator[LocalPort | None]:
    """Hold what `open_local_port` returns."""
    local = open_local_port(config)
    try:
        yield local
    finally:
        if local is not None:
            local.close()
