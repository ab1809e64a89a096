"""Defines the findings of `mcp-router doctor`, and the exit status that follows from them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

Severity: TypeAlias = Literal["error", "warning", "note"]
"""An error keeps something from working; a warning may, or lets others in; a note needs nothing."""

_WAY_OUT: Final = re.compile(r"(?:; |\. (?=[A-Z]))(?=[^;]*$)")
"""The end of the problem in a message, which goes on with what to do."""

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


class Finding(Struct, frozen=True):
    """One thing that was found.

    Attributes:
        severity: how bad it is.
        topic: the rule that found it, such as "ports".
        subject: the file, the instance or the process concerned.
        problem: what is wrong, without a full stop.
        fix: what to do, such as a command; empty for a note that needs nothing.
    """

    severity: Severity
    topic: str
    subject: str
    problem: str
    fix: str = ""


def split_way_out(text: str) -> tuple[str, str]:
    """Return the problem in a message, and what to do, which comes last; empty if it says none."""
    problem, *way_out = _WAY_OUT.split(text, maxsplit=1)
    return problem, "".join(way_out)


def exit_status(findings: Iterable[Finding]) -> int:
    """Return 2 if there is an error, 1 if there is a warning, else 0."""
    found = {finding.severity for finding in findings}
    return 2 if "error" in found else 1 if "warning" in found else 0


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings by severity, and in their order within one."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
