"""The parent of one upstream's process: leaves nothing of its tree behind, whatever happens.

Starts a command, waits for its end or for that of the router, and kills what is left. `process`
runs this file as a script in an interpreter of its own and never imports it:

    python -I -S launcher.py LIFELINE PATH ARGV0 [ARG...]

LIFELINE is the file descriptor of a socket to the router. On it

- the router sends `T`: SIGTERM for the command's process group. Its end of file, which also comes
  when the router is killed, means SIGKILL for the whole tree.
- the launcher sends `error ERRNO` where the command cannot be executed, and then, in any case,
  `ended STATUS` (negative: the signal), each with a newline.

Why a process for it: only another process outlives the router and can clean up after its death.
`PR_SET_PDEATHSIG` does not serve the router itself, since Trio spawns from worker threads and that
signal is tied to the thread.

Invariants: it imports little, because it is in the way of every start and stays in memory. It does
not hold the command's standard streams, so that an end of file on them is the command's doing.
Only a process that has not been waited for is killed, so its number cannot mean another one.
"""

# ruff: noqa: SIM105 - `contextlib` takes as long to import as everything here does

import os
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
else:
    import _signal as signal  # the enums of `signal` cost more than all the other imports

KILL_LIMIT_S = 2.0
"""How long it tries to kill: what is left then cannot be killed by it."""

LOOK_AGAIN_S = 0.01
"""Between two looks for children, unless a child ends before."""

NOT_EXECUTED = 127
"""The exit status shells give for a command that could not be run."""

IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
"""Signals that may be sent to whole groups; the launcher must outlive the command."""

RESTORED = (*IGNORED, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ)
"""Signals whose default the command gets back (Python itself ignores the last two)."""

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process (prctl(2)); nothing happens where there is no prctl."""
    if sys.platform != "linux":
        return
    try:
        import ctypes  # inside, since it is only of use on Linux
    except ImportError:
        return
    zero = ctypes.c_ulong(0)
    ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), zero, zero, zero)


def wake_on_child_end() -> int:
    """Return a file descriptor that becomes readable when a child ends."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, do_nothing)
    return readable


def do_nothing(_signal: int, _frame: object) -> None:
    """Be the handler of SIGCHLD: a signal without a handler wakes nobody."""


def start(path: str, argv: list[str], lifeline: int) -> int:
    """Start the command in a process group of its own, and return its process id."""
    launcher = os.getpid()
    child = os.fork()
    if child:
        try:
            os.setpgid(child, child)  # here too, so that it is done when either goes on
        except OSError:
            pass  # the child has done it, and runs the command already
        return child
    try:
        os.setpgid(0, 0)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == launcher:
            become(path, argv)
    except OSError as exc:
        os.write(lifeline, b"error %d\n" % (exc.errno or 0))
    finally:
        os._exit(NOT_EXECUTED)


def become(path: str, argv: list[str]) -> None:
    """Execute the command in place of this process."""
    signal.set_wakeup_fd(-1)
    for number in RESTORED:
        signal.signal(number, signal.SIG_DFL)
    os.execv(path, argv)


def release_stdio() -> None:
    """Close the launcher's copies of the command's standard streams."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(null, stream, inheritable=False)


def reap(child: int) -> tuple[int | None, bool]:
    """Wait for all children that have ended.

    Returns:
        The exit status of `child` if it was among them, and whether there are children left.
    """
    ended = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended, False
        if pid == 0:
            return ended, True
        if pid == child:
            ended = os.waitstatus_to_exitcode(status)


def serve(child: int, lifeline: int, wakeup: int) -> int | None:
    """Obey the router until the command has ended.

    Returns:
        The command's exit status, or None when the router ended first.
    """
    poll = select.poll()
    poll.register(lifeline, select.POLLIN)
    poll.register(wakeup, select.POLLIN)
    while True:
        events = dict(poll.poll())
        drain(wakeup)
        ended, _ = reap(child)
        if ended is not None:
            return ended
        if lifeline in events:
            if not read(lifeline):
                return None
            send(os.killpg, child, signal.SIGTERM)


def read(lifeline: int) -> bytes:
    """Return the next command of the router; nothing when the router is gone."""
    try:
        return os.read(lifeline, 1)
    except ConnectionResetError:  # the router ended without reading what was sent to it
        return b""


def drain(wakeup: int) -> None:
    """Read what signals have written, so that `wakeup` is silent until the next one."""
    try:
        os.read(wakeup, 1024)
    except BlockingIOError:
        pass  # there was no signal


def kill_tree(child: int, wakeup: int) -> None:
    """Kill the command's process group and everything that was started from it."""
    send(os.killpg, child, signal.SIGKILL)
    gives_up_at_s = time.monotonic() + KILL_LIMIT_S
    while time.monotonic() < gives_up_at_s:
        for pid in children():
            send(os.kill, pid, signal.SIGKILL)
        _, any_left = reap(child)
        if not any_left:
            return
        select.select([wakeup], [], [], LOOK_AGAIN_S)
        drain(wakeup)


def send(kill: "Callable[[int, int], None]", target: int, number: int) -> None:
    """Send a signal to a process or a group, if it still exists and may be signalled."""
    try:
        kill(target, number)
    except (ProcessLookupError, PermissionError):
        pass


def children() -> list[int]:
    """Return the ids of the launcher's children.

    Orphans of the tree become children of the launcher (`PR_SET_CHILD_SUBREAPER`). So each round of
    killing brings the next generation up, until none is left.
    """
    if sys.platform != "linux":
        return []  # orphans are adopted by init there; killing the group has to do
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", "rb") as listing:
            return [int(pid) for pid in listing.read().split()]
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN
        return [int(name) for name in os.listdir("/proc") if name.isdecimal() and is_child(name)]


def is_child(pid: str) -> bool:
    """Return whether a process is a child of the launcher."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return int(stat.read().rpartition(b")")[2].split()[1]) == os.getpid()
    except OSError:  # the process has ended meanwhile
        return False


def main() -> None:
    lifeline, path, argv = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    os.set_inheritable(lifeline, False)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    wakeup = wake_on_child_end()
    child = start(path, argv, lifeline)
    release_stdio()
    status = serve(child, lifeline, wakeup)
    if status is not None:
        # Before the cleaning up, because a caller may be waiting for this report.
        os.write(lifeline, b"ended %d\n" % status)
    kill_tree(child, wakeup)


if __name__ == "__main__":
    try:
        main()
    finally:
        os._exit(0)  # what an interpreter does at its end is of no use here
