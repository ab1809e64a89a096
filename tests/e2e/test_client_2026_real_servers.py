"""The SDK's client at 2026-07-28 with servers of other makers, all of a handshake revision.

The servers are npm's everything-server over stdio and over streamable HTTP, and the time server.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest

from router.core.names.direct_names import direct_name
from tests.e2e import peers, real_servers
from tests.e2e.client_2026 import REVISION_2026
from tests.e2e.client_answers import DECLINING_FORMS
from tests.e2e.sdk_client import (
    OWN_TOOLS,
    Target,
    call,
    call_text,
    listed,
    listed_when,
    run,
    text_of,
    tool_names,
    value_of,
)
from tests.e2e.shared_router import shared_router
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcp import Client

    from tests.e2e.shared_router import SharedRouter

EVERYTHING: Final = ["everything", "everything-http"]
SERVERS: Final = [*EVERYTHING, "time"]
ANSWERS: Final = [answer for answer in real_servers.ANSWERS if answer.instance in SERVERS]
OPERATION: Final = "trigger-long-running-operation"
READY_LIMIT_S: Final = 60.0

ASKING_TOOLS: Final = len(real_servers.TOOLS["everything"] | real_servers.TOOLS_FOR_CAPABLE_CLIENTS)
"""The everything-server adds tools that ask once it knows what its client can be asked."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedRouter]:
    workspace = Workspace(tmp_path_factory.mktemp("real-servers"))
    with real_servers.remote("streamableHttp") as port:
        script = peers.npm_script("@modelcontextprotocol/server-everything", "dist/index.js")
        workspace.add_command("everything", peers.NODE, script, "stdio")
        workspace.add("everything-http", type="http", url=f"http://127.0.0.1:{port}/mcp")
        time = Path(peers.python_of("servers")).with_name("mcp-server-time")
        workspace.add_command("time", str(time), "--local-timezone", "UTC")
        with shared_router(workspace) as shared:
            yield shared


@pytest.fixture
def http(shared: SharedRouter) -> Target:
    """The shared router, for a new principal."""
    return Target("http", shared.workspace, shared.router, REVISION_2026, shared.token())


async def _all_ready(client: Client) -> None:
    with anyio.fail_after(READY_LIMIT_S):
        for name in SERVERS:
            await listed_when(client, name, lambda row: row["state"] == "ready")


# --- What is checked of each -----------------------------------------------------------------


async def _check_answer(client: Client, answer: real_servers.Answer) -> None:
    result = await call(client, answer.instance, answer.tool, answer.arguments)
    assert result.is_error == answer.is_error, result
    assert answer.fits(text_of(result)), result
    assert answer.structured is None or result.structured_content == answer.structured


async def _check_progress(client: Client, instance: str) -> None:
    seen: list[tuple[float, float | None]] = []
    complete = anyio.Event()

    async def note(progress: float, total: float | None, _: str | None) -> None:
        seen.append((progress, total))
        if len(seen) == 4:
            complete.set()
        await anyio.lowlevel.checkpoint()

    wanted = {"duration": 0.2, "steps": 4}
    result = await call(client, instance, OPERATION, wanted, progress_callback=note)
    assert text_of(result).startswith("Long running operation completed.")
    await complete.wait()  # the SDK runs callbacks in tasks of their own
    assert sorted(seen) == [(1.0, 4.0), (2.0, 4.0), (3.0, 4.0), (4.0, 4.0)]


async def _check_cancelling(client: Client, instance: str) -> None:
    async with anyio.create_task_group() as tasks:

        async def stop(*_: Any) -> None:
            tasks.cancel_scope.cancel()
            await anyio.lowlevel.checkpoint()

        wanted = {"duration": 60, "steps": 600}
        await call(client, instance, OPERATION, wanted, progress_callback=stop)
        pytest.fail("It was answered")
    assert await call_text(client, instance, "echo", message="here") == "Echo: here"
    assert (await listed(client))[instance]["restarts"] == 0


async def _check_questions(client: Client, instance: str) -> None:
    await listed_when(client, instance, lambda row: row["tools_count"] >= ASKING_TOOLS)
    arguments = {"prompt": "whisper", "maxTokens": 10}
    sampled = await call(client, instance, "trigger-sampling-request", arguments)
    assert '"model": "shouting"' in text_of(sampled)
    assert "WHISPER" in text_of(sampled)
    elicited = await call(client, instance, "trigger-elicitation-request")
    assert "declined" in text_of(elicited)


# --- Each of it over HTTP --------------------------------------------------------------------


@pytest.mark.parametrize("answer", ANSWERS, ids=str)
def test_each_server_answers_as_it_does_directly(answer: real_servers.Answer, http: Target) -> None:
    async def scenario() -> None:
        async with http.connect() as client:
            await _check_answer(client, answer)

    run(scenario)


def test_all_servers_answer_at_the_same_time(http: Target) -> None:
    async def scenario() -> None:
        async with http.connect() as client:
            await _all_ready(client)
            async with anyio.create_task_group() as tasks:
                for answer in ANSWERS * 5:
                    tasks.start_soon(_check_answer, client, answer)

    run(scenario)


def test_used_server_is_called_by_its_direct_names(http: Target) -> None:
    async def scenario() -> None:
        async with http.connect() as client:
            await _all_ready(client)
            used = value_of(await client.call_tool("mcp.router.use", {"instance_name": "time"}))
            names = [tool["name"] for tool in used["direct"]]
            assert names == ["time__get_current_time", "time__convert_time"]
            assert await tool_names(client) == OWN_TOOLS
            noon = {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}
            assert "T21:00:00" in text_of(await client.call_tool("time__convert_time", noon))

    run(scenario)


def test_every_answer_is_the_same_by_direct_name(http: Target) -> None:
    async def scenario() -> None:
        async with http.connect() as client:
            await _all_ready(client)
            for answer in ANSWERS:
                name = direct_name(answer.instance, answer.tool, 48)
                result = await client.call_tool(name, answer.arguments)
                assert result.is_error == answer.is_error, result
                assert answer.fits(text_of(result)), result

    run(scenario)


@pytest.mark.parametrize("instance", EVERYTHING)
def test_progress_of_each_step_arrives(instance: str, http: Target) -> None:
    async def scenario() -> None:
        async with http.connect() as client:
            await _check_progress(client, instance)

    run(scenario)


@pytest.mark.parametrize("instance", EVERYTHING)
def test_cancelled_call_leaves_the_server_usable(instance: str, http: Target) -> None:
    async def scenario() -> None:
        async with http.connect() as client:
            await _check_cancelling(client, instance)

    run(scenario)


@pytest.mark.parametrize("instance", EVERYTHING)
def test_question_of_a_server_is_answered_when_the_client_comes_back(
    instance: str, http: Target
) -> None:
    async def scenario() -> None:
        async with http.connect(**DECLINING_FORMS) as client:
            await _check_questions(client, instance)

    run(scenario)


# --- All of it on stdio: the everything-server takes its time to stop ------------------------


def test_all_that_goes_over_http_goes_on_stdio(shared: SharedRouter) -> None:
    async def scenario() -> None:
        async with Target("stdio", shared.workspace, mode=REVISION_2026).connect(
            **DECLINING_FORMS
        ) as client:
            await _all_ready(client)
            for answer in ANSWERS:
                await _check_answer(client, answer)
            for instance in EVERYTHING:
                await _check_progress(client, instance)
                await _check_cancelling(client, instance)
                await _check_questions(client, instance)

    run(scenario)
