"""Measures calls per second through the router, as a share of a bare echo's on the same libraries.

The path of a call is the whole one: HTTP client, router, stdio upstream and back.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from benchmarks.load import Load
from benchmarks.spread import Spread, ratio_of
from tests.e2e.processes import Lines
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLERS: Final = (1, 16, 64)
UPSTREAM: Final = Path(__file__).with_name("echo_upstream.py")
READY_LIMIT_S: Final = 30.0


@attrs.frozen
class Share:
    """The figures of the router and of the bare echo with the same number of callers.

    Attributes:
        callers: the number of connections.
        ratio: calls per second of the router divided by those of the bare echo, by round.
    """

    callers: int
    router_per_second: Spread
    bare_per_second: Spread
    ratio: Spread
    router_p50_ms: Spread
    router_p99_ms: Spread
    bare_p50_ms: Spread
    bare_p99_ms: Spread


def site_with_echo(folder: Path) -> Workspace:
    """Return a folder to run a router in, with `echo_upstream` as its only server."""
    return Workspace(folder).add_command("echo", sys.executable, str(UPSTREAM))


@contextmanager
def bare_echo(*answer: str) -> Iterator[str]:
    """Run the bare echo; yield its URL.

    Args:
        answer: the path of a file that holds its answer, in place of the echo.
    """
    command = [sys.executable, "-m", "benchmarks.bare_echo", *answer]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        try:
            yield Lines(process.stderr).wait_for(r"Listening on (\S+)")[1]
        finally:
            process.kill()


def load(url: str, callers: int, seconds: float) -> Load:
    """Make the calls from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.load", url, str(callers), str(seconds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return Load(**json.loads(done.stdout))


def measure(router: str, bare: str, callers: int, *, rounds: int, seconds: float) -> Share:
    """Load both in turn, `rounds` times; the order changes with each round."""
    routers: list[Load] = []
    bares: list[Load] = []
    for turn in range(rounds):
        pair = [(router, routers), (bare, bares)]
        for url, loads in reversed(pair) if turn % 2 else pair:
            loads.append(load(url, callers, seconds))
    router_per_second = [one.per_second for one in routers]
    bare_per_second = [one.per_second for one in bares]
    return Share(
        callers,
        Spread.of(router_per_second),
        Spread.of(bare_per_second),
        ratio_of(router_per_second, bare_per_second),
        router_p50_ms=Spread.of([one.p50_ms for one in routers]),
        router_p99_ms=Spread.of([one.p99_ms for one in routers]),
        bare_p50_ms=Spread.of([one.p50_ms for one in bares]),
        bare_p99_ms=Spread.of([one.p99_ms for one in bares]),
    )


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process, in MiB, as `ps` sees it."""
    listing = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True
    )
    return int(listing.stdout) / 1024
