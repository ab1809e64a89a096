"""Runs a proxy as a process, reads what it says, and ends it with all of its children."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from benchmarks.native import native
from tests.e2e.processes import Lines, descendants, kill_all, still_running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from benchmarks.proxies.proxy import Kind, Running

ROOT: Final = Path(__file__).parents[2]

START_LIMIT_S: Final = 60.0
END_LIMIT_S: Final = 20.0


@attrs.frozen
class Started:
    """A process, what it says on stderr, and its exit status; None while it runs."""

    pid: int
    stderr: Lines
    status: Callable[[], int | None]


@contextmanager
def started(command: Sequence[str], env: Mapping[str, str] | None = None) -> Iterator[Started]:
    """Run a command until the context ends; then end it, and kill what it leaves behind.

    Args:
        command: the command and its arguments; it runs in the root of the repository.
        env: its environment; None for ours.
    """
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=None if env is None else dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        stderr = Lines(process.stderr)
        try:
            yield Started(process.pid, stderr, process.poll)
        finally:
            children = descendants(process.pid)
            process.terminate()
            try:
                process.wait(END_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
            kill_all(still_running(children))
            stderr.join()


def call(kind: Kind, running: Running, **options: Any) -> native.Load:
    """Load a proxy over HTTP or SSE; `options` are those of `native.load`.

    Raises:
        LoadError: as in `native.load`.
    """
    assert running.url is not None
    return native.load(
        kind,
        running.url,
        headers=running.headers,
        tool=running.tool,
        arguments=running.arguments,
        wrapped=running.wrapped,
        **options,
    )


def call_once(kind: Kind, running: Running, **options: Any) -> native.Load:
    """Make one call, which shows that the proxy answers rightly, with results of any size."""
    loose = attrs.evolve(running, wrapped=True)
    return call(kind, loose, calls=1, warm_up=0, **options)
