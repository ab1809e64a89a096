"""`own_program`: files that start the program later name it by its absolute path."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from router.cli.own_program import program_path, program_words

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_program_is_the_one_that_was_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = tmp_path / "mcp-router"
    called.touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["mcp-router"])

    assert program_path() == str(called)
    assert program_words() == (str(called),)


def test_else_it_is_the_one_beside_the_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = tmp_path / "mcp-router"
    beside.touch()
    monkeypatch.setattr(sys, "argv", ["/somewhere/pytest"])
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert program_words() == (str(beside),)


def test_without_either_the_interpreter_runs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/pytest"])
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))

    assert program_path() is None
    assert program_words() == (os.path.abspath(sys.executable), "-m", "router")
