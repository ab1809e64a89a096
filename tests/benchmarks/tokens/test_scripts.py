from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.tokens import scripts
from benchmarks.tokens.conversation import Conversation, FailedCallError
from benchmarks.tokens.tasks import Task, Use
from tests.benchmarks.tokens.fake_client import FakeClient

FILES = Path("/files")
READ = Use(
    "disk/read", ("read a file", "disk read"), ({"path": "{files}/a"}, {"path": "{files}/b"})
)
TASK = Task("read", (READ,), 'await call_tool("disk__read", {"path": "{files}/a"})', "text")
FOUND = {"tools": [{"name": "disk__read"}], "schema": {}}
CALLS = [
    ("mcp.router.call_tool", {"name": "disk__read", "arguments": {"path": "/files/a"}}),
    ("mcp.router.call_tool", {"name": "disk__read", "arguments": {"path": "/files/b"}}),
]


def _client(found: Any = FOUND, **more: Any) -> FakeClient:
    own = {
        "search": found,
        "describe": {"tools": []},
        "call_tool": "text",
        "run": "text",
        "list": [],
        "call": "text",
        **more,
    }
    return FakeClient({"disk__read": "text"} | {f"mcp.router.{k}": v for k, v in own.items()})


def test_listed_tools_are_called_at_once() -> None:
    client = _client()
    scripts.by_direct_names(Conversation(client), TASK, FILES)
    assert client.calls == [
        ("disk__read", {"path": "/files/a"}),
        ("disk__read", {"path": "/files/b"}),
    ]


def test_a_tool_found_with_its_schema_is_called_without_being_described() -> None:
    client = _client()
    scripts.by_searching(Conversation(client), TASK, FILES)
    assert client.calls == [("mcp.router.search", {"query": "read a file"}), *CALLS]


@pytest.mark.parametrize(
    "found",
    [
        {"tools": [{"name": "disk__read"}]},
        {"tools": [{"name": "disk__list"}, {"name": "disk__read"}], "schema": {}},
    ],
)
def test_a_tool_found_without_its_schema_is_described_first(found: Any) -> None:
    client = _client(found)
    scripts.by_searching(Conversation(client), TASK, FILES)
    assert client.calls[1:] == [("mcp.router.describe", {"tools": ["disk__read"]}), *CALLS]


def test_other_words_are_tried_and_then_the_script_gives_up() -> None:
    nothing: dict[str, Any] = {"tools": []}
    client = _client(lambda asked: FOUND if asked["query"] == "disk read" else nothing)
    scripts.by_searching(Conversation(client), TASK, FILES)
    assert [asked.get("query") for _, asked in client.calls[:2]] == ["read a file", "disk read"]
    with pytest.raises(FailedCallError, match="No search finds disk__read: read a file, disk read"):
        scripts.by_searching(Conversation(_client(nothing)), TASK, FILES)


def test_nothing_is_searched_twice_in_one_conversation() -> None:
    client = _client()
    conversation = Conversation(client)
    for _ in range(2):
        scripts.by_searching(conversation, TASK, FILES)
    assert [name for name, _ in client.calls].count("mcp.router.search") == 1


def test_code_is_run_once_after_its_tools_were_found() -> None:
    client = _client()
    scripts.by_code(Conversation(client), TASK, FILES)
    code = 'await call_tool("disk__read", {"path": "/files/a"})'
    assert client.calls == [
        ("mcp.router.search", {"query": "read a file"}),
        ("mcp.router.run", {"code": code}),
    ]


@pytest.mark.parametrize(
    ("tool", "asked"),
    [
        ({"name": "read", "inputSchema": {}}, [{"instance_name": "disk"}]),
        (
            {"name": "read"},
            [{"instance_name": "disk"}, {"instance_name": "disk", "tool_name": "read"}],
        ),
    ],
)
def test_help_is_asked_again_for_a_tool_whose_schema_it_left_out(
    tool: dict[str, Any], asked: list[dict[str, str]]
) -> None:
    client = _client(help={"disk": {"tools": [tool]}})
    conversation = Conversation(client)
    for _ in range(2):
        scripts.by_instances(conversation, TASK, FILES)
    names = [name for name, _ in client.calls]
    assert names.count("mcp.router.list") == 1
    assert [given for name, given in client.calls if name == "mcp.router.help"] == asked
    assert names.count("mcp.router.call") == 4


@pytest.mark.parametrize(("listed", "first"), [("mcp.router.search",) * 2, ("disk__read",) * 2])
def test_a_view_that_chooses_is_used_as_its_list_says(listed: str, first: str) -> None:
    client = _client()
    conversation = Conversation(client)
    conversation.texts["listing"].append(f'{{"name":"{listed}"}}')
    scripts.by_what_is_listed(conversation, TASK, FILES)
    assert client.calls[0][0] == first
