"""The parts that all suites share: serving proxies, interleaved rounds, rows of loads."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from benchmarks.native.native import LoadError, echo_command
from benchmarks.processor_time import with_cost
from benchmarks.proxies.processes import call
from benchmarks.proxies.proxy import Upstream
from benchmarks.rows import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from benchmarks.native.native import Load
    from benchmarks.processor_time import Timed
    from benchmarks.proxies.proxy import Kind, Proxy, Running

BASE: Final = "byte proxy"
"""The proxy to which the others are compared, in the suites that have it."""

Figure = TypeVar("Figure")


@attrs.frozen
class Context:
    """The settings of a run, and the parts that suites share.

    Attributes:
        rounds: how often each figure is taken.
        seconds: for each load.
        starts: how often each program is started, where starts are measured.
        peers: proxies that others made; empty for the floors and this router alone. One that
            fails is told of and left out; all others must not fail.
        say: prints a line while a suite runs.
    """

    rounds: int
    seconds: float
    starts: int
    peers: tuple[Proxy, ...]
    say: Callable[[str], None]

    def with_peers(self, kind: Kind, proxies: Sequence[Proxy]) -> list[Proxy]:
        """Return these proxies, and the peers that serve this transport."""
        return [*proxies, *(peer for peer in self.peers if kind in peer.kinds)]

    def attempt(self, proxy: str, work: Callable[[], Figure]) -> Figure | None:
        """Do something with a proxy; a peer that fails is told of, and None is returned.

        Args:
            proxy: its name.
            work: raises a `LoadError`, an `OSError` or an `AssertionError` where the proxy fails.
        """
        try:
            return work()
        except (LoadError, OSError, AssertionError) as error:
            if proxy not in {peer.name for peer in self.peers}:
                raise
            self.say(f"{proxy} is left out: {error}")
            return None

    @contextmanager
    def serving(
        self, kind: Kind, proxies: Sequence[Proxy], upstreams: Sequence[Upstream] | None = None
    ) -> Iterator[dict[str, Running]]:
        """Run proxies side by side; yield those that answer, by name.

        Args:
            kind: "http" or "sse".
            proxies: each with a folder of its own.
            upstreams: what each of them serves; the echo if None.
        """
        wanted = [Upstream("echo", echo_command())] if upstreams is None else upstreams
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            found: dict[str, Running] = {}
            for number, proxy in enumerate(proxies):
                (own_folder := Path(folder) / str(number)).mkdir()
                served = proxy.serve(kind, wanted, own_folder)
                running = self.attempt(proxy.name, lambda one=served: stack.enter_context(one))
                if running is not None:
                    found[proxy.name] = running
            yield found

    def interleaved(self, work: Mapping[str, Callable[[], Figure]]) -> dict[str, list[Figure]]:
        """Take the figure of each proxy `rounds` times, in turn; every other round backwards.

        Args:
            work: name of a proxy -> what takes its figure.

        Returns:
            The figures of each proxy, in the order of the rounds; without the peers that failed.
        """
        figures: dict[str, list[Figure]] = {name: [] for name in work}
        for turn in range(self.rounds):
            for name in list(reversed(figures) if turn % 2 else figures):
                figure = self.attempt(name, work[name])
                if figure is None:
                    del figures[name]
                else:
                    figures[name].append(figure)
        return figures


def rows_of_loads(
    suite: str, load: str, loads: Mapping[str, Sequence[Load]], base: str | None = BASE
) -> list[Row]:
    """Return the rows of each proxy: calls, ratio, p50, p99 and tail (p99 / p50).

    Args:
        suite: the name of the suite.
        load: the work, such as "16 callers".
        loads: name of a proxy -> the loads of its rounds.
        base: the proxy to compare calls with, each in the same round; None for no ratios.
    """
    rows: list[Row] = []
    for name, those in loads.items():
        figures: dict[tuple[str, str], list[float]] = {
            ("calls", "1/s"): [one.per_second for one in those],
            ("p50", "us"): [one.p50_us for one in those],
            ("p99", "us"): [one.p99_us for one in those],
            ("tail", ""): [one.p99_us / one.p50_us for one in those],
        }
        if base is not None and base in loads:
            compared = zip(those, loads[base], strict=True)
            figures["ratio", ""] = [one.per_second / other.per_second for one, other in compared]
        for (metric, unit), values in figures.items():
            rows.append(Row.of(suite, load, name, metric, values, unit))
    return rows


def timed_call(kind: Kind, running: Running, **options: Any) -> Timed:
    """Load a proxy as `processes.call` does; return the load and what it cost."""
    return with_cost(running.pid, partial(call, kind, running, **options))


def rows_of_timed(
    suite: str, load: str, figures: Mapping[str, Sequence[Timed]], base: str = BASE
) -> list[Row]:
    """Return the rows of `rows_of_loads`, and those of the processor time of a call.

    `cpu of a call` is that of the proxy's main process. `cpu ratio` is that of all processes with
    the base, divided by that with this proxy: above 1 is better, as for `ratio`.
    """
    loads = {proxy: [found for found, _ in those] for proxy, those in figures.items()}
    rows = rows_of_loads(suite, load, loads, base)
    all_us: dict[str, list[float]] = {}
    for proxy, those in figures.items():
        known = [(found.sent, cost) for found, cost in those if cost is not None]
        if len(known) < len(those):
            continue  # the system does not tell, or this is no process
        all_us[proxy] = [1e6 * cost.all_s / sent for sent, cost in known]
        proxy_us = [1e6 * cost.proxy_s / sent for sent, cost in known]
        rows.append(Row.of(suite, load, proxy, "cpu of a call", proxy_us, "us"))
    for proxy, those in all_us.items() if base in all_us else ():
        ratios = [other / one for other, one in zip(all_us[base], those, strict=True)]
        rows.append(Row.of(suite, load, proxy, "cpu ratio", ratios))
    return rows
