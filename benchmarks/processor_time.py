"""The processor time that a load takes of a proxy, and of everything that has a part in it.

Where other programs keep the machine busy, calls per second say more about those than about the
proxy. Processor time does not count what others use. On one core that has nothing else to do, calls
per second are one divided by the processor time of a call, of all processes together.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

import attrs

from tests.e2e.processes import descendants

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.native.native import Load

_SCHEDULED: Final = 2
"""The kind of clock that counts what the scheduler gave a process (CPUCLOCK_SCHED)."""

Timed = tuple["Load", "Cost | None"]
"""A load and its cost; None where the system does not tell."""


@attrs.frozen
class Cost:
    """The processor time of a load, in seconds.

    Attributes:
        proxy_s: of the proxy's main process.
        all_s: of the proxy and its children, and of the load generator.
    """

    proxy_s: float
    all_s: float


def processor_time_s(pids: Sequence[int]) -> float | None:
    """Return the processor time of processes; None where one is gone, or the system is not Linux.

    It is that of all threads, also of those that have ended. The clock's id is that of
    clock_getcpuclockid(3), which Python has for threads only.
    """
    if sys.platform != "linux":
        return None
    try:
        return sum(time.clock_gettime(~pid << 3 | _SCHEDULED) for pid in pids)
    except OSError:
        return None


def with_cost(pid: int, work: Callable[[], Load]) -> Timed:
    """Run a load, and return it with what it cost a proxy and all others.

    Args:
        pid: of the proxy's main process. Its children have to live as long as the load.
        work: runs the load.
    """
    children = [row.pid for row in descendants(pid)]
    before_s = processor_time_s([pid]), processor_time_s(children)
    found = work()
    after_s = processor_time_s([pid]), processor_time_s(children)
    taken_s = [
        None if before is None or after is None else after - before
        for before, after in zip(before_s, after_s, strict=True)
    ]
    proxy_s, children_s = taken_s
    if proxy_s is None or children_s is None:
        return found, None
    return found, Cost(proxy_s, proxy_s + children_s + found.cpu_s)


def with_processor_time(pid: int, work: Callable[[], Load]) -> tuple[Load, float | None]:
    """Run a load, and return it with the processor time of the proxy's main process."""
    found, cost = with_cost(pid, work)
    return found, None if cost is None else cost.proxy_s
