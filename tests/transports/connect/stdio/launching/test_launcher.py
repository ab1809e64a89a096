"""The launcher and its guards, as real processes between the test and a command."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import pytest

from tests.e2e.processes import Process, kill_all, process_table, running_with, still_running
from transports.connect.stdio.command import ProcessCommand
from transports.connect.stdio.launching.launch import SCRIPT, encode_command

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there is no launcher on Windows")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="no orphans are adopted there")

LIMIT_S: Final = 20.0
"""For anything to happen: far beyond what it takes, on a busy machine too."""


@attrs.define
class Launched:
    """A command below its guard.

    Attributes:
        stdin, stdout: the other ends of these streams.
        lifeline: the router's end.
        token: in the command line of everything that was started.
    """

    stdin: socket.socket
    stdout: socket.socket
    lifeline: socket.socket
    token: str

    def line(self) -> bytes:
        """The next line of the command's stdout."""
        said = b""
        while not said.endswith(b"\n") and (data := self.stdout.recv(1)):
            said += data
        return said.rstrip()

    def guard(self) -> int:
        """The process id of the guard, which it says first."""
        said = b""
        while not said.endswith(b"\n"):
            said += self.lifeline.recv(1)
        name, pid = said.split()
        assert name == b"guard"
        return int(pid)

    def report(self) -> list[bytes]:
        """Read the lifeline until the guard ends; return its words but for the first."""
        said = b""
        while data := self.lifeline.recv(1024):
            said += data
        return [line for line in said.splitlines() if not line.startswith(b"guard")]

    def tree(self) -> list[Process]:
        """The command and what it has started."""
        return running_with(self.token)

    def close(self) -> None:
        for end in (self.stdin, self.stdout, self.lifeline):
            end.close()


