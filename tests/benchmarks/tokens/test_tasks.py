from __future__ import annotations

import ast
import subprocess
from typing import TYPE_CHECKING

import pytest

from benchmarks.tokens.routed import REAL
from benchmarks.tokens.tasks import TASKS, Task, filled, lay_out

if TYPE_CHECKING:
    from pathlib import Path


def test_there_are_ten_tasks_of_servers_that_are_started() -> None:
    assert len({task.name for task in TASKS}) == 10
    assert {use.instance for task in TASKS for use in task.uses} == set(REAL)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_the_code_of_a_task_is_python(task: Task, tmp_path: Path) -> None:
    compile(filled(task.code, tmp_path), "code", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_places_of_files_are_filled_in_everywhere(tmp_path: Path) -> None:
    given = {"paths": ["{files}/a"], "deep": {"path": "{files}"}, "count": 3}
    assert filled(given, tmp_path) == {
        "paths": [f"{tmp_path}/a"],
        "deep": {"path": str(tmp_path)},
        "count": 3,
    }


def test_the_files_are_the_same_each_time(tmp_path: Path) -> None:
    heads: list[bytes] = []
    for name in ("one", "two"):
        lay_out(tmp_path / name)
        command = ["git", "-C", str(tmp_path / name / "project"), "rev-parse", "HEAD"]
        heads.append(subprocess.run(command, check=True, capture_output=True).stdout)
    assert heads[0] == heads[1]
    assert len((tmp_path / "one" / "long.log").read_text().splitlines()) == 300
