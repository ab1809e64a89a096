"""Starts the process of a stdio upstream, watches it, and ends it with everything it started.

The process runs below a guard, which the launcher forks for it; the docstring of `launcher` has the
protocol of the lifeline to the guard. On Windows there is no launcher: the process is started
directly and ended with `TerminateProcess`.

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
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import trio
import trio.lowlevel
from msgspec import Struct, field

from router.messages.observability.log_fields import about
from transports.connect.stdio.command import find_command
from transports.connect.stdio.pipes import CHUNK_BYTES, ReadPipe
from transports.connect.stdio.stderr import REPORT_EVERY_S, StderrLog
from transports.connect.wire import WireLost

if TYPE_CHECKING:
    from router.messages.instances.instance_spec import InstanceSpec
    from transports.connect.stdio.command import ProcessCommand
    from transports.connect.stdio.launching.launch import Guard, Launcher
    from transports.connect.stdio.repeated_lines import SaidLines

EXITED: Final = "exited with status"
"""The beginning of a reason after which its last words tell why."""

KILLED: Final = -9
"""The status of a process that got SIGKILL, which has no name on Windows."""

END_REPORT_S: Final = 0.5
"""How long after the end of a stream the end of the process still counts as its reason."""

LAST_OUTPUT_S: Final = 0.25
"""Time to read what is still in the pipes when the process has ended."""

KILL_S: Final = 0.4
"""Time for the guard to kill the tree, which takes some 20 ms. Then it is killed itself."""

REAP_S: Final = 0.1
"""Time for the system to report the end of the guard."""


class GracePeriod(Struct, frozen=True):
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


class Process(Struct, eq=False):
    """A running process and the router's ends of its standard streams.

    Attributes:
        stdin, stdout, stderr: the router's ends.
        stderr_log: takes what is read from stderr.
        ended: set when the process has ended.
        how_it_ended: the end in words; empty while the process runs.
        is_from_outside: as in `WireLost`.
        closed_because: why reading stopped although the process may still run.
    """

    stdin: trio.abc.SendStream
    stdout: trio.abc.ReceiveStream
    stderr: trio.abc.ReceiveStream
    stderr_log: StderrLog
    _child: Guard | _DirectChild
    ended: trio.Event = field(default_factory=trio.Event)
    how_it_ended: str = ""
    is_from_outside: bool = False
    closed_because: str = ""
    _stderr_ended: trio.Event = field(default_factory=trio.Event)
    _all_ended: trio.Event = field(default_factory=trio.Event)
    _watching: trio.CancelScope = field(default_factory=trio.CancelScope)
    _stopping: bool = False

    # --- While it runs -----------------------------------------------------------------------

    def start_watching(self, nursery: trio.Nursery) -> None:
        """Start the tasks that must run until `stop` has returned."""
        nursery.start_soon(self._read_stderr)
        nursery.start_soon(self._watch_child)
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

    async def lost(self, fallback: str) -> WireLost:
        """Return the exception for the end of the process; as `why_ended`."""
        reason = await self.why_ended(fallback)
        return WireLost(reason, is_from_outside=self.is_from_outside)

    def write_nowait(self, data: bytes) -> int:
        """Write what stdin has room for; return how many bytes that were.

        None are written either if stdin is broken, which the next `stdin.send_all` finds out.
        """
        if not isinstance(self.stdin, trio.SocketStream):
            return 0  # a pipe on Windows, which has no such writes
        try:
            # Not `socket.send`, which ends in a turn of all other tasks.
            return os.write(self.stdin.socket.fileno(), data)
        except OSError:  # no room, for one
            return 0

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

    async def _watch_child(self) -> None:
        # Shielded, because `stop` waits for what is seen here. In the end it cancels this scope.
        with self._watching as scope:
            scope.shield = True
            report = await self._child.report()
            self.how_it_ended = _report_phrase(report)
            self.is_from_outside = "error" in report or report.get("ended", KILLED) == KILLED
            self.ended.set()
            await self._child.wait_until_gone()
            self._all_ended.set()

    async def _await_end(self) -> None:
        await self.ended.wait()
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
        self._watching.cancel("stopped")
        for stream in (self.stdout, self.stderr):
            await trio.aclose_forcefully(stream)
        await self._child.aclose()

    async def _end_softly(self, grace: GracePeriod) -> None:
        if await self._ends_within(grace.after_eof_s):
            return
        await self._child.terminate()
        await self._ends_within(grace.after_sigterm_s)

    async def _kill(self) -> None:
        if self._all_ended.is_set():
            await trio.lowlevel.checkpoint()
            return
        await self._child.kill_tree()
        if not await self._ends_within(KILL_S):
            self._child.kill()
            await self._ends_within(REAP_S)

    async def _ends_within(self, limit_s: float) -> bool:
        with trio.move_on_after(limit_s):
            await self._all_ended.wait()
        return self._all_ended.is_set()

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


# --- Without a guard -------------------------------------------------------------------------


class _DirectChild(Struct, eq=False):
    """A command on Windows. Its methods are those of `Guard`."""

    _popen: trio.Process

    async def report(self) -> dict[str, int]:
        return {"ended": await self._popen.wait()}

    async def wait_until_gone(self) -> None:
        await trio.lowlevel.checkpoint()

    async def terminate(self) -> None:
        await trio.lowlevel.checkpoint()
        self._popen.terminate()

    async def kill_tree(self) -> None:
        await trio.lowlevel.checkpoint()
        self._popen.kill()

    def kill(self) -> None:
        self._popen.kill()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


# --- How it ended ----------------------------------------------------------------------------


def _report_phrase(report: dict[str, int]) -> str:
    """Return the report of a guard in words."""
    if "error" in report:
        return _error_phrase(report["error"])
    if "sandbox" in report:
        return f"cannot be confined to its sandbox: {os.strerror(report['sandbox'])}"
    if "folder" in report:
        return f'cannot enter its folder ("cwd"): {os.strerror(report["folder"])}'
    return _exit_phrase(report["ended"]) if "ended" in report else "its launcher was killed"


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
    return f"cannot be executed: {os.strerror(number)}{_ADVICE.get(number, '')}"


_ADVICE: Final = {
    errno.ENOEXEC: "; a script must begin with a #! line",
    # The file itself was found to be executable before.
    errno.EACCES: "; the program in its #! line must be executable, and within its sandbox",
}


# --- Its start -------------------------------------------------------------------------------


async def start_process(spec: InstanceSpec, launcher: Launcher, said: SaidLines) -> Process:
    """Start the process of an instance by the launcher (on Windows without it).

    Args:
        spec: the instance.
        launcher: starts it.
        said: the lines that its processes have said on stderr.

    Raises:
        WireLost: the process cannot be started; the reason says what to do.
    """
    command = await trio.to_thread.run_sync(find_command, spec)
    log = logging.getLogger(f"mcp_router.upstream.{spec.name}")
    stderr_log = StderrLog(logging.LoggerAdapter(log, about(spec.name)), said)
    try:
        if sys.platform == "win32":
            return await _start_directly(command, stderr_log)
        return await _start_by_launcher(command, launcher, stderr_log)
    except (OSError, ValueError) as exc:  # ValueError: a NUL character in an argument
        raise WireLost(f"cannot start {spec.command!r}: {exc}") from None


async def _start_by_launcher(
    command: ProcessCommand, launcher: Launcher, stderr_log: StderrLog
) -> Process:
    launched = await launcher.launch(command)
    stdin = trio.SocketStream(trio.socket.from_stdlib_socket(launched.stdin))
    stdout, stderr = ReadPipe(launched.stdout), ReadPipe(launched.stderr)
    return Process(stdin, stdout, stderr, stderr_log, launched.guard)


async def _start_directly(command: ProcessCommand, stderr_log: StderrLog) -> Process:
    options: dict[str, Any] = {"creationflags": getattr(subprocess, "CREATE_NO_WINDOW", 0)}
    popen = await trio.lowlevel.open_process(
        [command.path, *command.argv[1:]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=command.cwd,
        env=command.env,
        **options,
    )
    assert popen.stdin is not None
    assert popen.stdout is not None
    assert popen.stderr is not None
    return Process(popen.stdin, popen.stdout, popen.stderr, stderr_log, _DirectChild(popen))
