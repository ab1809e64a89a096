"""Stdio: 16 calls in flight through a proxy, and calls of a real server direct and routed.

In the second part the server is the example that comes with the router, which is made with the
official SDK. *Direct* is a client on the server's own pipes with 1, 8 or 32 calls in flight;
*routed* are as many sessions over streamable HTTP, through one router, to one such server.
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.context import rows_of_loads
from benchmarks.native.native import echo_command, load
from benchmarks.proxies.floors import LINES_PROXY, STDIO_PROXY
from benchmarks.proxies.processes import call
from benchmarks.proxies.proxy import Upstream
from benchmarks.proxies.router import ROUTER, Router
from benchmarks.rows import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.context import Context
    from benchmarks.native.native import Load
    from benchmarks.proxies.proxy import Proxy

SUITE: Final = "stdio"
IN_FLIGHT: Final = 16
SESSIONS: Final = (1, 8, 32)
NO_PROXY: Final = "no proxy"
DIRECT: Final = "direct"
REAL_SERVER: Final = (sys.executable, "-m", "router.example")

PROXIES: Final[tuple[Proxy, ...]] = (
    STDIO_PROXY,
    LINES_PROXY,
    ROUTER,
    Router("router, transparent", view="transparent"),
)
ROUTED: Final[tuple[Proxy, ...]] = (ROUTER, Router("router, transparent", view="transparent"))


def run(context: Context) -> list[Row]:
    """Measure all of it."""
    return [*_in_flight(context), *_routed(context)]


def _in_flight(context: Context) -> list[Row]:
    upstreams = [Upstream("echo", echo_command())]
    load_one = partial(load, "stdio", callers=IN_FLIGHT, seconds=context.seconds)
    work: dict[str, Callable[[], Load]] = {NO_PROXY: partial(load_one, echo_command())}
    with tempfile.TemporaryDirectory() as folder:
        for number, proxy in enumerate(context.with_peers("stdio", PROXIES)):
            (own_folder := Path(folder) / str(number)).mkdir()
            find = partial(proxy.command, upstreams, own_folder)
            command = context.attempt(proxy.name, find)
            if command is not None:
                tool, arguments = proxy.called_over_stdio(upstreams)
                how = {"tool": tool, "arguments": arguments, "wrapped": proxy.wrapped}
                work[proxy.name] = partial(load_one, command, **how)
        figures = context.interleaved(work)
    name = f"{IN_FLIGHT} in flight"
    return rows_of_loads(SUITE, name, figures) + _costs(name, figures)


def _costs(name: str, figures: Mapping[str, Sequence[Load]]) -> list[Row]:
    """Return the processor time of a call, of each proxy's process alone."""
    rows: list[Row] = []
    for proxy, loads in figures.items():
        known = [(one.calls, one.command_cpu_s) for one in loads if one.command_cpu_s is not None]
        if known and proxy != NO_PROXY:
            each_us = [1e6 * taken_s / calls for calls, taken_s in known if calls]
            rows.append(Row.of(SUITE, name, proxy, "cpu of a call", each_us, "us"))
    return rows


def _routed(context: Context) -> list[Row]:
    rows: list[Row] = []
    with context.serving("http", ROUTED, [Upstream("example", REAL_SERVER)]) as running:
        for sessions in SESSIONS:
            how = {"callers": sessions, "seconds": context.seconds}
            work: dict[str, Callable[[], Load]] = {
                DIRECT: partial(load, "stdio", REAL_SERVER, **how)
            }
            for name, one in running.items():
                work[name] = partial(call, "http", one, **how)
            load_name = "1 session" if sessions == 1 else f"{sessions} sessions"
            rows += rows_of_loads(SUITE, load_name, context.interleaved(work), base=DIRECT)
    return rows
