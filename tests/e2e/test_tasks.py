"""Tasks between clients and servers of other makers, with the router in between.

The everything-server has those of 2025-11-25; `tasks_upstream` has the extension of 2026-07-28.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e import peers
from tests.e2e.raw_client import HELLO, HttpClient
from tests.e2e.real_servers import remote
from tests.e2e.shared_router import DRAIN_S, shared_router
from tests.e2e.workspace import CONFIG, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.shared_router import SharedRouter

PLAY_LIMIT_S: Final = 120.0
TOOL: Final = "simulate-research-query"
EVERYTHING: Final = "@modelcontextprotocol/server-everything"
MODERN: Final = Path(__file__).with_name("tasks_upstream.py")
EXTENSION: Final = "io.modelcontextprotocol/tasks"
DECLARED: Final = {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedRouter]:
    """Run a router with the everything-server, started by it and remote, in a direct view."""
    with remote("streamableHttp") as port:
        workspace = Workspace(tmp_path_factory.mktemp("tasks"))
        _add_local(workspace)
        workspace.add_command("modern", sys.executable, "-B", str(MODERN))
        workspace.add("remote", type="http", url=f"http://127.0.0.1:{port}/mcp")
        server = CONFIG["server"] | {"view": "direct", "drain_s": DRAIN_S}
        with shared_router(workspace, server=server) as shared:
            yield shared


def _add_local(workspace: Workspace) -> Workspace:
    script = peers.npm_script(EVERYTHING, "dist/index.js")
    return workspace.add_command("local", peers.NODE, script, "stdio")


def _play(script: str, address: list[str], **env: str) -> dict[str, Any]:
    """Have a client play its scenario; return the JSON that it prints."""
    played = subprocess.run(
        [*peers.node_script(script), *address],
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=PLAY_LIMIT_S,
        check=False,
    )
    assert played.returncode == 0, played.stderr
    return json.loads(played.stdout)


def _check(saw: dict[str, Any]) -> None:
    assert saw["declared"] == DECLARED
    assert saw["support"] == "required"
    assert saw["statuses"][0] == "working"
    assert saw["asked"] == [saw["taskId"]]
    assert "snake" in saw["result"]["content"][0]["text"]
    related = {"io.modelcontextprotocol/related-task": {"taskId": saw["taskId"]}}
    assert saw["result"]["_meta"] == related
    assert saw["again"] == saw["result"]
    assert saw["status"] == "completed"
    assert saw["cancelled_late"] == saw["of_nobody"] == -32602
    assert saw["cancelled"] == "cancelled"
    assert sorted(saw["listed"]) == sorted(
        [[saw["taskId"], "completed"], [saw["second"], "cancelled"]]
    )


@pytest.mark.parametrize("instance", ["local", "remote"])
@pytest.mark.parametrize("view", ["direct", "transparent"])
def test_npm_client_runs_a_task_of_the_everything_server(
    view: str, instance: str, shared: SharedRouter
) -> None:
    token = shared.token()
    if view == "direct":
        address, tool = shared.router.url("/mcp"), f"{instance}__{TOOL}"
    else:
        address, tool = f"{shared.router.url('/mcp')}/{instance}", TOOL
    saw = _play("tasks1.mjs", ["http", address], TOOL=tool, TOKEN=token)
    _check(saw)


def test_npm_client_runs_a_task_over_stdio(tmp_path: Path) -> None:
    workspace = _add_local(Workspace(tmp_path))
    workspace.configure(server=CONFIG["server"] | {"view": "direct"})
    address = ["stdio", *workspace.stdio_command]
    _check(_play("tasks1.mjs", address, TOOL=f"local__{TOOL}"))


def test_a_task_is_for_its_principal_alone(shared: SharedRouter) -> None:
    mine, other = shared.token(), shared.token()
    address = ["http", shared.router.url("/mcp")]
    saw = _play("tasks1.mjs", address, TOOL=f"local__{TOOL}", TOKEN=mine)
    task = {"taskId": saw["taskId"]}
    for token, place, expected in (
        (mine, "", {"status": "completed"}),
        (mine, "/local", {"message": "Task not found"}),
        (other, "", {"message": "Task not found"}),
    ):
        answer = _asked(shared.router.url("/mcp") + place, token, "tasks/get", task)
        said = answer.get("result") or answer["error"]
        assert said == said | expected
    listed = _asked(shared.router.url("/mcp"), other, "tasks/list", {})
    assert listed["result"] == {"tasks": []}


def _asked(url: str, token: str, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a request in a new session."""
    client = HttpClient(url, token)
    hello = HELLO | {"protocolVersion": "2025-11-25"}
    assert client.post({"id": 0, "method": "initialize", "params": hello})[0] == 200
    status, body = client.post({"id": 1, "method": method, "params": params})
    client.close()
    assert status == 200, body
    return json.loads(body)


# --- The extension ---------------------------------------------------------------------------


@pytest.mark.parametrize("view", ["direct", "transparent"])
def test_npm_client_runs_tasks_of_the_extension(view: str, shared: SharedRouter) -> None:
    url, prefix = shared.router.url("/mcp"), "modern__"
    if view == "transparent":
        url, prefix = f"{url}/modern", ""
    names = {"GREET": f"{prefix}greet", "WAIT": f"{prefix}wait"}
    saw = _play("tasks2.mjs", [url], TOKEN=shared.token(), **names)
    assert saw["era"] == "modern"
    assert saw["declared"][EXTENSION] == {}
    assert saw["kind"] == "task"
    assert not saw["taskId"].isdigit()
    assert saw["asked"] == [["elicitation", saw["taskId"]]]
    text, link = saw["content"]
    assert text == {"type": "text", "text": "Hello, Ann!"}
    assert link["uri"] == ("ui://card" if view == "transparent" else "ui://modern/ui%3A%2F%2Fcard")
    assert saw["cancelled"] == "cancelled"
    assert saw["guessed"] == {"code": -32602, "message": "Task not found"}
