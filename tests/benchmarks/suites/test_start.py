"""Starts, of a small program in place of a proxy."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import pytest

from benchmarks.native.native import LoadError
from benchmarks.suites.start import call_of, start_and_ask

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM: Final = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        failed = message["params"].get("name") == "fails"
        print('{"method":"notifications/message"}')
        print(json.dumps({"id": message["id"], "result": {"isError": failed}}), flush=True)
    if message["method"] == sys.argv[1]:
        break
    open(sys.argv[2], "a").write(message["method"] + " ")
"""


def _command(tmp_path: Path, ends_after: str = "never") -> list[str]:
    return [sys.executable, "-c", PROGRAM, ends_after, str(tmp_path / "seen")]


def test_the_time_ends_with_the_answer_to_initialize(tmp_path: Path) -> None:
    assert start_and_ask(_command(tmp_path)).took_ms > 0


def test_a_call_follows_the_handshake(tmp_path: Path) -> None:
    start_and_ask(_command(tmp_path), call_of("echo", '{"text":"%TEXT%"}'))
    seen = (tmp_path / "seen").read_text().split()
    assert seen[:2] == ["initialize", "notifications/initialized"]


def test_a_command_that_ends_before_its_answer_is_an_error() -> None:
    with pytest.raises(LoadError, match="ended before it answered initialize"):
        start_and_ask([sys.executable, "-c", "input()"])


def test_a_call_that_fails_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="tools/call was answered with"):
        start_and_ask(_command(tmp_path), call_of("fails", "{}"))
