"""Makes the start slots of the upstream sessions, and measures how busy the CPUs are for them.

Invariant: nothing is measured but when the slots ask for it, which they do only while sessions wait
for their turn to start.
"""

from __future__ import annotations

import math
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from supervisors.start_limits import AdaptiveLimit, FixedLimit, RestartRate
from supervisors.start_slots import StartSlots

if TYPE_CHECKING:
    from collections.abc import Iterator

RESTARTS_PER_S: Final = 5.0
RESTARTS_AT_ONCE: Final = 10
"""Restarts after failures, of all sessions together. Each costs the router some milliseconds, and
the machine the start of a process: a hundred servers that crash leave most of both to others."""


def start_slots(max_starting: int | str) -> StartSlots:
    """Return the slots for `mcp_client.max_starting`: a number, or "auto"."""
    if isinstance(max_starting, int):
        limit = FixedLimit(max_starting)
    else:
        load = CpuLoad()
        limit = AdaptiveLimit(load.cores, load.measure_busy)
    return StartSlots(limit, RestartRate(RESTARTS_PER_S, RESTARTS_AT_ONCE))


class CpuLoad(Struct, eq=False):
    """The CPUs that this process and its children may use, and how busy they are.

    These are the CPUs of its affinity, at most as many as the quota of its control group allows.
    The figures are those of `/proc/stat` (proc_stat(5)) and of `cpu.max` and `cpu.stat` (the
    kernel's cgroup-v2.rst). Where there are none, the load average says only whether the machine
    is busy.

    Attributes:
        root: the folder that has `proc` and `sys`.
        cores: the number of CPUs, at least 1.
    """

    root: Path = Path("/")
    cores: int = 1
    _cpus: frozenset[int] = field(default_factory=lambda: _usable_cpus())
    _quota: float = math.inf
    _last: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        self._quota = self._read_quota()
        self.cores = max(1, math.ceil(min(len(self._cpus), self._quota)))

    def measure_busy(self) -> float | None:
        """Return the part of their time that the CPUs were busy since the last call, from 0 to 1.

        None: that is not known, as at the first call.
        """
        last, self._last = self._last, tuple(self._readings())
        if not self._last:
            return _busy_by_load(self.cores)
        pairs = zip(self._last, last, strict=False)
        shares = [
            (busy - busy_before) / (total - total_before)
            for (busy, total), (busy_before, total_before) in pairs
            if total > total_before
        ]
        return min(1.0, max(0.0, *shares)) if shares else None

    def _readings(self) -> Iterator[tuple[float, float]]:
        """Yield the busy and the total CPU time up to now, as each source counts it."""
        # Both files are answered from memory, so they may be read in a task.
        with suppress(OSError, ValueError):
            yield self._read_machine()
        if math.isfinite(self._quota):
            with suppress(OSError, ValueError):
                yield self._read_group()

    def _read_machine(self) -> tuple[float, float]:
        busy, total = 0, 0
        for line in (self.root / "proc/stat").read_text().splitlines():
            name, _, figures = line.partition(" ")
            if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in self._cpus:
                # user, nice, system, idle, iowait, irq, softirq, steal; then guests, which are
                # counted in user and nice already.
                ticks = [int(figure) for figure in figures.split()[:8]]
                total += sum(ticks)
                busy += sum(ticks) - sum(ticks[3:5])
        return busy, total

    def _read_group(self) -> tuple[float, float]:
        text = (self.root / "sys/fs/cgroup/cpu.stat").read_text()
        used_us = int(dict(line.split() for line in text.splitlines())["usage_usec"])
        return used_us / 1e6, time.monotonic() * self._quota

    def _read_quota(self) -> float:
        """Return the CPUs that the control group may use; infinite without a quota."""
        with suppress(OSError, ValueError):
            quota_us, period_us = (self.root / "sys/fs/cgroup/cpu.max").read_text().split()
            if quota_us != "max":
                return int(quota_us) / int(period_us)
        return math.inf


def _usable_cpus() -> frozenset[int]:
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def _busy_by_load(cores: int) -> float | None:
    """Return 1 if the machine is busy by its load average, which lags by a minute; else None."""
    with suppress(OSError):
        if os.getloadavg()[0] > cores:
            return 1.0
    return None
