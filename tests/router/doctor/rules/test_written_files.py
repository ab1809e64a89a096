"""Problems and notes of `check`, split into what is wrong and what to do."""

from __future__ import annotations

import pytest

from router.config.code_extra import PROBLEM, how_to_install
from router.doctor.facts import Surroundings
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


def test_file_of_approved_tools_that_cannot_be_used_is_an_error() -> None:
    problem = "pins.json: cannot be understood (it ends too early); put back a copy of it"
    assert lines(judge, facts(pins_problem=problem)) == [
        "error pins.json: cannot be understood (it ends too early) -> put back a copy of it"
    ]


def test_what_the_unit_gives_to_the_service_is_a_note() -> None:
    unit = Surroundings(
        "/u.service",
        "",
        frozenset({"T"}),
        frozenset({"router", "mcp-router-secrets-key"}),
        is_unit=True,
    )
    problems = (
        f"{FOUND}: env.T: ${{T}} is not set",
        f"{FOUND}: env.U: ${{U}} is not set",
        "config.json: security.bearer_token: ${credential:router}: CREDENTIALS_DIRECTORY is not "
        "set: pass it to the service with LoadCredential=router:/path",
        "config.json: security.bearer_token: ${secret:A}: /x/secrets.json is encrypted, and its "
        "key is in the credential mcp-router-secrets-key, which is not passed to this process; "
        "pass it with LoadCredential=, or name its folder in CREDENTIALS_DIRECTORY",
    )
    found = list(judge(facts(problems=problems, surroundings=(unit,))))
    assert [one.severity for one in found] == ["note", "error", "note", "note"]
    assert found[0].problem == "${T} is not set here, and /u.service gives it to the service"


def test_profile_with_code_without_the_extra_is_a_warning_with_the_command() -> None:
    note = f"Warning: config.json: profiles.work: {PROBLEM}; run: {how_to_install()}"
    (line,) = lines(judge, facts(notes=(note,)))
    assert line.startswith("warning config.json: profiles.work: ")
    assert line.endswith(f"run no code -> run: {how_to_install()}")
