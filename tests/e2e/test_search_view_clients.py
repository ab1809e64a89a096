"""Clients of other makers at a view that searches: each finds a tool that it was not listed, and
calls it.

All of them do the same: list the tools, search, take the name of the first tool from the answer,
and call it by `mcp.router.call_tool`. All but the models of agents, which can call only what they
were listed, call it by its own name too.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from router.core.names.direct_names import direct_name
from tests.e2e import inspector, peers, real_servers
from tests.e2e.client_2026 import REVISION_2026
from tests.e2e.processes import running_with, still_running
from tests.e2e.sdk_client import HANDSHAKE, TRANSPORTS, Target, run, text_of, tool_names
from tests.e2e.workspace import CONFIG, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.processes import RouterProcess

SEARCH: Final = "mcp_router_search"
CALL_TOOL: Final = "mcp_router_call_tool"
LISTED: Final = [SEARCH, "mcp_router_describe", CALL_TOOL]

QUERY: Final = "list the files of a folder"
FOUND: Final = direct_name("filesystem", "list_directory", 48)
SAID: Final = "[FILE] note.txt"
STRUCTURED: Final = json.dumps({"content": SAID})
"""The text and the structured content of the tool's result."""

PLAY_LIMIT_S: Final = 120.0


@attrs.frozen
class Places:
    """A router that listens, and the folder in which clients start others on stdio.

    Attributes:
        work: the folder that its servers work on; holds one file.
    """

    workspace: Workspace
    router: RouterProcess
    work: str

    def address(self, transport: str) -> list[str]:
        """Return the transport, and a URL or the command that starts a router."""
        if transport == "stdio":
            return [transport, *self.workspace.stdio_command]
        return [transport, self.router.url({"http": "/mcp", "sse": "/sse"}[transport])]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    """Real servers; a router on stdio starts only the one that is called, and knows the others."""
    workspace = Workspace(tmp_path_factory.mktemp("search"))
    server = CONFIG["server"] | {"view": "search", "tool_names": "underscored", "drain_s": 1}
    workspace.configure(server=server)
    work = workspace.path / "work"
    work.mkdir()
    (work / "note.txt").write_text("two words\n")
    commands = {
        "everything": [*real_servers.npm_server("server-everything"), "stdio"],
        "filesystem": [*real_servers.npm_server("server-filesystem"), str(work)],
        "git": [real_servers.python_server("mcp-server-git")],
        "memory": real_servers.npm_server("server-memory"),
        "time": [real_servers.python_server("mcp-server-time"), "--local-timezone", "UTC"],
    }
    for name, command in commands.items():
        workspace.add_command(name, *command, start="lazy")
    with workspace.serve("http", "sse") as router:
        for name in commands:
            router.stderr.wait_for(f"{name} is ready")
        yield Places(workspace, router, str(work))


def _asked(places: Places, *transports: str, directly: bool = True) -> dict[str, Any]:
    """Return what a client is asked to do, as `search_plan.py` reads it."""
    return {
        "places": [places.address(each) for each in transports],
        "search": SEARCH,
        "call_tool": CALL_TOOL,
        "query": QUERY,
        "arguments": {"path": places.work},
        "directly": directly,
    }


def _check(saw: dict[str, Any]) -> None:
    _check_found(saw)
    assert saw["called"] == saw["called_directly"] == SAID


def _check_found(saw: dict[str, Any]) -> None:
    assert saw["tools"] == LISTED
    assert saw["found"]["tools"][0]["name"] == FOUND


def _play(
    command: list[str], asked: dict[str, Any], workspace: Workspace, **env: str
) -> dict[str, Any]:
    """Have a client do what is asked; return the JSON that it prints."""
    played = subprocess.run(
        command,
        env=os.environ | {"ASKED": json.dumps(asked)} | env,
        capture_output=True,
        text=True,
        timeout=PLAY_LIMIT_S,
        check=False,
    )
    assert played.returncode == 0, played.stderr
    own = [row for row in running_with(str(workspace.path)) if " stdio " in row.command]
    assert not still_running(own, limit_s=15.0)
    return json.loads(played.stdout)


# --- SDKs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("transport", "mode"),
    [
        *[(transport, HANDSHAKE) for transport in TRANSPORTS],
        ("http", REVISION_2026),
        ("stdio", REVISION_2026),
    ],
)
def test_python_sdk_finds_and_calls(transport: str, mode: str, places: Places) -> None:
    target = Target(transport, places.workspace, places.router, mode)
    arguments = {"path": places.work}

    async def scenario() -> None:
        async with target.connect() as client:
            saw: dict[str, Any] = {"tools": await tool_names(client)}
            saw["found"] = json.loads(text_of(await client.call_tool(SEARCH, {"query": QUERY})))
            name = saw["found"]["tools"][0]["name"]
            wanted = {"name": name, "arguments": arguments}
            saw["called"] = text_of(await client.call_tool(CALL_TOOL, wanted))
            saw["called_directly"] = text_of(await client.call_tool(name, arguments))
            _check(saw)

    run(scenario)


