"""Starts the commands of stdio upstreams; leaves nothing of their trees behind, whatever happens.

`launch` runs this file in an interpreter of its own and never imports it itself:

    python -I -S launcher.py CONTROL

1. The *launcher* is one for the router. CONTROL is the file descriptor of a socket to the router.
   For each byte on it, which brings the three standard streams of a command and one end of a
   lifeline, it forks a guard. It ends when the router has closed CONTROL and all guards have ended.
2. A *guard* is one for each command. It reads from the lifeline which command to start (see
   `read_command`), starts it, and kills its whole tree when the command or the lifeline ends.

On the lifeline

- the router sends the command, and then `T` for SIGTERM to the command's process group. Its end of
  file, which also comes when the router is killed, means SIGKILL for the whole tree.
- the guard sends `guard PID` first; `error ERRNO` where the command cannot be executed, or
  `folder ERRNO` where its folder cannot be entered, or `sandbox ERRNO` where it cannot be confined;
  and then, in any case, `ended STATUS` (negative: the signal), each with a newline. Its end of file
  means that the guard has ended.

Why a process for each command: only another process outlives the router and can clean up after its
death, and only a parent of its own tells the orphans of one tree from those of another. Why they
are forked: a fork shares its memory with the launcher (docs/adr/023-one-launcher-that-forks.md).

Invariants:

- A guard does not need the launcher, which may be killed at any time.
- If a guard is killed, the system kills its command, and the launcher the rest of its tree.
- No process but the command holds the command's standard streams, so that an end of file on them is
  its own doing.
- Only a process that has not been waited for is killed, so its number cannot mean another one.
"""

import gc
import os
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import socket
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")
else:
    import _signal as signal  # the enums of `signal` cost more than all the other imports
    import _socket as socket  # and so do those of `socket`

KILL_LIMIT_S = 2.0
"""How long it tries to kill: what is left then cannot be killed by it."""

LOOK_AGAIN_S = 0.01
"""Between two looks for children, unless a child ends before."""

NOT_EXECUTED = 127
"""The exit status shells give for a command that could not be run."""

IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
"""Signals that may be sent to whole groups; launcher and guard must outlive the command."""

RESTORED = (*IGNORED, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ)
"""Signals whose default the command gets back (Python itself ignores the last two)."""

DRAINED_BYTES = 1024
"""Read from the file descriptor that signals write to, so that it is silent until the next one."""

PASSED = 4
"""File descriptors in a request: stdin, stdout, stderr, lifeline."""

LENGTH_BYTES = 4
"""A command on the lifeline begins with its length, in so many bytes, the highest first."""

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def do_nothing(*_: object) -> None:
    """Stand for prctl(2); or be the handler of SIGCHLD, without which that signal wakes nobody."""


def find_prctl() -> "Callable[[int, int, int, int, int], object]":
    """Return prctl(2); where there is none, a function that does nothing."""
    if sys.platform == "linux":
        try:
            import ctypes  # inside, since it is only of use on Linux

            prctl = ctypes.CDLL(None).prctl
            prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
            return prctl
        except (ImportError, OSError, AttributeError):
            pass
    return do_nothing


prctl = find_prctl()


