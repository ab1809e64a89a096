"""Scenarios of the conformance suite for clients, with the router between client and suite.

The suite is the upstream and checks what reaches it; the client is the one that the Python SDK has
for these scenarios. Those about OAuth are left out: the router logs in nowhere.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import attrs
import pytest

from tests.e2e import measured_pages, peers
from tests.e2e.conformance_suite import (
    REVISIONS,
    STATUS,
    VENV,
    Outcome,
    list_client_scenarios,
    run_client_scenario,
)
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROUTED: Final = f"{sys.executable} -m tests.e2e.routed_conformance_client"
CLIENT: Final = ".github/actions/conformance/client.py"

SCENARIOS: Final = {
    "2025-06-18": ["initialize", "tools_call"],
    "2025-11-25": [
        "initialize",
        "tools_call",
        "elicitation-sep1034-client-defaults",
        "sse-retry",
        "json-schema-2020-12-preservation",
    ],
    "2026-07-28": [
        "tools_call",
        "request-metadata",
        "sep-2322-client-request-state",
        "http-standard-headers",
        "http-custom-headers",
        "http-invalid-tool-headers",
        "json-schema-ref-no-deref",
        "json-schema-2020-12-preservation",
    ],
}

SDK_FAILS: Final = "sep-2322-client-request-state"
"""In this scenario the client does not take the last answer, because that has no `resultType`. All
checks have passed by then, and without the router it ends in the same way."""


@attrs.frozen
class Measured:
    """The outcomes of this run of tests, each measured when it is first asked for."""

    command: str
    folder: Path
    _outcomes: dict[tuple[str, str], Outcome] = attrs.field(factory=dict[tuple[str, str], Outcome])

    def of(self, revision: str, scenario: str) -> Outcome:
        """Return the outcome of a scenario."""
        key = (revision, scenario)
        if key not in self._outcomes:
            results = self.folder / f"{revision}-{scenario}"
            self._outcomes[key] = run_client_scenario(self.command, scenario, revision, results)
        return self._outcomes[key]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    folder = tmp_path_factory.mktemp("conformance-client")
    workspace = Workspace(folder / "router")
    client = f"{peers.python_of(VENV)} {peers.sdk_source(CLIENT)}"
    with workspace.serve("http") as router:
        where = f"{router.url('/mcp')} {router.pid} {workspace.path / 'data'}"
        yield Measured(f"{ROUTED} {where} {client}", folder)


@pytest.mark.parametrize("revision", REVISIONS)
def test_all_scenarios_without_oauth_are_run(revision: str) -> None:
    listed = [one for one in list_client_scenarios(revision) if not one.startswith("auth/")]
    assert listed == SCENARIOS[revision]


@pytest.mark.parametrize(
    ("revision", "scenario"), [(key, one) for key, names in SCENARIOS.items() for one in names]
)
def test_suite_finds_nothing_wrong_with_the_router_as_its_client(
    revision: str, scenario: str, measured: Measured
) -> None:
    outcome = measured.of(revision, scenario)
    assert outcome.passed
    failed = [row for row in outcome.failed if not (scenario == SDK_FAILS and STATUS in row)]
    assert not failed, "\n".join(failed)


def test_page_says_how_many_checks_pass(measured: Measured) -> None:
    rows = [
        [f"`{scenario}`", revision, str(len(measured.of(revision, scenario).passed))]
        for revision, names in SCENARIOS.items()
        for scenario in names
    ]
    table = measured_pages.table(["Scenario", "Revision", "Through the router"], rows)
    measured_pages.keep("conformance.md", "client checks", table, "make conformance")
