"""One server, met in each way: `dual_upstream` behind a router at 2026-07-28 and with a handshake.

Neighbours: `test_eras` and `test_sessionless_*` have their routers from here.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tests.e2e import dual_upstream, fleet
from tests.e2e.clients import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.site import Site

COMMAND: Final = [sys.executable, "-B", dual_upstream.__file__]

SERVERS: Final = ("stateless-stdio", "stateless-http", "handshake-stdio")
STATELESS_SERVERS: Final = SERVERS[:2]


@contextmanager
def listening() -> Iterator[str]:
    """The server over streamable HTTP; yields its URL."""
    port = fleet.free_port()
    with fleet.listening([*COMMAND, "http", str(port)], "Running on http://"):
        yield f"http://127.0.0.1:{port}/mcp"


def mark(site: Site, name: str) -> str:
    """What is in the command line of one server only."""
    return str(site.folder / f"is-{name}")


@contextmanager
def served(site: Site) -> Iterator[Target]:
    """A router over streamable HTTP in front of all of them."""
    with listening() as url:
        site.add("stateless-http", type="http", url=url, protocol="2026-07-28")
        for name, protocol in (("stateless-stdio", "2026-07-28"), ("handshake-stdio", "legacy")):
            site.add_command(name, *COMMAND, "stdio", mark(site, name), protocol=protocol)
        with site.serve("http") as router:
            yield Target("http", site, router)
