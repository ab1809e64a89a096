"""Clients of other makers, each playing the same scenario: npm's SDKs, and older Python SDKs.

The upstreams have a handshake. The scenario is in `tests/peers/scenario.mjs` and
`tests/peers/old_sdk.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e import peers
from tests.e2e.chaos_upstream import PIXEL, TOOLS
from tests.e2e.processes import running_with, still_running
from tests.e2e.sdk_client import OWN_TOOLS, TRANSPORTS
from tests.e2e.shared_router import shared_router
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.processes import RouterProcess
    from tests.e2e.shared_router import SharedRouter

PLAY_LIMIT_S: Final = 120.0

UPSTREAM_TOOLS: Final = [tool["name"] for tool in TOOLS]


@pytest.fixture(params=TRANSPORTS)
def address(request: pytest.FixtureRequest, plain_workspace: Workspace) -> list[str]:
    """The transport, and a URL or the command that starts a router on stdio."""
    if request.param == "stdio":
        return ["stdio", *plain_workspace.stdio_command]
    router = request.getfixturevalue("router")
    return [request.param, router.url({"http": "/mcp", "sse": "/sse"}[request.param])]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedRouter]:
    """Run a router of which each client of 2026-07-28 over HTTP is another principal."""
    workspace = Workspace(tmp_path_factory.mktemp("other-clients"))
    workspace.add_chaos("plain").add_chaos("other").add_command("off", "true", isActive=False)
    with shared_router(workspace) as shared:
        yield shared


def _play(
    command: list[str], address: list[str], workspace: Workspace, **env: str
) -> dict[str, Any]:
    """Have a client play the scenario; return the JSON that it prints."""
    played = subprocess.run(
        [*command, *address],
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=PLAY_LIMIT_S,
        check=False,
    )
    assert played.returncode == 0, played.stderr
    if address[0] == "stdio":
        own = [row for row in running_with(str(workspace.path)) if " stdio " in row.command]
        assert not still_running(own, limit_s=15.0)
    return json.loads(played.stdout)


def _check(saw: dict[str, Any]) -> None:
    assert saw["server"] == "mcp_router"
    assert saw["tools"] == OWN_TOOLS
    assert saw["echo"] == "za\u017c\u00f3\u0142\u0107"
    assert ["plain", "ready"] in saw["list"]
    assert saw["help"] == saw["used"] == UPSTREAM_TOOLS
    if "direct" in saw:  # There is no session that could remember it.
        assert saw["direct"] == [f"plain__{name}" for name in UPSTREAM_TOOLS]
        assert saw["tools_after_use"] == OWN_TOOLS
    else:
        assert saw["tools_after_use"] == OWN_TOOLS + UPSTREAM_TOOLS
    assert saw["own_name"] == "mine"
    assert saw["image"] == {"type": "image", "data": PIXEL, "mimeType": "image/png"}
    assert saw["failed"]["isError"] is True
    assert saw["failed"]["content"] == [{"type": "text", "text": "It did not work"}]
    assert saw["unknown"] == {
        "error": "Instance not found: nobody. Available instances: 'off', 'other', 'plain'",
        "code": "INSTANCE_NOT_FOUND",
    }


def _check_npm(saw: dict[str, Any]) -> None:
    _check(saw)
    assert saw["direct_name"] == "direct"
    assert saw["structured"] == {"sum": 3}
    assert saw["progress"] == [1, 2, 3, "answer"]
    assert saw["cancelled"] == ["rejected", "cancelled"]


def test_npm_sdk_1_does_everything(address: list[str], plain_workspace: Workspace) -> None:
    _check_npm(_play(peers.node_script("sdk1.mjs"), address, plain_workspace))


@pytest.mark.parametrize("era", ["auto", "2026-07-28"])
@pytest.mark.parametrize("transport", ["http", "stdio"])
def test_npm_client_2_chooses_2026_07_28_and_does_everything(
    transport: str, era: str, shared: SharedRouter
) -> None:
    where = shared.workspace.stdio_command if transport == "stdio" else [shared.router.url("/mcp")]
    command = peers.node_script("client2.mjs")
    saw = _play(command, [transport, *where], shared.workspace, ERA=era, TOKEN=shared.token())
    assert (saw["era"], saw["revision"]) == ("modern", "2026-07-28")
    assert saw["honoured"] == {"toolsListChanged": True}
    assert ("direct" in saw) == (transport == "http")
    _check_npm(saw)


def test_npm_client_2_does_everything_with_a_handshake(
    address: list[str], plain_workspace: Workspace
) -> None:
    saw = _play(peers.node_script("client2.mjs"), address, plain_workspace, ERA="legacy")
    assert (saw["era"], saw["revision"]) == ("legacy", "2025-11-25")
    _check_npm(saw)


def test_npm_client_2_falls_back_from_its_probe_over_sse(
    router: RouterProcess, plain_workspace: Workspace
) -> None:
    saw = _play(peers.node_script("client2.mjs"), ["sse", router.url("/sse")], plain_workspace)
    assert saw["era"] == "legacy"
    _check_npm(saw)


@pytest.mark.parametrize("revision", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
def test_python_sdk_of_each_handshake_revision_does_everything(
    revision: str, address: list[str], plain_workspace: Workspace
) -> None:
    if revision == "2024-11-05" and address[0] == "http":
        pytest.skip("that revision has no streamable HTTP")
    command = [peers.python_of(f"sdk-{revision}"), str(peers.SOURCES / "old_sdk.py")]
    saw = _play(command, address, plain_workspace)
    assert saw["revision"] == revision
    _check(saw)
    if revision >= "2025-06-18":
        assert saw["structured"] == {"sum": 3}
