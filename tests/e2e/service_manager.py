"""Starts a router as systemd starts a service: with its sockets, and a socket to be told of it.

It keeps the listening sockets open while no router runs, so connections wait in them.
"""

from __future__ import annotations

import os
import socket
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, Self

from tests.e2e.processes import START_LIMIT_S, RouterProcess

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.e2e.workspace import Workspace

BECOME: Final = """
import fcntl, os, sys
count = int(sys.argv[1])
fds = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in sys.argv[2:2 + count]]
for number, fd in enumerate(fds):
    os.dup2(fd, 3 + number)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2 + count], sys.argv[2 + count:])
"""
"""Becomes a service: moves its sockets to where sd_listen_fds(3) has them, and says whose they
are."""


class ServiceManager:
    """A service manager of one service.

    Args:
        workspace: the folder of the router.
        watchdog_s: the limit of its watchdog; None for none.

    Attributes:
        workspace: the folder of the router.
        messages: what the router has said, each message as its lines.
    """

    def __init__(self, workspace: Workspace, watchdog_s: float | None = None) -> None:
        self.workspace = workspace
        self._watchdog_s = watchdog_s
        self._address = str(workspace.path / "notify")
        self._sockets: dict[str, socket.socket] = {}
        self._open = ExitStack()
        self._notify = self._open.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self._notify.bind(self._address)
        self.messages: list[list[str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def listen(self, name: str, host: str = "127.0.0.1") -> int:
        """Open a socket for the router on any free port; return the port."""
        sock = self._open.enter_context(socket.create_server((host, 0), backlog=1024))
        self._sockets[name] = sock
        return sock.getsockname()[1]

    def listen_unix(self, name: str) -> str:
        """Open a Unix socket for the router; return its path."""
        path = str(self.workspace.path / f"{name}.sock")
        sock = self._open.enter_context(socket.socket(socket.AF_UNIX))
        sock.bind(path)
        sock.listen(1024)
        self._sockets[name] = sock
        return path

    def inodes(self) -> list[int]:
        """Return the numbers of the sockets."""
        return [os.fstat(sock.fileno()).st_ino for sock in self._sockets.values()]

    def start(self, *transports: str, more: Sequence[str] = ()) -> RouterProcess:
        """Start the router."""
        env = {**os.environ, "NOTIFY_SOCKET": self._address}
        if self._watchdog_s is not None:
            env["WATCHDOG_USEC"] = str(round(self._watchdog_s * 1_000_000))
        words = [word for one in transports for word in ("--transport", one)]
        words = ["serve", *words, *self.workspace.words, *more]
        if not self._sockets:
            return RouterProcess(words, env)
        fds = [sock.fileno() for sock in self._sockets.values()]
        env["LISTEN_FDS"] = str(len(fds))
        env["LISTEN_FDNAMES"] = ":".join(self._sockets)
        through = [sys.executable, "-c", BECOME, str(len(fds)), *map(str, fds)]
        return RouterProcess(words, env, through=through, pass_fds=fds)

    def wait_for(self, line: str, limit_s: float = START_LIMIT_S) -> list[str]:
        """Return the next message whose first line this is; those before it are kept, too.

        Raises:
            TimeoutError: there was none in time.
        """
        while True:
            message = self.receive(limit_s)
            if message[0] == line:
                return message

    def receive(self, limit_s: float = START_LIMIT_S) -> list[str]:
        """Return the next message.

        Raises:
            TimeoutError: there was none in time.
        """
        self._notify.settimeout(limit_s)
        message = self._notify.recv(4096).decode().split("\n")
        self.messages.append(message)
        return message

    def falls_silent(self, for_s: float) -> bool:
        """Return whether there is a pause of so many seconds, after few more messages."""
        try:
            for _ in range(100):
                self.receive(for_s)
        except TimeoutError:
            return True
        return False
