"""The management tools, as a model uses them: add, disable, enable, remove."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import anyio

from tests.e2e.processes import process_table, still_running
from tests.e2e.sdk_client import (
    OWN_TOOLS,
    Seen,
    Target,
    call_text,
    error_of,
    listed,
    listed_when,
    run,
    text_of,
    tool_names,
)
from tests.e2e.workspace import CHAOS

if TYPE_CHECKING:
    from mcp import Client

    from tests.e2e.workspace import Workspace

MANAGEMENT: Final = [f"mcp.router.{word}" for word in ("add", "remove", "disable", "enable")]
ALLOWED: Final[dict[str, Any]] = {"allow_instance_management": True, "tool_names": "dotted"}


async def _manage(client: Client, word: str, **arguments: Any) -> Any:
    return await client.call_tool(f"mcp.router.{word}", arguments)


def test_instance_is_added_disabled_enabled_and_removed_and_it_lasts(workspace: Workspace) -> None:
    workspace.configure(server=ALLOWED)
    entry = {"name": "mine", "command": sys.executable, "args": ["-B", str(CHAOS), "plain", "x"]}

    async def first() -> None:
        async with Target("stdio", workspace).connect() as client:
            assert await tool_names(client) == OWN_TOOLS + MANAGEMENT
            added = await _manage(client, "add", provider_name="own", config=entry)
            assert text_of(added) == '"Done"'
            assert await call_text(client, "mine", "echo", text="hi") == "hi"
            again = await _manage(client, "add", provider_name="own", config=entry)
            assert error_of(again)[1] == "CONFIG_ERROR"
            assert text_of(await _manage(client, "disable", instance_name="mine")) == '"Done"'
            row = await listed_when(client, "mine", lambda row: row["state"] == "disabled")
            assert row["active"] is False

    async def second() -> None:
        async with Target("stdio", workspace).connect() as client:
            assert (await listed(client))["mine"]["state"] == "disabled"
            assert text_of(await _manage(client, "enable", instance_name="mine")) == '"Done"'
            assert await call_text(client, "mine", "echo", text="back") == "back"
            assert text_of(await _manage(client, "remove", instance_name="mine")) == '"Done"'
            assert await listed(client) == {}
            gone = await _manage(client, "remove", instance_name="mine")
            assert error_of(gone)[1] == "INSTANCE_NOT_FOUND"

    run(first)
    run(second)
    assert not (workspace.path / "data" / "own" / "mcp_settings.json").exists()


def test_disabling_stops_the_process_and_tells_who_used_it(workspace: Workspace) -> None:
    workspace.configure(server=ALLOWED)
    workspace.add_chaos("plain")
    seen = Seen()

    async def scenario() -> None:
        async with Target("stdio", workspace).connect(message_handler=seen.take) as client:
            pid = int(await call_text(client, "plain", "pid"))
            await client.call_tool("mcp.router.use", {"instance_name": "plain"})
            assert "echo" in await tool_names(client)
            await _manage(client, "disable", instance_name="plain")
            with anyio.fail_after(30):
                await listed_when(client, "plain", lambda row: row["state"] == "disabled")
            left = [row for row in process_table() if row.pid == pid]
            assert not still_running(left, 15)
            assert "echo" not in await tool_names(client)

    run(scenario)


def test_management_tools_are_neither_listed_nor_run_unless_they_are_allowed(
    workspace: Workspace,
) -> None:
    async def scenario() -> None:
        async with Target("stdio", workspace).connect() as client:
            assert await tool_names(client) == OWN_TOOLS
            message, code = error_of(await _manage(client, "disable", instance_name="x"))
            assert message == (
                "Instance management is disabled. Tool 'mcp.router.disable' is not available. "
                "Enable 'server.allow_instance_management' in config.json to use this tool."
            )
            assert code == "SECURITY_ERROR"

    run(scenario)
