"""The mark in the environment of every command, by which its whole tree can be found later.

See docs/adr/023-one-launcher-that-forks.md.

Pure: `leftovers` reads the process table, and `this_run` two files of it.

Invariant: a process is a leftover only if that is certain. Its mark is whole, of this boot, this
process namespace, this user and the same data folder; and no process is there that could be the
router of the mark.
"""

from __future__ import annotations

import os
import re
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import astuple, replace

if TYPE_CHECKING:
    from collections.abc import Callable

VARIABLE: Final = "MCP_ROUTER_RUN"
"""The variable that holds the mark."""

PROC: Final = Path("/proc")

_MARK: Final = re.compile(
    r"([0-9a-f-]+):([0-9]+):([0-9]+):([0-9]+):([1-9][0-9]{0,8}):([0-9]+):([0-9]+)", re.ASCII
)

_DEAD: Final = frozenset("ZXx")
"""States of a process that has ended and that nobody has waited for (proc_pid_stat(5))."""


class ProcessStatus(Struct, frozen=True):
    """The fields of `/proc/PID/stat` that tell processes apart.

    Attributes:
        has_ended: True for a zombie.
        parent: the process id of its parent.
        started_ticks: clock ticks from the boot to its start.
    """

    has_ended: bool
    parent: int
    started_ticks: int

    @classmethod
    def parse(cls, stat: bytes) -> ProcessStatus:
        """Return the status in the text of `/proc/PID/stat`.

        The name of the program is in parentheses, and may hold anything.
        """
        fields = stat.rpartition(b")")[2].split()
        return cls(fields[0].decode() in _DEAD, int(fields[1]), int(fields[19]))


class Run(Struct, frozen=True):
    """One run of the router.

    Attributes:
        boot: the id of the boot (random(4)).
        namespace: the inode of the process namespace, in which `pid` means something.
        user: the id of the user.
        data: a checksum of the path of the data folder; routers of one folder succeed each other.
        pid: the process id of the router.
        started_ticks: clock ticks from the boot to its start, since process ids are used again.
    """

    boot: str
    namespace: int
    user: int
    data: int
    pid: int
    started_ticks: int

    def is_comparable(self, other: Run) -> bool:
        """Return whether all is the same but for the router's process."""
        same_process = {"pid": self.pid, "started_ticks": self.started_ticks}
        return replace(other, **same_process) == self


class Mark(Struct, frozen=True):
    """The mark of a command.

    Attributes:
        run: the run that has started it.
        number: its number in that run, from 1 on; 0 is the launcher's.
    """

    run: Run
    number: int

    @property
    def text(self) -> str:
        """The value of `VARIABLE`, such as `4b0e…-1f:4026531836:1000:305419896:4711:123456:1`."""
        return ":".join(map(str, (*astuple(self.run), self.number)))

    @classmethod
    def parse(cls, text: str) -> Mark | None:
        """Return the mark with this text; None if it is none."""
        found = _MARK.fullmatch(text)
        if found is None:
            return None
        boot, *numbers = found.groups()
        *run, number = map(int, numbers)
        return cls(Run(boot, *run), number)


def mark_in(environ: bytes) -> Mark | None:
    """Return the mark in the text of `/proc/PID/environ`; None without one."""
    name = VARIABLE.encode() + b"="
    for pair in environ.split(b"\0"):
        if pair.startswith(name):
            return Mark.parse(pair[len(name) :].decode("ascii", "replace"))
    return None


def is_over(
    run: Run,
    ours: Run,
    exists: Callable[[int], bool],
    status_of: Callable[[int], ProcessStatus | None],
) -> bool:
    """Return whether it is certain that a run is over.

    Args:
        run: the run in question.
        ours: the run of this process.
        exists: returns whether there is a process with this id, of whatever user.
        status_of: returns the status of a process; None if it cannot be read.
    """
    if not run.is_comparable(ours):
        return False
    status = status_of(run.pid)
    if status is None:
        # /proc may hide processes (its option `hidepid`), routers too.
        return not exists(run.pid)
    return status.has_ended or status.started_ticks != run.started_ticks


def this_run(data: Path, proc: Path = PROC) -> Run | None:
    """Return the run of this process; None where the system does not tell what that takes.

    Args:
        data: the data folder of the router.
        proc: where the system tells of its processes.
    """
    if sys.platform != "linux":
        return None
    try:
        boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
        namespace = os.stat(proc / "self/ns/pid").st_ino
        status = ProcessStatus.parse((proc / "self/stat").read_bytes())
    except OSError:
        return None
    folder = zlib.crc32(os.fsencode(os.path.realpath(data)))
    return Run(boot, namespace, os.geteuid(), folder, os.getpid(), status.started_ticks)
