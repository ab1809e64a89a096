from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.reporting.report import put
from benchmarks.search import __main__ as search
from benchmarks.search.catalogues import Catalogue
from benchmarks.search.queries import Query
from benchmarks.search.ranking.loop_delay import Delays, LoopDelay
from benchmarks.search.ranking.rankers import NotRankedError, Outcome, Ranker
from benchmarks.search.report import PAGE

if TYPE_CHECKING:
    from pathlib import Path

QUERIES = [
    Query("read it", frozenset({"a/read"}), "tune"),
    Query("写下来", frozenset({"a/write"}), "tune"),
    Query("move it", frozenset({"a/move"}), "test"),
    Query("移动", frozenset({"a/move"}), "test"),
    Query("look", frozenset({"a/read"}), "fresh"),
    Query("看", frozenset({"a/read"}), "fresh"),
]
TOOLS = [{"name": name} for name in ("read", "write", "move")]


@pytest.fixture
def _measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(ranker: Ranker, _: object, queries: list[str]) -> Outcome:
        if ranker.name != "router":
            raise NotRankedError("not installed")
        return Outcome({query: ["a/write"] for query in queries}, [1.0], 1.0, 1.0, [2.0])

    delays = Delays(1.0, 1.0, 1.0)
    monkeypatch.setattr(search, "_listed", lambda anew: [Catalogue("a", "", "", TOOLS)])
    monkeypatch.setattr(search, "read_queries", lambda: QUERIES)
    monkeypatch.setattr(search, "measure", lambda _: LoopDelay(3, 1.0, delays, delays))
    monkeypatch.setattr(Ranker, "run", run)


def _run(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks.search", *words])
    search.main()


@pytest.mark.usefixtures("_measured")
def test_misses_are_shown_of_the_part_that_rankings_are_tuned_by_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _run(monkeypatch, "--misses", "tune")
    said = capsys.readouterr().out
    assert "Left out: FastMCP's BM25: not installed" in said
    assert "| test | all | router | 2 | 0.00 |" in said
    assert "- read it\n    wanted: a/read\n    found: a/write" in said
    assert "写下来" not in said
    assert "move it" not in said


@pytest.mark.usefixtures("_measured")
def test_tables_are_written_into_their_place_of_the_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = tmp_path / "search.md"
    page.write_text("# Search\n<!-- finding -->\nold\n<!-- end of finding -->\nthe rest\n")
    monkeypatch.setattr(search, "PAGE", page)
    _run(monkeypatch, "--write-docs")
    assert "old" not in page.read_text()
    assert "3 tools of 1 servers, 6 queries" in page.read_text()
    assert page.read_text().endswith("<!-- end of finding -->\nthe rest\n")


def test_the_page_has_a_place_for_the_tables_of_both_benchmarks() -> None:
    put(PAGE.read_text(), {"finding": "", "tokens": ""})


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--write-docs", "--part", "tune"), "give no --part"),
        (("--misses", "tune", "--part", "test"), "--misses tune needs that part"),
        (("--misses", "test"), "invalid choice"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    words: tuple[str, ...],
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        _run(monkeypatch, *words)
    assert problem in capsys.readouterr().err


def test_too_few_servers_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "catalogues", lambda *_, anew: [Catalogue("a", "", "", TOOLS)] * 19)
    with pytest.raises(SystemExit, match="57 tools of 19 servers; at least 400 of 20 are needed"):
        _run(monkeypatch)
