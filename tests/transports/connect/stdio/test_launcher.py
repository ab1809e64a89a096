"""The launcher, as a real process between the test and a command."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Self

import attrs
import pytest

from tests.e2e.processes import Process, kill_all, running_with, still_running

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there is no launcher on Windows")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="no orphans are adopted there")

LAUNCHER: Final = Path(__file__).parents[4] / "transports" / "connect" / "stdio" / "launcher.py"

LIMIT_S: Final = 20.0
"""For anything to happen: far beyond what it takes, on a busy machine too."""


@attrs.define
class Launched:
    """A launcher with its command.

    Attributes:
        popen: the launcher; its pipes are the command's.
        lifeline: the router's end.
        token: in the command line of everything that was started.
    """

    popen: subprocess.Popen[bytes]
    lifeline: socket.socket
    token: str

    @classmethod
    def start(cls, token: str, *argv: str, path: str | None = None) -> Self:
        lifeline, theirs = socket.socketpair()
        lifeline.settimeout(LIMIT_S)
        with theirs:
            launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(theirs.fileno())]
            popen = subprocess.Popen(
                [*launcher, path or argv[0], *argv],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        return cls(popen, lifeline, token)

    def line(self) -> bytes:
        """The next line of the command's stdout."""
        stdout = self.popen.stdout
        assert stdout is not None
        assert select.select([stdout], [], [], LIMIT_S)[0], "nothing was said"
        return stdout.readline().rstrip()

    def report(self) -> list[bytes]:
        """All that the launcher says on the lifeline, which it does until it ends."""
        said = b""
        while data := self.lifeline.recv(1024):
            said += data
        return said.splitlines()

    def tree(self) -> list[Process]:
        return running_with(self.token)


class _Start:
    """Starts launchers and cleans up after the test."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.started: list[Launched] = []

    def __call__(self, *argv: str, **more: Any) -> Launched:
        self.started.append(Launched.start(self.token, *argv, **more))
        return self.started[-1]

    def python(self, code: str) -> Launched:
        """Start a command that runs this code; `sys.argv[1]` is the token."""
        return self(sys.executable, "-I", "-S", "-c", code, self.token)

    def clean_up(self) -> None:
        for launched in self.started:
            launched.lifeline.close()
            kill_all(launched.tree())
            with launched.popen:
                pass


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
    assert launched.popen.wait(LIMIT_S) == 0


def test_a_command_that_cannot_be_executed_is_reported(start: _Start, tmp_path: Path) -> None:
    script = tmp_path / "no-first-line"
    script.write_text("echo hello\n")
    script.chmod(0o755)
    assert start(str(script)).report() == [b"error 8", b"ended 127"]


def test_arguments_and_environment_reach_the_command_as_they_are(start: _Start) -> None:
    launched = start("sh", "-c", 'printf "%s\\n" "$0" "$@"', "$HOME", "a b", "ü'\"", path="/bin/sh")
    assert [launched.line() for _ in range(3)] == [b"$HOME", b"a b", "ü'\"".encode()]


def test_the_standard_streams_are_the_commands_alone(start: _Start) -> None:
    launched = start.python(
        "import os, time; os.read(0, 1); os.close(1); os.read(0, 1); os.close(0); time.sleep(1000)"
    )
    stdin = launched.popen.stdin
    assert stdin is not None
    stdin.write(b"1")
    assert launched.line() == b""  # its end of file, while the command lives
    stdin.write(b"2")
    with pytest.raises(BrokenPipeError):
        _write_for_ever(stdin)
    assert launched.tree()


def _write_for_ever(stdin: IO[bytes]) -> None:
    while select.select([], [stdin], [], LIMIT_S)[1]:
        stdin.write(b"3")


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


def test_it_outlives_signals_to_whole_groups(start: _Start) -> None:
    launched = start.python(SLEEP)
    assert launched.line() == b"up"
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        os.killpg(launched.popen.pid, number)
    launched.lifeline.sendall(b"T")
    assert launched.report() == [b"ended -15"]


def test_the_end_of_the_lifeline_kills_a_stubborn_command(start: _Start) -> None:
    launched = start.python(STUBBORN)
    assert launched.line() == b"up"
    tree = launched.tree()
    assert len(tree) == 2
    launched.lifeline.close()
    assert not still_running(tree)


@on_linux
def test_the_end_of_the_lifeline_kills_everything_that_was_started(start: _Start) -> None:
    launched = start.python(FAMILY + SLEEP)
    assert [launched.line() for _ in range(3)] == [b"up"] * 3
    tree = launched.tree()
    assert len(tree) == 4
    launched.lifeline.close()
    assert not still_running(tree)


@on_linux
def test_the_end_of_the_command_kills_everything_it_leaves(start: _Start) -> None:
    launched = start.python(FAMILY + "sys.stdin.read()")
    assert [launched.line() for _ in range(2)] == [b"up"] * 2
    tree = launched.tree()
    assert launched.popen.stdin is not None
    launched.popen.stdin.close()
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
    assert launched.line() == b"up"
    children = Path(f"/proc/{launched.popen.pid}/task/{launched.popen.pid}/children")
    ends_at_s = time.monotonic() + LIMIT_S
    while len(children.read_text().split()) > 1:
        assert time.monotonic() < ends_at_s
        time.sleep(0.01)  # the process table has no event to wait for
    launched.lifeline.close()
    assert launched.popen.wait(LIMIT_S) == 0


@on_linux
def test_the_command_does_not_outlive_the_launcher(start: _Start) -> None:
    launched = start.python(STUBBORN)
    assert launched.line() == b"up"
    tree = launched.tree()
    launched.popen.kill()
    assert launched.report() == []
    assert not still_running(tree)
