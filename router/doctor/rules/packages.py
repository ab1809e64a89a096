"""Judges packages of other distributions that have the names of the router's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.doctor.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.doctor.facts import Facts

_FIX: Final = "give mcp-router an environment of its own, such as by uv tool install"


def judge(facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each such distribution."""
    for sentence in facts.foreign:
        yield Finding("error", "packages", "the Python environment", sentence, _FIX)
