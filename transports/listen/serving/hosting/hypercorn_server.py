"""Hypercorn as the server of single connections, configured for untrusted peers.

Invariant: only this module and `http1` import Hypercorn. A listener whose clients send only plain
requests never needs it (see `lane`), and starts sooner and smaller without it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, cast

from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from transports.listen.serving.asgi import PEER
from transports.listen.serving.hosting.http1 import Http1Server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from transports.listen.serving.hosting.connection import Connection

log = logging.getLogger("mcp_router.listen")

REQUESTS_PER_CONNECTION: Final = 2**62
"""No limit: Hypercorn would close a busy client's connection after 1,000 requests."""


class HypercornServer:
    """Serves an ASGI application on connections.

    Args:
        app: the application.
        idle_s: how long a connection may be without a request, and how long a head may take.
        head_limit_bytes: the largest head of a request.
    """

    def __init__(
        self, app: Callable[..., Awaitable[None]], idle_s: float, head_limit_bytes: int
    ) -> None:
        self._app = ASGIWrapper(cast("Any", app))
        self._config = _config(idle_s, head_limit_bytes)
        self._context = WorkerContext(None)

    async def serve(self, connection: Connection) -> None:
        """Serve one connection until it is closed."""
        state = ConnectionState({PEER: connection})
        stream_like = cast("Any", connection)
        await Http1Server(self._app, self._config, self._context, state, stream_like)

    def finish(self) -> None:
        """Close each connection after its next answer."""
        self._config.keep_alive_max_requests = 0

    async def close_idle(self) -> None:
        """Close each connection that has no request, and the others after their answers."""
        await self._context.terminated.set()


def _config(idle_s: float, head_limit_bytes: int) -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = log
    config.include_server_header = False
    config.keep_alive_timeout = cast("int", idle_s)
    config.keep_alive_max_requests = REQUESTS_PER_CONNECTION
    config.h11_max_incomplete_size = head_limit_bytes
    # A read timeout would end idle event streams too; bodies have a deadline of their own, in
    # `asgi`.
    config.read_timeout = None
    # Hypercorn's ping task would hold a connection for one interval after its end. Clients may
    # ping.
    config.websocket_ping_interval = None
    return config
