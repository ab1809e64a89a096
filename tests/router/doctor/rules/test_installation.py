"""Routers that should be restarted, and packages in the way."""

from __future__ import annotations

import pytest

from router.doctor.facts import Process, Running
from router.doctor.rules.installation import is_older, judge
from tests.router.doctor.made_facts import facts, lines

FIX = "-> systemctl restart mcp-router if it is a service, else end process"


def test_router_that_is_older_than_its_program_is_found() -> None:
    processes = (
        Process(1, version="2.0.0"),
        Process(2, version="1.1"),
        Process(3, is_deleted=True),
        Process(4, version="2.0.0", is_outdated=True),
        Process(5),
    )
    assert lines(judge, facts(processes=processes)) == [
        f"warning process 2: is MCP Router 1.1, and this program is 2.0.0 {FIX} 2",
        f"warning process 3: is a router whose program is not on disk any more {FIX} 3",
        "warning process 4: is a router that was started before its program was last installed "
        f"{FIX} 4",
    ]


def test_router_that_answers_as_an_older_one_is_found() -> None:
    old = Running("http://x:8001", "1.1.0")
    assert lines(judge, facts(running=old)) == [
        "warning http://x:8001: is MCP Router 1.1.0, and this program is 2.0.0 -> restart that "
        "router"
    ]


@pytest.mark.parametrize(
    ("version", "than", "older"),
    [("1.9", "1.10", True), ("2.0.0", "2.0.0", False), ("2.1", "2.0.9", False), ("x", "1", True)],
)
def test_versions_are_compared_by_their_numbers(version: str, than: str, older: bool) -> None:
    assert is_older(version, than) is older


def test_package_of_another_distribution_is_an_error() -> None:
    (line,) = lines(judge, facts(foreign=("the distribution x 1 has it",)))
    assert line.startswith("error the Python environment: the distribution x 1 has it -> give")
