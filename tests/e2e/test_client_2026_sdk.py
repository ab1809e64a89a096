"""The SDK's client at 2026-07-28, on Trio and on asyncio: its choice of revision, and listening.

The upstreams have a handshake. `test_client_sdk` has the behaviour that is the same with a
handshake; `test_client_2026_input_required` has questions.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import mcp_types as types
import pytest
from mcp import Client, MCPError
from mcp.client.subscriptions import ToolsListChanged

from router.messages.errors import INVALID_PARAMS
from router.messages.revisions import REVISIONS
from tests.e2e.chaos_upstream import TOOLS
from tests.e2e.client_2026 import REVISION_2026
from tests.e2e.processes import running_with
from tests.e2e.sdk_client import (
    BACKENDS,
    HANDSHAKE,
    OWN_TOOLS,
    Seen,
    Target,
    call_text,
    run,
    text_of,
    tool_names,
)
from tests.e2e.shared_router import shared_router
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.processes import RouterProcess
    from tests.e2e.shared_router import SharedRouter

pytestmark = pytest.mark.parametrize("backend", BACKENDS)

UPSTREAM_TOOLS = [tool["name"] for tool in TOOLS]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedRouter]:
    workspace = Workspace(tmp_path_factory.mktemp("client-2026-sdk"))
    workspace.add_chaos("plain").add_chaos("growing", "growing")
    with shared_router(workspace) as shared:
        yield shared


@pytest.fixture(params=["http", "stdio"])
def target(request: pytest.FixtureRequest, shared: SharedRouter) -> Target:
    return shared.target(request.param)


# --- Which revision -------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["http", "stdio"])
def test_client_that_asks_first_chooses_2026_07_28(
    transport: str, backend: str, shared: SharedRouter
) -> None:
    async def scenario() -> None:
        async with shared.target(transport, "auto").connect() as client:
            assert client.protocol_version == REVISION_2026
            assert client.server_info is not None
            assert client.server_info.name == "mcp_router"
            assert client.server_capabilities.tools is not None
            assert client.server_capabilities.tools.list_changed
            assert await tool_names(client) == OWN_TOOLS
            assert await call_text(client, "plain", "echo", text="auto") == "auto"

    run(scenario, backend)


@pytest.mark.parametrize("transport", ["http", "stdio"])
def test_client_with_a_handshake_gets_the_newest_handshake_revision(
    transport: str, backend: str, shared: SharedRouter
) -> None:
    async def scenario() -> None:
        async with shared.target(transport, HANDSHAKE).connect() as client:
            assert client.protocol_version == "2025-11-25"
            assert await call_text(client, "plain", "echo", text="hands") == "hands"

    run(scenario, backend)


def test_client_may_discover_at_any_time(backend: str, target: Target) -> None:
    async def scenario() -> None:
        async with target.connect() as client:
            found = types.DiscoverResult.model_validate(
                await client.session.send_discover(REVISION_2026)
            )
            assert found.supported_versions == list(REVISIONS)

    run(scenario, backend)


def test_method_of_the_handshake_is_not_found(backend: str, target: Target) -> None:
    async def scenario() -> None:
        async with target.connect() as client:
            with pytest.raises(MCPError) as caught:
                await client.list_prompts()
            assert caught.value.error.code == -32601
            assert await call_text(client, "plain", "echo", text="still") == "still"

    run(scenario, backend)


# --- Listening -------------------------------------------------------------------------------


async def _use(client: Client, instance: str) -> None:
    used = await client.call_tool("mcp.router.use", {"instance_name": instance})
    assert not used.is_error, used


def test_use_is_told_to_a_listening_client_on_stdio_which_then_lists_the_tools(
    backend: str, shared: SharedRouter
) -> None:
    stdio = shared.target("stdio")

    async def scenario() -> None:
        async with stdio.connect() as client, client.listen(tools_list_changed=True) as changes:
            assert changes.honored.tools_list_changed
            await _use(client, "plain")
            assert await anext(changes) == ToolsListChanged()
            assert await tool_names(client) == OWN_TOOLS + UPSTREAM_TOOLS
            assert text_of(await client.call_tool("echo", {"text": "by name"})) == "by name"

    run(scenario, backend)


def test_tool_that_an_instance_adds_is_told_to_a_listening_client_on_stdio(
    backend: str, shared: SharedRouter
) -> None:
    async def scenario() -> None:
        async with shared.target("stdio").connect() as client:
            await _use(client, "growing")
            before = await tool_names(client)
            async with client.listen(tools_list_changed=True) as changes:
                grown = await call_text(client, "growing", "grow")
                assert await anext(changes) == ToolsListChanged()
                assert await tool_names(client) == [*before, grown]

    run(scenario, backend)


def test_unknown_kind_of_subscription_is_not_honoured(backend: str, target: Target) -> None:
    async def scenario() -> None:
        async with (
            target.connect() as client,
            client.listen(
                tools_list_changed=True,
                prompts_list_changed=True,
                resource_subscriptions=["file:///nothing"],
            ) as changes,
        ):
            assert changes.honored.model_dump(exclude_none=True) == {"tools_list_changed": True}

    run(scenario, backend)


def test_client_that_has_stopped_listening_goes_on(backend: str, target: Target) -> None:
    async def scenario() -> None:
        async with target.connect() as client:
            for _ in range(3):
                async with client.listen(tools_list_changed=True):
                    pass
            assert await call_text(client, "plain", "echo", text="after") == "after"

    run(scenario, backend)


def test_selection_over_http_is_nobodys(backend: str, shared: SharedRouter) -> None:
    """Security: a choice does not leak to other clients, with the same token or with another."""
    mine, other = shared.target("http"), shared.target("http")

    async def scenario() -> None:
        seen = Seen()
        async with (
            mine.connect() as user,
            mine.connect(message_handler=seen.take) as beside,
            other.connect(message_handler=seen.take) as stranger,
            beside.listen(tools_list_changed=True),
            stranger.listen(tools_list_changed=True),
        ):
            await _use(user, "plain")
            for name in ("growing", "plain"):
                await _use(beside, name)
                for client in (user, beside, stranger):
                    assert await tool_names(client) == OWN_TOOLS
                called = await user.call_tool("plain__echo", {"text": name})
                assert text_of(called) == name
                with pytest.raises(MCPError) as caught:
                    await user.call_tool("echo", {"text": name})
                assert caught.value.error.code == INVALID_PARAMS
            assert not seen.notifications

    run(scenario, backend)


def test_selection_is_the_connections_over_stdio(backend: str, shared: SharedRouter) -> None:
    async def scenario() -> None:
        async with shared.target("stdio").connect() as client:
            await _use(client, "plain")
            assert await tool_names(client) == OWN_TOOLS + UPSTREAM_TOOLS
        async with shared.target("stdio").connect() as client:
            assert await tool_names(client) == OWN_TOOLS

    run(scenario, backend)


@pytest.mark.parametrize("transport", ["http", "stdio"])
def test_listening_ends_with_a_result_when_the_router_stops(
    transport: str, backend: str, workspace: Workspace
) -> None:
    workspace.add_chaos("plain")

    async def scenario(router: RouterProcess | None) -> None:
        target = Target(transport, workspace, router, REVISION_2026)
        async with target.connect() as client, client.listen(tools_list_changed=True) as changes:
            await call_text(client, "plain", "pid")
            _terminate_the_router_of(workspace)
            left: list[Any] = [one async for one in changes]  # raises when it is cut off instead
            assert not left

    if transport == "stdio":
        run(lambda: scenario(None), backend)
        return
    with workspace.serve("http") as router:
        run(lambda: scenario(router), backend)
        assert router.wait() == 0


def _terminate_the_router_of(workspace: Workspace) -> None:
    """Send SIGTERM to the router of a folder, whoever has started it."""
    (router,) = [
        row for row in running_with(str(workspace.config_file)) if "-m router" in row.command
    ]
    os.kill(router.pid, signal.SIGTERM)
