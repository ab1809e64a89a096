from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from benchmarks.search.catalogues import Catalogue
from benchmarks.search.ranking.rankers import OURS, NotRankedError, Ranker
from benchmarks.search.real_servers import ROOT

READ = {"name": "read_file", "description": "Reads a file.", "inputSchema": {"type": "object"}}
PLAY = {"name": "play", "description": "Plays a song.", "inputSchema": {"type": "object"}}
CATALOGUES = [Catalogue("files", "", "", [READ]), Catalogue("music", "", "", [PLAY])]


def _program(source: str) -> Ranker:
    return Ranker("a ranker", (sys.executable, "-c", source))


def test_a_ranker_gets_the_task_and_its_outcome_is_read() -> None:
    given = '{"times_us": [1.0], "memory_mb": 2.0, "exact": 1.0, "whole_times_us": [2.0]}'
    source = (
        "import json, sys; task = json.load(sys.stdin);"
        "names = [one['name'] for one in task['catalogues']];"
        f"print(json.dumps({{'rankings': {{task['queries'][0]: names}}, **json.loads({given!r})}}))"
    )
    outcome = _program(source).run(CATALOGUES, ["a file"])
    assert outcome.rankings == {"a file": ["files", "music"]}
    assert outcome.memory_mb == 2.0


def test_a_ranker_that_fails_is_told_of_by_its_last_words() -> None:
    with pytest.raises(NotRankedError, match=r"^no model$"):
        _program("import sys; sys.exit('first\\nno model')").run(CATALOGUES, ["a"])
    with pytest.raises(NotRankedError, match="ended with 3"):
        _program("import sys; sys.exit(3)").run(CATALOGUES, ["a"])


def test_a_ranker_that_is_not_installed_is_told_of() -> None:
    missing = Ranker("a ranker", ("false",), needs=Path("/nowhere/installed"))
    with pytest.raises(NotRankedError, match="not installed; `make bench-search`"):
        missing.run(CATALOGUES, ["a"])


def test_the_extra_is_measured_with_its_own_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = (ROOT / "benchmarks" / "search" / "semantic.in").read_text().splitlines()
    wanted = project["project"]["optional-dependencies"]["semantic"]
    assert [line for line in listed if not line.startswith("#")] == wanted


def test_the_router_finds_tools_by_words_and_by_their_names() -> None:
    outcome = OURS.run(CATALOGUES, ["read a file", "play a song"])
    assert outcome.rankings["read a file"][0] == "files/read_file"
    assert outcome.rankings["play a song"][0] == "music/play"
    assert outcome.exact == 1.0
    assert len(outcome.whole_times_us) == 2
    assert len(outcome.times_us) % 2 == 0
