"""Servers of other makers, all behind one router at once, and the example of ours.

The clients have a handshake. npm's everything-server is there three times: over stdio, streamable
HTTP and SSE. `real_servers` states the tools and the answers of each server.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import anyio
import mcp_types as types
import msgspec
import pytest

from benchmarks.tokens.token_counts import PROGRAM as COUNT_TOKENS
from router.core.text.token_estimates import estimate_tokens
from tests.e2e import peers, real_servers
from tests.e2e.client_answers import DECLINING_FORMS
from tests.e2e.sdk_client import (
    OWN_TOOLS,
    Seen,
    Target,
    call,
    call_text,
    error_of,
    listed,
    listed_when,
    run,
    text_of,
    tool_names,
    value_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcp import Client

    from tests.e2e.workspace import Workspace

EVERYTHING: Final = ["everything", "everything-http", "everything-sse"]
WAYS: Final = [
    *[(transport, instance) for transport in ("http", "sse") for instance in EVERYTHING],
    ("stdio", "everything"),
]
"""Client transport and server, for what may go differently on each way through the router."""

READY_LIMIT_S: Final = 60.0


@pytest.fixture(scope="module")
def real_workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A folder with every server configured; the remote ones run."""
    folder = tmp_path_factory.mktemp("real-servers")
    with real_servers.remote("streamableHttp") as http_port, real_servers.remote("sse") as sse_port:
        yield real_servers.write_workspace(folder, http_port=http_port, sse_port=sse_port)


@pytest.fixture(scope="module")
def http(real_workspace: Workspace) -> Iterator[Target]:
    """The one router in front of them, over streamable HTTP."""
    with real_workspace.serve() as router:
        yield Target("http", real_workspace, router)


@pytest.fixture(params=["http", "sse", "stdio"])
def target(request: pytest.FixtureRequest, http: Target) -> Target:
    """The same router over SSE too, and one more on stdio."""
    router = None if request.param == "stdio" else http.router
    return Target(request.param, http.workspace, router)


async def _all_ready(client: Client) -> dict[str, dict[str, Any]]:
    """Wait until every server is ready; return the rows of `mcp.router.list`."""
    with anyio.fail_after(READY_LIMIT_S):
        for name in real_servers.TOOLS:
            await listed_when(client, name, lambda row: row["state"] == "ready")
        return await listed(client)


async def _check_answer(client: Client, answer: real_servers.Answer) -> None:
    result = await call(client, answer.instance, answer.tool, answer.arguments)
    assert result.is_error == answer.is_error, result
    assert answer.fits(text_of(result)), result
    if answer.structured is not None:
        assert result.structured_content == answer.structured


# --- Lists -----------------------------------------------------------------------------------


def test_every_server_becomes_ready_and_help_names_its_tools(target: Target) -> None:
    async def scenario() -> None:
        async with target.connect() as client:
            rows = await _all_ready(client)
            assert {name: row["transport_type"] for name, row in rows.items()} == real_servers.TYPES
            assert {row["last_error"] for row in rows.values()} == {None}
            shown = value_of(await client.call_tool("mcp.router.help", {}))
            assert list(shown) == list(rows)
            for name, tools in real_servers.TOOLS.items():
                assert tools <= {tool["name"] for tool in shown[name]["tools"]}

    run(scenario)


def test_help_shows_all_of_a_tool_that_is_asked_for(http: Target) -> None:
    async def scenario() -> None:
        async with http.connect() as client:
            await _all_ready(client)
            asked = {"instance_name": "filesystem", "query": "COMPLETE contents"}
            shown = value_of(await client.call_tool("mcp.router.help", asked))
            await client.call_tool("mcp.router.use", {"instance_name": "filesystem"})
            listed_tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            (tool,) = [
                one for one in shown["filesystem"]["tools"] if one["name"] == "read_text_file"
            ]
            own = listed_tools["read_text_file"].model_dump(by_alias=True, exclude_none=True)
            assert tool == {key: own[key] for key in tool}
            assert {"title", "annotations", "outputSchema"} <= set(tool)
            assert list(shown) == ["filesystem"]
            wrong = {"instance_name": "filesystem", "tool_name": "read_txt_file"}
            message, code = error_of(await client.call_tool("mcp.router.help", wrong))
            assert code == "TOOL_NOT_FOUND"
            assert "Did you mean 'read_text_file', " in message

    run(scenario)


