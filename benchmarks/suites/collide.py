"""Collide: 16 clients that all use the same request ids, and how many get another one's answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.native.native import LoadError
from benchmarks.proxies.processes import call
from benchmarks.proxies.router import Router
from benchmarks.rows import Row

if TYPE_CHECKING:
    from benchmarks.context import Context
    from benchmarks.proxies.proxy import Kind, Running

SUITE: Final = "collide"
CALLERS: Final = 16
KINDS: Final[tuple[Kind, ...]] = ("http", "sse")
ROUTERS: Final = (
    Router("router"),
    Router("router, no lane", fast_lane=False),
    Router("router, transparent", view="transparent"),
    Router("router, mcp.router.call", view="router"),
)


def run(context: Context) -> list[Row]:
    """Call each proxy over each of its transports."""
    return [row for kind in KINDS for row in _over(kind, context)]


def _over(kind: Kind, context: Context) -> list[Row]:
    with context.serving(kind, context.with_peers(kind, ROUTERS)) as serving:
        work = {
            name: lambda one=running: faults(kind, one, context.seconds)
            for name, running in serving.items()
        }
        figures = context.interleaved(work)
    load = f"{CALLERS} clients, {kind.upper()}"
    return [
        Row.of(SUITE, load, name, metric, [one[metric] for one in found])
        for name, found in figures.items()
        for metric in ("right", "wrong", "missing", "refused")
    ]


def faults(kind: Kind, running: Running, seconds: float) -> dict[str, int]:
    """Return how many answers were right, wrong and missing; and 1 where sessions were refused."""
    try:
        found = call(
            kind,
            running,
            callers=CALLERS,
            seconds=seconds,
            same_ids=True,
            counts_faults=True,
            warm_up=0,
            patience=2,
        )
    except LoadError:
        return {"right": 0, "wrong": 0, "missing": 0, "refused": 1}
    return {"right": found.calls, "wrong": found.wrong, "missing": found.missing, "refused": 0}
