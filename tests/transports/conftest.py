"""Names that a test decides on, and a way to have loopback count as public."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tests.transports.outbound.names import Names

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address


@pytest.fixture
async def names() -> Names:
    resolver = Names()
    trio.socket.set_custom_hostname_resolver(resolver)
    return resolver


@pytest.fixture
def public_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have 127.0.0.1 count as public, and no other address."""

    def is_public(address: IPv4Address | IPv6Address) -> bool:
        return str(address) == "127.0.0.1"

    monkeypatch.setattr("transports.outbound.network.is_public", is_public)
