"""Finds out from the headers of trusted reverse proxies where a request came from.

`X-Forwarded-For` tells the client's address, and `X-Forwarded-Prefix` the path that the proxy has
taken away in front of ours. Everything else that proxies tell is ignored. `Forwarded` (RFC 7239)
is, because most proxies pass it on as the client wrote it. `X-Forwarded-Host` and
`X-Forwarded-Proto` are, because `server.public_url` says the router's own host name and scheme.

Invariants: no I/O; headers from a peer that is not trusted decide nothing.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

UNIX: Final = "unix"
"""Stands in `server.trusted_proxies` for every peer on a Unix socket."""

PREFIX_LIMIT: Final = 256
"""The longest prefix, in characters; each `/sse` stream begins with it."""

HOP_LIMIT: Final = 64
"""More characters than an address and a port have; others would fill the cache of addresses."""

_HOP: Final = re.compile(
    r"\[([0-9a-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+)(?::[0-9]{1,5})?|([0-9a-f:.]+)"
)
"""One part of `X-Forwarded-For`: an IPv6 address in brackets or an IPv4 address, each with a port
or without, or a bare IPv6 address."""

_PREFIX: Final = re.compile(r"(?:/(?!\.\.?(?:/|$))[A-Za-z0-9._~-]+)+")
"""A path without empty segments and dot segments, and without anything to decode."""


class TrustedProxies:
    """The reverse proxies whose headers count (`server.trusted_proxies`).

    Args:
        networks: addresses and networks as `config.json` has them, and `unix`.
    """

    def __init__(self, networks: Iterable[str] = ()) -> None:
        named = tuple(networks)
        self._networks = tuple(ipaddress.ip_network(name) for name in named if name != UNIX)
        # There are few proxies, and each sends many requests.
        self._is_proxy = lru_cache(maxsize=256)(self._is_within)
        self._are_unix_peers_trusted = UNIX in named
        self._is_empty = not named

    def locate(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, str]:
        """Return the address of the client, and the path prefix that it sees.

        The address is the rightmost one in `X-Forwarded-For` that no trusted proxy has. Everything
        to the left of it may be forged. Where a part is no address, the search ends, and the
        address of the proxy that sent it stands for the client.

        Args:
            peer: the IP address of the other end of the connection; empty for a Unix socket.
            headers: of the request; their names are lower case, as ASGI has them.

        Returns:
            The address, empty if it is not known; the prefix, such as `/tools`, or empty.
        """
        if self._is_empty or not self._is_trusted(peer):
            return _without_mapping(peer), ""
        hops: list[str] = []
        prefixes: list[str] = []
        for name, value in headers:
            if name == b"x-forwarded-for":
                hops += value.decode("latin-1").lower().split(",")
            elif name == b"x-forwarded-prefix":
                prefixes.append(value.decode("latin-1"))
        return self._client_of(peer, hops), _prefix_of(prefixes)

    def prefix_in(self, headers: Mapping[str, str]) -> str:
        """Return the prefix that a request's headers tell; empty if no proxy is trusted.

        It is for what is said to the sender alone: who wrote the header itself misleads itself.

        Args:
            headers: of the request; their names are lower case.
        """
        told = headers.get("x-forwarded-prefix")
        return "" if self._is_empty or told is None else _prefix_of([told])

    def _client_of(self, peer: str, hops: list[str]) -> str:
        client = _without_mapping(peer)
        for hop in reversed(hops):
            address = _address_of_hop(hop) if len(hop) <= HOP_LIMIT else None
            if address is None:
                break
            client = address
            if not self._is_proxy(client):
                break
        return client

    def _is_trusted(self, peer: str) -> bool:
        return self._is_proxy(_without_mapping(peer)) if peer else self._are_unix_peers_trusted

    def _is_within(self, address: str) -> bool:
        parsed = ipaddress.ip_address(address)
        return any(parsed in network for network in self._networks)


@lru_cache(maxsize=1024)  # a client sends many requests, too
def _address_of_hop(text: str) -> str | None:
    """Return the address in one part of `X-Forwarded-For`, in its usual spelling."""
    found = _HOP.fullmatch(text.strip())
    if found is None:
        return None
    try:
        address = ipaddress.ip_address(found[1] or found[2] or found[3])
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)


def _without_mapping(address: str) -> str:
    """Return an IPv4 address as such where a socket for both kinds has it as `::ffff:10.0.0.1`."""
    return address[7:] if address.startswith("::ffff:") and "." in address else address


def _prefix_of(values: list[str]) -> str:
    """Return the prefix that one header tells; several contradict each other, and none counts."""
    if len(values) != 1 or len(values[0]) > PREFIX_LIMIT:
        return ""
    prefix = values[0].strip().rstrip("/")
    return prefix if _PREFIX.fullmatch(prefix) else ""
