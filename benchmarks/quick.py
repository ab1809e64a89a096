"""Prints the router's calls a second as a share of the byte proxy's, in less than a minute.

It is for whoever changes the way of a call: `python -m benchmarks --quick`.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.native.native import echo_command
from benchmarks.proxies.floors import BYTE_PROXY
from benchmarks.proxies.processes import call
from benchmarks.proxies.proxy import Upstream
from benchmarks.proxies.router import Router
from benchmarks.spread import Spread, ratio_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.native.native import Load
    from benchmarks.proxies.proxy import Proxy, Running

CALLERS: Final = (1, 16, 64)
ROUNDS: Final = 5
SECONDS: Final = 0.5
PROXIES: Final[tuple[Proxy, ...]] = (
    BYTE_PROXY,
    Router("router"),
    Router("router, transparent", view="transparent"),
)


def run(say: Callable[[str], None]) -> None:
    """Measure each proxy in turn, with each number of callers."""
    upstreams = [Upstream("echo", echo_command())]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        running: dict[str, Running] = {}
        for proxy in PROXIES:
            (own_folder := Path(folder) / proxy.name).mkdir()
            running[proxy.name] = stack.enter_context(proxy.serve("http", upstreams, own_folder))
        say(f"{'callers':>7}  {'proxy':22}  {'calls/s':>8}  x byte proxy            p50 / p99 us")
        for callers in CALLERS:
            loads: dict[str, list[Load]] = {name: [] for name in running}
            for _ in range(ROUNDS):
                for name, one in running.items():
                    loads[name].append(call("http", one, callers=callers, seconds=SECONDS))
            base = [load.per_second for load in loads[BYTE_PROXY.name]]
            for name, those in loads.items():
                speed = [load.per_second for load in those]
                p50 = Spread.of([load.p50_us for load in those]).median
                p99 = Spread.of([load.p99_us for load in those]).median
                share = f"{ratio_of(speed, base):.2f}"
                say(
                    f"{callers:7}  {name:22}  {Spread.of(speed).median:8.0f}  "
                    f"{share:22}  {p50:.0f} / {p99:.0f}"
                )
