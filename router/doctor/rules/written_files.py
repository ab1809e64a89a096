"""Judges `config.json`, `data/` and `secrets.json` as `mcp-router check` reads them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from router.config.security.tokens import find_short_tokens
from router.doctor.findings import Finding, split_way_out

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.doctor.facts import Facts
    from router.doctor.findings import Severity

_CREDENTIAL: Final = re.compile(
    r"\$\{credential:([^}]+)\}|its key is in the credential ([^ ,]+), which is not passed"
)
_VARIABLE: Final = re.compile(r"\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)\} is (?:not set|empty)$")


def judge(facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each problem and each note."""
    for line in facts.problems:
        unit = _unit_that_resolves(line, facts)
        yield _finding("error", line) if unit is None else _of_unit(line, unit)
    # The rule of tokens says the same, and more of it.
    security = facts.settings.security
    place = f"{facts.config.name}: security"
    short = find_short_tokens(security.bearer_token, security.tokens, place)
    judged_elsewhere = tuple(f"Note: {error.place}: " for error in short)
    for line in facts.notes:
        if not line.startswith(judged_elsewhere):
            kind, _, text = line.partition(": ")
            yield _finding("warning" if kind == "Warning" else "note", text)
    if facts.secrets_problem:
        yield _finding("error", facts.secrets_problem)
    if facts.pins_problem:
        yield _finding("error", facts.pins_problem)


def _unit_that_resolves(line: str, facts: Facts) -> str | None:
    """Return the unit that gives its service what this shell lacks, if there is one."""
    variable = _VARIABLE.search(line)
    credential = _CREDENTIAL.search(line)
    for unit in facts.surroundings:
        is_set = variable is not None and variable[1] in unit.variables
        is_passed = credential is not None and (credential[1] or credential[2]) in unit.credentials
        if is_set or is_passed:
            return unit.whose
    return None


def _of_unit(line: str, unit: str) -> Finding:
    subject, text = _split_place(line)
    problem = f"{split_way_out(text)[0]} here, and {unit} gives it to the service"
    return Finding("note", "files", subject, problem)


def _finding(severity: Severity, line: str) -> Finding:
    """Return a message of `check`, split where its parts begin."""
    subject, text = _split_place(line)
    if found := _VARIABLE.search(text):
        name = found[1]
        fix = (
            f"set {name} in the environment of the router; or run mcp-router secret set {name}, "
            f"and write ${{secret:{name}}}"
        )
        return Finding(severity, "files", subject, text, fix)
    problem, fix = split_way_out(text)
    if not fix and severity != "note":
        fix = f"correct it in {subject.partition(': ')[0]}, and run mcp-router check"
    return Finding(severity, "files", subject, problem, fix)


def _split_place(line: str) -> tuple[str, str]:
    """Return file and path, and the rest; a path holds no space, and a problem does."""
    parts = line.split(": ")
    at = 1
    while at < len(parts) - 1 and not any(letter in parts[at] for letter in " $"):
        at += 1
    return (": ".join(parts[:at]), ": ".join(parts[at:])) if len(parts) > 1 else ("", line)
