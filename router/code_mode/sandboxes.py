"""The processes in which code runs, and those that are kept for the next run.

Invariants:

- A process is used again only after a run that ended by itself with nothing on its way; it is
  killed in every other case, and after a time of rest.
- What is killed is the group of the process and of the sandbox below it, before the process is
  waited for, so the number of the group cannot mean another one.
- Nothing of the router's environment reaches them.
- Where the system can confine processes (Linux), they write no files, use no network and read no
  more than programs need, whatever code breaks out of the interpreter.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio
from msgspec import UNSET, Struct, UnsetType, field
from msgspec.structs import replace

from router.messages.instances.sandbox import Sandbox as Rights
from transports.connect.stdio import launching
from transports.connect.stdio.sandbox.confinement import confinement_of, this_system
from transports.lines import LineSplitter

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAM: Final = Path(__file__).with_name("sandbox_program.py")

CONFINE: Final = Path(launching.__path__[0], "confine.py")

MAX_LINE_BYTES: Final = 2 * 2**20
"""Beyond it, a line from a sandbox is none of its program's (see `sandbox_program`)."""

IDLE_S: Final = 60.0
"""A process that rests takes 30 MB, and saves the next run 0.1 s."""

MAX_RESTING: Final = 4
"""Processes that rest at a time."""

KILLED_WITHIN_S: Final = 2.0
"""The system takes no longer to end a process that was killed."""

_PASSED_VARIABLES: Final = ("SYSTEMROOT",)
"""Without these no process starts on Windows."""

_PACKAGES: Final = ("purelib", "platlib", "scripts")
"""Names of the folders in which the interpreter for code may have been installed."""

_UNNEEDED: Final = ("/proc", "/sys")
"""Other programs read there, and find the command lines of all processes."""


class SandboxLost(Exception):
    """The process has ended, or said something that makes no sense."""


@cache
def rights() -> tuple[str, ...]:
    """Return how the program is told to confine itself; nothing where the system cannot do that."""
    schemes = sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user")
    read = tuple(sysconfig.get_path(name, each) for each in schemes for name in _PACKAGES)
    wanted, system = Rights(read, network=False), this_system()
    if system.problem(wanted):
        return ()
    confinement = confinement_of(wanted, system, sys.executable, {}, str(PROGRAM.parent))
    rules = tuple(each for each in confinement.rules if each[1] not in _UNNEEDED)
    return (str(CONFINE), *replace(confinement, rules=rules).fields())


class Line(Struct):
    """A line from the program, which says in `sandbox_program` what each is.

    Nothing else of it is believed: the code may have broken out.
    """

    printed: str | UnsetType = UNSET
    call: int | UnsetType = UNSET
    name: str = ""
    arguments: dict[str, Any] = {}
    search: int | UnsetType = UNSET
    query: str = ""
    limit: int = 0
    result: Any = UNSET
    failed: str | UnsetType = UNSET


class Sandbox:
    """One process that runs code; see `sandbox_program` for the lines."""

    def __init__(self, process: trio.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin, self._stdout = process.stdin, process.stdout
        self._splitter = LineSplitter(MAX_LINE_BYTES)
        self._lines: list[bytes | None] = []
        self._sending = trio.Lock()

    @classmethod
    async def start(cls) -> Sandbox:
        """Start a process.

        Raises:
            SandboxLost: the system does not allow it.
        """
        options: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            options = {"creationflags": subprocess.CREATE_NO_WINDOW}
        try:
            process = await trio.lowlevel.open_process(
                [sys.executable, "-E", "-P", str(PROGRAM), *rights()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=PROGRAM.parent,
                env={name: os.environ[name] for name in _PASSED_VARIABLES if name in os.environ},
                **options,
            )
        except OSError as exc:
            raise SandboxLost(f"No sandbox can be started: {exc.strerror}") from None
        return cls(process)

    @property
    def pid(self) -> int:
        """The id of its process, and of the group of that."""
        return self._process.pid

    async def send(self, line: Mapping[str, Any]) -> None:
        """Send a line.

        Raises:
            SandboxLost: the process has ended.
        """
        async with self._sending:
            try:
                await self._stdin.send_all(msgspec.json.encode(line) + b"\n")
            except trio.BrokenResourceError:
                raise SandboxLost("The sandbox has ended") from None

    async def receive(self) -> Line:
        """Return the next line.

        Raises:
            SandboxLost: the process has ended, or the line makes no sense.
        """
        await trio.lowlevel.checkpoint()
        while not self._lines:
            chunk = await self._stdout.receive_some()
            if not chunk:
                raise SandboxLost("The sandbox has ended")
            self._lines = self._splitter.feed(bytes(chunk))
        line = self._lines.pop(0)
        try:
            return _decode(line or b"")
        except (msgspec.MsgspecError, RecursionError):
            raise SandboxLost("The sandbox makes no sense") from None

    async def end(self) -> None:
        """Kill the process and all below it, and wait for its end; if cancelled, it is killed."""
        if sys.platform == "win32":
            self._process.kill()
        else:
            # macOS reports a group of ended processes as one that may not be killed.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        await self._process.wait()
        await self._stdin.aclose()
        await self._stdout.aclose()


_decode: Final = msgspec.json.Decoder(Line).decode


class _Rest(Struct, eq=False):
    """The time in which a sandbox waits for its next run.

    Attributes:
        scope: ends this time.
        has_ended: set once nobody listens to the sandbox any more.
    """

    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    has_ended: trio.Event = field(default_factory=trio.Event)


class SandboxPool:
    """Starts sandboxes, and keeps those that rest."""

    def __init__(self, nursery: trio.Nursery) -> None:
        # They outlive the run that started them.
        self._nursery = nursery
        self._resting: dict[Sandbox, _Rest] = {}

    async def take(self) -> Sandbox:
        """Return a sandbox in which nothing runs; the caller gives it back, or ends it.

        Raises:
            SandboxLost: see `Sandbox.start`.
        """
        if not self._resting:
            return await Sandbox.start()
        sandbox, rest = self._resting.popitem()
        rest.scope.cancel()
        with trio.CancelScope(shield=True):  # It takes no time, and the sandbox is nobody's now.
            await rest.has_ended.wait()
        return sandbox

    def give_back(self, sandbox: Sandbox) -> None:
        """Keep a sandbox whose run has ended by itself for the next run, unless enough rest."""
        if len(self._resting) >= MAX_RESTING:
            self._nursery.start_soon(_end_surely, sandbox)
            return
        rest = self._resting[sandbox] = _Rest()
        self._nursery.start_soon(self._keep, sandbox, rest)

    async def _keep(self, sandbox: Sandbox, rest: _Rest) -> None:
        """End a sandbox that has rested too long, or has ended, or when the router ends."""
        try:
            await trio.lowlevel.checkpoint()
            rest.scope.deadline = trio.current_time() + IDLE_S
            with rest.scope, suppress(SandboxLost):
                await sandbox.receive()  # It has nothing to say, but for its end.
        finally:
            rest.has_ended.set()
            if self._resting.pop(sandbox, None) is not None:
                with trio.move_on_after(KILLED_WITHIN_S, shield=True):
                    await sandbox.end()


async def _end_surely(sandbox: Sandbox) -> None:
    with trio.move_on_after(KILLED_WITHIN_S, shield=True):
        await sandbox.end()
