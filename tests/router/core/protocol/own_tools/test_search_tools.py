"""The arguments of the tools that search, and the line that names the servers."""

from typing import Any

import pytest

from router.core.protocol.own_tools import search_tools
from router.core.protocol.own_tools.router_tools import canonical_name
from router.core.protocol.own_tools.search_tools import (
    MAX_LIMIT,
    MAX_QUERY_CHARS,
    MAX_SERVERS_BYTES,
    SearchArguments,
    called_tool_of,
    described_names_of,
    search_arguments_of,
    servers_line,
)
from router.messages.errors import RpcError
from tests.router.core.conversation import raw


def refusal(read: Any, arguments: Any) -> str:
    with pytest.raises(RpcError) as caught:
        read(raw(arguments))
    assert caught.value.code == -32602
    return caught.value.message


# --- Definitions -------------------------------------------------------------------------------


def test_each_tool_is_known_by_both_spellings() -> None:
    for definition in search_tools.DEFINITIONS["search"]:
        name = definition["name"]
        assert canonical_name(name) == canonical_name(name.replace(".", "_")) == name


def test_equal_arguments_give_the_same_object() -> None:
    first = search_tools.items("search", "dotted", "a")
    assert search_tools.items("search", "dotted", "a") is first
    assert search_tools.items("search", "dotted", "b") is not first


def test_names_of_servers_are_left_as_they_are_in_every_spelling() -> None:
    item = search_tools.items("search", "underscored", "x (calls mcp.router.list)")[0]
    assert b"Servers: x (calls mcp.router.list)" in bytes(item.raw)
    assert b"mcp_router_call_tool" in bytes(item.raw)


# --- Servers -----------------------------------------------------------------------------------


def test_servers_are_named_with_their_summaries() -> None:
    assert servers_line(()) == ""
    assert servers_line((("a", "Reads."), ("b", ""))) == "a (Reads.), b"


def test_a_short_summary_leaves_its_room_to_the_longer_ones() -> None:
    line = servers_line((("a", "é" * 2000), ("b", "Short."), ("c", "c" * 2000)))
    assert MAX_SERVERS_BYTES - 8 < len(line.encode()) <= MAX_SERVERS_BYTES
    assert "b (Short.)" in line
    shown = [len(part.encode()) for part in line.split(", ")]
    assert abs(shown[0] - shown[2]) < 8


def test_all_names_are_shown_before_any_summary() -> None:
    servers = tuple((f"server-{number:03}", "x" * 50) for number in range(80))
    line = servers_line(servers)
    assert len(line.encode()) <= MAX_SERVERS_BYTES
    assert all(name in line for name, _ in servers)


def test_names_without_room_are_counted() -> None:
    servers = tuple((f"文件-{number:03}", "Summary.") for number in range(500))
    line = servers_line(servers)
    assert len(line.encode()) <= MAX_SERVERS_BYTES
    names, _, rest = line.partition(" and ")
    assert rest == f"{500 - len(names.split(', '))} more"


# --- Arguments of `search` ---------------------------------------------------------------------


def test_a_query_is_enough() -> None:
    nothing = {"limit": None, "instance": None, "kind": None}
    assert search_arguments_of(raw({"query": " read  "} | nothing)) == SearchArguments("read")
    every = {"query": "q", "limit": 20, "instance": "a", "kind": "resource", "odd": 1}
    assert search_arguments_of(raw(every)) == SearchArguments("q", 20, "a", "resource")
    assert search_arguments_of(raw({"query": "q", "limit": 3.0})).limit == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "arguments must be an object"),
        ({}, "arguments.query is missing"),
        ({"query": 5}, "arguments.query must be a string"),
        ({"query": " "}, "arguments.query is empty; say in a few words what to find"),
        ({"query": "q", "Limit": 1}, "arguments: 'Limit' differs from a known key in case"),
        ({"query": "q", "instance": 1}, "arguments.instance must be a string"),
        (
            {"query": "q", "kind": "tools"},
            'arguments.kind must be one of "tool", "prompt", "resource"',
        ),
    ],
)
def test_arguments_of_a_search_that_make_no_sense_are_refused(arguments: Any, message: str) -> None:
    assert refusal(search_arguments_of, arguments) == message


@pytest.mark.parametrize("limit", [0, MAX_LIMIT + 1, -1, "5", True, 1.5, [], {}])
def test_a_limit_is_an_integer_within_its_range(limit: Any) -> None:
    message = refusal(search_arguments_of, {"query": "q", "limit": limit})
    assert message == "arguments.limit must be an integer from 1 to 20"


def test_a_number_that_nobody_can_read_is_no_limit() -> None:
    assert "limit" in refusal(search_arguments_of, b'{"query": "q", "limit": 1e999}')


def test_a_query_is_bounded() -> None:
    longest = "x" * MAX_QUERY_CHARS
    assert search_arguments_of(raw({"query": longest})).query == longest
    assert "longer than 1,000 characters" in refusal(search_arguments_of, {"query": longest + "x"})


# --- Arguments of `describe` and `call_tool` ---------------------------------------------------


def test_names_are_described_once_each_and_one_needs_no_array() -> None:
    assert described_names_of(raw({"tools": ["a", "b", "a"]})) == ["a", "b"]
    assert described_names_of(raw({"tools": "a"})) == ["a"]


@pytest.mark.parametrize(
    ("tools", "message"),
    [
        (None, "arguments.tools is missing"),
        (5, "arguments.tools must be an array of names"),
        (["a", 5], "arguments.tools must be an array of names"),
        ([], "arguments.tools must have from 1 to 20 names"),
        (list(map(str, range(21))), "arguments.tools must have from 1 to 20 names"),
    ],
)
def test_names_that_make_no_sense_are_refused(tools: Any, message: str) -> None:
    assert refusal(described_names_of, {"tools": tools}) == message


def test_a_tool_without_arguments_is_called_with_none() -> None:
    for arguments in ({}, {"arguments": None}, {"arguments": {}}):
        called = called_tool_of(raw({"name": "a__b"} | arguments))
        assert (called.name, bytes(called.arguments)) == ("a__b", b"{}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "arguments.name is missing"),
        ({"name": "a", "arguments": [1]}, "arguments.arguments must be an object"),
        ({"Name": "a"}, "arguments: 'Name' differs from a known key in case"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused(arguments: Any, message: str) -> None:
    assert refusal(called_tool_of, arguments) == message


def test_arguments_of_a_tool_that_stand_beside_its_name_are_refused_with_their_place() -> None:
    message = refusal(called_tool_of, {"name": "a__b", "path": "x"})
    assert message == (
        'arguments.path: arguments of the tool belong into "arguments": {…}, beside "name"'
    )
    assert called_tool_of(raw({"name": "a__b", "path": "x", "arguments": {}})).name == "a__b"
