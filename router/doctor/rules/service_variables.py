"""Judges the variables that entries and tokens refer to, where a unit of systemd is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.doctor.findings import Finding
from router.references.expander import PUBLIC_VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.doctor.facts import Facts


def judge(facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each variable that a unit does not set.

    It is a warning and no error: a service manager has variables of its own.
    """
    for unit in facts.surroundings:
        if not unit.is_unit:
            continue
        for name, places in facts.variables.items():
            if name not in unit.variables and name not in PUBLIC_VARIABLES:
                problem = f"{unit.whose} does not set the variable {name}"
                fix = (
                    f"mcp-router secret set {name}, and write ${{secret:{name}}}; or set it with "
                    f"Environment= or EnvironmentFile= in {unit.whose}"
                )
                yield Finding("warning", "variables", places[0], problem, fix)
