"""Scenarios of the conformance suite for clients, with the router between client and suite.

The suite is the upstream and checks what reaches it; the client is the one that the Python SDK has
for these scenarios. In those about OAuth the router logs in, and the client is one that has only a
browser.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import attrs
import pytest

from tests.e2e import measured_pages, peers
from tests.e2e.conformance_suite import (
    REVISIONS,
    STATUS,
    VENV,
    ClientRun,
    Outcome,
    list_client_scenarios,
    run_client_scenario,
    run_client_suite,
)
from tests.e2e.logging_in_conformance_client import DONE, PUBLIC_URL, is_for_logins
from tests.e2e.workspace import CONFIG, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROUTED: Final = f"{sys.executable} -m tests.e2e.routed_conformance_client"
LOGGING_IN: Final = f"{sys.executable} -m tests.e2e.logging_in_conformance_client"
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


LOGIN_SUITES: Final = {"all": REVISIONS[-1], "backcompat": "", "extensions": ""}
"""Suites with scenarios about logins; the last revision has all of those before it."""

MUST_NOT_GO_ON: Final = {
    "auth/scope-retry-limit",
    "auth/resource-mismatch",
    "auth/metadata-issuer-mismatch",
    "auth/iss-supported-missing",
    "auth/iss-wrong-issuer",
    "auth/iss-unexpected",
    "auth/iss-normalized",
}
"""In all other scenarios about logins, the client comes to its tools."""

OTHER_DOCUMENT: Final = "cimd-client-id-used"
"""A check for the one URL that the suite's own clients have as their metadata document."""


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


@attrs.frozen
class Site:
    """A router, by the words that both clients take, and its local socket."""

    words: str
    socket: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    workspace = Workspace(tmp_path_factory.mktemp("router"))
    workspace.configure(server={**CONFIG["server"], "public_url": PUBLIC_URL})
    with workspace.serve("http") as router:
        socket = router.stderr.wait_for(r"reach the router at (\S+)")[1]
        yield Site(f"{router.url('/mcp')} {router.pid} {workspace.path / 'data'}", socket)


@pytest.fixture(scope="module")
def measured(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    client = f"{peers.python_of(VENV)} {peers.sdk_source(CLIENT)}"
    return Measured(f"{ROUTED} {site.words} {client}", tmp_path_factory.mktemp("checks"))


@pytest.fixture(scope="module")
def logins(site: Site, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ClientRun]:
    """All scenarios about logins."""
    command, folder = f"{LOGGING_IN} {site.words} {site.socket}", tmp_path_factory.mktemp("logins")

    def run(suite: str) -> dict[str, ClientRun]:
        return run_client_suite(command, suite, LOGIN_SUITES[suite], folder / suite)

    with ThreadPoolExecutor() as pool:
        runs = [run for suite in pool.map(run, LOGIN_SUITES) for run in suite.items()]
    return {name: run for name, run in sorted(runs) if is_for_logins(name)}


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


def test_suite_finds_nothing_wrong_with_the_logins_of_the_router(
    logins: dict[str, ClientRun],
) -> None:
    listed = {one for revision in REVISIONS for one in list_client_scenarios(revision)}
    assert {one for one in listed if is_for_logins(one)} <= logins.keys()
    failed = [row for run in logins.values() for row in run.outcome.failed]
    assert not [row for row in failed if OTHER_DOCUMENT not in row], "\n".join(failed)
    came_to_nothing = {name: run for name, run in logins.items() if DONE not in run.stdout}
    assert came_to_nothing.keys() == MUST_NOT_GO_ON, came_to_nothing


def test_page_says_how_many_checks_pass(measured: Measured) -> None:
    rows = [
        [f"`{scenario}`", revision, str(len(measured.of(revision, scenario).passed))]
        for revision, names in SCENARIOS.items()
        for scenario in names
    ]
    table = measured_pages.table(["Scenario", "Revision", "Through the router"], rows)
    measured_pages.keep("conformance.md", "client checks", table, "make conformance")


def test_page_says_which_checks_of_logins_pass(logins: dict[str, ClientRun]) -> None:
    # Kinds of checks: how often one is made depends on how often the router looks something up.
    rows = [
        [f"`{name.removeprefix('auth/')}`", str(len({check.id for check in run.outcome.passed}))]
        for name, run in logins.items()
    ]
    table = measured_pages.table(["Scenario", "Kinds of checks that pass"], rows)
    measured_pages.keep("conformance.md", "login checks", table, "make conformance")
