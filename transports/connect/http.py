"""Upstreams reached over streamable HTTP.

Job: the wire of an `http` instance (MCP 2025-11-25, Transports, Streamable HTTP). Neighbours:
`transports.session` uses it; `remote` does the work and is imported only when one connects.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from transports.connect import sdk
from transports.connect.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from router.messages import InstanceSpec
    from transports.wire import Wire


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
    kinds: tuple[sdk.Kind, ...] = ("http", "sse") if spec.try_sse else ("http",)
    async with open_wire(endpoint, spec.headers, kinds) as wire:
        yield wire
