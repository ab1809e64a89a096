"""Finds the running router of a `config.json` by its local socket or local port.

Invariant: a socket is used only if no other user could have put it there, and if somebody answers;
a port only while the router holds it.
"""

from __future__ import annotations

import socket
from contextlib import closing
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


def no_local_router(config: Path) -> NotReached:
    """Return the error for a `config.json` with which no router runs here."""
    start = f"start one with `{how_to_serve(config)}`"
    problem = f"no router of yours runs for it; {start}, or name another one with --url"
    return NotReached(str(config), problem)
