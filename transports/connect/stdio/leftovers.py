"""Ends what a run of the router has left that was killed together with its guards.

Guards end everything when the router is killed. Only where they were killed with it, as by
`pkill -9`, is something left, without anybody at the other end.

For a worker thread, since it reads the process table and waits. Linux only.

Invariants: `run_mark.is_over` decides. Neither this process nor an ancestor of it is ended. A
signal goes to the very process whose mark was read, and not to another with its process id.
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

import attrs

from transports.connect.stdio.run_mark import PROC, ProcessStatus, is_over, mark_in, this_run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from transports.connect.stdio.run_mark import Run

log = logging.getLogger("mcp_router.upstream")

GRACE_S: Final = 2.0
"""Between SIGTERM and SIGKILL. Their stdin has ended long ago, so they had their time."""

KILL_S: Final = 1.0
"""Time for the system to end what was killed."""

ROUNDS: Final = 5
"""Of looking for more: what is left may start processes while it is being ended."""

SHOWN: Final = 10
"""More names than this are not listed in the log."""


@attrs.frozen
class ProcessTable:
    """The process table in a folder such as `/proc`. A process may end while it is read."""

    root: Path = PROC

    def pids(self) -> list[int]:
        """Return the process ids of all processes that may be seen."""
        return [int(name) for name in os.listdir(self.root) if name.isdecimal()]

    def status(self, pid: int) -> ProcessStatus | None:
        """Return the status of a process; None if it cannot be read."""
        stat = self._read(pid, "stat")
        return ProcessStatus.parse(stat) if stat else None

    def run(self, pid: int) -> Run | None:
        """Return the run that has started a process; None if that cannot be said."""
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


def find_leftovers(table: ProcessTable, ours: Run) -> Iterator[tuple[int, Run]]:
    """Yield the process ids of what runs that are over have left, with those runs.

    Args:
        table: the processes of the system.
        ours: the run of this process.
    """
    spared = set(table.line_of(ours.pid))
    over: dict[Run, bool] = {}
    for pid in table.pids():
        if pid in spared or table.user(pid) != ours.user:
            continue
        run = table.run(pid)
        if run is None:
            continue
        if run not in over:
            over[run] = is_over(run, ours, exists, table.status)
        if over[run]:
            yield pid, run


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
    if ours is None or sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return
    table = ProcessTable()
    ended: dict[int, str] = {}
    number, limit_s = signal.SIGTERM, GRACE_S
    for _ in range(ROUNDS):
        names = _signal_all(table, find_leftovers(table, ours), number, limit_s)
        if not names:
            break
        ended |= names
        number, limit_s = signal.SIGKILL, KILL_S
    if ended:
        log.warning(
            "Ended %d %s that an earlier run of the router left when it was killed: %s",
            len(ended),
            "process" if len(ended) == 1 else "processes",
            listed(ended),
        )


def _signal_all(
    table: ProcessTable, leftovers: Iterable[tuple[int, Run]], number: int, limit_s: float
) -> dict[int, str]:
    """Send a signal to processes, and wait for their end; return their names by process id."""
    names: dict[int, str] = {}
    with ExitStack() as opened:
        ends = select.poll()
        for pid, run in leftovers:
            with suppress(OSError):  # it has ended meanwhile
                process = os.pidfd_open(pid)
                opened.callback(os.close, process)
                if table.run(pid) != run:  # another one has its process id
                    continue
                names[pid] = table.name(pid)
                signal.pidfd_send_signal(process, number)
                ends.register(process, select.POLLIN)
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
