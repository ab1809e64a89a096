"""The MCP Inspector's command line as a client, over streamable HTTP, SSE and stdio."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e import peers
from tests.e2e.chaos_upstream import PIXEL
from tests.e2e.processes import RouterProcess, running_with, still_running
from tests.e2e.sdk_client import OWN_TOOLS, TRANSPORTS

if TYPE_CHECKING:
    from tests.e2e.workspace import Workspace

INSPECT_LIMIT_S: Final = 120.0


def _inspect(target: list[str], *words: str) -> tuple[int, str, str]:
    script = peers.npm_script("@modelcontextprotocol/inspector", "clients/launcher/build/index.js")
    command = [peers.NODE, script, "--cli", *target, *words]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=INSPECT_LIMIT_S, check=False
    )
    return done.returncode, done.stdout, done.stderr


def _asked(target: list[str], *words: str) -> dict[str, Any]:
    status, stdout, stderr = _inspect(target, *words)
    assert status == 0, stderr
    return json.loads(stdout)


def _over(router: RouterProcess, transport: str) -> list[str]:
    path = {"http": "/mcp", "sse": "/sse"}[transport]
    return ["--server-url", router.url(path), "--transport", transport]


@pytest.mark.parametrize("transport", [one for one in TRANSPORTS if one != "stdio"])
def test_inspector_lists_the_tools(transport: str, router: RouterProcess) -> None:
    listed = _asked(_over(router, transport), "--method", "tools/list")
    assert [tool["name"] for tool in listed["tools"]] == OWN_TOOLS


ERAS: Final = ["legacy", "auto", "modern"]


@pytest.mark.parametrize("era", ERAS)
def test_inspector_lists_the_tools_in_each_era(era: str, router: RouterProcess) -> None:
    target = [*_over(router, "http"), "--protocol-era", era]
    listed = _asked(target, "--method", "tools/list")
    assert [tool["name"] for tool in listed["tools"]] == OWN_TOOLS


@pytest.mark.parametrize("era", ERAS)
def test_inspector_calls_a_tool_of_an_instance(era: str, router: RouterProcess) -> None:
    target = [*_over(router, "http"), "--protocol-era", era]
    words = ["--method", "tools/call", "--tool-name", "mcp.router.call"]
    arguments = ["--tool-arg", "instance_name=plain", "--tool-arg", "tool_name=image"]
    result = _asked(target, *words, *arguments)
    assert result["content"][1] == {"type": "image", "data": PIXEL, "mimeType": "image/png"}


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_inspector_starts_a_router_on_stdio_and_leaves_nothing(
    era: str, plain_workspace: Workspace
) -> None:
    config = plain_workspace.path / f"inspector-{era}.json"
    command, *args = plain_workspace.stdio_command
    server = {"type": "stdio", "command": command, "args": args}
    config.write_text(json.dumps({"mcpServers": {"router": server}}))
    target = ["--config", str(config), "--server", "router", "--protocol-era", era]
    listed = _asked(target, "--method", "tools/list")
    assert [tool["name"] for tool in listed["tools"]] == OWN_TOOLS
    own = [row for row in running_with(str(plain_workspace.path)) if " stdio " in row.command]
    assert not still_running(own, limit_s=15.0)
