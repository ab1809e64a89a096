"""Each client has an upstream session of its own: real processes, and the SDK's client.

`client_upstream` says which client it was started for; `asking_upstream` asks during a call.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
import mcp_types as types
import pytest
from pydantic import FileUrl

from tests.e2e.processes import running_with, still_running
from tests.e2e.sdk_client import BACKENDS, Target, run
from tests.e2e.shared_router import ASKING
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mcp import Client

UPSTREAM: Final = Path(__file__).with_name("client_upstream.py")

PROCESS_END_LIMIT_S: Final = 12.0
"""Above the router's own limits for a process that is told to end: 5 s, and 5 s again."""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def add_upstream(workspace: Workspace, *words: str, **entry: Any) -> None:
    mine = str(workspace.path)
    argv = (sys.executable, "-B", str(UPSTREAM), mine, *words)
    workspace.add_command("mine", *argv, sessions="per_client", **entry)


async def says(client: Client, tool: str) -> Any:
    """Return the value in the answer of a tool."""
    result = await client.call_tool(tool, {})
    (content,) = result.content
    assert isinstance(content, types.TextContent)
    assert not result.is_error, content.text
    return json.loads(content.text)


def named(name: str) -> types.Implementation:
    return types.Implementation(name=name, version="1")


def with_roots(*paths: Path) -> Callable[[Any], Awaitable[types.ListRootsResult]]:
    async def answer(_: Any) -> types.ListRootsResult:
        await anyio.lowlevel.checkpoint()
        listed = [types.Root(uri=FileUrl(path.as_uri())) for path in paths]
        return types.ListRootsResult(roots=listed)

    return answer


def of_upstream(workspace: Workspace) -> list[Any]:
    """Return the processes of the upstream, not those that only hold its command line."""
    return [row for row in running_with(str(workspace.path)) if UPSTREAM.name in row.command]


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_clients_at_once_each_answer_the_questions_of_their_own_server(
    workspace: Workspace, backend: str
) -> None:
    record = workspace.path / "record.jsonl"
    argv = (sys.executable, "-B", str(ASKING), str(record))
    workspace.add_command("mine", *argv, sessions="per_client")
    answers: dict[str, Any] = {}

    async def scenario() -> None:
        asked = {name: anyio.Event() for name in ("alice", "bob")}

        async def use(name: str, other: str) -> None:
            async def fill_in(_: Any, __: Any) -> types.ElicitResult:
                asked[name].set()
                # Neither is answered before both are asked, so both calls are in flight.
                await asked[other].wait()
                return types.ElicitResult(action="accept", content={"name": name})

            options: dict[str, Any] = {"client_info": named(name), "elicitation_callback": fill_in}
            async with target.connect(**options) as client:
                answers[name] = await says(client, "mine__form")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(use, "alice", "bob")
            tasks.start_soon(use, "bob", "alice")

    with workspace.serve("http") as router:
        target = Target("http", workspace, router)
        run(scenario, backend)
    for name in ("alice", "bob"):
        assert answers[name] == [{"action": "accept", "content": {"name": name}}]


def test_a_server_is_told_of_its_client_and_ends_with_it(workspace: Workspace) -> None:
    add_upstream(workspace)

    async def scenario() -> None:
        roots = with_roots(workspace.path)
        async with target.connect(client_info=named("alice"), list_roots_callback=roots) as alice:
            of_alice = await says(alice, "mine__who")
            assert of_alice["client"] == "alice"
            assert set(of_alice["capabilities"]) == {"roots"}
            assert await says(alice, "mine__later") == "later"
            assert await says(alice, "mine__roots") == {"roots": [{"uri": workspace.path.as_uri()}]}
            async with target.connect(client_info=named("bob")) as bob:
                of_bob = await says(bob, "mine__who")
                assert (of_bob["client"], of_bob["capabilities"]) == ("bob", {})
                assert of_bob["pid"] != of_alice["pid"]
                (row,) = await says(bob, "mcp.router.list")
                shown = [(one["name"], one["client"], one["state"]) for one in row["sessions"]]
                assert shown == [("mine#1", "alice", "ready"), ("mine#2", "bob", "ready")]
            running = of_upstream(workspace)
            ends = [row for row in running if row.pid == of_bob["pid"]]
            assert not still_running(ends, PROCESS_END_LIMIT_S)
            known = await says(alice, "mine__who")
            assert known["pid"] == of_alice["pid"]
            assert known["later"] == {"roots": [{"uri": workspace.path.as_uri()}]}

    with workspace.serve("http") as router:
        target = Target("http", workspace, router)
        run(scenario)
        assert not still_running(of_upstream(workspace), PROCESS_END_LIMIT_S)


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
@pytest.mark.parametrize("transport", ["http", "stdio"])
def test_each_project_has_a_server_of_its_own(
    workspace: Workspace, transport: str, mode: str
) -> None:
    add_upstream(workspace, "--in=${roots.0}", cwd="${roots.0}")
    projects = [workspace.path / "one", workspace.path / "two words"]
    for project in projects:
        project.mkdir()

    async def knows(target: Target, project: Path) -> Any:
        async with target.connect(list_roots_callback=with_roots(project)) as client:
            return await says(client, "mine__who")

    async def scenario() -> None:
        for project in projects:
            known = await knows(target, project)
            assert known["cwd"] == str(project)
            assert known["words"] == [str(workspace.path), f"--in={project}"]

    if transport == "stdio":
        target = Target("stdio", workspace, None, mode)
        run(scenario)
        return
    with workspace.serve("http") as router:
        target = Target("http", workspace, router, mode)
        run(scenario)


def test_clients_of_one_project_share_its_server(workspace: Workspace) -> None:
    add_upstream(workspace, cwd="${roots.0}")

    async def scenario() -> None:
        roots = with_roots(workspace.path)
        async with (
            target.connect(list_roots_callback=roots) as alice,
            target.connect(list_roots_callback=roots) as bob,
        ):
            of_alice, of_bob = await says(alice, "mine__who"), await says(bob, "mine__who")
            assert of_alice["pid"] == of_bob["pid"]

    with workspace.serve("http") as router:
        target = Target("http", workspace, router)
        run(scenario)
