"""Variables that a service does not get."""

from __future__ import annotations

from router.doctor.facts import Surroundings
from router.doctor.rules.service_variables import judge
from tests.router.doctor.made_facts import FOUND, facts, lines

USES = {"TOKEN": (f"{FOUND}: env.T",), "SET": (f"{FOUND}: env.S",), "HOME": (f"{FOUND}: cwd",)}


def test_variable_that_the_unit_does_not_set_is_found_whatever_this_shell_has() -> None:
    unit = Surroundings("/u.service", "/bin", frozenset({"SET"}), is_unit=True)
    assert lines(judge, facts(variables=USES, surroundings=(unit,))) == [
        f"warning {FOUND}: env.T: /u.service does not set the variable TOKEN -> mcp-router secret "
        "set TOKEN, and write ${secret:TOKEN}; or set it with Environment= or EnvironmentFile= in "
        "/u.service"
    ]


def test_without_a_unit_the_shell_counts_as_it_does_for_check() -> None:
    assert lines(judge, facts(variables=USES, surroundings=(Surroundings("this shell", ""),))) == []
