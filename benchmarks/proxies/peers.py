"""All peers, in the order of the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.proxies.aggregators import FASTMCP, MCP_ROUTER_1
from benchmarks.proxies.bridges import (
    CONTEXTFORGE,
    DCC_MCP_SERVER,
    NPM_MCP_PROXY,
    PYPI_MCP_PROXY,
    SUPERGATEWAY,
)
from benchmarks.proxies.peer import LeftOutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.proxies.peer import Peer

PEERS: Final[tuple[Peer, ...]] = (
    DCC_MCP_SERVER,
    CONTEXTFORGE,
    NPM_MCP_PROXY,
    SUPERGATEWAY,
    PYPI_MCP_PROXY,
    FASTMCP,
    MCP_ROUTER_1,
)


def installed(say: Callable[[str], None]) -> list[Peer]:
    """Return the peers that are installed; say in a line for each other one that it is left out."""
    found: list[Peer] = []
    for peer in PEERS:
        try:
            peer.require()
        except LeftOutError as error:
            say(f"Left out: {error}")
        else:
            found.append(peer)
    return found
