"""Problems and notes of `check`, split into what is wrong and what to do."""

from __future__ import annotations

import pytest

from router.doctor.rules.written_files import judge
from tests.router.doctor.made_facts import FOUND, facts, lines, settings


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (
            f"{FOUND}: mcpServers.a.env.T: ${{T}} is not set",
            f"error {FOUND}: mcpServers.a.env.T: ${{T}} is not set -> set T in the environment of "
            "the router; or run mcp-router secret set T, and write ${secret:T}",
        ),
        (
            f"{FOUND}: env.T: ${{secret:T}}: there is no secret T; set it with: mcp-router secret "
            "set T",
            f"error {FOUND}: env.T: ${{secret:T}}: there is no secret T -> set it with: mcp-router "
            "secret set T",
        ),
        (
            'config.json: api.port: expected an integer, got "x"',
            'error config.json: api.port: expected an integer, got "x" -> correct it in '
            "config.json, and run mcp-router check",
        ),
        (
            "config.json: line 1, column 2: invalid JSON: it ends too early",
            "error config.json: line 1, column 2: invalid JSON: it ends too early -> correct it in "
            "config.json, and run mcp-router check",
        ),
    ],
)
def test_problem_is_an_error_with_its_fix(line: str, found: str) -> None:
    assert lines(judge, facts(problems=(line,))) == [found]


def test_warnings_and_notes_of_check_are_warnings_and_notes() -> None:
    notes = (f"Warning: {FOUND}: unknown key idle_stop", "Note: config.json: profiles.a: no x yet")
    assert lines(judge, facts(notes=notes)) == [
        f"warning {FOUND}: unknown key idle_stop -> correct it in {FOUND}, and run mcp-router "
        "check",
        "note config.json: profiles.a: no x yet -> ",
    ]


def test_short_token_is_left_to_its_own_rule() -> None:
    short = settings(security={"bearer_token": "short"})
    notes = ("Note: config.json: security.bearer_token: is shorter than 16 characters",)
    assert lines(judge, facts(settings=short, notes=notes)) == []


def test_refused_file_of_secrets_is_an_error() -> None:
    problem = "/x/secrets.json: can be written by other users; run: chmod 600 /x/secrets.json"
    (line,) = lines(judge, facts(secrets_problem=problem))
    assert line == (
        "error /x/secrets.json: can be written by other users -> run: chmod 600 /x/secrets.json"
    )
