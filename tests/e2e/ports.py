"""Picks ports for servers that have to know theirs before they listen.

Rule: nobody may take the port between the choice and its use, nor while a server restarts on it.
The ports are below those that a system gives away (from 32768 on Linux, 49152 on macOS). Each
worker of a test run has a range of its own.
"""

from __future__ import annotations

import itertools
import os
import socket
from typing import Final

_FIRST: Final = 20_000
_OF_A_WORKER: Final = 1_000
_WORKER: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))

_numbers: Final = itertools.count(os.getpid())
"""Begins elsewhere in each process, since two runs may share a machine."""


def free_port() -> int:
    """Return a port that nobody listens on."""
    while True:
        port = _FIRST + _WORKER * _OF_A_WORKER + next(_numbers) % _OF_A_WORKER
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:  # in use
            continue
        return port
