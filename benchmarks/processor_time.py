"""The processor time that a proxy takes for a load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.native.native import Load

Timed = tuple["Load", float | None]
"""A load, and the seconds of processor time of the proxy's main process; None where unknown."""


def processor_time_s(pid: int) -> float | None:
    """Return the processor time of all threads of a process; None where Linux does not say it."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return sum(int((one / "schedstat").read_text().split()[0]) for one in threads) / 1e9
    except OSError:
        return None


def with_processor_time(pid: int, work: Callable[[], Load]) -> Timed:
    """Run a load, and return it with what it cost the process."""
    before_s = processor_time_s(pid)
    found = work()
    after_s = processor_time_s(pid)
    return found, None if before_s is None or after_s is None else after_s - before_s
