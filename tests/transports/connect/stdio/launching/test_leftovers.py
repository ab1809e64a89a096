"""Processes that a killed run of the router has left are ended, and no others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Final, TypeAlias

import pytest
from msgspec.structs import replace

from transports.connect.stdio.launching import leftovers
from transports.connect.stdio.launching.leftovers import (
    ProcessTable,
    end_leftovers,
    end_tree,
    exists,
    find_marked,
    left_by_earlier_runs,
)
from transports.connect.stdio.launching.run_mark import VARIABLE, Mark, Run, this_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NOBODY: Final = 2**22 + 1
"""No process has this id (proc(5), pid_max)."""

ROUTER: Final = Run("4b0e", 1, os.geteuid() if os.name == "posix" else 0, 7, 900, 5)
DEAD: Final = replace(ROUTER, pid=NOBODY)

Start: TypeAlias = "Callable[..., subprocess.Popen[bytes]]"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")


# --- Whom it finds ---------------------------------------------------------------------------


class _Table:
    """A process table of files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "version").write_text("not a process")
        self.add(ROUTER.pid, parent=800, started_ticks=ROUTER.started_ticks)
        self.add(800, parent=0)

    def add(
        self, pid: int, run: Run | None = None, *, parent: int = 1, started_ticks: int = 99
    ) -> None:
        entry = self.folder / str(pid)
        entry.mkdir(exist_ok=True)
        fields = f"{pid} (x) S {parent} {'0 ' * 17}{started_ticks} 0 0"
        (entry / "stat").write_text(fields)
        (entry / "environ").write_text(
            "A=1\0" if run is None else f"{VARIABLE}={Mark(run, 1).text}\0A=1\0"
        )

    def leftovers(self, ours: Run = ROUTER) -> list[tuple[int, Run]]:
        table = ProcessTable(self.folder)
        found = find_marked(table, ours, left_by_earlier_runs(table, ours))
        return sorted((pid, mark.run) for pid, mark in found)


@pytest.fixture
def table(tmp_path: Path) -> _Table:
    return _Table(tmp_path)


def test_processes_of_a_dead_router_are_found(table: _Table) -> None:
    table.add(10, DEAD)
    table.add(11, DEAD, parent=10)
    table.add(12)
    assert table.leftovers() == [(10, DEAD), (11, DEAD)]


def test_processes_of_this_and_of_other_living_routers_are_not(table: _Table) -> None:
    other = replace(ROUTER, pid=901, started_ticks=77)
    table.add(901, started_ticks=77)
    table.add(10, other)
    table.add(11, ROUTER)
    assert table.leftovers() == []


def test_processes_whose_routers_number_was_used_again_are_found(table: _Table) -> None:
    before = replace(ROUTER, started_ticks=4)
    table.add(10, before)
    assert table.leftovers() == [(10, before)]


def test_this_router_and_its_ancestors_are_spared(table: _Table) -> None:
    """A server of the dead run may have started this one, as a terminal does."""
    table.add(ROUTER.pid, DEAD, parent=800, started_ticks=ROUTER.started_ticks)
    table.add(800, DEAD, parent=700)
    table.add(700, DEAD, parent=700)
    table.add(10, DEAD)
    assert table.leftovers() == [(10, DEAD)]


def test_processes_of_other_users_are_not_looked_at(table: _Table) -> None:
    table.add(10, DEAD)
    assert table.leftovers(replace(ROUTER, user=ROUTER.user + 1)) == []


def test_a_process_that_ends_meanwhile_is_passed_over(table: _Table) -> None:
    (table.folder / "10").mkdir()
    assert table.leftovers() == []
    assert ProcessTable(table.folder).user(11) is None


def test_the_line_of_a_process_ends_where_it_cannot_be_read(table: _Table) -> None:
    table.add(10, parent=11)
    assert ProcessTable(table.folder).line_of(10) == [10, 11]
    assert ProcessTable(table.folder / "gone").pids() == []


