"""The command line: suites by name, and mistakes that it names."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from benchmarks import __main__ as program
from benchmarks.native.native import LoadError
from benchmarks.rows import Row

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.context import Context

ROW = Row.of("one", "1 caller", "router", "calls", [1.0, 3.0], "1/s")


@pytest.fixture
def contexts(monkeypatch: pytest.MonkeyPatch) -> list[Context]:
    """Make `one` the only suite; return the contexts that it ran with."""
    found: list[Context] = []

    def run(context: Context) -> list[Row]:
        found.append(context)
        return [ROW]

    suite = ModuleType("suite_one")
    vars(suite)["run"] = run
    monkeypatch.setitem(sys.modules, "suite_one", suite)
    monkeypatch.setattr(program, "SUITES", {"one": "suite_one"})
    monkeypatch.setattr(program, "pin", lambda _: None)
    monkeypatch.setattr(program, "compile_rooms", lambda: None)
    return found


def run_main(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", *words])
    program.main()


def test_suites_run_by_name_and_their_rows_are_written(
    contexts: list[Context], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "figures.json"
    run_main(monkeypatch, "one", "--rounds", "2", "--seconds", "0.5", "--json", str(file))
    (context,) = contexts
    assert (context.rounds, context.seconds, context.peers) == (2, 0.5, ())
    written = json.loads(file.read_text())
    assert written["rows"][0]["median"] == 2
    assert written["machine"]["trio"]


def test_all_suites_run_when_none_is_named(
    contexts: list[Context], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_main(monkeypatch)
    assert len(contexts) == 1
    assert "router" in capsys.readouterr().out


def test_quick_comparison_that_cannot_be_made_ends_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(_: object) -> None:
        raise LoadError("Cannot build load.c: no compiler")

    monkeypatch.setattr("benchmarks.quick.run", run)
    monkeypatch.setattr(program, "pin", lambda _: None)
    with pytest.raises(SystemExit, match=r"benchmarks: Cannot build load\.c"):
        run_main(monkeypatch, "--quick")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["two"], "no such suite: two; there are: one"),
        (["--rounds", "0"], "rounds, starts and seconds must be above zero"),
        (["--core", "4096"], "no core 4096"),
    ],
)
def test_mistakes_are_named(
    contexts: list[Context],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run_main(monkeypatch, *words)
    assert said in capsys.readouterr().err
    assert not contexts


def test_wrong_answers_end_the_run_in_one_line(
    contexts: list[Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(_: Context) -> list[Row]:
        raise LoadError("3 wrong and 0 missing answers")

    vars(sys.modules["suite_one"])["run"] = run
    with pytest.raises(SystemExit, match="benchmarks: 3 wrong and 0 missing answers"):
        run_main(monkeypatch)


@pytest.mark.parametrize("words", [["--write-docs"], ["one", "--peers", "--write-docs"]])
def test_a_part_of_a_run_is_not_written_into_the_docs(
    contexts: list[Context],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
) -> None:
    with pytest.raises(SystemExit):
        run_main(monkeypatch, *words)
    assert "--write-docs writes a whole run: give --peers, and no suite" in capsys.readouterr().err
    assert not contexts
