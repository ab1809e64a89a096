"""The route `/metrics`, for Prometheus.

Invariant: what formats the numbers is imported when it is first asked for, in a worker thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from quart import Response, request

from router.messages.commands import ShowMetrics
from transports.listen.rest.metrics.snapshot import Snapshot
from transports.listen.rest.responses import principal_of

if TYPE_CHECKING:
    from quart_trio import QuartTrio

    from transports.listen.rest.actor_client import ActorClient
    from transports.listen.rest.backend import RestBackend
    from transports.listen.rest.metrics.loop_lag import LoopLag


def add_metrics_route(
    app: QuartTrio, backend: RestBackend, actor: ActorClient, lag: LoopLag
) -> None:
    """Add the route."""

    @app.get("/metrics")
    async def metrics() -> Response:
        lag.want()
        # Before the question, which is not what waits there.
        inbox_depth = backend.inbox.statistics().current_buffer_used
        core = await actor.ask(principal_of(request.scope), ShowMetrics())
        snapshot = Snapshot.take(backend.version, core, backend.metrics, lag, inbox_depth)
        accept = request.headers.get("Accept", "")
        text, content_type = await trio.to_thread.run_sync(_encode, snapshot, accept)
        return Response(text, content_type=content_type)


def _encode(snapshot: Snapshot, accept: str) -> tuple[bytes, str]:
    # For start-up time: few routers are watched by Prometheus.
    from transports.listen.rest.metrics.exposition import encode

    return encode(snapshot, accept)
