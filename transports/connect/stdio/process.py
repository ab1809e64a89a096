"""Starts the process of a stdio upstream, watches it, and ends it with everything it started.

The process runs below `launcher`, whose docstring has the protocol of the lifeline. On Windows
there is no launcher: the process is started directly and ended with `TerminateProcess`.

Invariants:

- `stop` takes at most its `GracePeriod` and half a second. On Linux no process of the tree is left
  then; elsewhere none that has stayed in the command's process group.
- stdout and stderr are read as long as the process lives, so it never hangs on a full pipe.
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

from transports.connect.stdio.command import find_command
from transports.connect.stdio.stderr import REPORT_EVERY_S, StderrLog
from transports.connect.wire import WireLost

if TYPE_CHECKING:
    from router.messages.instance_spec import InstanceSpec
    from transports.connect.stdio.command import ProcessCommand
    from transports.connect.stdio.repeated_lines import SaidLines

LAUNCHER: Final = Path(__file__).with_name("launcher.py")

EXITED: Final = "exited with status"
"""The beginning of a reason after which its last words tell why."""

CHUNK_BYTES: Final = 65_536
"""One read: as much as a pipe holds (pipe(7))."""

END_REPORT_S: Final = 0.5
"""How long after the end of a stream the end of the process still counts as its reason."""

LAST_OUTPUT_S: Final = 0.25
"""Time to read what is still in the pipes when the process has ended."""

KILL_S: Final = 0.4
"""Time for the launcher to kill the tree, which takes some 20 ms. Then it is killed itself."""

REAP_S: Final = 0.1
"""Time for the system to report the end of the launcher."""


@attrs.frozen
class GracePeriod:
    """Time for a process to end by itself.

    Attributes:
        after_eof_s: seconds after its stdin was closed, before it gets SIGTERM.
        after_sigterm_s: seconds after that, before it gets SIGKILL.
    """

    after_eof_s: float
    after_sigterm_s: float

    @property
    def stop_limit_s(self) -> float:
        """The longest time that `Process.stop` takes, in seconds."""
        return self.after_eof_s + self.after_sigterm_s + KILL_S + REAP_S


FULL_GRACE: Final = GracePeriod(5.0, 5.0)
"""For a process that works (MCP 2025-11-25, Lifecycle, Shutdown: "within a reasonable time")."""

SHORT_GRACE: Final = GracePeriod(0.5, 0.5)
"""For a process whose wire broke: the next incarnation waits for its end."""

NO_GRACE: Final = GracePeriod(0.0, 0.0)
"""For a cancellation: SIGKILL at once."""


@attrs.define(eq=False)
class Process:
    """A running process and the router's ends of its standard streams.

    Attributes:
        stdin, stdout, stderr: the router's ends.
        stderr_log: takes what is read from stderr.
        ended: set when the process has ended.
        how_it_ended: the end in words; empty while the process runs.
        closed_because: why reading stopped although the process may still run.
    """

    stdin: trio.abc.SendStream
    stdout: trio.abc.ReceiveStream
    stderr: trio.abc.ReceiveStream
    stderr_log: StderrLog
    _popen: trio.Process
    _lifeline: trio.SocketStream | None = None
    ended: trio.Event = attrs.field(init=False, factory=trio.Event)
    how_it_ended: str = attrs.field(init=False, default="")
    closed_because: str = attrs.field(init=False, default="")
    _stderr_ended: trio.Event = attrs.field(init=False, factory=trio.Event)
    _stopping: bool = attrs.field(init=False, default=False)

    # --- While it runs -----------------------------------------------------------------------

    def start_watching(self, nursery: trio.Nursery) -> None:
        """Start the tasks that must run until `stop` has returned."""
        nursery.start_soon(self._read_stderr)
        nursery.start_soon(self._await_end)
        if isinstance(self.stdin, trio.SocketStream):
            nursery.start_soon(self._await_end_of_input, self.stdin)

    async def why_ended(self, fallback: str) -> str:
        """Return why a stream ended: by the end of the process, or else `fallback`."""
        # A stream often breaks a moment before the end of its process is reported.
        with trio.move_on_after(END_REPORT_S):
            await self.ended.wait()
            await self._stderr_ended.wait()
        reason = self.how_it_ended or self.closed_because or fallback
        words = self.stderr_log.last_words(trio.current_time())
        if not words:
            return reason
        # Only a process that exits by itself is known to say why.
        return f"{reason}: {words}" if reason.startswith(EXITED) else f"{reason}; last: {words}"

    async def _read_stderr(self) -> None:
        log = self.stderr_log
        while True:
            with trio.move_on_after(REPORT_EVERY_S if log.has_unreported else math.inf):
                data = await receive(self.stderr)
                if not data:
                    break
                log.feed(data, trio.current_time())
            log.report_if_due(trio.current_time())
        log.end(trio.current_time())
        self._stderr_ended.set()

    async def _await_end(self) -> None:
        if self._lifeline is None:
            self.how_it_ended = _exit_phrase(await self._popen.wait())
        else:
            self.how_it_ended = await _read_end(self._lifeline)
        self.ended.set()
        await self._close_stdout_soon("")

    async def _await_end_of_input(self, stdin: trio.SocketStream) -> None:
        """Notice when the process closes its stdin, even while there is nothing to send to it."""
        while await receive(stdin):
            pass  # the socket works in both directions, but what comes back means nothing
        await self._close_stdout_soon("closed its stdin")

    async def _close_stdout_soon(self, reason: str) -> None:
        """End the reading of stdout, after time for what has already been written."""
        await trio.sleep(LAST_OUTPUT_S)
        if self._stopping:
            return
        self.closed_because = self.closed_because or reason
        await trio.aclose_forcefully(self.stdout)

    # --- Its end -----------------------------------------------------------------------------

    async def stop(self, grace: GracePeriod) -> None:
        """End the process: close its stdin, wait, send SIGTERM, wait, and SIGKILL the whole tree.

        The caller shields this call, which takes at most `grace.stop_limit_s`.
        """
        self._stopping = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._discard_output)
            await trio.aclose_forcefully(self.stdin)
            if grace != NO_GRACE:
                await self._end_softly(grace)
            await self._kill()
            nursery.cancel_scope.cancel("stopped")
        for stream in (self.stdout, self.stderr):
            await trio.aclose_forcefully(stream)

    async def _end_softly(self, grace: GracePeriod) -> None:
        if await self._ends_within(grace.after_eof_s):
            return
        if self._lifeline is None:
            self._popen.terminate()
        else:
            with suppress(trio.BrokenResourceError):  # the launcher is ending right now
                await self._lifeline.send_all(b"T")
        await self._ends_within(grace.after_sigterm_s)

    async def _kill(self) -> None:
        if self._lifeline is not None:
            await trio.aclose_forcefully(self._lifeline)  # the launcher kills the tree
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
    """Return the bytes that have come in; none once the stream has ended in any way."""
    try:
        return bytes(await stream.receive_some(CHUNK_BYTES))
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        await trio.lowlevel.checkpoint()
        return b""


# --- How it ended ----------------------------------------------------------------------------


async def _read_end(lifeline: trio.SocketStream) -> str:
    """Wait for the launcher's report, and return it in words."""
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
    """Return the end of a process in words; `status` is as in `subprocess.Popen.returncode`."""
    if status >= 0:
        return f"{EXITED} {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:  # real-time signals have no names
        return f"was killed by signal {-status}"


