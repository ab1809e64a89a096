"""A client of a view that searches finds, reads up on and calls tools that it was not listed."""

from __future__ import annotations

import json
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.raw_client import HttpClient, StdioRouter
from tests.e2e.real_servers import npm_server, remote
from tests.e2e.workspace import CONFIG, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Asks = Callable[..., dict[str, Any]]

OWN = ["mcp.router.search", "mcp.router.describe", "mcp.router.call_tool"]
WORDS = "two words\n"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Two real servers, all of whose tools are searched, but for one that is pinned."""
    workspace = Workspace(tmp_path_factory.mktemp("searched"))
    profile = {"expose": "search", "pinned": ["everything__echo"], "tools": {"deny": ["*__gzip*"]}}
    workspace.configure(
        server=CONFIG["server"] | {"view": "work", "drain_s": 1}, profiles={"work": profile}
    )
    work = workspace.path / "work"
    work.mkdir()
    (work / "note.txt").write_text(WORDS)
    workspace.add_command("filesystem", *npm_server("server-filesystem"), str(work))
    with remote("streamableHttp") as port:
        yield workspace.add("everything", type="http", url=f"http://127.0.0.1:{port}/mcp")


@pytest.fixture(params=["http", "stdio"])
def asks(request: pytest.FixtureRequest, workspace: Workspace) -> Iterator[Asks]:
    """Send a request, of these `params`, over a transport; return its result."""
    with ExitStack() as stack:
        if request.param == "stdio":
            client = stack.enter_context(StdioRouter(workspace.stdio_command))
            client.initialize()
            yield client.request
            return
        router = stack.enter_context(workspace.serve("http"))
        over_http = stack.enter_context(closing(HttpClient(router.url("/mcp"))))
        over_http.initialize()

        def ask(method: str, **params: Any) -> dict[str, Any]:
            status, body = over_http.post({"id": 1, "method": method, "params": params})
            assert status == 200, body
            return json.loads(body)["result"]

        yield ask


def test_a_client_finds_reads_up_on_and_calls_a_tool_that_it_was_not_listed(
    asks: Asks, workspace: Workspace
) -> None:
    def calls(tool: str, **arguments: Any) -> Any:
        return asks("tools/call", name=tool, arguments=arguments)

    def reads(tool: str, **arguments: Any) -> Any:
        result = calls(f"mcp.router.{tool}", **arguments)
        assert not result["isError"], result
        return json.loads(result["content"][0]["text"])

    # Waits for both servers, of which nothing is known at the first start.
    both = reads("describe", tools=["everything__get-sum", "filesystem__read_text_file"])
    assert [tool["name"] for tool in both["tools"]] == [
        "everything__get-sum",
        "filesystem__read_text_file",
    ]
    assert both["tools"][1]["inputSchema"]["required"] == ["path"]
    listed = asks("tools/list")["tools"]
    assert [tool["name"] for tool in listed] == [*OWN, "everything__echo"]
    assert "everything" in listed[0]["description"]
    assert "filesystem" in listed[0]["description"]

    path = str(workspace.path / "work" / "note.txt")
    found = reads("search", query="read a text file", limit=3)
    assert found["found"].startswith("3 of ")
    by_name = {tool["name"]: tool for tool in found["tools"]}
    assert by_name["filesystem__read_text_file"]["signature"].startswith("path: string")
    read = calls(
        "mcp.router.call_tool", name="filesystem__read_text_file", arguments={"path": path}
    )
    assert read["content"][0]["text"] == WORDS
    assert read["structuredContent"] == {"content": WORDS}
    assert calls("filesystem__read_text_file", path=path) == read

    exact = reads("search", query="everything__get-sum", instance="everything")
    assert exact["tools"][0]["name"] == "everything__get-sum"
    denied = reads("search", query="gzip a file as a resource", limit=20)
    assert not [tool for tool in denied["tools"] if "gzip" in tool["name"]]
    unknown = calls("mcp.router.call_tool", name="everything_get-sum")
    assert unknown["isError"]
    assert "Did you mean 'everything__get-sum'" in unknown["content"][0]["text"]
    resource = reads("search", query="architecture", kind="resource")["resources"][0]
    assert asks("resources/read", uri=resource["uri"])["contents"][0]["uri"] == resource["uri"]
