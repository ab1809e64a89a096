"""HTTP+SSE of 2024-11-05: calls by 16 clients, each with an event stream and a connection."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from benchmarks.context import rows_of_timed, timed_call
from benchmarks.proxies.floors import SSE_PROXY
from benchmarks.proxies.router import ROUTER, Router

if TYPE_CHECKING:
    from benchmarks.context import Context
    from benchmarks.proxies.proxy import Proxy
    from benchmarks.rows import Row

SUITE: Final = "sse"
CLIENTS: Final = 16
PROXIES: Final[tuple[Proxy, ...]] = (
    SSE_PROXY,
    ROUTER,
    Router("router, no lane", fast_lane=False),
)


def run(context: Context) -> list[Row]:
    """Measure all of it."""
    with context.serving("sse", context.with_peers("sse", PROXIES)) as running:
        figures = context.interleaved(
            {
                name: partial(timed_call, "sse", one, callers=CLIENTS, seconds=context.seconds)
                for name, one in running.items()
            }
        )
    return rows_of_timed(SUITE, f"{CLIENTS} clients", figures)
