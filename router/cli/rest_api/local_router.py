"""Finds the running router of a `config.json` by its local socket or local port.

Invariant: a socket is used only if no other user could have put it there, and if somebody answers;
a port only while the router holds it.
"""

from __future__ import annotations

import os
import shlex
import socket
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Final

from router.cli.rest_api.how_to_serve import how_to_serve
from router.cli.rest_api.rest_client import NotReached, RestApi
from router.files.local_ports import local_port_of
from router.files.local_sockets import has_local_sockets, sockets_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONNECT_S: Final = 5.0
"""A socket takes a connection at once, unless very many wait to be accepted."""

MOST_ELSEWHERE: Final = 3
"""Routers that are named to who asks for another one."""


def find_local_router(config: Path, environ: Mapping[str, str]) -> RestApi | None:
    """Return the REST API of the router that runs with this `config.json`; None if none is found.

    Blocks for the moment that a connection takes.
    """
    if not has_local_sockets():
        found = local_port_of(config)
        return None if found is None else RestApi(found.url, found.token, is_local=True)
    for path in sockets_of(config, environ):
        if is_answered(path):
            return RestApi.at_socket(path)
    return None


def is_answered(path: Path) -> bool:
    """Return whether a process of this user, or one that this user may reach, listens there."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as sock:
        sock.settimeout(CONNECT_S)
        try:
            sock.connect(str(path))
        except (TimeoutError, BlockingIOError):
            # It is there, and hangs: whoever asks it will say so. The second error is that of
            # Linux where too many wait already.
            return True
        except OSError:
            return False
    return True


def routers_elsewhere() -> list[str]:
    """Return the options such as `-c FILE` with which routers of this user are found.

    Those that are known: on Linux, and the first few.
    """
    try:
        # For start-up time: only an error needs it. It is a room that can be left out.
        from router.doctor.system.processes import find_routers
    except ModuleNotFoundError:
        return []
    configs = {process.config for process in find_routers() if process.config is not None}
    found = (path for path in sorted(configs) if find_local_router(path, os.environ) is not None)
    return [f"-c {shlex.quote(str(path))}" for path in islice(found, MOST_ELSEWHERE)]


def no_local_router(config: Path) -> NotReached:
    """Return the error for a `config.json` with which no router runs here."""
    start = f"start one with `{how_to_serve(config)}`"
    elsewhere = "".join(f"; one does with {option}" for option in routers_elsewhere())
    problem = f"no router of yours runs for it{elsewhere}; {start}, or name another one with --url"
    return NotReached(str(config), problem)