LEAST_TOKENS: Final = 500
"""Of a list by which an estimate is judged: a single odd word weighs too much in a shorter one."""


def test_estimates_of_tokens_come_within_a_tenth_of_a_real_tokenizer(http: Target) -> None:
    shown: dict[str, Any] = {}

    async def scenario() -> None:
        async with http.connect() as client:
            await _all_ready(client)
            shown.update(value_of(await client.call_tool("mcp.router.help", {})))

    peers.npm_script("gpt-tokenizer", "package.json")
    run(scenario)
    tools = [(name, msgspec.json.encode(tool)) for name in shown for tool in shown[name]["tools"]]
    command = [peers.NODE, str(COUNT_TOKENS)]
    texts = msgspec.json.encode([text.decode() for _, text in tools])
    ran = subprocess.run(command, input=texts, capture_output=True, check=True, cwd=peers.SOURCES)
    counted, estimated = Counter[str](), Counter[str]()
    for (name, text), tokens in zip(tools, msgspec.json.decode(ran.stdout), strict=True):
        counted[name] += tokens
        estimated[name] += estimate_tokens(text)
    ratios = {name: estimated[name] / counted[name] for name in shown}
    judged = {name for name in shown if counted[name] > LEAST_TOKENS}
    assert "filesystem" in judged
    assert {name: ratios[name] for name in judged if not 0.9 < ratios[name] < 1.1} == {}
    assert 0.9 < estimated.total() / counted.total() < 1.1


@pytest.mark.parametrize("instance", EVERYTHING)
def test_tools_that_come_after_the_handshake_are_listed(instance: str, http: Target) -> None:
    """The server adds them on `notifications/initialized`, for what the router declared."""

    def is_complete(row: dict[str, Any]) -> bool:
        return row["tools_count"] >= len(
            real_servers.TOOLS[instance] | real_servers.TOOLS_FOR_CAPABLE_CLIENTS
        )

    async def scenario() -> None:
        async with http.connect() as client:
            await listed_when(client, instance, is_complete)
            used = value_of(await client.call_tool("mcp.router.use", {"instance_name": instance}))
            assert set(used["tools"]) >= real_servers.TOOLS_FOR_CAPABLE_CLIENTS
            assert await tool_names(client) == OWN_TOOLS + used["tools"]

    run(scenario)


# --- Answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", real_servers.ANSWERS, ids=str)
def test_each_server_answers_as_it_does_directly(answer: real_servers.Answer, http: Target) -> None:
    async def scenario() -> None:
        async with http.connect() as client:
            await _check_answer(client, answer.in_folder(http.workspace.path / "work"))

    run(scenario)


def test_all_servers_answer_at_the_same_time(target: Target) -> None:
    async def scenario() -> None:
        async with target.connect() as client:
            await _all_ready(client)
            async with anyio.create_task_group() as tasks:
                for answer in real_servers.ANSWERS * 5:
                    here = answer.in_folder(target.workspace.path / "work")
                    tasks.start_soon(_check_answer, client, here)

    run(scenario)


@pytest.mark.parametrize("instance", EVERYTHING)
def test_image_arrives_whole(instance: str, http: Target) -> None:
    async def scenario() -> None:
        async with http.connect() as client:
            before, image, after = (await call(client, instance, "get-tiny-image")).content
            assert before.text == "Here's the image you requested:"
            assert after.text == "The image above is the MCP logo."
            assert (image.type, image.mime_type) == ("image", "image/png")
            assert image.data == real_servers.tiny_image()

    run(scenario)


def test_two_servers_work_on_the_same_files(http: Target) -> None:
    async def scenario() -> None:
        path = http.workspace.path / "work" / "written.txt"
        async with http.connect() as client:
            wrote = await call_text(
                client,
                "filesystem",
                "write_file",
                path=str(path),
                content="za\u017c\u00f3\u0142\u0107\n",
            )
            assert wrote == f"Successfully wrote to {path}"
            assert path.read_text(encoding="utf-8") == "za\u017c\u00f3\u0142\u0107\n"
            status = await call_text(client, "git", "git_status", repo_path=str(path.parent))
            assert "Untracked files" in status
            assert "written.txt" in status

    run(scenario)


