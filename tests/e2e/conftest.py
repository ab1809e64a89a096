"""Routers that several tests share, so that starting them is paid for once."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e import fault_table
from tests.e2e.secured_router import secured_router
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from _pytest.terminal import TerminalReporter

    from tests.e2e.processes import RouterProcess
    from tests.e2e.secured_router import SecuredRouter


SDK_LEAVES_STREAMS: Final = "ignore:Async generator 'http(x|core)2:ResourceWarning"
"""The SDK's client leaves the response stream of a call as soon as the answer is there, which Trio
notes when the generators under it are collected. That is the client under test, not the router."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all that lies in this folder as end-to-end."""
    for item in items:
        if "tests/e2e/" in item.nodeid:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.filterwarnings(SDK_LEAVES_STREAMS))
            fault_table.note_marks(item)


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print the table of `make chaos`."""
    if fault_table.IS_CHAOS:
        terminalreporter.section("faults, promises, and what was measured")
        for line in fault_table.table(terminalreporter):
            terminalreporter.write_line(line)


@pytest.fixture(autouse=True, scope="session")
def runtime_folder() -> Iterator[None]:
    """A folder of this run for local sockets: a router that is killed leaves its own behind."""
    with (
        tempfile.TemporaryDirectory(prefix="mcp-router-") as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("XDG_RUNTIME_DIR", folder)
        yield


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> fault_table.Measured:
    """Takes what the test measured, for the table."""
    return fault_table.Measured(request.node)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A folder for a router of the test's own."""
    return Workspace(tmp_path)


@pytest.fixture(scope="session")
def plain_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two well-behaved upstreams and one that is switched off."""
    workspace = Workspace(tmp_path_factory.mktemp("plain"))
    workspace.add_chaos("plain").add_chaos("other")
    return workspace.add_command("off", "true", isActive=False)


@pytest.fixture(scope="session")
def router(plain_workspace: Workspace) -> Iterator[RouterProcess]:
    """A router over `plain_workspace` with streamable HTTP and SSE, for the whole run."""
    with plain_workspace.serve() as router:
        yield router


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredRouter]:
    """A router with tokens and secrets, for all tests that try to get at them."""
    with secured_router(tmp_path_factory.mktemp("secured")) as secured:
        yield secured
