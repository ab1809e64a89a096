"""The SDK's client on Trio and on asyncio, over all transports, with a handshake and at 2026-07-28.

The upstreams have a handshake. `test_client_2026_sdk` has the behaviour of 2026-07-28 alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import anyio
import mcp_types as types
import pytest
from mcp import MCPDeprecationWarning, MCPError

from tests.e2e.chaos_upstream import PIXEL, TOOLS
from tests.e2e.client_2026 import REVISION_2026
from tests.e2e.sdk_client import (
    BACKENDS,
    HANDSHAKE,
    OWN_TOOLS,
    TRANSPORTS,
    Seen,
    Target,
    call,
    call_text,
    error_of,
    listed,
    run,
    text_of,
    tool_names,
    value_of,
)

if TYPE_CHECKING:
    from mcp import Client

pytestmark = pytest.mark.parametrize("backend", BACKENDS)


def _target(request: pytest.FixtureRequest, transport: str, mode: str) -> Target:
    shared = None if transport == "stdio" else request.getfixturevalue("router")
    return Target(transport, request.getfixturevalue("plain_workspace"), shared, mode)


WAYS: Final = [
    *[(transport, HANDSHAKE) for transport in TRANSPORTS],
    *[(transport, REVISION_2026) for transport in TRANSPORTS if transport != "sse"],
]


@pytest.fixture(params=WAYS, ids="-".join)
def target(request: pytest.FixtureRequest) -> Target:
    """The router over each transport, with a handshake and at 2026-07-28 where there is that."""
    return _target(request, *request.param)


@pytest.fixture(params=TRANSPORTS)
def handshake(request: pytest.FixtureRequest) -> Target:
    """The router over each transport, with a handshake."""
    return _target(request, request.param, HANDSHAKE)


def test_router_says_who_it_is_at_the_newest_handshake_revision(
    handshake: Target, backend: str
) -> None:
    async def scenario() -> None:
        async with handshake.connect() as client:
            assert client.protocol_version == "2025-11-25"
            assert client.server_info is not None
            assert client.server_info.name == "mcp_router"
            assert client.server_capabilities.tools is not None
            assert client.server_capabilities.tools.list_changed
            with pytest.warns(MCPDeprecationWarning):  # it is gone from 2026-07-28
                await client.send_ping()

    run(scenario, backend)


def test_client_that_asks_first_gets_a_handshake_over_sse(
    request: pytest.FixtureRequest, backend: str
) -> None:
    async def scenario() -> None:
        async with _target(request, "sse", "auto").connect() as client:
            assert client.protocol_version == "2025-11-25"
            assert await tool_names(client) == OWN_TOOLS

    run(scenario, backend)


def test_own_tools_are_listed_in_the_documented_order(target: Target, backend: str) -> None:
    async def scenario() -> None:
        async with target.connect() as client:
            tools = (await client.list_tools()).tools
            assert [tool.name for tool in tools] == OWN_TOOLS
            required = [tool.input_schema.get("required", []) for tool in tools]
            assert required == [["instance_name"], [], [], ["instance_name", "tool_name"]]

    run(scenario, backend)


def test_list_shows_every_instance_as_documented(target: Target, backend: str) -> None:
    async def scenario() -> None:
        async with target.connect() as client:
            await call(client, "plain", "pid")
            result = await client.call_tool("mcp.router.list", {})
            told = value_of(result)
            # Before 2026-07-28 it has to be an object.
            structured = told if target.mode == REVISION_2026 else {"result": told}
            assert result.structured_content == structured
            _check_rows({row["name"]: row for row in told})

    run(scenario, backend)


def _check_rows(rows: dict[str, Any]) -> None:
    assert sorted(rows) == ["off", "other", "plain"]
    expected = {
        "name": "plain",
        "provider": "plain",
        "display_name": "plain (provider: plain)",
        "active": True,
        "connected": True,
        "transport_type": "stdio",
        "tools_count": len(TOOLS),
        "metadata": {},
        "state": "ready",
        "last_error": None,
    }
    assert expected.items() <= rows["plain"].items()
    off = {"active": False, "connected": False, "tools_count": 0, "state": "disabled"}
    assert off.items() <= rows["off"].items()


def test_help_shows_the_tools_of_connected_instances(target: Target, backend: str) -> None:
    async def scenario() -> None:
        async with target.connect() as client:
            await call(client, "plain", "pid")
            result = await client.call_tool("mcp.router.help", {})
            shown = value_of(result)
            assert result.structured_content == shown
            assert "off" not in shown
            wanted = [
                {key: tool[key] for key in ("name", "description", "inputSchema")} for tool in TOOLS
            ]
            assert shown["plain"] == {
                "provider": "plain",
                "display_name": "plain (provider: plain)",
                "tools": wanted,
            }

    run(scenario, backend)


def test_use_lists_the_instance_beside_and_says_so(handshake: Target, backend: str) -> None:
    async def scenario() -> None:
        seen = Seen()
        async with handshake.connect(message_handler=seen.take) as client:
            used = value_of(await client.call_tool("mcp.router.use", {"instance_name": "plain"}))
            names = [tool["name"] for tool in TOOLS]
            assert used == {"instance": "plain", "tools": names, "active": True}
            await seen.wait_for(types.ToolListChangedNotification)
            assert await tool_names(client) == OWN_TOOLS + names
            assert text_of(await client.call_tool("echo", {"text": "by its own name"})) == (
                "by its own name"
            )

    run(scenario, backend)


def test_selection_belongs_to_one_client_session(handshake: Target, backend: str) -> None:
    async def scenario() -> None:
        async with handshake.connect() as user, handshake.connect() as other:
            await user.call_tool("mcp.router.use", {"instance_name": "plain"})
            assert len(await tool_names(user)) > len(OWN_TOOLS)
            assert await tool_names(other) == OWN_TOOLS

    if handshake.transport == "stdio":
        pytest.skip("stdio has one client only")
    run(scenario, backend)


def test_results_come_back_unchanged(target: Target, backend: str) -> None:
    async def scenario() -> None:
        async with target.connect() as client:
            assert await call_text(
                client, "plain", "echo", text="z\u0142o\u015b\u0107 \U0001f600\n"
            ) == ("z\u0142o\u015b\u0107 \U0001f600\n")
            await _check_image(client)
            await _check_structured(client)
            failed = await call(client, "plain", "fail")
            assert (failed.is_error, text_of(failed)) == (True, "It did not work")

    run(scenario, backend)


async def _check_image(client: Client) -> None:
    text, image = (await call(client, "plain", "image")).content
    assert text.text == "one pixel"
    assert (image.type, image.data, image.mime_type) == ("image", PIXEL, "image/png")


async def _check_structured(client: Client) -> None:
    result = await call(client, "plain", "structured")
    assert result.structured_content == {"sum": 3}
    meta = dict(result.meta)
    meta.pop("io.modelcontextprotocol/serverInfo", None)  # of the router, at 2026-07-28
    assert meta == {"example.test/kept": [1, 2]}


def test_errors_of_an_upstream_reach_the_client_as_they_are(target: Target, backend: str) -> None:
    async def scenario() -> None:
        async with target.connect() as client:
            with pytest.raises(MCPError) as caught:
                await call(client, "plain", "refuse")
            assert (caught.value.error.code, caught.value.error.message) == (-32602, "I refuse")

    run(scenario, backend)


def test_unknown_and_inactive_things_are_named_in_the_documented_words(
    target: Target, backend: str
) -> None:
    async def scenario() -> None:
        async with target.connect() as client:
            unknown = "Instance not found: nobody. Available instances: 'off', 'other', 'plain'"
            assert error_of(await call(client, "nobody", "echo")) == (unknown, "INSTANCE_NOT_FOUND")
            used = await client.call_tool("mcp.router.use", {"instance_name": "nobody"})
            assert error_of(used) == (unknown, "INSTANCE_NOT_FOUND")
            no_tool, code = error_of(await call(client, "plain", "ecko"))
            assert code == "TOOL_NOT_FOUND"
            assert no_tool.startswith(
                "Tool 'ecko' not found in instance 'plain'. Did you mean 'echo', "
            )
            inactive = "Instance 'off' is not active"
            assert error_of(await call(client, "off", "echo")) == (inactive, "UNAVAILABLE")

    run(scenario, backend)


def test_missing_arguments_are_named(target: Target, backend: str) -> None:
    async def scenario() -> None:
        async with target.connect() as client:
            result = await client.call_tool("mcp.router.call", {"instance_name": "plain"})
            message, code = error_of(result)
            assert code == "VALIDATION_ERROR"
            assert "tool_name" in message

    run(scenario, backend)


def test_progress_reaches_the_caller_in_order_before_the_result(
    target: Target, backend: str
) -> None:
    async def scenario() -> None:
        seen: list[tuple[float, float | None]] = []
        complete = anyio.Event()

        async def note(progress: float, total: float | None, _: str | None) -> None:
            seen.append((progress, total))
            if len(seen) == 5:
                complete.set()
            await anyio.lowlevel.checkpoint()

        async with target.connect() as client:
            result = await call(client, "plain", "steps", {"count": 5}, progress_callback=note)
            assert text_of(result) == "done"
            await complete.wait()  # the SDK runs callbacks in tasks of their own
            assert sorted(seen) == [(float(step), 5.0) for step in range(1, 6)]

    run(scenario, backend)


def test_cancelling_a_call_cancels_it_upstream(target: Target, backend: str) -> None:
    async def scenario() -> None:
        begun = anyio.Event()
        label = f"{target.transport}-{target.mode}-{backend}"

        async def note(*_: Any) -> None:
            begun.set()
            await anyio.lowlevel.checkpoint()

        async with target.connect() as client:
            async with anyio.create_task_group() as tasks:

                async def hang() -> None:
                    await call(client, "plain", "hang", {"label": label}, progress_callback=note)

                tasks.start_soon(hang)
                await begun.wait()
                tasks.cancel_scope.cancel()
            assert await call_text(client, "plain", "await_cancelled", label=label) == "cancelled"
            assert (await listed(client))["plain"]["state"] == "ready"

    run(scenario, backend)
