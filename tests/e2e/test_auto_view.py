"""A router with the configuration that is shipped: what clients are listed, and what that costs."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from tests.e2e import peers
from tests.e2e.processes import RouterProcess, run_command
from tests.e2e.raw_client import HttpClient, StdioRouter
from tests.e2e.real_servers import TOOLS
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHIPPED: Final = json.loads((peers.ROOT / "config.json").read_text(encoding="utf-8"))
SEARCHING: Final = {"mcp_router_search", "mcp_router_describe", "mcp_router_call_tool"}
EXAMPLE: Final = {f"example__{name}" for name in TOOLS["example"]}


def _workspace(folder: Path, **server: Any) -> Workspace:
    """Return the files of a router with the shipped configuration, and with its example."""
    workspace = Workspace(folder).add_example()
    ports = {kind: {"port": 0} for kind in ("http", "sse")}
    server = SHIPPED["server"] | ports | server
    workspace.config_file.write_text(json.dumps(SHIPPED | {"server": server}))
    return workspace


@contextmanager
def _shipped(folder: Path, **server: Any) -> Iterator[tuple[Workspace, RouterProcess]]:
    """Run such a router."""
    workspace = _workspace(folder, **server)
    with workspace.serve("http") as router:
        router.stderr.wait_for("example is ready")
        yield workspace, router


def _listed(router: RouterProcess) -> set[str]:
    client = HttpClient(router.url("/mcp"))
    client.initialize()
    _, body = client.post({"jsonrpc": "2.0", "id": 2, "method": "tools/list"})
    client.close()
    return {tool["name"] for tool in json.loads(body)["result"]["tools"]}


def test_few_tools_are_listed_and_their_cost_is_shown(tmp_path: Path) -> None:
    with _shipped(tmp_path) as (workspace, router):
        assert _listed(router) == EXAMPLE
        router.stderr.wait_for(r"raw 1, at the default view: direct: \d+ of 10,000 tokens")
        shown = run_command("tools", "--cost", "--json", *workspace.words)
        status = run_command("status", *workspace.words)
    costs = json.loads(shown.stdout)
    assert {tool["tool"] for tool in costs["dearest"]} == TOOLS["example"]
    (view,) = costs["views"]
    assert view["tokens"] == view["listed_tokens"] == costs["total_tokens"] > 200
    tokens = f"{costs['total_tokens']:,}"
    assert view["reason"] == f"direct: {tokens} of 10,000 tokens"
    assert f"listing all tools costs a model about {tokens} tokens" in status.stdout
    assert f"raw 1: direct: {tokens} of 10,000 tokens" in status.stdout


def test_beyond_the_limit_the_same_client_is_listed_tools_that_search(tmp_path: Path) -> None:
    with _shipped(tmp_path, auto_limit_tokens=10) as (_, router):
        listed = _listed(router)
        router.stderr.wait_for("raw 1, at the default view: search: more than 10 tokens")
    assert {name.replace(".", "_") for name in listed} == SEARCHING


def test_a_client_that_starts_the_router_over_stdio_is_listed_them_too(tmp_path: Path) -> None:
    command = _workspace(tmp_path, auto_limit_tokens=10).stdio_command
    with StdioRouter(command, stderr=subprocess.DEVNULL) as router:
        router.initialize()
        tools = router.request("tools/list")["tools"]
        while not tools:
            while router.read().get("method") != "notifications/tools/list_changed":
                pass
            tools = router.request("tools/list")["tools"]
    assert {tool["name"].replace(".", "_") for tool in tools} == SEARCHING
