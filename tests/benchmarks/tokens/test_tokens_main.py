from __future__ import annotations

import sys

import pytest

from benchmarks.search.catalogues import Catalogue
from benchmarks.tokens import __main__ as tokens


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["tree"], "no such view: tree; there are: direct"),
        (["code", "--write-docs"], "name no view"),
    ],
)
def test_wrong_arguments_are_refused(
    words: list[str],
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks.tokens", *words])
    with pytest.raises(SystemExit):
        tokens.main()
    assert problem in capsys.readouterr().err


def test_servers_that_the_tasks_need_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks.tokens"])
    monkeypatch.setattr(tokens, "is_installed", lambda: False)
    with pytest.raises(SystemExit, match="`make bench-tokens` installs them"):
        tokens.main()
    monkeypatch.setattr(tokens, "is_installed", lambda: True)
    monkeypatch.setattr(tokens, "catalogues", lambda *_: [Catalogue("git", "", "", [])])
    with pytest.raises(SystemExit, match="tasks need desktop-commander, everything, filesystem"):
        tokens.main()
