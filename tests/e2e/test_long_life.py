"""Tens of thousands of calls: memory, open files, threads and tasks are what they were."""

from __future__ import annotations

import re
import selectors
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.counted_router import CountedRouter
from tests.e2e.fault_table import IS_CHAOS
from tests.e2e.keep_alive_caller import Caller
from tests.e2e.process_resources import open_files, open_files_at_most, resident_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.e2e.workspace import Workspace

UPSTREAM: Final = Path(__file__).with_name("echo_upstream.py")
CALLERS: Final = 16
WARM_UP: Final = 10_000
CALLS: Final = 100_000 if IS_CHAOS else 30_000
SLOPE_BYTES: Final = 2 * 1024
"""The most that memory may grow for each thousand calls, for ever; the promise of row 31."""

NOISE_BYTES: Final = 96 * 1024
"""How much the memory of a router that does not grow differs from one moment to another."""

SESSION_LINE: Final = re.compile(rb"mcp-session-id: [^\r]*\r\n", re.IGNORECASE)


class LoneCaller(Caller):
    """A caller that names no session once it has one to be compared with."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._request = SESSION_LINE.sub(b"", self._request)


def threads_of(pid: int) -> int:
    """Count the threads of a process."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def make_calls(callers: Sequence[Caller], times: int) -> None:
    """Have so many calls answered, one at a time on each connection."""
    with selectors.DefaultSelector() as ready:
        left, begun = times, 0
        for caller in callers:
            ready.register(caller.socket, selectors.EVENT_READ, caller)
            caller.call()
            begun += 1
        while left:
            for key, _ in ready.select(timeout=30):
                caller: Any = key.data
                if not caller.read():
                    continue
                left -= 1
                if begun < times:
                    begun += 1
                    caller.call()


@pytest.mark.fault(
    31,
    "100,000 calls (30,000 in `make test`)",
    "<= 2 kB per 1,000 calls, files, threads and tasks as before",
)
@pytest.mark.timeout(600)  # for the calls alone, on a busy machine
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    "kind",
    [pytest.param(Caller, marks=pytest.mark.slow), LoneCaller],
    ids=["sessions", "no sessions"],
)
def test_calls_leave_memory_files_threads_and_tasks_as_they_were(
    workspace: Workspace, kind: type[Caller]
) -> None:
    workspace.add_command("echo", sys.executable, str(UPSTREAM))
    with CountedRouter(workspace) as router:
        router.stderr.wait_for("echo is ready")
        files, tasks = open_files(router.pid), router.tasks()
        with ExitStack() as stack:
            callers = [kind(router.url("/mcp")) for _ in range(CALLERS)]
            for caller in callers:
                stack.enter_context(closing(caller.socket))
            make_calls(callers, WARM_UP)
            threads = threads_of(router.pid)
            before_bytes = resident_bytes(router.pid)
            make_calls(callers, CALLS)
            grown_bytes = resident_bytes(router.pid) - before_bytes
            assert grown_bytes < SLOPE_BYTES * CALLS / 1000 + NOISE_BYTES
            assert threads_of(router.pid) <= threads
        assert open_files_at_most(router.pid, files) <= files
        assert router.tasks_at_most(tasks) <= tasks
