"""Starts a real router, waits for its words, stops it, and finds the processes that it left.

Invariants: nothing here waits by time alone and every wait has a limit. Whatever happens in a test,
the router and all of its descendants are gone afterwards.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

START_LIMIT_S: Final = 60.0
"""For the router to listen: far beyond any start, even on a busy machine."""

STOP_LIMIT_S: Final = 30.0
"""For the router to end: above its own bounds on stopping children (10.5 s)."""

LISTENING: Final = r"Listening on http://"


# --- The machine's processes -----------------------------------------------------------------


@attrs.frozen
class Process:
    """One row of the process table.

    It equals a later row of the same process, which may have another parent by then, or no command:
    a process that ends loses its memory, and its command with it, before its files.
    """

    pid: int
    parent: int = attrs.field(eq=False)
    command: str = attrs.field(eq=False)


def process_table() -> list[Process]:
    """Return all processes that are no zombies, as `ps` sees them."""
    if Path("/proc/self/stat").exists():
        return [row for entry in Path("/proc").iterdir() if (row := _read_proc(entry)) is not None]
    listing = subprocess.run(
        ["ps", "-axo", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True
    )
    rows = [line.split(None, 3) for line in listing.stdout.splitlines()]
    return [Process(int(row[0]), int(row[1]), row[-1]) for row in rows if row[2][0] != "Z"]


def _read_proc(entry: Path) -> Process | None:
    if not entry.name.isdecimal():
        return None
    try:
        state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
        command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:  # it has ended meanwhile
        return None
    return None if state == "Z" else Process(int(entry.name), int(parent), command)


def descendants(pid: int) -> list[Process]:
    """Return the living children of a process, their children, and so on."""
    table = process_table()
    found: list[Process] = []
    parents = {pid}
    while parents:
        children = [row for row in table if row.parent in parents]
        found += children
        parents = {row.pid for row in children}
    return found


def still_running(expected_gone: Sequence[Process], limit_s: float = 1.0) -> list[Process]:
    """Return the processes that have not ended within `limit_s`."""
    ends_at_s = time.monotonic() + limit_s
    while True:
        left = [row for row in process_table() if row in expected_gone]
        if not left or time.monotonic() > ends_at_s:
            return left
        time.sleep(0.01)  # the process table has no event to wait for


def running_with(token: str) -> list[Process]:
    """Return the processes with `token` in their command line, such as a test's own folder."""
    return [row for row in process_table() if token in row.command and row.pid != os.getpid()]


def kill_all(processes: Sequence[Process]) -> None:
    """Kill processes; skip those that are gone already."""
    for row in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(row.pid, signal.SIGKILL)


# --- What a process says ---------------------------------------------------------------------


class Lines:
    """Reads the lines of a pipe in a thread; a test can wait for one of them."""

    def __init__(self, pipe: Iterator[bytes]) -> None:
        self._lines: list[str] = []
        self._ended = False
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self._reader.start()

    def _read(self, pipe: Iterator[bytes]) -> None:
        for line in pipe:
            with self._news:
                self._lines.append(line.decode(errors="replace").rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def wait_for(
        self, pattern: str | re.Pattern[str], limit_s: float = START_LIMIT_S
    ) -> re.Match[str]:
        """Return the first match of `pattern` in a line, past or to come.

        Raises:
            AssertionError: the pipe ended or `limit_s` went by without it.
        """
        looked_at = 0
        ends_at_s = time.monotonic() + limit_s
        with self._news:
            while True:
                for line in self._lines[looked_at:]:
                    if found := re.search(pattern, line):
                        return found
                looked_at = len(self._lines)
                left_s = ends_at_s - time.monotonic()
                if self._ended or left_s <= 0:
                    raise AssertionError(f"No line with {pattern!r} in:\n{self.text}")
                self._news.wait(left_s)

    @property
    def text(self) -> str:
        """Everything so far."""
        return "\n".join(self._lines)

    def join(self) -> None:
        """Wait until the pipe has ended."""
        self._reader.join(STOP_LIMIT_S)


# --- The router ------------------------------------------------------------------------------


def router_command(*words: str) -> list[str]:
    """Return the command line of a router with these arguments."""
    return [sys.executable, "-m", "router", *words]


def run_command(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself; `env` is added to the environment."""
    return subprocess.run(
        router_command(*words),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
        env=dict(os.environ) | env,
    )


class RouterProcess:
    """A router that listens on the network.

    Use it as a context manager: on entering, it listens. On leaving, it must have ended by itself
    or end on SIGTERM with status 0, and must leave no process behind.

    Args:
        words: the arguments of the router.
        env: its environment; None for that of the tests.
        through: a command that becomes the router, which it is given as its last arguments.
        pass_fds: descriptors that this command inherits.
    """

    def __init__(
        self,
        words: Sequence[str],
        env: Mapping[str, str] | None = None,
        *,
        program: Sequence[str] = (),
        through: Sequence[str] = (),
        pass_fds: Sequence[int] = (),
    ) -> None:
        command = [*program, *words] if program else router_command(*words)
        self.popen = subprocess.Popen(
            [*through, *command],
            pass_fds=pass_fds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=None if env is None else dict(env),
            start_new_session=True,
        )
        assert self.popen.stdout is not None
        assert self.popen.stderr is not None
        self.stdout = Lines(self.popen.stdout)
        self.stderr = Lines(self.popen.stderr)
        self._children: list[Process] = []

    def url(self, path: str) -> str:
        """Return the address of the listener at `/mcp` or `/sse`, as the router says it."""
        return self.stderr.wait_for(rf"Listening on (http://\S+{path})\b")[1]

    def netloc(self, path: str = "") -> str:
        """Return host and port of the listener at `/mcp` or `/sse`, or of the REST API."""
        return self.stderr.wait_for(rf"Listening on http://([0-9.:]+){path}$")[1]

    @property
    def pid(self) -> int:
        return self.popen.pid

    def children(self) -> list[Process]:
        """Return the living descendants of the router."""
        return descendants(self.pid)

    def wait(self, limit_s: float = STOP_LIMIT_S) -> int:
        """Wait until the router ends; return its exit status."""
        status = self.popen.wait(limit_s)
        self.stdout.join()
        self.stderr.join()
        return status

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait until the router ends; return its exit status.

        Raises:
            AssertionError: it left a child running.
        """
        children = self.children()
        self.popen.send_signal(how)
        status = self.wait()
        left = still_running(children)
        kill_all(left)
        assert not left, f"Left running: {left}\n{self.stderr.text}"
        return status

    def __enter__(self) -> Self:
        """Wait until the router listens: before that, a signal would end it without its status 0.

        Raises:
            AssertionError: it has ended, or has not listened in time.
        """
        try:
            self.stderr.wait_for(LISTENING)
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if self.popen.poll() is None:
                status = self.stop()
                assert kind is not None or status == 0, self.stderr.text
        finally:
            self._kill()
        assert kind is not None or not self.stdout.text, f"On stdout: {self.stdout.text}"

    def _kill(self) -> None:
        if self.popen.poll() is None:
            everything = self.children()
            self.popen.kill()
            self.popen.wait()
            kill_all(everything)
        for pipe in (self.popen.stdout, self.popen.stderr):
            assert pipe is not None
            pipe.close()
