"""Servers of 2026-07-28, used by the SDK's client with a handshake and at 2026-07-28.

`test_each_revision` shows every byte of the same with raw clients.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import anyio
import mcp_types as types
import pytest
from mcp import MCPError
from mcp.client.subscriptions import ToolsListChanged

from tests.e2e import sdk_upstream_router
from tests.e2e.client_2026 import REVISION_2026
from tests.e2e.client_answers import ANSWERING, FORM_FILLED, ROOTS, SAMPLED
from tests.e2e.processes import descendants, kill_all
from tests.e2e.sdk_client import (
    BACKENDS,
    HANDSHAKE,
    Seen,
    Target,
    call,
    call_text,
    listed_when,
    run,
    text_of,
    tool_names,
    value_of,
)
from tests.e2e.sdk_upstream_router import SERVERS
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcp import Client


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with sdk_upstream_router.served(
        Workspace(tmp_path_factory.mktemp("server-2026-sdk"))
    ) as target:
        yield target


# --- One scenario for every client -----------------------------------------------------------


SAID: Final = {
    "form": [FORM_FILLED],
    "sampling": [SAMPLED],
    "roots": [ROOTS],
    "both": [FORM_FILLED, SAMPLED],
    "twice": [FORM_FILLED, FORM_FILLED],
}


async def _check_answers(client: Client, server: str) -> None:
    result = await call(client, server, "object")
    assert (text_of(result), result.structured_content) == ('{"sum": 3}', {"sum": 3})
    failed = await call(client, server, "fail")
    assert (failed.is_error, text_of(failed)) == (True, "It did not work")
    with pytest.raises(MCPError) as refused:
        await call(client, server, "refuse")
    error = refused.value.error
    assert (error.code, error.message, error.data) == (
        -32602,
        "I refuse",
        {"because": [1, "of it"]},
    )


async def _check_questions(client: Client, server: str) -> None:
    for what, said in SAID.items():
        assert json.loads(await call_text(client, server, "ask", what=what)) == said


async def _check_cancelling(client: Client, server: str, label: str) -> None:
    async with anyio.create_task_group() as tasks:

        async def stop(*_: Any) -> None:
            tasks.cancel_scope.cancel()
            await anyio.lowlevel.checkpoint()

        await call(client, server, "hang", {"label": label}, progress_callback=stop)
        pytest.fail("It was answered")
    assert await call_text(client, server, "await_cancelled", label=label) == "cancelled"


async def _check_all(client: Client, server: str, label: str) -> None:
    await _check_answers(client, server)
    await _check_questions(client, server)
    await _check_cancelling(client, server, label)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("mode", [REVISION_2026, HANDSHAKE])
@pytest.mark.parametrize("server", SERVERS)
def test_sdk_client_of_either_kind_does_everything(
    server: str, mode: str, backend: str, http: Target
) -> None:
    async def scenario() -> None:
        async with http.connect(mode=mode, **ANSWERING) as client:
            await _check_all(client, server, f"http {mode} {backend}")

    run(scenario, backend)


def test_sdk_client_of_2026_does_everything_on_stdio(http: Target) -> None:
    async def scenario() -> None:
        async with Target("stdio", http.workspace).connect(
            mode=REVISION_2026, **ANSWERING
        ) as client:
            for server in SERVERS:
                await _check_all(client, server, "stdio")

    run(scenario)


# --- Lists that change -----------------------------------------------------------------------


async def _grow(client: Client, server: str) -> str:
    """Have the server add a tool, once the router listens for it; return the tool's name."""
    await call_text(client, server, "await_listener")
    return await call_text(client, server, "grow")


@pytest.mark.parametrize("server", SERVERS)
def test_changed_list_reaches_a_session_that_has_selected_it(server: str, http: Target) -> None:
    async def scenario() -> None:
        seen = Seen()
        async with http.connect(mode=HANDSHAKE, message_handler=seen.take) as client:
            await client.call_tool("mcp.router.use", {"instance_name": server})
            await seen.wait_for(types.ToolListChangedNotification)
            seen.notifications.clear()
            grown = await _grow(client, server)
            await seen.wait_for(types.ToolListChangedNotification)
            assert (await tool_names(client))[-1] == grown

    run(scenario)


@pytest.mark.parametrize("server", SERVERS)
def test_new_tool_is_called_by_its_direct_name(server: str, http: Target) -> None:
    async def scenario() -> None:
        async with http.connect(mode=REVISION_2026) as client:
            grown = await _grow(client, server)
            wanted = {"instance_name": server}
            while True:  # Nothing tells a client without a session that the router knows the tool.
                used = value_of(await client.call_tool("mcp.router.use", wanted))
                if grown in used["tools"]:
                    break
                await anyio.sleep(0.02)
            with pytest.raises(MCPError, match=f"Unknown tool: {grown}"):  # It only has a name.
                await client.call_tool(f"{server}__{grown}")

    run(scenario)


def test_changed_list_reaches_a_listener_on_stdio(http: Target) -> None:
    async def scenario() -> None:
        async with Target("stdio", http.workspace).connect(mode=REVISION_2026) as client:
            for server in SERVERS:
                await call_text(client, server, "echo", text="so that it is there")
                await client.call_tool("mcp.router.use", {"instance_name": server})
                async with client.listen(tools_list_changed=True) as changes:
                    grown = await _grow(client, server)
                    assert await anext(changes) == ToolsListChanged()
                    assert (await tool_names(client))[-1] == grown

    run(scenario)


def test_server_that_comes_back_is_listened_to_again(http: Target) -> None:
    server = "2026-stdio"

    async def scenario() -> None:
        seen = Seen()
        async with http.connect(mode=HANDSHAKE, message_handler=seen.take) as client:
            await call_text(client, server, "echo", text="so that it is there")
            before = (await listed_when(client, server, _is_ready))["restarts"]
            _kill(http, server)
            await listed_when(client, server, lambda row: row["restarts"] > before)
            await call_text(client, server, "await_listener")
            await client.call_tool("mcp.router.use", {"instance_name": server})
            await seen.wait_for(types.ToolListChangedNotification)
            offered = await tool_names(client)
            seen.notifications.clear()
            grown = await _grow(client, server)
            await seen.wait_for(types.ToolListChangedNotification)
            assert await tool_names(client) == [*offered, grown]

    run(scenario)


def _is_ready(row: dict[str, Any]) -> bool:
    return row["state"] == "ready"


def _kill(target: Target, server: str) -> None:
    """Kill the process of a server."""
    assert target.router is not None
    of_server = sdk_upstream_router.mark(target.workspace, server)
    kill_all([row for row in descendants(target.router.pid) if of_server in row.command])
