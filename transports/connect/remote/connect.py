"""Upstreams reached over streamable HTTP.

Job: the wire of an `http` instance (MCP 2025-11-25, Transports, Streamable HTTP). Neighbours:
`transports.session` uses it; `remote` does the work and is imported only when one connects.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from transports.connect.remote import sdk
from transports.connect.remote.endpoint import Endpoint, Kind

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from router.messages.instance_spec import InstanceSpec
    from transports.connect.wire import Wire


@asynccontextmanager
async def connect_http(spec: InstanceSpec) -> AsyncGenerator[Wire]:
    """The wire to a remote upstream.

    Nothing is sent before the first frame, so that a server that is not there shows when frames
    are sent or received. With `spec.try_sse`, a server that refuses `initialize` is tried over
    HTTP+SSE as well, at the same URL.

    Args:
        spec: an instance with a `url`; its `headers` go with every request.

    Raises:
        WireLost: the URL is none.
    """
    endpoint = Endpoint.from_url(spec.url)
    open_wire = await sdk.load()
    kinds: tuple[Kind, ...] = ("http", "sse") if spec.try_sse else ("http",)
    async with open_wire(endpoint, spec.headers, kinds) as wire:
        yield wire


@asynccontextmanager
async def connect_sse(spec: InstanceSpec) -> AsyncGenerator[Wire]:
    """The wire to a remote upstream. It connects while the first frame waits to be sent.

    Args:
        spec: an instance with a `url`; its `headers` go with every request.

    Raises:
        WireLost: the URL is none.
    """
    endpoint = Endpoint.from_url(spec.url)
    open_wire = await sdk.load()
    async with open_wire(endpoint, spec.headers, ("sse",)) as wire:
        yield wire
