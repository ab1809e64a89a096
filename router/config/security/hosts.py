"""Compares hosts, as settings, `Host` and `Origin` write them. Pure; no name is looked up."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """Return whether a host to bind to can be reached from this machine only.

    A name other than `localhost` counts as no, whatever it resolves to.
    """
    name = comparable_host(host)
    address = address_of(name)
    return name == "localhost" or (address is not None and address.is_loopback)


def without_brackets(host: str) -> str:
    """Return a host without the brackets that an IPv6 address has in URLs (RFC 3986, 3.2.2)."""
    return host.removeprefix("[").removesuffix("]")


def comparable_host(host: str) -> str:
    """Return a host as `Host` is compared: lower case, without brackets; a port stays."""
    return without_brackets(host.lower()).replace("]:", ":")


def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that a host is; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
