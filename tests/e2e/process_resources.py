"""Measures and limits the memory and the open files of a process."""

from __future__ import annotations

import itertools
import re
import resource
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB: Final = 1 << 20


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        (kilobytes,) = re.findall(r"VmRSS:\s+(\d+) kB", status.read_text())
        return int(kilobytes) * 1024
    listing = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True
    )
    return int(listing.stdout) * 1024


def open_files(pid: int) -> int:
    """Count the files, sockets and pipes that a process has open."""
    entries = Path(f"/proc/{pid}/fd")
    if entries.exists():
        return sum(1 for _ in entries.iterdir())
    listing = subprocess.run(["lsof", "-p", str(pid)], capture_output=True, text=True, check=True)
    return len(listing.stdout.splitlines()) - 1


def lowest_free_file(pid: int) -> int:
    """Return the number that the next file of a process gets; it needs /proc."""
    taken = {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    return next(number for number in itertools.count() if number not in taken)


def open_files_at_most(pid: int, expected: int, limit_s: float = 30.0) -> int:
    """Wait until a process has at most `expected` files open; return the count at the end."""
    ends_at_s = time.monotonic() + limit_s
    while (found := open_files(pid)) > expected and time.monotonic() < ends_at_s:
        time.sleep(0.02)  # the table of files has no event to wait for
    return found


@contextmanager
def file_limit(wanted: int) -> Iterator[None]:
    """Limit the open files of this process, and of the processes that it starts meanwhile."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


def has_files(wanted: int) -> bool:
    """Return whether this process may open so many files."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return hard == resource.RLIM_INFINITY or hard >= wanted
