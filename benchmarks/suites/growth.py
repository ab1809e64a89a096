"""Growth: memory of a proxy's main process over many calls, and of sessions that are left open."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final

from benchmarks.client import Client
from benchmarks.proxies.floors import BYTE_PROXY
from benchmarks.proxies.processes import call
from benchmarks.proxies.router import AS_SHIPPED, ROUTER
from benchmarks.rows import Row
from tests.e2e.process_resources import resident_bytes

if TYPE_CHECKING:
    from benchmarks.context import Context
    from benchmarks.proxies.proxy import Running

SUITE: Final = "growth"
CALLERS: Final = 64
CALLS: Final = 20_000
SESSIONS: Final = 1000
LOAD: Final = f"{CALLS:,} calls, {CALLERS} sessions left open"


def run(context: Context) -> list[Row]:
    """Measure each proxy once, one after the other: memory does not depend on what runs beside."""
    rows: list[Row] = []
    for proxy in context.with_peers("http", [BYTE_PROXY, ROUTER, AS_SHIPPED]):
        with context.serving("http", [proxy]) as serving:
            for name, running in serving.items():
                found = context.attempt(name, lambda one=running: measure(one))
                for metric, (value, unit) in (found or {}).items():
                    rows.append(Row.of(SUITE, LOAD, name, metric, [value], unit))
    return rows


def measure(running: Running) -> dict[str, tuple[float, str]]:
    """Return the figures of a proxy that answers, with their units, by name.

    - memory at start: after the first call
    - memory: after 20,000 calls, whose 64 sessions are left open
    - growth: over 20,000 further calls, whose 64 sessions are closed after them; so twice as many
      sessions are open meanwhile
    - idle session: the mean of 1,000 further sessions that are left open
    """
    at_start = resident_bytes(running.pid)
    _make_calls(running, keep_sessions=True)
    after = resident_bytes(running.pid)
    _make_calls(running)
    later = resident_bytes(running.pid)
    with closing(Client(running)) as client:
        for _ in range(SESSIONS):
            client.open_session()
    with_sessions = resident_bytes(running.pid)
    return {
        "memory at start": (at_start / 1e6, "MB"),
        "memory": (after / 1e6, "MB"),
        "growth": ((later - after) / 1e6, "MB"),
        "idle session": ((with_sessions - later) / SESSIONS / 1e3, "kB"),
    }


def _make_calls(running: Running, **options: bool) -> None:
    call("http", running, callers=CALLERS, calls=CALLS, warm_up=0, patience=60, **options)
