"""Upstreams reached over HTTP+SSE, the transport of 2024-11-05.

Job: the wire of an `sse` instance (MCP 2024-11-05, Transports, HTTP with SSE). Neighbours:
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
