"""The router's side of its launcher: starts it, and has it start commands.

`launcher` has the protocol; it runs in a process of its own. Not for Windows, where there is none.

Invariants: there is one launcher at a time. It is started when the first command is, and anew if it
was killed. It inherits nothing of the router's environment. Its end does not end the commands that
it has started.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from array import array
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import trio
import trio.lowlevel
from msgspec import Struct, field

from transports.connect.stdio.launching.leftovers import end_tree
from transports.connect.stdio.launching.run_mark import VARIABLE, Mark, this_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from transports.connect.stdio.command import ProcessCommand
    from transports.connect.stdio.launching.run_mark import Run

log = logging.getLogger("mcp_router.upstream")

SCRIPT: Final = Path(__file__).with_name("launcher.py")

_RUN_SCRIPT: Final = (
    "import sys; sys.path.append(sys.argv[1].rpartition('/')[0]); import launcher; launcher.run()"
)
"""Imports the script, so that its bytecode is used: to compile it would take longer than all the
rest of its start. Its path is an argument, by which people recognise it in a list of processes."""

LENGTH_BYTES: Final = 4
"""A command on a lifeline begins with its length, in so many bytes."""

END_S: Final = 1.0
"""Time for the launcher to end, which has nothing left to do. Then it is killed."""

GUARD_S: Final = 15.0
"""Time for the launcher to fork a guard, which takes a millisecond. Then it is taken for stuck."""

REPORT_BYTES: Final = 1024
"""More than a guard ever says."""

ATTEMPTS: Final = 2
"""A launcher that was killed is noticed when it is needed; then a new one is started."""


class Launched(Struct, frozen=True):
    """The router's ends of what a command was given.

    Attributes:
        stdin: the other end of its stdin.
        stdout, stderr: file descriptors of the reading ends of its pipes.
        guard: its guard.
    """

    stdin: socket.socket
    stdout: int
    stderr: int
    guard: Guard


class Guard(Struct, eq=False):
    """The guard of a command, at the other end of the lifeline.

    Attributes:
        mark: the mark of the command; None on systems without marks.
        pid: the process id of the guard.
    """

    _lifeline: trio.SocketStream
    mark: Mark | None
    pid: int = 0
    _facts: dict[str, int] = {}
    _rest: bytes = b""

    async def greet(self, command: bytes) -> None:
        """Send the command, and wait until the guard is there.

        Raises:
            ChildProcessError: it ended before that; nothing was started.
        """
        with suppress(trio.BrokenResourceError):  # it is said below
            await self._lifeline.send_all(command)
        facts = await self._hear("guard", "ended")
        if not facts:
            raise ChildProcessError("its launcher was killed")
        self.pid = facts.get("guard", 0)  # there is none if the launcher could not fork

    async def report(self) -> dict[str, int]:
        """Wait until the command or the guard has ended, and return what the guard has said.

        The keys are `guard`, `error`, `folder`, `sandbox` and `ended`; see `launcher`.
        """
        return await self._hear("ended")

    async def wait_until_gone(self) -> None:
        """Wait for the end of the guard, before which it has killed the whole tree.

        If the guard was killed itself, kill the tree.
        """
        while await self._receive():
            pass
        if "ended" not in self._facts and self.mark is not None:
            await trio.to_thread.run_sync(end_tree, self.mark, abandon_on_cancel=True)

    async def terminate(self) -> None:
        """Have SIGTERM sent to the process group of the command."""
        try:
            await self._lifeline.send_all(b"T")
        except trio.BrokenResourceError:  # the guard is ending right now
            await trio.lowlevel.checkpoint()

    async def kill_tree(self) -> None:
        """Have everything killed that was started."""
        try:
            await self._lifeline.send_eof()
        except trio.BrokenResourceError:
            await trio.lowlevel.checkpoint()

    def kill(self) -> None:
        """Kill the guard. Its lifeline has not ended, so its number cannot mean another process."""
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def aclose(self) -> None:
        """Close the lifeline."""
        await trio.aclose_forcefully(self._lifeline)

    async def _hear(self, *any_of: str) -> dict[str, int]:
        while self._facts.keys().isdisjoint(any_of) and (data := await self._receive()):
            *lines, self._rest = (self._rest + data).split(b"\n")
            for name, number in map(bytes.split, lines):
                self._facts[name.decode()] = int(number)
        await trio.lowlevel.checkpoint()
        return self._facts

    async def _receive(self) -> bytes:
        try:
            return bytes(await self._lifeline.receive_some(REPORT_BYTES))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await trio.lowlevel.checkpoint()
            return b""


class _Running(Struct, frozen=True):
    popen: trio.Process
    control: trio.socket.SocketType


class Launcher(Struct, eq=False):
    """The launcher of one router. Used as a context manager, it ends at the exit.

    Attributes:
        data: the data folder of the router, which stands in the mark of what is started.
    """

    data: Path = Path()
    _running: _Running | None = None
    _run: Run | None = None
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _lock: trio.Lock = field(default_factory=trio.Lock)

    async def launch(self, command: ProcessCommand) -> Launched:
        """Have a command started. The lifeline tells whether that worked.

        Raises:
            OSError: no launcher can be started, or no pipe can be made.
            ValueError: the command holds what cannot be passed to a process.
        """
        mark = await self._next_mark()
        text = encode_command(command, _variables(mark))
        with ExitStack() as theirs, ExitStack() as on_failure:
            # A socket as stdin, as Node.js gives its children: unlike a pipe it shows at once when
            # the process closes its end.
            stdin, their_stdin = _socket_pair(theirs, on_failure)
            stdout, their_stdout = _pipe(theirs, on_failure)
            stderr, their_stderr = _pipe(theirs, on_failure)
            lifeline, their_lifeline = _socket_pair(theirs, on_failure)
            fds = (their_stdin.fileno(), their_stdout, their_stderr, their_lifeline.fileno())
            async with self._lock:
                popen = await self._pass(*fds)
            theirs.close()
            guard = Guard(trio.SocketStream(trio.socket.from_stdlib_socket(lifeline)), mark)
            try:
                with trio.fail_after(GUARD_S):
                    await guard.greet(text)
            except trio.TooSlowError:
                popen.kill()
                raise ChildProcessError(f"its launcher did nothing for {GUARD_S:g} s") from None
            on_failure.pop_all()
        return Launched(stdin, stdout, stderr, guard)

    async def aclose(self) -> None:
        """End the launcher, in at most twice `END_S`. What it has started has ended before."""
        if self._running is None:
            await trio.lowlevel.checkpoint()
            return
        popen = self._running.popen
        with trio.move_on_after(END_S, shield=True):
            await self._end()
        if popen.returncode is None:
            popen.kill()
            with trio.move_on_after(END_S, shield=True):
                await popen.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _next_mark(self) -> Mark | None:
        if self._run is None:
            self._run = await trio.to_thread.run_sync(this_run, self.data)
        else:
            await trio.lowlevel.checkpoint()
        return None if self._run is None else Mark(self._run, next(self._numbers))

    async def _pass(self, *fds: int) -> trio.Process:
        """Pass file descriptors to the launcher, and return it."""
        passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))]
        for _ in range(ATTEMPTS):
            if self._running is None:
                self._running = await self._start()
            try:
                await self._running.control.sendmsg([b"\0"], passed)
            except (BrokenPipeError, ConnectionResetError):
                log.warning("The launcher of stdio servers %s; here is another", await self._end())
            else:
                return self._running.popen
        raise ChildProcessError("its launcher ends at once")

    async def _start(self) -> _Running:
        words = ("-I", "-S", "-c", _RUN_SCRIPT, str(SCRIPT))
        with ExitStack() as theirs, ExitStack() as on_failure:
            control, their_control = _socket_pair(theirs, on_failure)
            popen = await trio.lowlevel.open_process(
                [sys.executable, *words, str(their_control.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # What it had to say there could only be a bug, and while it writes it might hang.
                stderr=subprocess.DEVNULL,
                env=_variables(self._run and Mark(self._run, 0)),
                pass_fds=(their_control.fileno(),),
                start_new_session=True,  # for Ctrl+C in a terminal, which the router handles
            )
            on_failure.pop_all()
        return _Running(popen, trio.socket.from_stdlib_socket(control))

    async def _end(self) -> str:
        """Wait for the end of the launcher, and return it in words."""
        assert self._running is not None
        running, self._running = self._running, None
        running.control.close()
        status = await running.popen.wait()
        if status < 0:
            return f"was killed by signal {-status}"
        return f"ended with status {status}"


def _variables(mark: Mark | None) -> dict[str, str]:
    return {} if mark is None else {VARIABLE: mark.text}


def encode_command(command: ProcessCommand, mark: Mapping[str, str]) -> bytes:
    """Return a command as `launcher.read_command` expects it.

    Args:
        command: the command.
        mark: more variables for its environment.

    Raises:
        ValueError: there is a NUL character somewhere, or a variable cannot have such a name.
    """
    env = {**command.env, **mark}
    if any(not name or "=" in name for name in env):
        raise ValueError("illegal environment variable name")
    variables = [f"{name}={value}" for name, value in env.items()]
    count = str(len(command.argv))
    limits = () if command.confinement is None else tuple(command.confinement.fields())
    sandbox = str(len(limits)), *limits
    fields = (command.cwd or "", *sandbox, command.path, count, *command.argv, *variables)
    text = b"\0".join(map(os.fsencode, fields))
    if text.count(b"\0") >= len(fields):
        raise ValueError("embedded null byte")
    return len(text).to_bytes(LENGTH_BYTES, "big") + text


def _socket_pair(theirs: ExitStack, on_failure: ExitStack) -> tuple[socket.socket, socket.socket]:
    ours, given = socket.socketpair()
    on_failure.callback(ours.close)
    theirs.callback(given.close)
    return ours, given


def _pipe(theirs: ExitStack, on_failure: ExitStack) -> tuple[int, int]:
    ours, given = os.pipe()
    on_failure.callback(os.close, ours)
    theirs.callback(os.close, given)
    return ours, given
