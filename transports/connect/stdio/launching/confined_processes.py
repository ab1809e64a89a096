"""Tells whether a process is one of an instance with a sandbox, of any router of this machine.

The system lets such a process connect to the local socket of the router that has confined it, or of
another one of its user. There it could have a command run without a sandbox, so it gets no answer.

Invariant: in doubt it is one. It cannot hide: it can gain no privileges, and it descends from a
guard, whose children all orphans of its tree become. From Linux 6.12 on it cannot kill that guard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from transports.connect.stdio.launching.launch import SCRIPT
from transports.connect.stdio.launching.leftovers import ProcessTable, exists
from transports.connect.stdio.launching.run_mark import PROC

if TYPE_CHECKING:
    from pathlib import Path

_NO_NEW_PRIVILEGES: Final = b"\nNoNewPrivs:\t1\n"
_LAUNCHER: Final = f"/launching/{SCRIPT.name}\0".encode()
"""In the command line of launchers and guards."""


def is_confined(pid: int, proc: Path = PROC) -> bool:
    """Return whether a process is confined by its sandbox, as far as that can be told.

    Without a sandbox it counts as one only if its router can gain no privileges either.

    Args:
        pid: its process id; 0 for a process of which this system says nothing.
        proc: where the system tells of its processes.
    """
    if pid <= 0:
        return False  # those that the launcher starts are never out of sight
    try:
        if _NO_NEW_PRIVILEGES not in (proc / str(pid) / "status").read_bytes():
            return False
    except OSError:
        return _was_ours(pid)
    return _descends_from_launcher(pid, proc)


def _descends_from_launcher(pid: int, proc: Path) -> bool:
    table = ProcessTable(proc)
    while pid > 0:
        try:
            command = (proc / str(pid) / "cmdline").read_bytes()
        except OSError:
            return _was_ours(pid)
        if _LAUNCHER in command:
            return True
        status = table.status(pid)
        if status is None:
            return _was_ours(pid)
        pid = status.parent
    return False


def _was_ours(pid: int) -> bool:
    """Return whether a process has ended, rather than being hidden as those of others may be."""
    return not exists(pid)