class _Start:
    """A launcher. Starts commands and cleans up after the test."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.started: list[Launched] = []
        self.control, theirs = socket.socketpair()
        with theirs:
            self.popen = subprocess.Popen(
                [sys.executable, "-I", "-S", str(SCRIPT), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env={},
            )

    def __call__(self, *argv: str, path: str | None = None, cwd: str | None = None) -> Launched:
        pairs = [socket.socketpair() for _ in range(3)]
        ours, theirs = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        for end in ours:
            end.settimeout(LIMIT_S)
        stdin, stdout, lifeline = (end.fileno() for end in theirs)
        fds = array("i", [stdin, stdout, 2, lifeline])
        self.control.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        for end in theirs:
            end.close()
        launched = Launched(ours[0], ours[1], ours[2], self.token)
        self.started.append(launched)
        command = ProcessCommand(path or argv[0], argv, {"PATH": os.environ["PATH"]}, cwd)
        launched.lifeline.sendall(encode_command(command, {"MARK": "a=b"}))
        return launched

    def python(self, code: str, token: str = "") -> Launched:
        """Start a command that runs this code; `sys.argv[1]` is the token."""
        return self(sys.executable, "-I", "-S", "-c", code, self.token + token)

    def children(self) -> list[int]:
        """The children of the launcher, zombies too."""
        return _children(self.popen.pid)

    def clean_up(self) -> None:
        for launched in self.started:
            launched.close()
        self.control.close()
        try:
            assert self.popen.wait(LIMIT_S) in {0, -signal.SIGKILL}
        finally:
            kill_all(running_with(self.token))


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _wait_for_children(pid: int, number: int) -> None:
    ends_at_s = time.monotonic() + LIMIT_S
    while len(_children(pid)) > number:
        assert time.monotonic() < ends_at_s
        time.sleep(0.01)  # the process table has no event to wait for


@pytest.fixture
def start(tmp_path: Path) -> Iterator[_Start]:
    start = _Start(str(tmp_path))
    yield start
    start.clean_up()


SLEEP: Final = "import os, sys, time; os.write(1, b'up\\n'); time.sleep(1000)"

STUBBORN: Final = f"""
import signal
for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
    signal.signal(number, signal.SIG_IGN)
{SLEEP}
"""

FAMILY: Final = f"""
import os, subprocess, sys
grandchild = r'''{SLEEP}'''
child = r'''
import os, subprocess, sys
os.setsid()
subprocess.Popen([sys.executable, "-I", "-S", "-c", sys.argv[2], *sys.argv[1:]])
{SLEEP}
'''
subprocess.Popen([sys.executable, "-I", "-S", "-c", child, sys.argv[1], grandchild])
"""
"""A child in a session of its own, with a child; both say so."""


@pytest.mark.parametrize(
    ("code", "report"),
    [
        ("raise SystemExit(0)", b"ended 0"),
        ("raise SystemExit(3)", b"ended 3"),
        ("import os; os.kill(os.getpid(), 9)", b"ended -9"),
        ("import os; os.kill(os.getpid(), 15)", b"ended -15"),
    ],
)
def test_the_end_of_the_command_is_reported(start: _Start, code: str, report: bytes) -> None:
    launched = start.python(code)
    assert launched.report() == [report]


def test_a_command_that_cannot_be_executed_is_reported(start: _Start, tmp_path: Path) -> None:
    script = tmp_path / "no-first-line"
    script.write_text("echo hello\n")
    script.chmod(0o755)
    assert start(str(script)).report() == [b"error 8", b"ended 127"]


def test_a_folder_that_cannot_be_entered_is_reported(start: _Start, tmp_path: Path) -> None:
    assert start("true", path="/bin/true", cwd=f"{tmp_path}/gone").report() == [
        b"folder 2",
        b"ended 127",
    ]


def test_arguments_reach_the_command_as_they_are(start: _Start) -> None:
    launched = start("sh", "-c", 'printf "%s\\n" "$0" "$@"', "$HOME", "a b", "ü'\"", path="/bin/sh")
    assert [launched.line() for _ in range(3)] == [b"$HOME", b"a b", "ü'\"".encode()]


def test_environment_and_folder_are_those_of_the_command(start: _Start, tmp_path: Path) -> None:
    launched = start("env", path="/usr/bin/env", cwd=str(tmp_path))
    assert {launched.line(), launched.line(), launched.line()} == {
        b"PATH=" + os.environb[b"PATH"],
        b"MARK=a=b",
        b"",
    }
    assert start("pwd", path="/bin/pwd", cwd=str(tmp_path)).line() == os.fsencode(tmp_path)


def test_the_standard_streams_are_the_commands_alone(start: _Start) -> None:
    launched = start.python(
        "import os, time; os.read(0, 1); os.close(1); os.read(0, 1); os.close(0); time.sleep(1000)"
    )
    launched.stdin.sendall(b"1")
    assert launched.line() == b""  # its end of file, while the command lives
    launched.stdin.sendall(b"2")
    assert launched.stdin.recv(1) == b""
    assert launched.tree()


@on_linux
def test_no_process_holds_the_streams_of_another_command(start: _Start) -> None:
    both = [start.python(SLEEP), start.python(SLEEP)]
    guards = [launched.guard() for launched in both]
    assert [launched.line() for launched in both] == [b"up"] * 2
    commands = [pid for guard in guards for pid in _children(guard)]
    kept = [_sockets(pid) for pid in (*guards, *commands)]
    assert [len(sockets) for sockets in kept] == [1, 1, 2, 2]  # lifelines; stdin and stdout
    assert len(set().union(*kept)) == 6
    assert len(_sockets(start.popen.pid)) == 1  # to the router


def _sockets(pid: int) -> set[str]:
    """The sockets that a process holds, but for stderr, which is that of the tests."""
    fds = [fd for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.name != "2"]
    return {name for name in map(os.readlink, fds) if name.startswith("socket:")}


C_LIBRARY_SIGNALS = 0b11 << 31
"""Signals 32 and 33 are the C library's own; its `posix_spawn` has children ignore them."""


def test_the_command_finds_signals_as_they_are_by_default(start: _Start) -> None:
    launched = start("sh", "-c", "grep -E 'Sig(Ign|Blk)' /proc/self/status", path="/bin/sh")
    if sys.platform == "linux":
        masks = [int(launched.line().split()[1], 16) for _ in range(2)]
        assert [mask & ~C_LIBRARY_SIGNALS for mask in masks] == [0, 0]
    assert launched.report() == [b"ended 0" if sys.platform == "linux" else b"ended 2"]


def test_it_passes_sigterm_on_to_the_group_of_the_command(start: _Start) -> None:
    launched = start("sh", "-c", f"{sys.executable} -I -S -c {SLEEP!r} & wait", path="/bin/sh")
    assert launched.line() == b"up"
    launched.lifeline.sendall(b"T")
    assert launched.report() == [b"ended -15"]


def test_launcher_and_guard_outlive_signals_to_whole_groups(start: _Start) -> None:
    launched = start.python(SLEEP)
    guard = launched.guard()
    assert launched.line() == b"up"
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        os.killpg(guard, number)
        os.killpg(start.popen.pid, number)
    launched.lifeline.sendall(b"T")
    assert launched.report() == [b"ended -15"]
    assert start.python("pass").report() == [b"ended 0"]


def test_the_end_of_the_lifeline_kills_a_stubborn_command(start: _Start) -> None:
    launched = start.python(STUBBORN)
    assert launched.line() == b"up"
    tree = launched.tree()
    assert len(tree) == 1
    launched.lifeline.close()
    assert not still_running(tree)


