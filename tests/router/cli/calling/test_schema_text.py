"""Arguments of tools, written for a person."""

from __future__ import annotations

from typing import Any

import pytest
from rich.cells import cell_len

from router.cli.calling.schema_text import compact, described, type_text

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "path": {"type": "string", "description": "Where to\nlook"},
        "kind": {"enum": ["a", "b"]},
        "depth": {"type": "integer", "default": 2},
        "ids": {"type": "array", "items": {"type": "integer"}},
        "shape": {"$ref": "#/$defs/Shape"},
    },
    "required": ["path", "shape"],
    "$defs": {"Shape": {"type": "object"}},
}


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (SCHEMA, "(path, kind?, depth?, ids?, shape)"),
        ({}, "()"),
        ({"properties": {"\x1b": {}}, "required": "no list"}, "(\\x1b?)"),
    ],
)
def test_a_list_has_the_names_and_marks_optional_ones(schema: Any, text: str) -> None:
    assert compact(schema) == text


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "integer"}, "integer"),
        ({"type": ["integer", "null"]}, "integer | null"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string | null"),
        ({"enum": ["a", 1]}, '"a" | 1'),
        ({"const": "x"}, '"x"'),
        ({"type": "array", "items": {"type": "integer"}}, "array of integer"),
        ({"$ref": "#/$defs/Shape"}, "Shape"),
        ({}, "any"),
        (True, "any"),
    ],
)
def test_types_in_a_few_words(schema: Any, text: str) -> None:
    assert type_text(schema) == text


def test_all_about_a_tool() -> None:
    tool = {"name": "find", "description": "Find files.\n\nAnd folders.", "inputSchema": SCHEMA}
    assert described("files", tool, None) == [
        "find",
        "  Find files.",
        "",
        "  And folders.",
        "",
        "Arguments:",
        "  path   string            required   Where to look",
        '  kind   "a" | "b"         optional',
        "  depth  integer           default 2",
        "  ids    array of integer  optional",
        "  shape  Shape             required",
        "",
        '  Shape is {"type":"object"}',
        "",
        "mcp-router call files find path=STRING shape=SHAPE",
    ]


def test_at_forty_columns_nothing_is_lost() -> None:
    about = "一个很长的说明" * 6
    properties = {"路径": {"type": "string", "description": about}}
    tool = {"name": "找", "inputSchema": {"properties": properties}}
    lines = described("文件", tool, 40)
    assert max(map(cell_len, lines[:-1])) <= 40
    assert "".join(line.strip() for line in lines[3:-2]).endswith(about)


def test_a_tool_without_arguments_says_so() -> None:
    assert described("a", {"name": "t"}, 80) == [
        *("t", "", "It takes no arguments.", "", "mcp-router call a t"),
    ]
