"""Streamable HTTP: calls by 1, 16 and 64 callers, answered as JSON and as event streams."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import attrs

from benchmarks.context import rows_of_timed, timed_call
from benchmarks.native.native import echo_command, load
from benchmarks.proxies.floors import BYTE_PROXY, HTTP_ECHO, HTTPTOOLS_PROXY, HYPERCORN_PROXY
from benchmarks.proxies.router import ROUTER, Router
from benchmarks.rows import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.context import Context
    from benchmarks.processor_time import Timed
    from benchmarks.proxies.proxy import Proxy, Running

SUITE: Final = "http"
CALLERS: Final = (1, 16, 64)
NO_PROXY: Final = "no proxy"
EVENT_CALLERS: Final = 16

PROXIES: Final[tuple[Proxy, ...]] = (
    HTTP_ECHO,
    BYTE_PROXY,
    HTTPTOOLS_PROXY,
    HYPERCORN_PROXY,
    ROUTER,
    Router("router, transparent", view="transparent"),
    Router("router, mcp.router.call", view="router"),
    Router("router, no checks", token=False, check_arguments=False, metrics=False),
    Router("router, no lane", fast_lane=False),
    Router(
        "router, no lane, no checks",
        fast_lane=False,
        token=False,
        check_arguments=False,
        metrics=False,
    ),
)
EVENT_PROXIES: Final[tuple[Proxy, ...]] = (
    attrs.evolve(BYTE_PROXY, option="--events"),
    attrs.evolve(HTTPTOOLS_PROXY, option="--events"),
    attrs.evolve(HYPERCORN_PROXY, option="--events"),
    ROUTER,
    Router("router, no lane", fast_lane=False),
)


def run(context: Context) -> list[Row]:
    """Measure all of it."""
    rows: list[Row] = []
    with context.serving("http", context.with_peers("http", PROXIES)) as running:
        for callers in CALLERS:
            rows += _measure(context, running, callers)
    with context.serving("http", EVENT_PROXIES) as running:
        wanted = "text/event-stream"
        how = {"callers": EVENT_CALLERS, "seconds": context.seconds, "accept": wanted}
        work = {name: partial(timed_call, "http", one, **how) for name, one in running.items()}
        figures = context.interleaved(work)
        rows += rows_of_timed(SUITE, f"{EVENT_CALLERS} callers, events", figures)
    return rows


def _measure(context: Context, running: Mapping[str, Running], callers: int) -> list[Row]:
    how = {"callers": callers, "seconds": context.seconds}
    work: dict[str, Callable[[], Timed]] = {
        name: partial(timed_call, "http", one, **how) for name, one in running.items()
    }
    work[NO_PROXY] = partial(_without_proxy, context.seconds, callers)
    figures = context.interleaved(work)
    name = "1 caller" if callers == 1 else f"{callers} callers"
    rows = rows_of_timed(SUITE, name, figures)
    if callers == 1:
        rows += _added(name, figures)
    return rows


def _without_proxy(seconds: float, callers: int) -> Timed:
    """Call the echo over its own pipes."""
    found = load("stdio", echo_command(), callers=callers, seconds=seconds)
    return found, None


def _added(name: str, figures: Mapping[str, Sequence[Timed]]) -> list[Row]:
    """Return what each proxy adds to the median latency, and that beside the httptools floor."""
    bare_us = [found.p50_us for found, _ in figures[NO_PROXY]]
    added_us = {
        proxy: [found.p50_us - bare for (found, _), bare in zip(those, bare_us, strict=True)]
        for proxy, those in figures.items()
        if proxy != NO_PROXY
    }
    floor_us = added_us[HTTPTOOLS_PROXY.name]
    rows: list[Row] = []
    for proxy, those in added_us.items():
        rows.append(Row.of(SUITE, name, proxy, "added p50", those, "us"))
        ratios = [one / other for one, other in zip(those, floor_us, strict=True)]
        rows.append(Row.of(SUITE, name, proxy, "added p50, x httptools", ratios))
    return rows
