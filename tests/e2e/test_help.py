"""`mcp.router.help` and `mcp.router.list`, asked by the SDK's client about the example server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.sdk_client import (
    HANDSHAKE,
    Target,
    listed,
    listed_when,
    run,
    text_of,
    value_of,
)

if TYPE_CHECKING:
    from mcp import Client

    from tests.e2e.workspace import Workspace

LIMIT_BYTES = 1500


async def _ask(client: Client, **arguments: str) -> Any:
    """Return the answer of `mcp.router.help`; its text and its structured content are equal."""
    result = await client.call_tool("mcp.router.help", arguments)
    assert len(text_of(result).encode()) <= LIMIT_BYTES
    assert result.structured_content == value_of(result)
    return value_of(result)


@pytest.mark.parametrize("mode", [HANDSHAKE, "auto"])
def test_help_that_would_be_too_long_is_narrowed_step_by_step(
    workspace: Workspace, mode: str
) -> None:
    workspace.configure(server={"help_limit_bytes": LIMIT_BYTES, "tool_names": "dotted"})
    workspace.add_example()

    async def scenario() -> None:
        async with Target("stdio", workspace, mode=mode).connect() as client:
            await listed_when(client, "example", lambda row: row["connected"])
            summary = "A few small tools to try an MCP client with."
            assert (await listed(client))["example"]["summary"] == summary
            brief = await _ask(client, instance_name="example")
            note = brief.pop("mcp.router.help")["note"]
            assert "query" in note
            assert {"name": "add", "description": "Add two numbers."} in brief["example"]["tools"]
            (defined,) = [
                tool for tool in (await client.list_tools()).tools if tool.name == "mcp.router.help"
            ]
            assert set(defined.input_schema["properties"]) == {
                *("instance_name", "tool_name", "query"),
            }
            found = await _ask(client, query="CHARACTERS, words")
            (tool,) = found["example"]["tools"]
            assert tool["name"] == "word_count"
            assert tool["outputSchema"]["properties"]["words"]["type"] == "integer"

    run(scenario)
