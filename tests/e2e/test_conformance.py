"""The official conformance suite through the router: what passes directly also passes routed.

The suite plays the client and the everything-server of the SDK is the upstream. Its tools are for
clients of one era, so the router keeps to the revision of the suite on the other side too.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Final

import anyio
import attrs
import pytest
from mcp import Client

from tests.e2e import measured_pages, peers
from tests.e2e.conformance_suite import (
    REVISIONS,
    STDIO_SERVER,
    VENV,
    Check,
    Outcome,
    everything_server,
    run_server_suite,
    server_environment,
    suite_script,
)
from tests.e2e.raw_client import HttpClient
from tests.e2e.workspace import CONFIG, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.processes import RouterProcess

PROTOCOLS: Final = {"handshake": "legacy", "modern": "2026-07-28"}
"""Eras, and the setting `protocol` of instances that keep to it."""

VIEWS: Final = {"http": "{era}-http", "stdio": "{era}-stdio", "direct": "{era}-direct"}
"""Ways through the router, and the place in which the suite meets the view."""

NAME_LIMIT: Final = 64
"""Long enough that each direct name is the instance's and the tool's, not cut and hashed."""


OPTIONAL: Final = {
    Check("server-sse-polling", "server-sse-disconnect-resume", "ServerDisconnectResume"),
    Check(
        "server-sse-multiple-streams", "server-sse-streams-functional", "ServerSSEStreamsFunctional"
    ),
}
"""Checks that do not apply to the router: a server may answer with JSON where this one answers with
an event stream, and may leave a stream open where this one closes it to be polled."""

NO_MARKED_TOOL: Final = "http-custom-header-server-validation"
"""A scenario that needs a tool with `x-mcp-header` in its schema; in views of several instances no
tool has that (ADR 011)."""


def _era(revision: str) -> str:
    return "modern" if revision == "2026-07-28" else "handshake"


@attrs.frozen
class Measured:
    """The outcomes of this run of tests, each measured when it is first asked for."""

    server: str
    router: RouterProcess
    folder: Path
    _outcomes: dict[tuple[str, str], Outcome] = attrs.field(factory=dict[tuple[str, str], Outcome])

    def directly(self, revision: str) -> Outcome:
        """Return the outcome without a router."""
        return self._of("directly", revision, self.server)

    def routed(self, view: str, revision: str) -> Outcome:
        """Return the outcome through a view of the router."""
        place = VIEWS[view].format(era=_era(revision))
        return self._of(view, revision, f"{self.router.url('/mcp')}/{place}")

    def _of(self, way: str, revision: str, url: str) -> Outcome:
        key = (way, revision)
        if key not in self._outcomes:
            script = self._renamed_suite(_era(revision)) if way == "direct" else None
            results = self.folder / f"{way}-{revision}"
            self._outcomes[key] = run_server_suite(url, revision, results, script)
        return self._outcomes[key]

    def _renamed_suite(self, era: str) -> Path:
        """Write a copy of the suite that asks for tools and prompts by their direct names."""
        folder = self.folder / f"suite-{era}"
        if not folder.exists():
            folder.mkdir()
            (folder / "node_modules").symlink_to(peers.NODE_MODULES)
            (folder / "package.json").write_text('{"type": "module", "version": "0"}')
            (folder / "dist").mkdir()
            names = "|".join(map(re.escape, anyio.run(_names_of, self.server)))
            source = suite_script().read_text()
            renamed = re.sub(f"(?<=[`\"'])(?:{names})(?=[`\"'])", rf"{era}-http__\g<0>", source)
            (folder / "dist" / "index.js").write_text(renamed)
        return folder / "dist" / "index.js"


async def _names_of(url: str) -> list[str]:
    """Return the names of the tools and prompts of a server."""
    async with Client(url) as client:
        tools, prompts = await client.list_tools(), await client.list_prompts()
        return [one.name for one in itertools.chain(tools.tools, prompts.prompts)]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    folder = tmp_path_factory.mktemp("conformance")
    workspace = Workspace(folder / "router")
    profiles = {f"{era}-direct": {"instances": [f"{era}-http"]} for era in PROTOCOLS}
    server = CONFIG["server"] | {"name_limit": NAME_LIMIT}
    workspace.configure(server=server, profiles=profiles)
    path = server_environment()["PYTHONPATH"]
    with everything_server() as url:
        for era, protocol in PROTOCOLS.items():
            workspace.add(f"{era}-http", type="http", url=url, protocol=protocol)
            command = (peers.python_of(VENV), STDIO_SERVER)
            env = {"PYTHONPATH": path}
            workspace.add_command(f"{era}-stdio", *command, env=env, protocol=protocol)
        with workspace.serve("http") as router:
            _wait_until_ready(router)
            yield Measured(url, router, folder)


def _wait_until_ready(router: RouterProcess) -> None:
    """Call a tool of each instance, since a call waits for its instance to start."""
    client = HttpClient(router.url("/mcp"))
    client.initialize()
    for number, (era, transport) in enumerate(itertools.product(PROTOCOLS, ("http", "stdio"))):
        client.call(number, f"{era}-{transport}", "test_simple_text")
    client.close()


@pytest.mark.parametrize("revision", REVISIONS)
def test_all_checks_pass_without_a_router(revision: str, measured: Measured) -> None:
    """Or else the comparison below says nothing of what has failed."""
    assert measured.directly(revision).passed
    assert not measured.directly(revision).failed


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("view", VIEWS)
def test_no_check_fails_routed_that_passes_directly(
    view: str, revision: str, measured: Measured
) -> None:
    lost = measured.routed(view, revision).lost(measured.directly(revision))
    failed = [
        f"{check}: {words}"
        for check, words in lost.items()
        if not (check in OPTIONAL and words.startswith("INFO"))
        and not (view == "direct" and check.scenario == NO_MARKED_TOOL)
    ]
    assert not failed, "\n".join(failed)


def test_page_says_how_many_checks_pass(measured: Measured) -> None:
    rows = [
        [revision, *(str(len(one.passed)) for one in _all_outcomes(revision, measured))]
        for revision in REVISIONS
    ]
    header = ["Revision", "Directly", "Through HTTP", "Through stdio", "Direct view"]
    table = measured_pages.table(header, rows)
    measured_pages.keep("conformance.md", "server checks", table, "make conformance")


def _all_outcomes(revision: str, measured: Measured) -> list[Outcome]:
    return [measured.directly(revision), *(measured.routed(view, revision) for view in VIEWS)]
