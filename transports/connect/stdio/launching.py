"""The router's side of its launcher: starts it, and has it start commands.

`launcher` has the protocol; it runs in a process of its own. Not for Windows, where there is none.

Invariants: there is one launcher at a time. It is started when the first command is, and anew if it
was killed. It inherits nothing of the router's environment. Its end does not end the commands that
it has started.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from array import array
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import attrs
import trio
import trio.lowlevel

from transports.connect.stdio.run_mark import VARIABLE, this_run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transports.connect.stdio.command import ProcessCommand

log = logging.getLogger("mcp_router.upstream")

SCRIPT: Final = Path(__file__).with_name("launcher.py")

LENGTH_BYTES: Final = 4
"""A command on a lifeline begins with its length, in so many bytes."""

END_S: Final = 1.0
"""Time for the launcher to end, which has nothing left to do. Then it is killed."""

ATTEMPTS: Final = 2
"""A launcher that was killed is noticed when it is needed; then a new one is started."""


@attrs.frozen
class Launched:
    """The router's ends of what a command was given.

    Attributes:
        stdin: the other end of its stdin.
        stdout, stderr: file descriptors of the reading ends of its pipes.
        lifeline: a socket to its guard.
    """

    stdin: socket.socket
    stdout: int
    stderr: int
    lifeline: trio.SocketStream


@attrs.define(eq=False)
class Launcher:
    """The launcher of one router. Used as a context manager, it ends at the exit."""

    _popen: trio.Process | None = attrs.field(init=False, default=None)
    _control: trio.socket.SocketType | None = attrs.field(init=False, default=None)
    _mark: dict[str, str] | None = attrs.field(init=False, default=None)
    _lock: trio.Lock = attrs.field(init=False, factory=trio.Lock)

    async def launch(self, command: ProcessCommand) -> Launched:
        """Have a command started. The lifeline tells whether that worked.

        Raises:
            OSError: no launcher can be started, or no pipe can be made.
            ValueError: the command holds what cannot be passed to a process.
        """
        text = encode_command(command, await self._our_mark())
        with ExitStack() as theirs, ExitStack() as on_failure:
            # A socket as stdin, as Node.js gives its children: unlike a pipe it shows at once when
            # the process closes its end.
            stdin, their_stdin = _socket_pair(theirs, on_failure)
            stdout, their_stdout = _pipe(theirs, on_failure)
            stderr, their_stderr = _pipe(theirs, on_failure)
            lifeline, their_lifeline = _socket_pair(theirs, on_failure)
            async with self._lock:
                await self._pass(their_stdin.fileno(), their_stdout, their_stderr, their_lifeline)
            theirs.close()
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(lifeline))
            with suppress(trio.BrokenResourceError):  # the lifeline tells why
                await stream.send_all(text)
            on_failure.pop_all()
        return Launched(stdin, stdout, stderr, stream)

    async def aclose(self) -> None:
        """End the launcher, in at most twice `END_S`. What it has started has ended before."""
        with trio.move_on_after(END_S, shield=True):
            await self._end()
        if self._popen is not None:
            self._popen.kill()
            with trio.move_on_after(END_S, shield=True):
                await self._end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _our_mark(self) -> dict[str, str]:
        if self._mark is None:
            run = await trio.to_thread.run_sync(this_run)
            self._mark = {} if run is None else {VARIABLE: run.mark}
        return self._mark

    async def _pass(self, stdin: int, stdout: int, stderr: int, lifeline: socket.socket) -> None:
        fds = array("i", [stdin, stdout, stderr, lifeline.fileno()])
        for _ in range(ATTEMPTS):
            control = self._control or await self._start()
            try:
                await control.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
            except (BrokenPipeError, ConnectionResetError):
                log.warning("The launcher of stdio servers has ended %s", await self._end())
            else:
                return
        raise ChildProcessError("its launcher ends at once")

    async def _start(self) -> trio.socket.SocketType:
        with ExitStack() as theirs, ExitStack() as on_failure:
            control, their_control = _socket_pair(theirs, on_failure)
            self._popen = await trio.lowlevel.open_process(
                [sys.executable, "-I", "-S", str(SCRIPT), str(their_control.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # What it had to say there could only be a bug, and while it writes it might hang.
                stderr=subprocess.DEVNULL,
                env=await self._our_mark(),
                pass_fds=(their_control.fileno(),),
                start_new_session=True,  # for Ctrl+C in a terminal, which the router handles
            )
            on_failure.pop_all()
        self._control = trio.socket.from_stdlib_socket(control)
        return self._control

    async def _end(self) -> str:
        """Wait for the end of the launcher, and return it in words."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._popen is None:
            await trio.lowlevel.checkpoint()
            return ""
        status = await self._popen.wait()
        self._popen = None
        return f"with status {status}" if status >= 0 else f"by signal {-status}"


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
    fields = (command.cwd or "", command.path, count, *command.argv, *variables)
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
