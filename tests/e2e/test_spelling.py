"""A router with the default `server.tool_names` lists each client the names that it takes."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.raw_client import HttpClient
from tests.e2e.sdk_client import OWN_TOOLS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.processes import RouterProcess
    from tests.e2e.workspace import Workspace

UNDERSCORED = [name.replace(".", "_") for name in OWN_TOOLS]
PORTS: dict[str, Any] = {"http": {"port": 0}, "sse": {"port": 0}}


@pytest.fixture
def default_router(workspace: Workspace) -> Iterator[RouterProcess]:
    workspace.configure(server=PORTS)
    with workspace.serve("http") as router:
        yield router


def ask(client: HttpClient, method: str, **params: Any) -> Any:
    status, body = client.post({"id": method, "method": method, "params": params})
    assert status == 200, body
    return json.loads(body)["result"]


def names(client: HttpClient) -> list[str]:
    return [tool["name"] for tool in ask(client, "tools/list")["tools"]]


def test_names_follow_from_the_client_and_its_revision(default_router: RouterProcess) -> None:
    for name, revision, listed in (
        ("anybody", "2025-06-18", OWN_TOOLS),
        ("anybody", "2025-11-25", UNDERSCORED),
        ("claude-ai", "2024-11-05", UNDERSCORED),
        ("claude-ai (via mcp-remote 0.1.37)", "2025-06-18", UNDERSCORED),
        ("gemini-cli-mcp-client", "2025-11-25", OWN_TOOLS),
    ):
        with closing(HttpClient(default_router.url("/mcp"))) as client:
            info = {"name": name, "version": "1"}
            hello = {"protocolVersion": revision, "capabilities": {}, "clientInfo": info}
            said = ask(client, "initialize", **hello)["instructions"]
            client.post({"method": "notifications/initialized"})
            assert names(client) == listed
            assert f"{listed[1]} shows them" in said
            for spelled in (OWN_TOOLS[1], UNDERSCORED[1]):
                assert ask(client, "tools/call", name=spelled)["isError"] is False


def test_a_lone_request_without_a_revision_is_listed_dots(default_router: RouterProcess) -> None:
    with closing(HttpClient(default_router.url("/mcp"))) as client:
        assert names(client) == OWN_TOOLS
