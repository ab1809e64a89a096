"""Says which IP addresses are public, by IANA's registries of special-purpose addresses.

The tables are written out here, because those of `ipaddress` differ between releases of Python.
They follow the registries for IPv4 and IPv6 (RFC 6890 and its updates), where these say that a
block is not globally reachable. Pure.

Invariants:

- An IPv6 address that stands for an IPv4 address is as public as that one: wherever it is
  translated or tunnelled, the connection ends there.
- In case of doubt an address is not public. No HTTP server is lost by that: the doubtful blocks
  hold relays and protocols.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOT_PUBLIC_4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network (RFC 791)
            "10.0.0.0/8",  # private (RFC 1918)
            "100.64.0.0/10",  # shared by carriers, CGNAT (RFC 6598)
            "127.0.0.0/8",  # loopback (RFC 1122)
            "168.63.129.16/32",  # in no registry: the host of each virtual machine at Azure
            "169.254.0.0/16",  # link-local (RFC 3927), and the metadata of most clouds
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments (RFC 6890)
            "192.0.2.0/24",  # documentation (RFC 5737)
            "192.88.99.0/24",  # relays of 6to4, deprecated (RFC 7526)
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarking (RFC 2544)
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast (RFC 5771)
            "240.0.0.0/4",  # reserved (RFC 1112), and broadcast
        ),
    )
)

_UNICAST_6: Final = IPv6Network("2000::/3")
"""Everything else is reserved, local or multicast (RFC 4291 section 2.4)."""

_NOT_PUBLIC_6: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments, with benchmarking and ORCHID (RFC 2928)
            "2001:db8::/32",  # documentation (RFC 3849)
            "3fff::/20",  # documentation (RFC 9637)
        ),
    )
)

_EMBEDDING_AT_THE_END: Final = tuple(
    map(
        IPv6Network,
        (
            "::/96",  # compatible (RFC 4291 section 2.5.5.1)
            "::ffff:0:0/96",  # mapped (section 2.5.5.2)
            "::ffff:0:0:0/96",  # translated (RFC 2765)
            "64:ff9b::/96",  # NAT64 (RFC 6052)
            # 64:ff9b:1::/48 (RFC 8215) is not here, and so not public: it embeds an address at
            # one of four places, and only the translator knows at which.
        ),
    )
)
_6TO4: Final = IPv6Network("2002::/16")  # RFC 3056
_TEREDO: Final = IPv6Network("2001::/32")  # RFC 4380 section 4
_32_BITS: Final = 0xFFFF_FFFF


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Return whether everybody on the Internet would reach the same host at this address.

    An address with a zone, such as `fe80::1%eth0`, is not public.
    """
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    if address.scope_id is not None:
        return False
    embedded = tuple(_embedded(address))
    if embedded:
        return all(map(is_public, embedded))
    return address in _UNICAST_6 and not any(address in network for network in _NOT_PUBLIC_6)


def _embedded(address: IPv6Address) -> Iterator[IPv4Address]:
    """Yield the IPv4 addresses that an address stands for."""
    bits = int(address)
    if any(address in network for network in _EMBEDDING_AT_THE_END):
        yield IPv4Address(bits & _32_BITS)
    elif address in _6TO4:
        yield IPv4Address(bits >> 80 & _32_BITS)
    elif address in _TEREDO:
        yield IPv4Address(bits >> 64 & _32_BITS)  # the server
        yield IPv4Address(~bits & _32_BITS)  # the client, inverted
