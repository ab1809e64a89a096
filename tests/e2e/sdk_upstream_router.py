"""Runs a router before `sdk_upstream`: at 2026-07-28 over stdio and HTTP, and with a handshake."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tests.e2e import real_servers, sdk_upstream
from tests.e2e.ports import free_port
from tests.e2e.sdk_client import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.workspace import Workspace

COMMAND: Final = [sys.executable, "-B", sdk_upstream.__file__]

SERVERS: Final = ("2026-stdio", "2026-http", "handshake-stdio")
SERVERS_2026: Final = SERVERS[:2]


@contextmanager
def listening() -> Iterator[str]:
    """The server over streamable HTTP; yields its URL."""
    port = free_port()
    with real_servers.listening([*COMMAND, "http", str(port)], "Running on http://"):
        yield f"http://127.0.0.1:{port}/mcp"


def mark(workspace: Workspace, name: str) -> str:
    """Return a text that only the command line of this server contains."""
    return str(workspace.path / f"is-{name}")


@contextmanager
def served(workspace: Workspace) -> Iterator[Target]:
    """A router over streamable HTTP in front of all of them."""
    with listening() as url:
        workspace.add("2026-http", type="http", url=url, protocol="2026-07-28")
        for name, protocol in (("2026-stdio", "2026-07-28"), ("handshake-stdio", "legacy")):
            workspace.add_command(name, *COMMAND, "stdio", mark(workspace, name), protocol=protocol)
        with workspace.serve("http") as router:
            yield Target("http", workspace, router)
