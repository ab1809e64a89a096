"""Connects to remote upstreams: over streamable HTTP, or over HTTP+SSE.

Both functions have the shape of `wire.Connect`, apart from their arguments. The SDK, which does
much of the work, is imported when the first instance connects.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from transports.connect.remote import sdk
from transports.connect.remote.endpoint import RemoteEndpoint

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from router.messages.instances.instance_spec import InstanceSpec
    from transports.connect.credentials import Credentials
    from transports.connect.remote.endpoint import Kind
    from transports.connect.wire import Wire


@asynccontextmanager
async def connect_http(
    spec: InstanceSpec, *, credentials: Credentials | None = None
) -> AsyncGenerator[Wire]:
    """Yield the wire to an upstream of streamable HTTP (MCP 2025-11-25, Transports).

    Nothing is sent before the first frame, so a server that is not there shows when frames are sent
    or received. With `spec.try_sse`, a server that refuses `initialize` is tried over HTTP+SSE as
    well, at the same URL.

    Args:
        spec: an instance with a `url`; its `headers` go with every request.
        credentials: are asked for more headers, unless there is a configured `Authorization`.

    Raises:
        WireLost: the URL is malformed.
    """
    kinds: tuple[Kind, ...] = ("http", "sse") if spec.try_sse else ("http",)
    endpoint = RemoteEndpoint.from_url(spec.url, allow_private=spec.allow_private)
    open_wire = await sdk.load()
    async with open_wire(endpoint, spec.headers, kinds, credentials) as wire:
        yield wire


@asynccontextmanager
async def connect_sse(
    spec: InstanceSpec, *, credentials: Credentials | None = None
) -> AsyncGenerator[Wire]:
    """Yield the wire to an upstream of HTTP+SSE (MCP 2024-11-05, Transports).

    The connection is made while the first frame waits to be sent.

    Args:
        spec: an instance with a `url`; its `headers` go with every request.
        credentials: are asked for more headers, unless there is a configured `Authorization`.

    Raises:
        WireLost: the URL is malformed.
    """
    endpoint = RemoteEndpoint.from_url(spec.url, allow_private=spec.allow_private)
    open_wire = await sdk.load()
    async with open_wire(endpoint, spec.headers, ("sse",), credentials) as wire:
        yield wire
