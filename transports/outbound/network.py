"""Connects to public addresses only, as the network of an HTTP client.

Imports the HTTP client, so it is imported where that is needed, in a worker thread.

Invariants:

- A name is resolved once for a connection. Each of its addresses is checked, and the connection
  goes to a checked address, so what DNS says later changes nothing. `Host` and the name in TLS stay
  those of the URL.
- Addresses that are not public are left out: a name may have others. Without one that is public,
  nothing is connected to.
- The spelling of a host does not matter, such as `2130706433` or `127.1`: the system reads it, and
  the address it found is what is checked.
- Proxies of the environment are not used. A proxy resolves the name itself, so the check would say
  nothing about where the connection ends.
"""

from __future__ import annotations

import logging
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, cast

import attrs
import httpcore2
import httpx2
import trio

from transports.outbound.addresses import is_public

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from typing import Any

    _Connect = Callable[[str], Awaitable[httpcore2.AsyncNetworkStream]]

HEAD_START_S: Final = 0.25
"""Time for one address before the next is tried as well (RFC 8305 section 5)."""

CLOSE_S: Final = 1.0
"""Time for closing connections that another has forestalled, which takes no time as a rule."""

MAX_ADDRESSES: Final = 8
"""Addresses of one name that are tried. A name with more can hardly be in earnest."""

NOT_PUBLIC: Final = "its address is not public"

# These libraries log URLs, which may hold secrets. The router logs in its own words what matters.
for _name in ("httpx2", "httpcore2"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)
del _name


class AddressNotPublic(httpcore2.ConnectError):
    """No address of the host is public, so there was no attempt to connect."""


class GuardedTransport(httpx2.AsyncHTTPTransport):
    """The transport of an `httpx2.AsyncClient` that connects to public addresses only.

    A client that is given a transport uses no proxies of the environment.
    """

    def __init__(self, limits: httpx2.Limits | None = None) -> None:
        """Create a transport. Blocks, since it reads the certificates.

        Args:
            limits: of its connections; None for those of the library.
        """
        context = httpx2.create_ssl_context()
        super().__init__(verify=context)
        # If the library stored its connections elsewhere, this would fail, and the guard not be
        # left out unnoticed.
        unguarded = self._pool
        assert isinstance(unguarded, httpcore2.AsyncConnectionPool)
        wanted = limits or httpx2.Limits(max_connections=100, max_keepalive_connections=20)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=context,
            max_connections=wanted.max_connections,
            max_keepalive_connections=wanted.max_keepalive_connections,
            keepalive_expiry=wanted.keepalive_expiry,
            network_backend=GuardedNetwork(),
        )


def _trio_network() -> httpcore2.AsyncNetworkBackend:
    # The library declares a stand-in as well, for those without trio.
    return cast("httpcore2.AsyncNetworkBackend", httpcore2.TrioBackend())


@attrs.define
class GuardedNetwork(httpcore2.AsyncNetworkBackend):
    """The network behind `GuardedTransport`."""

    _network: httpcore2.AsyncNetworkBackend = attrs.field(factory=_trio_network)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to a public address of a host.

        Raises:
            AddressNotPublic: it has none.
            httpcore2.ConnectError: it cannot be resolved, or none of its addresses answers.
            httpcore2.ConnectTimeout: this took longer than `timeout` seconds.
        """
        connect = partial(
            self._network.connect_tcp,
            port=port,
            local_address=local_address,
            socket_options=socket_options,
        )
        with trio.move_on_after(float("inf") if timeout is None else timeout):
            return await _connect_first(await _public_addresses(host, port), connect)
        raise httpcore2.ConnectTimeout

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Refuse: a socket of this machine is not public."""
        await trio.lowlevel.checkpoint()
        raise AddressNotPublic(NOT_PUBLIC)

    async def sleep(self, seconds: float) -> None:
        """Wait between two attempts."""
        await trio.sleep(seconds)


async def _public_addresses(host: str, port: int) -> Sequence[str]:
    try:
        found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise httpcore2.ConnectError(type(exc).__name__) from exc
    addresses = dict.fromkeys(str(address[0]) for *_, address in found)
    public = [each for each in addresses if is_public(ip_address(each))]
    if not public:
        raise AddressNotPublic(NOT_PUBLIC)
    return public[:MAX_ADDRESSES]


async def _connect_first(
    addresses: Sequence[str], connect: _Connect
) -> httpcore2.AsyncNetworkStream:
    """Connect to the first address that answers; a later one gets its turn after `HEAD_START_S`."""
    attempts = [_Attempt(address) for address in addresses]
    chosen: _Attempt | None = None
    try:
        async with trio.open_nursery() as nursery:
            for attempt in attempts:
                nursery.start_soon(attempt.run, connect, nursery.cancel_scope)
                with trio.move_on_after(HEAD_START_S):
                    await attempt.failed.wait()
        chosen = next((attempt for attempt in attempts if attempt.stream is not None), None)
    finally:
        with trio.move_on_after(CLOSE_S, shield=True):
            await trio.lowlevel.checkpoint()
            for attempt in attempts:
                if attempt.stream is not None and attempt is not chosen:
                    await attempt.stream.aclose()
    if chosen is not None and chosen.stream is not None:
        return chosen.stream
    raise attempts[0].failure or httpcore2.ConnectError


@attrs.define(eq=False)
class _Attempt:
    """One attempt to connect, to one address."""

    address: str
    stream: httpcore2.AsyncNetworkStream | None = None
    failure: httpcore2.ConnectError | None = None
    failed: trio.Event = attrs.field(factory=trio.Event)

    async def run(self, connect: _Connect, all_attempts: trio.CancelScope) -> None:
        await trio.lowlevel.checkpoint()
        try:
            self.stream = await connect(self.address)
        except httpcore2.ConnectError as exc:
            self.failure = exc
            self.failed.set()
        else:
            all_attempts.cancel()
