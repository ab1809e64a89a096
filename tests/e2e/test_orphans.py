"""No process of a server outlives its session, if the router, its launcher or a guard is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

import pytest
from msgspec.structs import replace

from tests.e2e.processes import (
    Process,
    descendants,
    kill_all,
    process_table,
    running_with,
    still_running,
)
from tests.e2e.raw_client import StdioRouter
from transports.connect.stdio.launching.run_mark import VARIABLE, Mark, this_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.e2e.workspace import Workspace

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform != "linux", reason="no orphans are adopted there"),
]

ENDED: Final = (
    "Ended ([0-9]+) process(?:es)? that an earlier run of the router left when it was killed: .*"
)

LIMIT_S: Final = 30.0
"""For anything to happen: far beyond what it takes, on a busy machine too."""


@pytest.fixture
def router(workspace: Workspace) -> Iterator[StdioRouter]:
    """A router with two servers, which have a stubborn child each."""
    workspace.add_chaos("one", "parent").add_chaos("two", "parent")
    with StdioRouter(workspace.stdio_command) as router:
        router.initialize()
        _answers(router, "one")
        _answers(router, "two")
        yield router
    kill_all(running_with(str(workspace.path)))


def _answers(router: StdioRouter, instance: str) -> None:
    assert router.call(instance, "echo", text="x")["content"][0]["text"] == "x"


def _launcher(router: StdioRouter) -> Process:
    (launcher,) = [row for row in process_table() if row.parent == router.popen.pid]
    return launcher


def _guards(router: StdioRouter) -> list[Process]:
    launcher = _launcher(router)
    return [row for row in process_table() if row.parent == launcher.pid]


def _kill_as_one(processes: Sequence[Process]) -> None:
    """Kill processes before any of them sees the end of another one."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for row in processes:
            os.kill(row.pid, number)


def test_nothing_outlives_a_killed_router(router: StdioRouter) -> None:
    tree = descendants(router.popen.pid)
    assert len(tree) == 7  # the launcher, and twice a guard, a server and its child
    router.popen.kill()
    assert not still_running(tree)


def test_servers_work_on_without_their_launcher_and_end_with_their_router(
    router: StdioRouter, workspace: Workspace
) -> None:
    tree = descendants(router.popen.pid)
    launcher = _launcher(router)
    os.kill(launcher.pid, signal.SIGKILL)
    assert not still_running([launcher])
    _answers(router, "one")
    _answers(router, "two")
    assert len(running_with(str(workspace.path))) == 5  # with the router itself
    router.popen.kill()
    assert not still_running(tree)


@pytest.mark.fault(28, "a guard SIGKILLed", "its server ended and started again")
def test_a_server_whose_guard_is_killed_is_started_again(router: StdioRouter) -> None:
    first, second = _guards(router)
    killed = [first, *descendants(first.pid)]
    kept = [second, *descendants(second.pid)]
    os.kill(first.pid, signal.SIGKILL)
    assert not still_running(killed)
    ends_at_s = time.monotonic() + LIMIT_S
    while len(_guards(router)) < 2:
        assert time.monotonic() < ends_at_s
        time.sleep(0.01)  # the process table has no event to wait for
    _answers(router, "one")
    _answers(router, "two")
    assert len(still_running(kept, 0.0)) == 3


def test_nothing_outlives_a_guard_that_is_killed_with_the_launcher(router: StdioRouter) -> None:
    guards = _guards(router)
    trees = [row for guard in guards for row in descendants(guard.pid)]
    assert len(trees) == 4
    _kill_as_one([_launcher(router), *guards])
    assert not still_running(trees)
    _answers(router, "one")
    _answers(router, "two")


@pytest.mark.fault(28, "router and guards SIGKILLed", "what is left is ended at the next start")
def test_what_a_run_that_was_killed_with_its_guards_has_left_is_ended_at_the_next_start(
    router: StdioRouter, workspace: Workspace
) -> None:
    tree = descendants(router.popen.pid)
    guards = [_launcher(router), *_guards(router)]
    (self,) = [row for row in process_table() if row.pid == router.popen.pid]
    _kill_as_one([self, *guards])
    router.popen.wait(LIMIT_S)
    left = still_running(tree)
    assert len(left) == 2  # the children, whose parents the system has killed
    with workspace.serve("http") as next_router:
        found = next_router.stderr.wait_for(ENDED)
        assert found[1] == "2"
        assert not still_running(left)
        mine = next_router.children()
    assert not still_running(mine)


def test_a_router_leaves_alone_what_belongs_to_another_that_lives(workspace: Workspace) -> None:
    ended = rf"{ENDED}\(\d+\)"
    with (
        _left_by_a_dead_run(workspace),
        workspace.add_chaos("one", "parent").serve("http") as first,
    ):
        first.stderr.wait_for(ended)
        first.stderr.wait_for("one is ready")
        tree = descendants(first.pid)
        assert len(tree) == 4  # the launcher, a guard, a server and its child
        with _left_by_a_dead_run(workspace), workspace.serve("http") as second:
            second.stderr.wait_for(ended)
        assert len(still_running(tree, 0.0)) == 4


def _left_by_a_dead_run(workspace: Workspace) -> subprocess.Popen[bytes]:
    """Start a process with the mark of a run that is over."""
    run = this_run(workspace.path / "data")
    assert run is not None
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    dead = replace(run, pid=ended.pid)
    return subprocess.Popen(["sleep", "1000"], env={VARIABLE: Mark(dead, 1).text})