def _error_phrase(number: int) -> str:
    """Return why a file that exists could not be executed; `number` is an errno."""
    advice = "; a script must begin with a #! line" if number == errno.ENOEXEC else ""
    return f"cannot be executed: {os.strerror(number)}{advice}"


# --- Its start -------------------------------------------------------------------------------


async def start_process(spec: InstanceSpec, said: SaidLines) -> Process:
    """Start the process of an instance.

    Args:
        spec: the instance.
        said: the lines that its processes have said on stderr.

    Raises:
        WireLost: the process cannot be started; the reason says what to do.
    """
    command = await trio.to_thread.run_sync(find_command, spec)
    stderr_log = StderrLog(logging.getLogger(f"mcp_router.upstream.{spec.name}"), said)
    try:
        if sys.platform == "win32":
            return await _start_directly(command, stderr_log)
        return await _start_by_launcher(command, stderr_log)
    except (OSError, ValueError) as exc:  # ValueError: a NUL character in an argument
        raise WireLost(f"cannot start {spec.command!r}: {exc}") from None


async def _start_by_launcher(command: ProcessCommand, stderr_log: StderrLog) -> Process:
    with ExitStack() as theirs, ExitStack() as on_failure:
        # A socket as stdin, as Node.js gives its children: unlike a pipe it shows at once when the
        # process closes its end.
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


async def _start_directly(command: ProcessCommand, stderr_log: StderrLog) -> Process:
    flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    argv = [command.path, *command.argv[1:]]
    popen = await _open(argv, command, stdin=subprocess.PIPE, creationflags=flags)
    assert popen.stdin is not None
    return _process(popen, popen.stdin, stderr_log, None)


async def _open(argv: list[str], command: ProcessCommand, **options: Any) -> trio.Process:
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