def wake_on_child_end() -> int:
    """Return a file descriptor that becomes readable when a child of this process ends."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    inherited = signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    if inherited != -1:
        os.close(inherited)
    signal.signal(signal.SIGCHLD, do_nothing)
    return readable


# --- The launcher ----------------------------------------------------------------------------


def launch(control: "socket.socket", wakeup: int) -> "list[int] | None":
    """Fork a guard for each request of the router, until the router is gone and all have ended.

    Returns:
        In a guard, the file descriptors it was given; in the launcher nothing.
    """
    guards: set[int] = set()
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(wakeup, select.POLLIN)
    while True:
        events = dict(poll.poll())
        if wakeup in events:
            attempt(os.read, wakeup, DRAINED_BYTES)
            bury(guards)
        if control.fileno() not in events:
            continue
        passed = receive(control)
        if passed is None:
            outlive(guards, wakeup)
            return None
        guard = fork_guard(passed)
        if guard == 0:
            os.close(wakeup)
            control.close()
            return passed
        if guard > 0:
            guards.add(guard)


def receive(control: "socket.socket") -> "list[int] | None":
    """Return the file descriptors of the next request; nothing when the router is gone."""
    try:
        data, ancillary, *_ = control.recvmsg(1, socket.CMSG_SPACE(4 * PASSED))
    except ConnectionResetError:  # the router ended without reading what was sent to it
        return None
    if not data:
        return None
    passed = [
        int.from_bytes(content[at : at + 4], sys.byteorder)
        for level, kind, content in ancillary
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        for at in range(0, len(content) - 3, 4)
    ]
    for fd in passed:
        os.set_inheritable(fd, False)
    return passed


def fork_guard(passed: list[int]) -> int:
    """Fork a guard; return its process id, in the guard 0, and -1 where that is not possible."""
    guard = -1
    try:
        if len(passed) == PASSED:  # else there were no more file descriptors to be had here
            guard = os.fork()
    except OSError as exc:  # too many processes, or too little memory
        attempt(os.write, passed[-1], b"error %d\nended %d\n" % (exc.errno or 0, NOT_EXECUTED))
    if guard != 0:
        for fd in passed:
            os.close(fd)
    return guard


def bury(guards: set[int]) -> bool:
    """Wait for what has ended, and kill what guards that were killed have left.

    Returns:
        Whether there are children left.
    """
    ended, any_left = reap()
    guards.difference_update(ended)
    if any_left:
        for pid in children():
            if pid not in guards:
                attempt(os.kill, pid, signal.SIGKILL)
    return any_left


def outlive(guards: set[int], wakeup: int) -> None:
    """Wait for the guards, which end since the router is gone, to clean up after them."""
    gives_up_at_s = time.monotonic() + 2 * KILL_LIMIT_S
    while bury(guards) and time.monotonic() < gives_up_at_s:
        select.select([wakeup], [], [], KILL_LIMIT_S)
        attempt(os.read, wakeup, DRAINED_BYTES)


# --- The guard -------------------------------------------------------------------------------


def guard(passed: list[int]) -> None:
    """Start the command that the lifeline names, and see to its end and that of its tree."""
    *streams, lifeline = passed
    os.setsid()
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wakeup = wake_on_child_end()
    attempt(os.write, lifeline, b"guard %d\n" % os.getpid())
    command = read_command(lifeline)
    if not command:
        return
    try:
        child = start(command, streams, lifeline)
    except OSError as exc:  # too many processes, or too little memory
        attempt(os.write, lifeline, b"error %d\nended %d\n" % (exc.errno or 0, NOT_EXECUTED))
        return
    del command  # it may hold secrets
    for fd in streams:
        os.close(fd)
    status = serve(child, lifeline, wakeup)
    if status is not None:
        # Before the cleaning up, because a caller may be waiting for this report.
        attempt(os.write, lifeline, b"ended %d\n" % status)
    kill_tree(child, wakeup)


def read_command(lifeline: int) -> list[bytes]:
    """Return the command to start; an empty list when the router is gone.

    Its fields, which are separated by NUL characters, are the folder (empty: the launcher's), the
    number of fields about its sandbox, these fields (see `confine`), the file, the number of
    arguments, the arguments beginning with the command's name, and the environment as NAME=VALUE.
    """
    data, size = b"", LENGTH_BYTES
    while len(data) < size:
        more = attempt(os.read, lifeline, size - len(data))
        if not more:
            return []
        data += more
        if len(data) == LENGTH_BYTES:
            size += int.from_bytes(data, "big")
    return data[LENGTH_BYTES:].split(b"\0")


def start(command: list[bytes], streams: list[int], lifeline: int) -> int:
    """Start the command in a process group of its own, and return its process id."""
    parent = os.getpid()
    child = os.fork()
    if child:
        attempt(os.setpgid, child, child)  # here too, so that it is done when either goes on
        return child
    step = b"error"
    try:
        os.setpgid(0, 0)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == parent:
            folder, count, *rest = command
            step = b"folder"
            if folder:
                os.chdir(folder)
            limits = int(count)
            if limits:
                step = b"sandbox"
                __import__("confine").confine(rest[:limits])  # few commands have one
            step = b"error"
            become(rest[limits:], streams)
    except OSError as exc:
        attempt(os.write, lifeline, b"%b %d\n" % (step, exc.errno or 0))
    finally:
        os._exit(NOT_EXECUTED)


def become(command: list[bytes], streams: list[int]) -> None:
    """Execute the command in place of this process."""
    path, count, *rest = command
    arguments = int(count)
    for number, fd in enumerate(streams):
        os.dup2(fd, number)
    signal.set_wakeup_fd(-1)
    for number in RESTORED:
        signal.signal(number, signal.SIG_DFL)
    env = dict(pair.split(b"=", 1) for pair in rest[arguments:])
    os.execve(path, rest[:arguments], env)


def serve(child: int, lifeline: int, wakeup: int) -> "int | None":
    """Obey the router until the command has ended.

    Returns:
        The command's exit status, or None when the router ended first.
    """
    poll = select.poll()
    poll.register(lifeline, select.POLLIN)
    poll.register(wakeup, select.POLLIN)
    while True:
        events = dict(poll.poll())
        attempt(os.read, wakeup, DRAINED_BYTES)
        ended, _ = reap()
        if child in ended:
            return ended[child]
        if lifeline in events:
            if not attempt(os.read, lifeline, 1):
                return None
            attempt(os.killpg, child, signal.SIGTERM)


def kill_tree(child: int, wakeup: int) -> None:
    """Kill the command's process group and everything that was started from it."""
    attempt(os.killpg, child, signal.SIGKILL)
    gives_up_at_s = time.monotonic() + KILL_LIMIT_S
    while time.monotonic() < gives_up_at_s:
        # Orphans of the tree become children of the guard (`PR_SET_CHILD_SUBREAPER`). So each round
        # of killing brings the next generation up, until none is left.
        for pid in children():
            attempt(os.kill, pid, signal.SIGKILL)
        _, any_left = reap()
        if not any_left:
            return
        select.select([wakeup], [], [], LOOK_AGAIN_S)
        attempt(os.read, wakeup, DRAINED_BYTES)


# --- What both need --------------------------------------------------------------------------


def reap() -> "tuple[dict[int, int], bool]":
    """Wait for all children that have ended.

    Returns:
        Their exit statuses by process id, and whether there are children left.
    """
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended, False
        if pid == 0:
            return ended, True
        ended[pid] = os.waitstatus_to_exitcode(status)


def attempt(call: "Callable[..., T]", *args: object) -> "T | None":
    """Call the system, and return None if it refuses: what was meant has ended, or says nothing."""
    try:
        return call(*args)
    except OSError:
        return None


def children() -> list[int]:
    """Return the process ids of the children of this process, on Linux."""
    if sys.platform != "linux":
        return []  # orphans are adopted by init there; killing the group has to do
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", "rb") as listing:
            return [int(pid) for pid in listing.read().split()]
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN
        return [int(name) for name in os.listdir("/proc") if name.isdecimal() and is_child(name)]


def is_child(pid: str) -> bool:
    """Return whether a process is a child of this one."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return int(stat.read().rpartition(b")")[2].split()[1]) == os.getpid()
    except OSError:  # the process has ended meanwhile
        return False


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[-1]))
    os.set_inheritable(control.fileno(), False)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wakeup = wake_on_child_end()
    # A collection writes to every object, and what is written to is no longer shared with guards.
    gc.disable()
    gc.freeze()
    passed = launch(control, wakeup)
    if passed is not None:
        guard(passed)


def run() -> None:
    """Be the launcher, or a guard, and end the process."""
    try:
        main()
    finally:
        os._exit(0)  # what an interpreter does at its end is of no use here


if __name__ == "__main__":
    run()
