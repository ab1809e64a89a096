"""The targets of the router, and whether a run reached them.

Each is a ratio in one run, or a figure that depends little on the machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from benchmarks.context import BASE
from benchmarks.proxies.aggregators import FASTMCP
from benchmarks.proxies.bridges import DCC_MCP_SERVER
from benchmarks.proxies.floors import HYPERCORN_PROXY
from benchmarks.proxies.peers import PEERS
from benchmarks.proxies.router import AS_SHIPPED, ROUTER
from benchmarks.suites.growth import LOAD as GROWTH
from benchmarks.suites.idle import LOAD as IDLE
from benchmarks.suites.layers import LOAD as LAYERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.reporting.figures import Figures


BEFORE_THE_LANE: Final = 0.082
"""Calls with 16 callers, x the byte proxy, of the router before it had its fast lane."""

NOISE_MB: Final = 0.3
"""Memory that the byte proxy itself gains or loses between two loads."""


@attrs.frozen
class Target:
    """One target.

    Attributes:
        work: the work, for people.
        bound: the least or the most that the figure may be.
        figure: finds it in a run; None if it was not measured.
        least: the bound is the least, not the most.
        unit: of the figure.
    """

    work: str
    bound: float
    figure: Callable[[Figures], float | None]
    least: bool = False
    unit: str = "x"

    def is_reached(self, value: float) -> bool:
        return value >= self.bound if self.least else value <= self.bound


def _metric(
    suite: str, load: str, metric: str, proxy: str = ROUTER.name
) -> Callable[[Figures], float | None]:
    return lambda figures: figures.median(suite, load, proxy, metric)


def _times(suite: str, load: str, other: str) -> Callable[[Figures], float | None]:
    """Calls of the router, x those of another proxy."""
    return lambda figures: figures.quotient(suite, load, ROUTER.name, other)


def _times_before_the_lane(figures: Figures) -> float | None:
    ratio = figures.median("http", "16 callers", ROUTER.name, "ratio")
    return None if ratio is None else ratio / BEFORE_THE_LANE


def _tail_beside_the_floor(figures: Figures) -> float | None:
    return figures.quotient("http", "16 callers", ROUTER.name, BASE, "tail")


def _lane_off(figures: Figures) -> float | None:
    return figures.quotient("http", "16 callers", "router, no lane", HYPERCORN_PROXY.name)


def _times_the_fastest_sse_peer(figures: Figures) -> float | None:
    load = "16 clients"
    own = figures.median("sse", load, ROUTER.name, "calls")
    others = [figures.median("sse", load, peer.name, "calls") for peer in PEERS]
    found = [one for one in others if one is not None]
    return own / max(found) if own is not None and found else None


def _faults(figures: Figures) -> float | None:
    """Wrong and missing answers of the router in all its modes, in the worst round."""
    rows = [
        row
        for row in figures.rows.values()
        if row.suite == "collide" and row.proxy.startswith(ROUTER.name)
    ]
    bad = [row.high for row in rows if row.metric in {"wrong", "missing", "refused"}]
    return sum(bad) if bad else None


TARGETS: Final = (
    Target("HTTP, 1 caller, x byte proxy", 0.5, _metric("http", "1 caller", "ratio"), least=True),
    Target(
        "HTTP, 16 callers, x byte proxy", 0.65, _metric("http", "16 callers", "ratio"), least=True
    ),
    Target(
        "HTTP, 64 callers, x byte proxy", 0.7, _metric("http", "64 callers", "ratio"), least=True
    ),
    Target(
        "HTTP, 16 callers, x the Rust bridge",
        0.6,
        _times("http", "16 callers", DCC_MCP_SERVER.name),
        least=True,
    ),
    Target(
        "HTTP, 64 callers, x the Rust bridge",
        0.6,
        _times("http", "64 callers", DCC_MCP_SERVER.name),
        least=True,
    ),
    Target("HTTP, 16 callers, x before the fast lane", 7, _times_before_the_lane, least=True),
    Target(
        "HTTP, 16 callers, x fastmcp", 40, _times("http", "16 callers", FASTMCP.name), least=True
    ),
    Target(
        "HTTP, 1 caller, added p50, x byte proxy with httptools",
        2,
        _metric("http", "1 caller", "added p50, x httptools"),
    ),
    Target("HTTP, 16 callers, p99 / p50, x byte proxy", 2.5, _tail_beside_the_floor),
    Target("routed / direct, 1 session", 0.3, _metric("stdio", "1 session", "ratio"), least=True),
    Target("routed / direct, 8 sessions", 0.3, _metric("stdio", "8 sessions", "ratio"), least=True),
    Target(
        "routed / direct, 32 sessions", 0.3, _metric("stdio", "32 sessions", "ratio"), least=True
    ),
    Target("no lane, 16 callers, x byte proxy on Hypercorn", 0.95, _lane_off, least=True),
    Target(
        "SSE, 16 clients, x the fastest peer that answers rightly",
        1.3,
        _times_the_fastest_sse_peer,
        least=True,
    ),
    Target(
        "stdio, 16 in flight, x byte proxy",
        0.5,
        _metric("stdio", "16 in flight", "ratio"),
        least=True,
    ),
    Target(
        "stdio, 16 in flight, x fastmcp",
        15,
        _times("stdio", "16 in flight", FASTMCP.name),
        least=True,
    ),
    Target("256 KiB results, x byte proxy", 0.85, _metric("large", "256 KiB", "ratio"), least=True),
    Target(
        "start on stdio, x byte proxy",
        1.5,
        _metric("start", "stdio, to `initialize`", "ratio", AS_SHIPPED.name),
    ),
    Target(
        "start on HTTP, x byte proxy",
        1.8,
        _metric("start", "HTTP, to the first call", "ratio", AS_SHIPPED.name),
    ),
    Target(
        "100 servers, the last one callable, x byte proxy",
        2,
        _metric("many", "100 servers", "ratio", AS_SHIPPED.name),
    ),
    Target(
        "100 servers, memory",
        50,
        _metric("many", "100 servers", "memory", AS_SHIPPED.name),
        unit="MB",
    ),
    Target(
        "20,000 calls, 64 sessions open, memory",
        45,
        _metric("growth", GROWTH, "memory", AS_SHIPPED.name),
        unit="MB",
    ),
    Target(
        "20,000 further calls, growth",
        NOISE_MB,
        _metric("growth", GROWTH, "growth", AS_SHIPPED.name),
        unit="MB",
    ),
    Target(
        "an idle session", 20, _metric("growth", GROWTH, "idle session", AS_SHIPPED.name), unit="kB"
    ),
    Target(
        "1,000 idle SSE clients, memory of each",
        50,
        _metric("idle", IDLE, "memory of a client"),
        unit="kB",
    ),
    Target(
        "1,000 idle SSE clients, p50 of a call, x before",
        1.1,
        _metric("idle", IDLE, "p50 with them / before"),
    ),
    Target("16 clients with the same ids, wrong or missing answers", 0, _faults, unit=""),
    Target("authentication", 5, _metric("layers", LAYERS, "added", "authentication"), unit="us"),
    Target("argument checks", 5, _metric("layers", LAYERS, "added", "argument checks"), unit="us"),
    Target("metrics", 5, _metric("layers", LAYERS, "added", "metrics"), unit="us"),
)
