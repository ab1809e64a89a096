"""Clients of every kind call tools by their direct names, `{instance}__{tool}`, without `use`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from mcp import MCPError

from router.core.names.direct_names import direct_name
from router.messages.errors import INVALID_PARAMS
from tests.e2e.chaos_upstream import TOOLS
from tests.e2e.client_2026 import REVISION_2026
from tests.e2e.client_answers import ANSWERING, FORM_FILLED
from tests.e2e.raw_client import HttpClient
from tests.e2e.sdk_client import BACKENDS, HANDSHAKE, OWN_TOOLS, run, text_of, tool_names, value_of
from tests.e2e.shared_router import SharedRouter, add_asking, shared_router
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcp import Client

    from tests.e2e.sdk_client import Target

HASHED: Final = "two__parts_"
"""An instance whose name hides where it ends, so that the direct names of its tools get a hash."""

WAYS: Final = [
    ("stdio", HANDSHAKE),
    ("http", HANDSHAKE),
    ("sse", HANDSHAKE),
    ("stdio", REVISION_2026),
    ("http", REVISION_2026),
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedRouter]:
    workspace = Workspace(tmp_path_factory.mktemp("direct-names"))
    workspace.add_chaos("plain").add_chaos(HASHED)
    add_asking(workspace)
    # Over SSE the SDK's client of these tests sends no token.
    with shared_router(workspace, "http", "sse", security={}) as shared:
        yield shared


@pytest.fixture(params=WAYS, ids="-".join)
def target(request: pytest.FixtureRequest, shared: SharedRouter) -> Target:
    return shared.target(*request.param)


async def _called(client: Client, name: str, **arguments: Any) -> str:
    result = await client.call_tool(name, arguments)
    assert not result.is_error, result
    return text_of(result)


@pytest.mark.parametrize("backend", BACKENDS)
def test_tools_are_called_by_their_direct_names(target: Target, backend: str) -> None:
    """Also at once after the start of the router: the call waits for its instance."""

    async def scenario() -> None:
        async with target.connect() as client:
            assert await _called(client, "plain__echo", text="direct") == "direct"
            name = direct_name(HASHED, "echo", 48)
            assert await _called(client, name, text="你好") == "你好"
            assert await tool_names(client) == OWN_TOOLS

    run(scenario, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_server_gets_the_tools_own_name_and_its_questions_are_answered(
    target: Target, backend: str
) -> None:
    async def scenario() -> None:
        async with target.connect(**ANSWERING) as client:
            params = json.loads(await _called(client, "plain__raw", text="x"))
            assert (params["name"], params["arguments"]) == ("raw", {"text": "x"})
            assert json.loads(await _called(client, "asking__form")) == [FORM_FILLED]

    run(scenario, backend)


def test_mistakes_are_errors_of_the_protocol_and_name_the_nearest(target: Target) -> None:
    async def scenario() -> None:
        async with target.connect() as client:
            await _called(client, "plain__echo", text="so that it is ready")
            with pytest.raises(MCPError) as caught:
                await client.call_tool("plane__ehco", {"text": "x"})
            error = caught.value.error
            assert error.code == INVALID_PARAMS
            nearest = "Unknown tool: plane__ehco. Did you mean 'plain__echo'"
            assert error.message.startswith(nearest)
            with pytest.raises(MCPError) as caught:
                await client.call_tool("plain__refuse", {})
            assert "refuse" in caught.value.error.message
            assert (await client.call_tool("plain__fail", {})).is_error

    run(scenario)


@pytest.mark.parametrize("backend", BACKENDS)
def test_client_without_a_session_calls_what_use_has_shown(
    shared: SharedRouter, backend: str
) -> None:
    async def scenario() -> None:
        async with shared.target("http").connect() as client:
            for instance in ("plain", HASHED):
                result = await client.call_tool("mcp.router.use", {"instance_name": instance})
                used = value_of(result)
                assert result.structured_content == used
                assert used["tools"] == [tool["name"] for tool in TOOLS]
                schemas = [tool["inputSchema"] for tool in TOOLS]
                assert [one["inputSchema"] for one in used["direct"]] == schemas
                echo = used["direct"][0]["name"]
                assert await _called(client, echo, text=instance) == instance

    run(scenario, backend)


def test_lone_requests_of_a_handshake_revision_use_and_call(shared: SharedRouter) -> None:
    client = HttpClient(shared.router.url("/mcp"))

    def call_tool(name: str, **arguments: Any) -> Any:
        params = {"name": name, "arguments": arguments}
        status, body = client.post({"id": 1, "method": "tools/call", "params": params})
        assert status == 200
        return json.loads(body)["result"]["content"][0]["text"]

    used = json.loads(call_tool("mcp.router.use", instance_name="plain"))
    assert call_tool(used["direct"][0]["name"], text="alone") == "alone"
    client.close()


def test_instance_that_a_token_does_not_see_has_no_direct_names(workspace: Workspace) -> None:
    tokens = {"few": {"token": TOKEN, "instances": ["plain"]}}
    workspace.add_chaos("plain").add_chaos("hidden")
    workspace.configure(security={"tokens": tokens})
    with workspace.serve("http") as router:
        client = HttpClient(router.url("/mcp"), TOKEN)
        client.initialize()
        for name, is_there in (("plain__echo", True), ("hidden__echo", False)):
            params = {"name": name, "arguments": {"text": "x"}}
            _, body = client.post({"id": 1, "method": "tools/call", "params": params})
            answer = json.loads(body)
            assert ("result" in answer) == is_there
        assert answer["error"]["code"] == INVALID_PARAMS
        message = answer["error"]["message"]
        assert message.startswith("Unknown tool: hidden__echo. Did you mean 'plain__echo'")
        assert message.count("hidden") == 1
        client.close()


TOKEN: Final = "canary-token-of-few-0123456789"