def test_server_remembers_from_one_client_to_the_next(http: Target) -> None:
    trio = {"name": "Trio", "entityType": "library", "observations": ["has nurseries"]}

    async def tell() -> None:
        async with http.connect() as client:
            await call_text(client, "memory", "create_entities", entities=[trio])

    async def ask() -> None:
        async with http.connect() as client:
            found = await call(client, "memory", "search_nodes", {"query": "nurseries"})
            assert found.structured_content == {"entities": [trio], "relations": []}

    run(tell)
    run(ask)


# --- Progress, cancellation, questions -------------------------------------------------------


def _long(duration_s: float, steps: int) -> dict[str, Any]:
    return {"duration": duration_s, "steps": steps}


@pytest.mark.parametrize(("target", "instance"), WAYS, indirect=["target"])
def test_progress_of_each_step_arrives(instance: str, target: Target) -> None:
    async def scenario() -> None:
        seen: list[tuple[float, float | None]] = []
        complete = anyio.Event()

        async def note(progress: float, total: float | None, _: str | None) -> None:
            seen.append((progress, total))
            if len(seen) == 4:
                complete.set()
            await anyio.lowlevel.checkpoint()

        async with target.connect() as client:
            result = await call(
                client,
                instance,
                "trigger-long-running-operation",
                _long(0.2, 4),
                progress_callback=note,
            )
            assert text_of(result).startswith("Long running operation completed.")
            await complete.wait()  # the SDK runs callbacks in tasks of their own
            assert sorted(seen) == [(1.0, 4.0), (2.0, 4.0), (3.0, 4.0), (4.0, 4.0)]

    run(scenario)


@pytest.mark.parametrize(("target", "instance"), WAYS, indirect=["target"])
def test_cancelled_call_leaves_the_server_usable(instance: str, target: Target) -> None:
    async def scenario() -> None:
        async with target.connect() as client:
            async with anyio.create_task_group() as tasks:

                async def stop(*_: Any) -> None:
                    tasks.cancel_scope.cancel()
                    await anyio.lowlevel.checkpoint()

                await call(
                    client,
                    instance,
                    "trigger-long-running-operation",
                    _long(60, 600),
                    progress_callback=stop,
                )
                pytest.fail("It was answered")
            assert await call_text(client, instance, "echo", message="still here") == (
                "Echo: still here"
            )
            assert (await listed(client))[instance]["restarts"] == 0

    run(scenario)


@pytest.mark.parametrize(("target", "instance"), WAYS, indirect=["target"])
def test_question_of_a_server_reaches_the_client_whose_call_it_is(
    instance: str, target: Target
) -> None:
    async def scenario() -> None:
        async with target.connect(**DECLINING_FORMS) as client:
            arguments = {"prompt": "whisper", "maxTokens": 10}
            sampled = await call(client, instance, "trigger-sampling-request", arguments)
            assert '"model": "shouting"' in text_of(sampled)
            assert "WHISPER" in text_of(sampled)
            elicited = await call(client, instance, "trigger-elicitation-request")
            assert "declined" in text_of(elicited)

    run(scenario)


def test_question_is_refused_where_the_client_cannot_answer_it(http: Target) -> None:
    async def scenario() -> None:
        async with http.connect() as client:
            arguments = {"prompt": "whisper", "maxTokens": 10}
            result = await call(client, "everything", "trigger-sampling-request", arguments)
            assert result.is_error
            assert "sampling" in text_of(result)

    run(scenario)


# --- Changes ---------------------------------------------------------------------------------


def test_changed_list_of_a_server_reaches_those_who_use_it(http: Target) -> None:
    """The chaos upstream adds a tool of a new name whenever its `grow` is called."""

    async def scenario() -> None:
        seen = Seen()
        async with http.connect(message_handler=seen.take) as client:
            await client.call_tool("mcp.router.use", {"instance_name": "growing"})
            await seen.wait_for(types.ToolListChangedNotification)
            before = await tool_names(client)
            seen.notifications.clear()
            grown = await call_text(client, "growing", "grow")
            await seen.wait_for(types.ToolListChangedNotification)
            assert await tool_names(client) == [*before, grown]

    run(scenario)
