"""`jsonc`: files of clients are read with comments, or refused with a place."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.files.jsonc.document import DEPTH_LIMIT, JsoncDocument, Node, parse_jsonc
from router.messages.errors import ConfigError
from tests.router.files.jsonc.jsonc_texts import jsonc_texts

_TOKENS = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\r\n]*|/\*.*?\*/', re.DOTALL)


def _reference_parse(data: bytes) -> Any:
    """Return what Python's own parser makes of a file without its comments and last commas."""
    text = _TOKENS.sub(lambda found: found[1] or " ", data.decode("utf-8-sig"))
    text = re.sub(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])', lambda found: found[1] or " ", text)
    return json.loads(text)


def _problem(data: bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_jsonc(data, "mcp.json")
    assert caught.value.place == "mcp.json"
    return caught.value.problem


@given(jsonc_texts())
def test_any_file_is_read_as_the_value_that_was_written(file: tuple[bytes, Any]) -> None:
    data, value = file

    document = parse_jsonc(data, "mcp.json")

    assert document.value == value
    assert document.data == data


@given(st.lists(st.sampled_from(['"a"', "{", "}", "[", "]", ",", ":", "1", " ", "//\n", "/**/"])))
def test_what_is_accepted_reads_like_plain_json_without_comments(parts: list[str]) -> None:
    data = "".join(parts).encode()
    try:
        document = parse_jsonc(data, "mcp.json")
    except ConfigError:
        return
    if document.root is not None:
        assert document.value == _reference_parse(data)


def _spans(document: JsoncDocument, node: Node) -> None:
    """Check that each part of a file, read alone, is the value that the whole has there."""
    alone = parse_jsonc(document.data[node.start : node.end], "a part")
    assert alone.value == node.value
    for child in node.children:
        assert child.end == child.node.end
        if child.key is not None:
            key = parse_jsonc(b"{" + document.data[child.start : child.end] + b"}", "a part")
            assert key.value == {child.key: child.node.value}
        _spans(document, child.node)


@given(jsonc_texts())
def test_the_span_of_each_value_holds_exactly_that_value(file: tuple[bytes, Any]) -> None:
    document = parse_jsonc(file[0], "mcp.json")

    assert document.root is not None
    _spans(document, document.root)


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b" \n", b"// nothing yet\n", b"/* */"])
def test_an_empty_file_is_an_empty_object(data: bytes) -> None:
    assert parse_jsonc(data, "mcp.json").value == {}


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b'{"a": 1', "line 1, column 8: invalid JSON: it ends too early: } is missing"),
        (b'{"a": [1, ', "line 1, column 11: invalid JSON: it ends too early"),
        (b'{\n  "a": 1\n  "b": 2\n}', "line 3, column 3: invalid JSON: expected , or }"),
        (b'{"a" 1}', "line 1, column 6: invalid JSON: expected : after a key"),
        (b"{a: 1}", 'line 1, column 2: invalid JSON: expected a key in " or }'),
        (b"{'a': 1}", 'line 1, column 2: invalid JSON: expected a key in " or }'),
        (b'{"a": 1,,}', 'line 1, column 9: invalid JSON: expected a key in " or }'),
        (b"[,]", "line 1, column 2: invalid JSON: expected a value"),
        (b'{"a": NaN}', "line 1, column 7: invalid JSON: expected a value"),
        (b'{"a": 01}', "line 1, column 7: invalid JSON: this is no number of JSON"),
        (b'{"a": 1x}', "line 1, column 7: invalid JSON: this is no number of JSON"),
        (b"{} {}", "line 1, column 4: invalid JSON: something follows the end of its value"),
        (b'{"a": 1} /* x', "line 1, column 10: invalid JSON: the comment has no closing */"),
        (b'{"a": "x}', 'line 1, column 7: invalid JSON: the string has no closing "'),
        (b'{"a": "x\n"}', 'line 1, column 7: invalid JSON: the string has no closing "'),
        (b'{"a": "\\q"}', "line 1, column 8: invalid JSON: the string has a \\ that begins no"),
        (b'{"a": "\\u12"}', "line 1, column 8: invalid JSON: the string has a \\ that begins no"),
        (b'{"a": "\t"}', "line 1, column 8: invalid JSON: the string holds a control character"),
        ('{"中": 1, "中": 2}'.encode(), "line 1, column 10: the key 中 is there twice in one"),
        (b'{"a": 1, "\\u0061": 2}', "line 1, column 10: the key a is there twice in one object"),
        (b'{"a": 1e999}', "line 1, column 7: the number is too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "line 1, column 7: the number is too large"),
        (b'{"a":\n "\xff"}', "line 2, column 3: is not UTF-8; save it as UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "line 1, column 8: is not UTF-8; save it as UTF-8"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(data: bytes, problem: str) -> None:
    assert _problem(data).startswith(problem)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_deep_nesting_is_refused_and_ends_no_process(opening: bytes) -> None:
    parse_jsonc(b"[" * DEPTH_LIMIT + b"]" * DEPTH_LIMIT, "mcp.json")

    assert "is nested too deeply; 100 levels" in _problem(opening * 100_000)


def test_a_lone_surrogate_stays_in_the_string() -> None:
    assert parse_jsonc(b'{"a": "\\ud83d"}', "mcp.json").value == {"a": "\ud83d"}


@pytest.mark.parametrize("data", [b'{"a": "' + b"x" * 10**6, b"/*" * 10**6, b"/**/" * 10**6 + b"?"])
def test_a_hostile_file_takes_no_more_time_than_its_length(data: bytes) -> None:
    assert "line 1" in _problem(data)


def test_values_are_found_by_their_path() -> None:
    document = parse_jsonc(b'{\n  "servers": {"a": 1},\n  "inputs": [{"id": "x"}]\n}', "mcp.json")

    found = document.find(("inputs", 0, "id"))
    assert found is not None
    assert found.value == "x"
    assert document.find(()) is document.root
    assert document.find(("servers", "b")) is None
    assert document.find(("servers", 0)) is None
    assert document.find(("inputs", 1)) is None
    assert document.find(("inputs", 0, "id", "deeper")) is None
    assert document.where(("servers", "a")) == "line 2, column 20"
    assert document.where(("servers", "none")) == "line 1, column 1"
