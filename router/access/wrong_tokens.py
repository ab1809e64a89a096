"""Counts the wrong tokens that come from each address, and says when there are too many. Pure.

A right token is let in from every address and at once, however many wrong ones came from there: the
people of an office share an address, and one of them must not lock out the others. So the limit
spares the log and warns who looks after the router. What makes guessing hopeless is the length of a
token.

A request without any token is no try: MCP clients begin with one, to learn whether they need a
token.

Invariants:

- From one address, no more than `FREE_TRIES` wrong tokens in `WINDOW_S` are told to be wrong.
- The table has `MAX_ADDRESSES` rows at most; the address that was longest without a try goes first.
"""

from __future__ import annotations

import ipaddress
from typing import Final

FREE_TRIES: Final = 20
"""Wrong tokens within `WINDOW_S`, such as of a program that retries while its token is changed."""

WINDOW_S: Final = 60.0

MAX_ADDRESSES: Final = 4096
"""Addresses that are counted at the same time, of some hundred bytes each."""

_NETWORK_BITS: Final = 64
"""Of an IPv6 address, these are given to a site; the rest its hosts choose, and change, themselves
(RFC 6177 section 2, RFC 8981)."""


class WrongTokens:
    """The addresses that wrong tokens came from."""

    def __init__(self) -> None:
        # The address that was longest without a try comes first.
        self._rows: dict[str, tuple[float, int]] = {}

    def count(self, address: str, now_s: float) -> float | None:
        """Count a wrong token; return for how many seconds there were too many, if there were.

        Args:
            address: the IP address of the client; empty for all clients whose is not known.
            now_s: monotonic seconds.
        """
        site = _site_of(address)
        began_s, tries = self._rows.pop(site, (now_s, 0))
        if now_s - began_s >= WINDOW_S:
            began_s, tries = now_s, 0
        self._rows[site] = began_s, tries + 1
        if len(self._rows) > MAX_ADDRESSES:
            del self._rows[next(iter(self._rows))]
        return None if tries < FREE_TRIES else began_s + WINDOW_S - now_s

    def __len__(self) -> int:
        return len(self._rows)


def _site_of(address: str) -> str:
    """Return an IPv4 address as it is, and the network of an IPv6 address."""
    if ":" not in address:
        return address
    try:
        network = ipaddress.IPv6Network((address.partition("%")[0], _NETWORK_BITS), strict=False)
    except ValueError:
        return address
    return str(network)
