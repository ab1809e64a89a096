"""Prints the router's calls a second as a share of the byte proxy's, in less than a minute.

It is for whoever changes the way of a call: `python -m benchmarks --quick`.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from benchmarks.native.native import echo_command
from benchmarks.processor_time import with_cost
from benchmarks.proxies.floors import BYTE_PROXY
from benchmarks.proxies.processes import call
from benchmarks.proxies.proxy import Upstream
from benchmarks.proxies.router import Router
from benchmarks.spread import ratio_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.processor_time import Timed
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
        say("Everything on one core, which it shares with whatever else runs here. The ratio by")
        say("processor time, of proxy, echo and generator together, depends least on that.")
        say(f"callers  {'proxy':20}  calls/s  {'x byte proxy':19}  {'by cpu time':19}  us/call")
        for callers in CALLERS:
            figures: dict[str, list[Timed]] = {name: [] for name in running}
            for _ in range(ROUNDS):
                for name, one in running.items():
                    work = partial(call, "http", one, callers=callers, seconds=SECONDS)
                    figures[name].append(with_cost(one.pid, work))
            for name, those in figures.items():
                say(f"{callers:7}  {name:20}  {_figures(those, figures[BYTE_PROXY.name])}")


def _figures(those: Sequence[Timed], base: Sequence[Timed]) -> str:
    """Return the figures of a proxy, of all rounds."""
    speed = [load.per_second for load, _ in those]
    share = ratio_of(speed, [load.per_second for load, _ in base])
    by_cpu = ratio_of(_all_us(base), _all_us(those))
    proxy_us = median(1e6 * cost.proxy_s / load.sent for load, cost in those if cost)
    return f"{median(speed):7.0f}  {f'{share:.2f}':19}  {f'{by_cpu:.2f}':19}  {proxy_us:7.0f}"


def _all_us(those: Sequence[Timed]) -> list[float]:
    """Return the processor time of a call, of all processes together, in each round."""
    return [1e6 * cost.all_s / load.sent for load, cost in those if cost]
