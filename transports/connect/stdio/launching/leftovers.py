"""Ends the processes of servers that are left because their guards were killed.

A guard ends everything when its command or the router ends. Only where it was killed, as by
`pkill -9`, is something left: at once (`end_tree`), or when the router was killed as well, at its
next start (`end_leftovers`).

For a worker thread, since it reads the process table and waits. Linux only.

Invariants: the mark decides (see `run_mark`). Neither this process nor an ancestor of it is ended.
A signal goes to the very process whose mark was read, and not to another with its process id.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from transports.connect.stdio.launching.run_mark import (
    PROC,
    ProcessStatus,
    is_over,
    mark_in,
    this_run,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from transports.connect.stdio.launching.run_mark import Mark, Run

log = logging.getLogger("mcp_router.upstream")

GRACE_S: Final = 2.0
"""Between SIGTERM and SIGKILL. Their stdin has ended long ago, so they had their time."""

KILL_S: Final = 1.0
"""Time for the system to end what was killed."""

ROUNDS: Final = 5
"""Of looking for more: what is left may start processes while it is being ended."""

SHOWN: Final = 10
"""More names than this are not listed in the log."""


class ProcessTable(Struct, frozen=True):
    """The process table in a folder such as `/proc`. A process may end while it is read."""

    root: Path = PROC

    def pids(self) -> list[int]:
        """Return the process ids of all processes that may be seen."""
        with suppress(OSError):
            return [int(name) for name in os.listdir(self.root) if name.isdecimal()]
        return []

    def status(self, pid: int) -> ProcessStatus | None:
        """Return the status of a process; None if it cannot be read."""
        stat = self._read(pid, "stat")
        return ProcessStatus.parse(stat) if stat else None

    def mark(self, pid: int) -> Mark | None:
        """Return the mark of a process; None if it has none, or may not be seen."""
        return mark_in(self._read(pid, "environ"))

    def user(self, pid: int) -> int | None:
        """Return the user of a process; None if it has ended."""
        try:
            return os.stat(self.root / str(pid)).st_uid
        except OSError:
            return None

    def name(self, pid: int) -> str:
        """Return the name of a process, without its arguments, which may be secret."""
        return self._read(pid, "comm").decode(errors="replace").strip()

    def line_of(self, pid: int) -> list[int]:
        """Return a process and its ancestors."""
        line: list[int] = []
        while pid > 0 and pid not in line:
            line.append(pid)
            status = self.status(pid)
            pid = 0 if status is None else status.parent
        return line

    def _read(self, pid: int, file: str) -> bytes:
        with suppress(OSError):
            return (self.root / str(pid) / file).read_bytes()
        return b""


def find_marked(
    table: ProcessTable, ours: Run, is_left: Callable[[Mark], bool]
) -> Iterator[tuple[int, Mark]]:
    """Yield the process ids of what is left, with the marks.

    Args:
        table: the processes of the system.
        ours: the run of this process. It is spared, and so are its ancestors.
        is_left: returns whether a process with this mark is left and to be ended.
    """
    spared = set(table.line_of(ours.pid))
    for pid in table.pids():
        if pid not in spared and table.user(pid) == ours.user:
            mark = table.mark(pid)
            if mark is not None and is_left(mark):
                yield pid, mark


def left_by_earlier_runs(table: ProcessTable, ours: Run) -> Callable[[Mark], bool]:
    """Return a function that tells whether a mark is that of a run that is over."""
    over: dict[Run, bool] = {}

    def is_left(mark: Mark) -> bool:
        if mark.run not in over:
            over[mark.run] = is_over(mark.run, ours, exists, table.status)
        return over[mark.run]

    return is_left


def exists(pid: int) -> bool:
    """Return whether there is a process with this id, of whatever user."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def end_leftovers(data: Path) -> None:
    """End what earlier runs with this data folder have left, and log what that was.

    Takes some milliseconds where there is nothing, and a few seconds at the most.
    """
    ours = this_run(data)
    if ours is not None:
        table = ProcessTable()
        is_left = left_by_earlier_runs(table, ours)
        ended = _end(table, ours, is_left, signal.SIGTERM)
        _log(ended, "an earlier run of the router left when it was killed")


def end_tree(mark: Mark) -> None:
    """Kill the rest of a tree whose guard was killed, and log what that was.

    The launcher does the same, if it has not been killed as well.
    """
    ended = _end(ProcessTable(), mark.run, mark.__eq__, signal.SIGKILL)
    _log(ended, "a launcher left when it was killed")


def _log(ended: dict[int, str], left_by: str) -> None:
    if ended:
        processes = "process" if len(ended) == 1 else "processes"
        log.warning("Ended %d %s that %s: %s", len(ended), processes, left_by, listed(ended))


def _end(
    table: ProcessTable, ours: Run, is_left: Callable[[Mark], bool], first: signal.Signals
) -> dict[int, str]:
    """End processes, with SIGKILL if the first signal does not; return their names by id."""
    ended: dict[int, str] = {}
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return ended
    number = first
    for _ in range(ROUNDS):
        limit_s = KILL_S if number == signal.SIGKILL else GRACE_S
        names = _signal_all(table, find_marked(table, ours, is_left), number, limit_s)
        if not names:
            break
        ended |= names
        number = signal.SIGKILL
    return ended


def _signal_all(
    table: ProcessTable, marked: Iterable[tuple[int, Mark]], number: int, limit_s: float
) -> dict[int, str]:
    """Send a signal to processes, and wait for their end; return their names by process id."""
    names: dict[int, str] = {}
    with ExitStack() as opened:
        ends = select.poll()
        for pid, mark in marked:
            with suppress(OSError):  # it has ended meanwhile
                process = os.pidfd_open(pid)
                opened.callback(os.close, process)
                name = table.name(pid)
                if table.mark(pid) != mark:  # another one has its process id
                    continue
                signal.pidfd_send_signal(process, number)
                ends.register(process, select.POLLIN)
                names[pid] = name
        _wait_for(ends, len(names), limit_s)
    return names


def _wait_for(ends: select.poll, number: int, limit_s: float) -> None:
    ends_at_s = time.monotonic() + limit_s
    while number and (left_s := ends_at_s - time.monotonic()) > 0:
        for process, _ in ends.poll(1000 * left_s):
            ends.unregister(process)
            number -= 1


def listed(names: dict[int, str]) -> str:
    """Return processes as one reads them: `node (12), sh (13) and 2 more`."""
    shown = ", ".join(f"{name} ({pid})" for pid, name in list(names.items())[:SHOWN])
    more = len(names) - SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
