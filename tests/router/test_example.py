"""The example server, talked to by the SDK's client: in memory, and as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import mcp_types as types
import pytest
import trio
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.shared.exceptions import MCPError

from router import example

if TYPE_CHECKING:
    from trio.testing import MockClock

COMMAND = (sys.executable, "-m", "router.example")
TOOLS = ["add", "echo", "now", "word_count", "countdown", "fail"]

START_LIMIT_S = 60.0
"""Importing the SDK takes seconds on a busy machine."""


async def call(client: Client, tool: str, **arguments: Any) -> types.CallToolResult:
    result = await client.call_tool(tool, arguments)
    assert isinstance(result, types.CallToolResult)
    return result


def text_of(result: types.CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, types.TextContent)
    return content.text


# --- In a process of its own -----------------------------------------------------------------


async def test_real_client_on_stdio_finds_all_it_serves() -> None:
    with trio.fail_after(START_LIMIT_S):
        server = StdioServerParameters(command=COMMAND[0], args=list(COMMAND[1:]))
        async with Client(server) as client:
            assert client.server_info is not None
            assert client.server_info.name == "mcp-router-example"
            assert [tool.name for tool in (await client.list_tools()).tools] == TOOLS
            (resource,) = (await client.list_resources()).resources
            assert (resource.uri, resource.mime_type) == ("example://guide", "text/markdown")
            (template,) = (await client.list_resource_templates()).resource_templates
            assert template.uri_template == "example://greeting/{name}"
            (prompt,) = (await client.list_prompts()).prompts
            assert prompt.name == "summarize"
            assert text_of(await call(client, "add", a=2, b=0.5)) == "2.5"


def test_end_of_stdin_ends_it_with_0_and_stdout_carries_mcp_only() -> None:
    messages: list[dict[str, Any]] = [
        {
            "id": 1,
            "method": "initialize",
            "params": {
                "protocolVersion": "2024-11-05",
                "capabilities": {},
                "clientInfo": {"name": "test", "version": "1"},
            },
        },
        {"method": "notifications/initialized"},
        {"id": 2, "method": "ping"},
    ]
    lines = "".join(json.dumps({"jsonrpc": "2.0", **message}) + "\n" for message in messages)
    with subprocess.Popen(
        COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(lines)
        process.stdin.flush()
        answers = [json.loads(process.stdout.readline()) for _ in range(2)]
        out, _ = process.communicate(timeout=START_LIMIT_S)
    assert process.returncode == 0
    assert out == ""
    assert [answer["id"] for answer in answers] == [1, 2]
    assert answers[0]["result"]["protocolVersion"] == "2024-11-05"


# --- In memory -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "arguments", "text"),
    [
        ("add", {"a": 1, "b": 2}, "3"),
        ("echo", {"text": "Grüße; | & $ 数\n"}, "Grüße; | & $ 数\n"),
        ("countdown", {"start": 0}, "Counted down from 0."),
    ],
)
async def test_tools_answer_with_text(tool: str, arguments: dict[str, Any], text: str) -> None:
    with trio.fail_after(5):
        async with Client(example.server) as client:
            result = await call(client, tool, **arguments)
    assert (text_of(result), result.is_error) == (text, False)
    assert result.structured_content is None


async def test_word_count_is_structured() -> None:
    with trio.fail_after(5):
        async with Client(example.server) as client:
            result = await call(client, "word_count", text="one two\nthree")
    counts = {"characters": 13, "words": 3, "lines": 2}
    assert result.structured_content == counts
    assert json.loads(text_of(result)) == counts


async def test_now_is_told_in_the_time_zone_asked_for() -> None:
    with trio.fail_after(5):
        async with Client(example.server) as client:
            time = datetime.fromisoformat(text_of(await call(client, "now")))
    assert time.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("tool", "arguments", "text"),
    [
        ("fail", {"reason": "on purpose"}, "The tool failed on purpose"),
        ("now", {"timezone": "Nowhere/Land"}, "Unknown time zone: 'Nowhere/Land'"),
        ("now", {"timezone": "../etc/passwd"}, "Unknown time zone: '../etc/passwd'"),
        ("add", {"a": "x", "b": 1}, "Input should be a valid number"),
        ("countdown", {"start": -1}, "greater than or equal to 0"),
    ],
)
async def test_failing_tools_say_why(tool: str, arguments: dict[str, Any], text: str) -> None:
    with trio.fail_after(5):
        async with Client(example.server) as client:
            result = await call(client, tool, **arguments)
    assert result.is_error
    assert text in text_of(result)


async def test_countdown_reports_progress_at_each_step(autojump_clock: MockClock) -> None:
    seen: list[tuple[float, float | None, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        await trio.lowlevel.checkpoint()
        seen.append((progress, total, message))

    with trio.fail_after(60):
        async with Client(example.server) as client:
            began_s = trio.current_time()
            arguments = {"start": 2, "interval_s": 10}
            await client.call_tool("countdown", arguments, progress_callback=note)
            assert trio.current_time() - began_s == 20
    assert seen == [(0, 2, "2 to go"), (1, 2, "1 to go"), (2, 2, "Done")]


async def test_countdown_can_be_cancelled(autojump_clock: MockClock) -> None:
    with trio.fail_after(60):
        async with Client(example.server) as client:
            with trio.move_on_after(5) as scope:
                await client.call_tool("countdown", {"start": 1000, "interval_s": 60})
            assert scope.cancelled_caught
            # An async tool: the mock clock would not wait for the thread that a sync one runs in.
            assert text_of(await call(client, "countdown", start=0)) == "Counted down from 0."


async def test_resource_and_template_are_read() -> None:
    with trio.fail_after(5):
        async with Client(example.server) as client:
            (guide,) = (await client.read_resource("example://guide")).contents
            (greeting,) = (await client.read_resource("example://greeting/Ada")).contents
            with pytest.raises(MCPError):
                await client.read_resource("example://nothing")
    assert isinstance(guide, types.TextResourceContents)
    assert guide.text == example.GUIDE
    assert isinstance(greeting, types.TextResourceContents)
    assert (greeting.text, greeting.mime_type) == ("Hello, Ada!", "text/plain")


async def test_prompt_is_filled_in() -> None:
    with trio.fail_after(5):
        async with Client(example.server) as client:
            arguments = {"text": "A long story.", "sentences": "1"}
            (message,) = (await client.get_prompt("summarize", arguments)).messages
    assert isinstance(message.content, types.TextContent)
    assert message.content.text == (
        "Summarize the following text in at most 1 sentences.\n\nA long story."
    )


def test_guide_names_every_tool() -> None:
    assert all(f"`{tool}`" in example.GUIDE for tool in TOOLS)
