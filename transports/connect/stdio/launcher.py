"""The parent of one upstream's process: leaves nothing of its tree behind, whatever happens.

Job: start a command, wait for its end or for that of the router, and kill what is left. Run by
`process` as a script in an interpreter of its own, never imported by it:

    python -I -S launcher.py LIFELINE PATH ARGV0 [ARG...]

LIFELINE is the file descriptor of a socket to the router. On it

- the router sends `T`: SIGTERM for the command's process group. Its end of file, which also comes
  when the router is killed, means SIGKILL for the whole tree.
- the launcher sends `error ERRNO` where the command cannot be executed, and then, in any case,
  `ended STATUS` (negative: the signal), each with a newline.

Why a process for it: a process that must clean up after the router's death has to outlive it, and
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
"""How long it tries to kill: beyond it there is only what it may not kill."""

LOOK_AGAIN_S = 0.01
"""Between two looks for children, where no end of a child came first."""

NOT_EXECUTED = 127
"""The exit status shells give for a command that could not be run."""

IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
"""What may be sent to whole groups; the launcher must outlive the command."""

RESTORED = (*IGNORED, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ)
"""What the command gets as it would be without us (Python itself ignores the last two)."""

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
    """A file descriptor that becomes readable when a child ends."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, note_nothing)
    return readable


def note_nothing(_signal: int, _frame: object) -> None:
    """Without any function for it a signal would not wake us."""


def start(path: str, argv: list[str], lifeline: int) -> int:
    """Start the command in a process group of its own; returns its process id."""
    launcher = os.getpid()
    child = os.fork()
    if child:
        try:
            os.setpgid(child, child)  # here too, so that it is done when either goes on
        except OSError:
            pass  # it has, and is running already
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


def let_go_of_stdio() -> None:
    """Give up our copies of the command's standard streams."""
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


def attend(child: int, lifeline: int, wakeup: int) -> int | None:
    """Do as the router says until the command has ended.

    Returns:
        The command's exit status, or None when the router ended first.
    """
    poll = select.poll()
    poll.register(lifeline, select.POLLIN)
    poll.register(wakeup, select.POLLIN)
    while True:
        events = dict(poll.poll())
        forget_wakeups(wakeup)
        ended, _ = reap(child)
        if ended is not None:
            return ended
        if lifeline in events:
            if not read(lifeline):
                return None
            send(os.killpg, child, signal.SIGTERM)


def read(lifeline: int) -> bytes:
    """A command of the router; nothing when it is gone."""
    try:
        return os.read(lifeline, 1)
    except ConnectionResetError:  # it went without reading what we had said
        return b""


def forget_wakeups(wakeup: int) -> None:
    try:
        os.read(wakeup, 1024)
    except BlockingIOError:
        pass  # it was not the end of a child that woke us


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
        forget_wakeups(wakeup)


def send(kill: "Callable[[int, int], None]", target: int, number: int) -> None:
    """Send a signal to a process or a group, if it is still there and still ours."""
    try:
        kill(target, number)
    except (ProcessLookupError, PermissionError):
        pass


def children() -> list[int]:
    """Our children: with the adopted ones, all that is left of the tree once its root is gone.

    Those of them that have children themselves leave them to us when they are killed.
    """
    if sys.platform != "linux":
        return []  # orphans are adopted by init there; killing the group has to do
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", "rb") as listing:
            return [int(pid) for pid in listing.read().split()]
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN
        return [int(name) for name in os.listdir("/proc") if name.isdecimal() and is_ours(name)]


def is_ours(pid: str) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return int(stat.read().rpartition(b")")[2].split()[1]) == os.getpid()
    except OSError:  # it has ended meanwhile
        return False


def main() -> None:
    lifeline, path, argv = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    os.set_inheritable(lifeline, False)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    wakeup = wake_on_child_end()
    child = start(path, argv, lifeline)
    let_go_of_stdio()
    status = attend(child, lifeline, wakeup)
    if status is not None:
        # Before the cleaning up: who waits for this is waiting for an answer.
        os.write(lifeline, b"ended %d\n" % status)
    kill_tree(child, wakeup)


if __name__ == "__main__":
    try:
        main()
    finally:
        os._exit(0)  # what an interpreter does at its end is of no use here
