"""What a process has of the machine: memory and open files."""

from __future__ import annotations

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
    """The memory of a process that is in use."""
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        (kilobytes,) = re.findall(r"VmRSS:\s+(\d+) kB", status.read_text())
        return int(kilobytes) * 1024
    listing = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True
    )
    return int(listing.stdout) * 1024


def open_files(pid: int) -> int:
    """How many files, sockets and pipes a process has open."""
    entries = Path(f"/proc/{pid}/fd")
    if entries.exists():
        return sum(1 for _ in entries.iterdir())
    listing = subprocess.run(["lsof", "-p", str(pid)], capture_output=True, text=True, check=True)
    return len(listing.stdout.splitlines()) - 1


def open_files_at_most(pid: int, expected: int, limit_s: float = 30.0) -> int:
    """How many there are, once they are no more than expected or `limit_s` went by."""
    ends_at_s = time.monotonic() + limit_s
    while (found := open_files(pid)) > expected and time.monotonic() < ends_at_s:
        time.sleep(0.02)  # the table of files has no event to wait for
    return found


@contextmanager
def file_limit(wanted: int) -> Iterator[None]:
    """Have this process, and what it starts meanwhile, open no more than so many files."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


def has_files(wanted: int) -> bool:
    """May this process open so many?"""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return hard == resource.RLIM_INFINITY or hard >= wanted