OLD_SDKS: Final = {
    "2024-11-05": ("stdio", "sse"),  # There was no streamable HTTP.
    "2025-03-26": TRANSPORTS,
    "2025-06-18": TRANSPORTS,
    "2025-11-25": TRANSPORTS,
}
"""The revision of a Python SDK -> its transports; each router on stdio takes a second to start."""


@pytest.mark.parametrize("revision", OLD_SDKS)
def test_python_sdk_of_each_handshake_revision_finds_and_calls(
    revision: str, places: Places
) -> None:
    command = [peers.python_of(f"sdk-{revision}"), str(peers.SOURCES / "old_sdk.py")]
    saw = _play(command, _asked(places, *OLD_SDKS[revision]), places.workspace)
    assert tuple(saw) == OLD_SDKS[revision]
    for each in saw.values():
        assert each["revision"] == revision
        _check(each)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_npm_sdk_1_finds_and_calls(transport: str, places: Places) -> None:
    command = [*peers.node_script("sdk1.mjs"), *places.address(transport)]
    _check(_play(command, _asked(places), places.workspace))


@pytest.mark.parametrize(
    ("transport", "era"),
    [*[(transport, "legacy") for transport in TRANSPORTS], ("http", "modern"), ("stdio", "modern")],
)
def test_npm_client_2_finds_and_calls(transport: str, era: str, places: Places) -> None:
    command = [*peers.node_script("client2.mjs"), *places.address(transport)]
    asked = {"modern": REVISION_2026}.get(era, era)
    saw = _play(command, _asked(places), places.workspace, ERA=asked)
    assert saw["era"] == era
    _check(saw)


def _inspected(places: Places, transport: str) -> list[str]:
    if transport != "stdio":
        return inspector.over(places.router, transport)
    config = places.workspace.path / "inspector.json"
    command, *args = places.workspace.stdio_command
    server = {"type": "stdio", "command": command, "args": args}
    config.write_text(json.dumps({"mcpServers": {"router": server}}))
    return ["--config", str(config), "--server", "router"]


@pytest.mark.parametrize(
    ("transport", "era"),
    [*[(transport, "legacy") for transport in TRANSPORTS], ("http", "modern"), ("stdio", "modern")],
)
def test_inspector_finds_and_calls(transport: str, era: str, places: Places) -> None:
    target = [*_inspected(places, transport), "--protocol-era", era]

    def call(name: str, *arguments: str) -> str:
        words = [word for each in arguments for word in ("--tool-arg", each)]
        result = inspector.asked(target, "tools/call", "--tool-name", name, *words)
        return result["content"][0]["text"]

    found = json.loads(call(SEARCH, f"query={QUERY}"))
    assert found["tools"][0]["name"] == FOUND
    arguments = json.dumps({"path": places.work})
    assert call(CALL_TOOL, f"name={FOUND}", f"arguments={arguments}") == SAID


# --- Frameworks ------------------------------------------------------------------------------


def test_fastmcp_finds_and_calls(places: Places) -> None:
    command = [peers.python_of("agents"), str(peers.SOURCES / "client_fastmcp.py")]
    saw = _play(command, _asked(places, *TRANSPORTS), places.workspace)
    assert tuple(saw) == TRANSPORTS
    for each in saw.values():
        _check(each)


AGENTS: Final = {
    "openai_agents": ("agents", SAID),
    "pydantic_ai": ("agents", STRUCTURED),
    "langchain": ("langchain", SAID),
}
"""Client -> its environment, and the form in which its model gets the result of the tool."""


@pytest.mark.parametrize("client", AGENTS)
def test_agents_find_and_call(client: str, places: Places) -> None:
    venv, said = AGENTS[client]
    command = [peers.python_of(venv), str(peers.SOURCES / f"client_{client}.py")]
    saw = _play(command, _asked(places, *TRANSPORTS, directly=False), places.workspace)
    assert tuple(saw) == TRANSPORTS
    for each in saw.values():
        _check_found(each)
        assert each["called"] == said
        _check_sent_to_models(each["sent"])


def _check_sent_to_models(sent: list[dict[str, Any]]) -> None:
    """Check the tools as they would be sent to a model, which could send arguments of any tool."""
    assert [tool["name"] for tool in sent] == LISTED
    (arguments,) = (
        tool["parameters"]["properties"]["arguments"] for tool in sent if tool["name"] == CALL_TOOL
    )
    assert arguments["type"] == "object"
    assert arguments.get("additionalProperties") is not False
