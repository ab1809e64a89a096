"""The process of a stdio upstream: started, watched, and ended with all that came of it.

Job: from a command to a running process with its standard streams, and back to nothing.
Neighbours: `command` says what to start; `stdio` speaks MCP over the streams; `launcher` is the
process in between (its docstring has the protocol of the lifeline); `stderr` logs complaints.

Invariants:

- `stop` takes at most its `Patience` and half a second, and leaves no process of the tree: not on
  Linux, and elsewhere none that has stayed in the command's process group.
- stdout and stderr are read as long as the process lives, so it never hangs on a full pipe.

On Windows there is no launcher: the process is started directly and its end is `TerminateProcess`.
"""

from __future__ import annotations

import errno
import logging
import math
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio
import trio.lowlevel

from transports.connect.stdio import command as commands
from transports.connect.stdio.stderr import REPORT_EVERY_S, StderrLog
from transports.connect.wire import WireLost

if TYPE_CHECKING:
    from router.messages.instance_spec import InstanceSpec
    from transports.connect.stdio.command import Command

LAUNCHER: Final = Path(__file__).with_name("launcher.py")

CHUNK_BYTES: Final = 65_536
"""One read: as much as a pipe holds (pipe(7))."""

END_REPORT_S: Final = 0.5
"""How much later than the end of its streams the end of a process may come to be their reason."""

LAST_OUTPUT_S: Final = 0.25
"""For what is still in the pipes when the process has ended, before we stop reading."""

KILL_S: Final = 0.4
"""For the launcher to kill the tree, which takes some 20 ms; then it is killed itself."""

REAP_S: Final = 0.1
"""For the system to report that end."""


@attrs.frozen
class Patience:
    """How long a process may take to end: first with its stdin closed, then after SIGTERM."""

    without_input_s: float
    terminated_s: float

    @property
    def stop_limit_s(self) -> float:
        """How long `Process.stop` can take with it."""
        return self.without_input_s + self.terminated_s + KILL_S + REAP_S


POLITE: Final = Patience(5.0, 5.0)
"""For one that works (MCP 2025-11-25, Lifecycle, Shutdown: "within a reasonable time")."""

BRIEF: Final = Patience(0.5, 0.5)
"""For one whose wire broke: the next incarnation waits for its end."""

NONE: Final = Patience(0.0, 0.0)
"""SIGKILL at once."""


@attrs.define(eq=False)
class Process:
    """A running process and our ends of its standard streams.

    Attributes:
        stdin, stdout, stderr: our ends.
        stderr_log: what was read from stderr.
        ended: set when it has ended; `end` is how, empty where that is not known.
        hung_up: why we stopped reading although it may still run.
    """

    stdin: trio.abc.SendStream
    stdout: trio.abc.ReceiveStream
    stderr: trio.abc.ReceiveStream
    stderr_log: StderrLog
    _popen: trio.Process
    _lifeline: trio.SocketStream | None = None
    ended: trio.Event = attrs.field(init=False, factory=trio.Event)
    end: str = attrs.field(init=False, default="")
    hung_up: str = attrs.field(init=False, default="")
    _stderr_ended: trio.Event = attrs.field(init=False, factory=trio.Event)
    _stopping: bool = attrs.field(init=False, default=False)

    # --- While it runs -----------------------------------------------------------------------

    def start_watching(self, nursery: trio.Nursery) -> None:
        """Start the tasks that must run until `stop` has returned."""
        nursery.start_soon(self._read_stderr)
        nursery.start_soon(self._await_end)
        if isinstance(self.stdin, trio.SocketStream):
            nursery.start_soon(self._await_end_of_input, self.stdin)

    async def why(self, otherwise: str) -> str:
        """Why its streams ended: how it ended itself, or else `otherwise`."""
        with trio.move_on_after(END_REPORT_S):
            await self.ended.wait()
            await self._stderr_ended.wait()
        reason = self.end or self.hung_up or otherwise
        said = self.stderr_log.last_words() if self.ended.is_set() else ""
        return f"{reason}: {said}" if said else reason

    async def _read_stderr(self) -> None:
        log = self.stderr_log
        while True:
            with trio.move_on_after(REPORT_EVERY_S if log.left_out else math.inf):
                data = await receive(self.stderr)
                if not data:
                    break
                log.feed(data, trio.current_time())
            log.report_if_due(trio.current_time())
        log.end(trio.current_time())
        self._stderr_ended.set()

    async def _await_end(self) -> None:
        if self._lifeline is None:
            self.end = _exit_phrase(await self._popen.wait())
        else:
            self.end = await _read_end(self._lifeline)
        self.ended.set()
        await self._hang_up_soon("")

    async def _await_end_of_input(self, stdin: trio.SocketStream) -> None:
        """Notice when the process closes its stdin, even while there is nothing to send to it."""
        while await receive(stdin):
            pass  # it has written to its stdin, which means nothing
        await self._hang_up_soon("closed its stdin")

    async def _hang_up_soon(self, reason: str) -> None:
        """Let what has been written be read, then end the reading."""
        await trio.sleep(LAST_OUTPUT_S)
        if self._stopping:
            return
        self.hung_up = self.hung_up or reason
        await trio.aclose_forcefully(self.stdout)

    # --- Its end -----------------------------------------------------------------------------

    async def stop(self, patience: Patience) -> None:
        """End it: close its stdin, wait, SIGTERM, wait, SIGKILL for everything that is left.

        To be called under a shield; it takes at most `patience.stop_limit_s`.
        """
        self._stopping = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._discard_output)
            await trio.aclose_forcefully(self.stdin)
            if patience != NONE:
                await self._ask_to_end(patience)
            await self._make_it_end()
            nursery.cancel_scope.cancel("stopped")
        for stream in (self.stdout, self.stderr):
            await trio.aclose_forcefully(stream)

    async def _ask_to_end(self, patience: Patience) -> None:
        if await self._ends_within(patience.without_input_s):
            return
        if self._lifeline is None:
            self._popen.terminate()
        else:
            with suppress(trio.BrokenResourceError):  # it is ending right now
                await self._lifeline.send_all(b"T")
        await self._ends_within(patience.terminated_s)

    async def _make_it_end(self) -> None:
        if self._lifeline is not None:
            await trio.aclose_forcefully(self._lifeline)
            if await self._ends_within(KILL_S):
                return
        self._popen.kill()
        await self._ends_within(REAP_S)

    async def _ends_within(self, limit_s: float) -> bool:
        with trio.move_on_after(limit_s):
            await self._popen.wait()
            return True
        return False

    async def _discard_output(self) -> None:
        while await receive(self.stdout):
            pass