def test_a_process_exists_whether_or_not_it_may_be_signalled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert exists(os.getpid())

    def kill(pid: int, number: int) -> None:
        assert (pid, number) == (1, 0)
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", kill)
        assert exists(1)
    assert not exists(NOBODY)


# --- How it ends them ------------------------------------------------------------------------

SLEEPS: Final = "import os, signal, time\n{}\nos.write(1, b'1')\ntime.sleep(1000)"
IGNORES: Final = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


@pytest.fixture
def ours(tmp_path: Path) -> Run:
    """The run of this process, with a data folder that no other router has."""
    run = this_run(tmp_path)
    assert run is not None
    return run


@pytest.fixture
def dead(ours: Run) -> Run:
    """A run that is over."""
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    return replace(ours, pid=ended.pid)


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a process with the mark of a run, and wait until it sleeps."""
    started: list[subprocess.Popen[bytes]] = []

    def start(run: Run, code: str = "", number: int = 1) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-I", "-S", "-c", SLEEPS.format(code)]
        popen = subprocess.Popen(
            argv, stdout=subprocess.PIPE, env={VARIABLE: Mark(run, number).text}
        )
        started.append(popen)
        assert popen.stdout is not None
        assert popen.stdout.read(1) == b"1"
        return popen

    yield start
    for popen in started:
        popen.kill()
        with popen:
            pass


def test_leftovers_are_ended_and_named(
    tmp_path: Path, ours: Run, dead: Run, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    living, left = start(ours), start(dead)
    end_leftovers(tmp_path)
    assert left.wait() == -signal.SIGTERM
    assert living.poll() is None
    (message,) = caplog.messages
    assert message.startswith(
        "Ended 1 process that an earlier run of the router left when it was killed: "
    )
    assert message.endswith(f" ({left.pid})")


def test_one_that_ignores_sigterm_is_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dead: Run, start: Start
) -> None:
    monkeypatch.setattr(leftovers, "GRACE_S", 0.01)
    left = start(dead, IGNORES)
    end_leftovers(tmp_path)
    assert left.wait() == -signal.SIGKILL


def test_what_is_started_meanwhile_is_ended_too(tmp_path: Path, dead: Run, start: Start) -> None:
    code = """
def fork(*_):
    child = os.fork()
    if not child: time.sleep(1000)
    os.write(1, str(child).encode()); os._exit(0)  # the child may not live long enough to tell
signal.signal(signal.SIGTERM, fork)"""
    left = start(dead, code)
    end_leftovers(tmp_path)
    assert left.stdout is not None
    child = int(left.stdout.read())  # its end of file: nobody is left
    assert left.wait() == 0
    assert ProcessTable().mark(child) is None  # it may still be a zombie


def test_the_rest_of_one_tree_of_this_run_is_killed_and_no_other(
    ours: Run, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    kept, left = start(ours, number=1), start(ours, IGNORES, number=2)
    end_tree(Mark(ours, 2))
    assert left.wait() == -signal.SIGKILL
    assert kept.poll() is None
    assert caplog.messages[0].startswith("Ended 1 process that a launcher left")


def test_another_process_that_has_got_the_id_is_not_touched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dead: Run, start: Start
) -> None:
    seen: list[int] = []
    left = start(dead)

    def mark(self: ProcessTable, pid: int) -> Mark | None:
        """The mark is there at the first look alone."""
        if pid != left.pid or pid in seen:
            return None
        seen.append(pid)
        return Mark(dead, 1)

    monkeypatch.setattr(ProcessTable, "mark", mark)
    end_leftovers(tmp_path)
    assert seen
    assert left.poll() is None


def test_nothing_is_said_where_nothing_was_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    end_leftovers(tmp_path)
    assert caplog.messages == []


def test_many_names_are_not_all_listed() -> None:
    names = dict.fromkeys(range(1, 15), "node")
    listed = leftovers.listed(names)
    assert listed.startswith("node (1), node (2), ")
    assert listed.endswith("node (10) and 4 more")