@on_linux
def test_the_end_of_the_lifeline_kills_everything_that_was_started(start: _Start) -> None:
    launched = start.python(FAMILY + SLEEP)
    assert [launched.line() for _ in range(3)] == [b"up"] * 3
    tree = launched.tree()
    assert len(tree) == 3
    launched.lifeline.close()
    assert not still_running(tree)


@on_linux
def test_the_end_of_the_command_kills_everything_it_leaves(start: _Start) -> None:
    launched = start.python(FAMILY + "sys.stdin.read()")
    assert [launched.line() for _ in range(2)] == [b"up"] * 2
    tree = launched.tree()
    launched.stdin.close()
    assert launched.report() == [b"ended 0"]
    assert not still_running(tree)


@on_linux
def test_orphans_that_end_by_themselves_are_not_left_as_zombies(start: _Start) -> None:
    code = """
import os, subprocess, sys
for _ in range(20):
    subprocess.run(["/bin/sh", "-c", "true &"])
os.write(1, b"up\\n")
sys.stdin.read()
"""
    launched = start.python(code)
    guard = launched.guard()
    assert launched.line() == b"up"
    _wait_for_children(guard, 1)


# --- What is killed, and what goes on ---------------------------------------------------------


@on_linux
def test_a_killed_guard_takes_its_own_tree_with_it_and_no_other(start: _Start) -> None:
    launched = start.python(FAMILY + SLEEP, "/one")
    other = start.python(FAMILY + SLEEP, "/other")
    assert [launched.line() for _ in range(3)] == [b"up"] * 3
    assert [other.line() for _ in range(3)] == [b"up"] * 3
    tree = running_with(f"{start.token}/one")
    assert len(tree) == 3
    os.kill(launched.guard(), signal.SIGKILL)
    assert launched.report() == []
    assert not still_running(tree)
    assert len(running_with(f"{start.token}/other")) == 3
    assert start.children() == [other.guard()]


@on_linux
def test_guards_that_have_ended_are_not_left_as_zombies(start: _Start) -> None:
    for _ in range(3):
        assert start.python("pass").report() == [b"ended 0"]
    _wait_for_children(start.popen.pid, 0)


def test_commands_go_on_without_the_launcher_and_end_with_their_lifelines(start: _Start) -> None:
    code = "os.read(0, 1); os.write(1, b'goes on\\n'); time.sleep(1000)"
    launched = start.python(STUBBORN.replace("time.sleep(1000)", code))
    assert launched.line() == b"up"
    start.popen.kill()
    start.popen.wait(LIMIT_S)
    launched.stdin.sendall(b"1")
    assert launched.line() == b"goes on"
    tree = launched.tree()
    assert len(tree) == 1
    launched.lifeline.close()
    assert not still_running(tree)


@on_linux
def test_nothing_is_left_when_the_router_is_gone(start: _Start) -> None:
    launched = [start.python(FAMILY + STUBBORN) for _ in range(3)]
    for one in launched:
        assert [one.line() for _ in range(3)] == [b"up"] * 3
    tree = running_with(start.token)
    launchers = [row for row in process_table() if str(SCRIPT) in row.command]
    mine = [row for row in launchers if start.popen.pid in {row.pid, row.parent}]
    assert (len(tree), len(mine)) == (9, 4)
    for one in launched:
        one.close()
    start.control.close()
    assert not still_running([*tree, *mine])
    assert start.popen.wait(LIMIT_S) == 0


def test_a_router_that_goes_before_its_command_has_come_leaves_nothing(start: _Start) -> None:
    launched = start("true", path="/bin/true")
    launched.report()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        fds = array("i", [0, 1, 2, theirs.fileno()])
        start.control.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        theirs.close()
        ours.sendall((1000).to_bytes(4, "big") + b"/bin/tr")
        ours.shutdown(socket.SHUT_WR)
        ours.settimeout(LIMIT_S)
        assert ours.recv(1024).startswith(b"guard")
        assert ours.recv(1024) == b""


# --- What it costs ----------------------------------------------------------------------------


@on_linux
def test_a_guard_has_less_than_a_megabyte_of_its_own(start: _Start) -> None:
    launched = [start.python(SLEEP) for _ in range(8)]
    guards = [one.guard() for one in launched]
    assert [one.line() for one in launched] == [b"up"] * 8
    for guard in guards:
        assert _own_kib(guard) < 1000


def _own_kib(pid: int) -> int:
    """The memory that a process shares with no other, in KiB."""
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return sum(int(row.split()[1]) for row in rows if row.startswith("Private_"))
