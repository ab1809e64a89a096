"""The MCP Inspector's command line as a client, over streamable HTTP, SSE and stdio.

`test_direct_view_clients` has it at a direct view.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e.chaos_upstream import PIXEL
from tests.e2e.inspector import ERAS, asked, over
from tests.e2e.processes import running_with, still_running
from tests.e2e.sdk_client import OWN_TOOLS, TRANSPORTS

if TYPE_CHECKING:
    from tests.e2e.processes import RouterProcess
    from tests.e2e.workspace import Workspace


@pytest.mark.parametrize("transport", [one for one in TRANSPORTS if one != "stdio"])
def test_inspector_lists_the_tools(transport: str, router: RouterProcess) -> None:
    listed = asked(over(router, transport), "tools/list")
    assert [tool["name"] for tool in listed["tools"]] == OWN_TOOLS


@pytest.mark.parametrize("era", ERAS)
def test_inspector_calls_a_tool_of_an_instance(era: str, router: RouterProcess) -> None:
    target = [*over(router, "http"), "--protocol-era", era]
    arguments = ["--tool-arg", "instance_name=plain", "--tool-arg", "tool_name=image"]
    result = asked(target, "tools/call", "--tool-name", "mcp.router.call", *arguments)
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
    listed = asked(target, "tools/list")
    assert [tool["name"] for tool in listed["tools"]] == OWN_TOOLS
    own = [row for row in running_with(str(plain_workspace.path)) if " stdio " in row.command]
    assert not still_running(own, limit_s=15.0)
