"""Entries: what is read of tools, prompts and resources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest import mock

import msgspec
import pytest

from router.messages.own_tools.search import IndexTools, Searchable
from router.search import entries
from router.search.entries import (
    ARGUMENT_CHARS,
    DETAILS_CHARS,
    NAME_CHARS,
    REST_CHARS,
    SENTENCE_CHARS,
    read_entry,
    split_description,
)

if TYPE_CHECKING:
    from router.search.reranking import Entry

BATCH = IndexTools("acme#1", "acme", "Things of Acme", ())


def read(described: Any, **more: Any) -> Entry:
    raw = described if isinstance(described, bytes) else msgspec.json.encode(described)
    offered = {"kind": "tool", "key": "own", "shown": "acme.own", **more}
    return read_entry(BATCH, Searchable(raw=msgspec.Raw(raw), **offered))


def test_a_tool_is_read_with_its_arguments_and_their_values() -> None:
    entry = read(
        {
            "name": "sort",
            "title": "Sort it",
            "description": "Sort rows. Slow for many.",
            "inputSchema": {
                "properties": {
                    "order": {"description": "The direction", "enum": ["rising", 1, "falling"]},
                    "limit": True,
                }
            },
        }
    )
    assert (entry.found.row, entry.found.kind, entry.found.key) == ("acme#1", "tool", "own")
    assert (entry.name, entry.title, entry.instance) == ("sort", "Sort it", "acme")
    assert (entry.first, entry.rest) == ("Sort rows.", "Slow for many.")
    assert (entry.arguments, entry.details) == (
        "order limit",
        "The direction rising falling",
    )
    assert (entry.shown, entry.summary) == ("acme.own", "Things of Acme")


def test_the_title_may_stand_in_the_annotations() -> None:
    assert read({"annotations": {"title": "Sort it"}}).title == "Sort it"


def test_a_prompt_is_read_with_its_arguments() -> None:
    prompt = {"name": "p", "arguments": [{"name": "tone", "description": "How to say it"}, 7]}
    entry = read(prompt, kind="prompt")
    assert (entry.arguments.strip(), entry.details) == ("tone", "How to say it")


def test_a_resource_is_read_with_its_name_for_people() -> None:
    resource = {"uri": "file:///a", "name": "Notes", "description": "My notes"}
    entry = read(resource, kind="resource", key="file:///a")
    assert (entry.found.key, entry.name, entry.first) == ("file:///a", "Notes", "My notes")


@pytest.mark.parametrize(
    "described",
    [
        b"{",
        b"[]",
        b"[" * 100_000,
        {"name": 1, "title": [], "description": {}, "annotations": 3, "inputSchema": "x"},
        {"inputSchema": {"properties": [1]}, "arguments": {"a": 1}},
        {"inputSchema": {"properties": {"a": {"enum": {"b": 1}, "description": 4}}}},
    ],
)
def test_what_cannot_be_read_leaves_the_name(described: Any) -> None:
    entry = read(described)
    assert (entry.name, entry.title, entry.first, entry.details) == ("own", "", "", "")


def test_of_long_entries_only_the_beginning_is_read() -> None:
    with mock.patch.object(entries.msgspec.json, "decode", wraps=msgspec.json.decode) as decode:
        long = {"enum": [[]] * 100_000}
        properties = {"a": {"description": "First"}, "b": long, "c": {"description": "Third"}}
        described = {"title": "T", "description": "D" * 100_000, "annotations": long}
        entry = read(described | {"inputSchema": {"properties": properties, "$defs": long}})
    assert (entry.title, entry.first) == ("T", "D" * SENTENCE_CHARS)
    assert (entry.arguments, entry.details) == ("a b c", "First")
    assert all(len(call.args[0]) < 101_000 for call in decode.call_args_list)
    assert read(b'{"title": "T", "description": ' + b"[" * 100_000).title == ""


def test_all_texts_are_bounded() -> None:
    long = "x" * 5000
    argument = {"description": long, "enum": [long]}
    properties = {f"{number}{long}": argument for number in range(100)}
    tool = {"name": long, "title": long, "description": long}
    entry = read({**tool, "inputSchema": {"properties": properties}})
    assert (len(entry.name), len(entry.title)) == (NAME_CHARS, NAME_CHARS)
    assert (len(entry.first), len(entry.rest)) == (SENTENCE_CHARS, REST_CHARS)
    assert (len(entry.arguments), len(entry.details)) == (DETAILS_CHARS, DETAILS_CHARS)
    long_values = {"a": {"enum": [long]}, "b": {"description": "After it"}}
    entry = read({"inputSchema": {"properties": long_values}})
    assert entry.details == "x" * ARGUMENT_CHARS + " After it"


@pytest.mark.parametrize(
    ("text", "first", "rest"),
    [
        ("", "", ""),
        ("Reads e.g. JSON. Fast.", "Reads e.g. JSON.", "Fast."),
        ("# Purpose: Reads files\n\nUse it often", "Reads files", "Use it often"),
        ("读取文件。很快。", "读取文件。", "很快。"),
    ],
)
def test_descriptions_are_split_after_their_first_sentence(
    text: str, first: str, rest: str
) -> None:
    assert split_description(text) == (first, rest)
