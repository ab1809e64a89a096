"""A process that is stopped at any step leaves the old or the new file, and undo still works."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from tests.router.client_files.installing.bench import Bench
from tests.router.client_files.shapes import SHAPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_STEPS = ("open", "fsync", "replace", "mkdir", "unlink", "fchmod", "rmdir")
_SHAPE = SHAPES[2]


class Stopped(BaseException):
    """Stands for the end of the process: nothing that runs afterwards has an effect."""


def _stop_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything that changes the disk raise, from a step on."""
    taken = 0

    def counted(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal taken
            taken += 1
            if taken > step:
                raise Stopped
            return real(*args, **kwargs)

        return call

    for name in _STEPS:
        monkeypatch.setattr(os, name, counted(name))


def _stops(act: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Carry something out again and again, stopped one step later each time."""
    for step in range(200):
        with monkeypatch.context() as patch:
            _stop_at(step, patch)
            try:
                act()
            except Stopped:
                pass
            else:
                return
        yield step
    raise AssertionError("it never came to its end")


@pytest.mark.parametrize("exists", [True, False])
def test_an_install_that_is_stopped_leaves_the_old_or_the_new_file(
    exists: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[bytes | None] = set()
    number = 0
    bench = Bench.at(tmp_path)

    def prepare() -> Path:
        nonlocal bench, number
        number += 1
        folder = tmp_path / str(number)
        folder.mkdir()
        bench = Bench.at(folder)
        path = _SHAPE.put(bench.machine)
        if not exists:
            path.unlink()
        return path

    path = prepare()
    for _ in _stops(lambda: bench.install("cursor"), monkeypatch):
        data = path.read_bytes() if path.exists() else None
        seen.add(data)
        if bench.ledger.rows():
            bench.uninstall("cursor")
        before = _SHAPE.data if exists else None
        assert (path.read_bytes() if path.exists() else None) == before
        bench.install("cursor")
        assert bench.install("cursor").is_nothing
        bench.uninstall("cursor")
        assert (path.read_bytes() if path.exists() else None) == before
        path = prepare()
    new = path.read_bytes()
    assert seen == {_SHAPE.data if exists else None, new}


def test_an_uninstall_that_is_stopped_leaves_one_of_both_files_and_can_be_repeated(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _SHAPE.put(bench.machine)
    bench.install("cursor")
    new = path.read_bytes()
    for _ in _stops(lambda: bench.uninstall("cursor"), monkeypatch):
        assert path.read_bytes() in (_SHAPE.data, new)
        if bench.ledger.rows():
            bench.uninstall("cursor")
        assert path.read_bytes() == _SHAPE.data
        bench.install("cursor")
    assert path.read_bytes() == _SHAPE.data


_KILLED = """
    import os, signal, sys
    from pathlib import Path
    from tests.router.client_files.installing.bench import Bench
    from tests.router.client_files.installing.test_stops import _SHAPE, _STEPS

    def run(folder, step):
        taken = 0
        def counted(real):
            def call(*args, **kwargs):
                nonlocal taken
                taken += 1
                if taken > step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **kwargs)
            return call
        for name in _STEPS:
            setattr(os, name, counted(getattr(os, name)))
        bench.install("cursor")

    for step in range(200):
        folder = Path(sys.argv[1]) / str(step)
        folder.mkdir()
        bench = Bench.at(folder)
        _SHAPE.put(bench.machine)
        child = os.fork()
        if child == 0:
            run(folder, step)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:
            print(step)
            break
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the process forks itself for each step")
def test_a_process_killed_at_any_step_leaves_the_old_or_the_new_file(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(_KILLED), str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, check=True, text=True, timeout=120)

    last = int(ended.stdout)
    assert last > 5
    new = Bench.at(tmp_path / str(last)).target("cursor").path.read_bytes()
    seen: list[bytes] = []
    for step in range(last):
        bench = Bench.at(tmp_path / str(step))
        path = bench.target("cursor").path
        seen.append(path.read_bytes())
        if bench.ledger.rows():
            bench.uninstall("cursor")
        assert path.read_bytes() == _SHAPE.data
    assert set(seen) == {_SHAPE.data, new}
    assert seen == sorted(seen, key=[_SHAPE.data, new].index)