async def receive(stream: trio.abc.ReceiveStream) -> bytes:
    """What has come in; nothing when there will be no more, for whatever reason."""
    try:
        return bytes(await stream.receive_some(CHUNK_BYTES))
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        await trio.lowlevel.checkpoint()
        return b""


# --- How it ended ----------------------------------------------------------------------------


async def _read_end(lifeline: trio.SocketStream) -> str:
    """Wait for the launcher's report, and put it into words."""
    report = b""
    while True:
        data = await receive(lifeline)
        if not data:
            return "its launcher was killed"
        report += data
        if b"ended" in report and report.endswith(b"\n"):
            break
    facts = dict(line.split() for line in report.decode().splitlines())
    if "error" in facts:
        return _error_phrase(int(facts["error"]))
    return _exit_phrase(int(facts["ended"]))


def _exit_phrase(status: int) -> str:
    """The end of a process in words; `status` is that of `subprocess.Popen.returncode`."""
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:  # real-time signals have no names
        return f"was killed by signal {-status}"


def _error_phrase(number: int) -> str:
    """Why a file that is there could not be executed."""
    advice = "; a script must begin with a #! line" if number == errno.ENOEXEC else ""
    return f"cannot be executed: {os.strerror(number)}{advice}"


# --- Its start -------------------------------------------------------------------------------


async def start(spec: InstanceSpec) -> Process:
    """Start the process of an instance.

    Raises:
        WireLost: it cannot be started; the reason says what to do.
    """
    command = await trio.to_thread.run_sync(commands.find, spec)
    stderr_log = StderrLog(logging.getLogger(f"mcp_router.upstream.{spec.name}"))
    try:
        if sys.platform == "win32":
            return await _start_directly(command, stderr_log)
        return await _start_by_launcher(command, stderr_log)
    except (OSError, ValueError) as exc:  # ValueError: a NUL character in an argument
        raise WireLost(f"cannot start {spec.command!r}: {exc}") from None


async def _start_by_launcher(command: Command, stderr_log: StderrLog) -> Process:
    with ExitStack() as theirs, ExitStack() as on_failure:
        # Sockets, as Node.js gives its children: unlike pipes they tell when the other end closes.
        stdin, their_stdin = socket.socketpair()
        lifeline, their_lifeline = socket.socketpair()
        for given, kept in (their_stdin, stdin), (their_lifeline, lifeline):
            theirs.callback(given.close)
            on_failure.callback(kept.close)
        launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(their_lifeline.fileno())]
        popen = await _open(
            [*launcher, command.path, *command.argv],
            command,
            stdin=their_stdin,
            start_new_session=True,
            pass_fds=(their_lifeline.fileno(),),
        )
        on_failure.pop_all()
    return _process(popen, _stream(stdin), stderr_log, _stream(lifeline))


async def _start_directly(command: Command, stderr_log: StderrLog) -> Process:
    flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    argv = [command.path, *command.argv[1:]]
    popen = await _open(argv, command, stdin=subprocess.PIPE, creationflags=flags)
    assert popen.stdin is not None
    return _process(popen, popen.stdin, stderr_log, None)


async def _open(argv: list[str], command: Command, **options: Any) -> trio.Process:
    return await trio.lowlevel.open_process(
        argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=command.cwd,
        env=command.env,
        **options,
    )


def _process(
    popen: trio.Process,
    stdin: trio.abc.SendStream,
    stderr_log: StderrLog,
    lifeline: trio.SocketStream | None,
) -> Process:
    assert popen.stdout is not None
    assert popen.stderr is not None
    return Process(stdin, popen.stdout, popen.stderr, stderr_log, popen, lifeline)


def _stream(end: socket.socket) -> trio.SocketStream:
    return trio.SocketStream(trio.socket.from_stdlib_socket(end))
