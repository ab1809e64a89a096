"""Words of a command line become the arguments of a call, by the schema of its tool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from router.cli.calling.tool_arguments import UnfitArguments, read_arguments

if TYPE_CHECKING:
    from pathlib import Path


def schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def problems(*words: str, of: dict[str, Any], given: dict[str, Any] | None = None) -> list[str]:
    with pytest.raises(UnfitArguments) as caught:
        read_arguments(words, of, given)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("wanted", "text", "value"),
    [
        ({"type": "string"}, "5", "5"),
        ({"type": "string"}, "null", "null"),
        ({"type": "string"}, "", ""),
        ({"type": "string"}, "a=b:=c", "a=b:=c"),
        ({"type": "integer"}, "-5", -5),
        ({"type": "integer"}, "9007199254740993", 9007199254740993),
        ({"type": "number"}, "1.5e2", 150.0),
        ({"type": "number"}, "3", 3),
        ({"type": "boolean"}, "true", True),
        ({"type": "boolean"}, "False", False),
        ({"type": "null"}, "null", None),
        ({"type": "object"}, '{"a": [1]}', {"a": [1]}),
        ({"type": "array"}, "[1, 2]", [1, 2]),
        ({"type": "array", "items": {"type": "integer"}}, "7", [7]),
        ({"type": ["integer", "null"]}, "null", None),
        ({"type": ["string", "null"]}, "null", "null"),
        ({"type": ["integer", "string"]}, "7", 7),
        ({"type": ["integer", "string"]}, "x7", "x7"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "x", "x"),
        ({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]}, "x", ["x"]),
        ({"enum": ["a", "b"]}, "b", "b"),
        ({"enum": [1, 2]}, "2", 2),
        ({"type": "string", "enum": ["1", "2"]}, "2", "2"),
        ({"const": "x"}, "x", "x"),
        ({"$ref": "#/$defs/Kind"}, "8", 8),
        ({"allOf": [{"$ref": "#/$defs/Kind"}]}, "8", 8),
        ({"allOf": [{"minLength": 1}, {"type": "string"}]}, "8", "8"),
        ({"$ref": "#/$defs/Itself"}, "8", 8),
        ({"$ref": "#/$defs/Only"}, "8", 8),
        ({}, "8", 8),
        ({}, "plain text", "plain text"),
        (True, "x", "x"),
    ],
)
def test_a_value_has_the_type_that_the_schema_says(wanted: Any, text: str, value: Any) -> None:
    kinds: dict[str, Any] = {
        "Kind": {"type": "integer"},
        "Itself": {"anyOf": [{"$ref": "#/$defs/Itself"}, {"$ref": "#/$defs/Kind"}]},
        "Only": {"oneOf": [{"$ref": "#/$defs/Only"}]},
    }
    of = schema(key=wanted) | {"$defs": kinds}
    read = read_arguments([f"key={text}"], of)
    assert read == {"key": value}
    assert type(read["key"]) is type(value)


@pytest.mark.parametrize(
    ("wanted", "text", "said"),
    [
        ({"type": "integer"}, "1.5", "expected an integer"),
        ({"type": "integer"}, "1_0", "expected an integer"),
        ({"type": "number"}, "nan", "expected a number"),
        ({"type": "number"}, "x", "expected a number"),
        ({"type": "boolean"}, "yes", "expected true or false"),
        ({"type": "null"}, "x", "expected null"),
        ({"type": "object"}, "[1]", "expected an object as JSON"),
        ({"type": "array"}, "[1", "expected an array, as JSON or by repeating the key"),
        ({"type": ["integer", "boolean"]}, "x", "expected an integer; or expected true or false"),
        ({"enum": ["red", "green"]}, "gren", "expected one of red, green"),
        ({"type": "string"}, "@/no/such/file", "/no/such/file cannot be read: No such file"),
    ],
)
def test_a_value_that_does_not_fit_says_what_would(wanted: Any, text: str, said: str) -> None:
    (problem,) = problems(f"key={text}", of=schema(key=wanted))
    assert problem.startswith(f"key: {said}")


def test_a_repeated_key_is_an_array() -> None:
    of = schema(ids={"type": "array", "items": {"type": "integer"}}, name={"type": "string"})
    assert read_arguments(["ids=1", "ids=2"], of) == {"ids": [1, 2]}
    assert problems("name=a", "name=b", of=of) == [
        "name: is given more than once, and takes one value"
    ]


def test_raw_json_is_taken_as_it_is() -> None:
    of = schema(key={"type": "string"})
    assert read_arguments(["key:=null"], of) == {"key": None}
    assert read_arguments(['key:=[1, "x"]'], of) == {"key": [1, "x"]}
    assert problems("key:=x", of=of) == [
        "key: what follows := is not JSON; a text needs its quotes"
    ]


def test_a_file_is_the_value_and_two_signs_are_one(tmp_path: Path) -> None:
    file = tmp_path / "数.txt"
    file.write_text("12")
    of = schema(text={"type": "string"}, count={"type": "integer"})
    words = [f"text=@{file}", f"count=@{file}"]
    assert read_arguments(words, of) == {"text": "12", "count": 12}
    assert read_arguments(["text=@@name"], of) == {"text": "@name"}
    file.write_bytes(b"\xff")
    assert "it is no UTF-8 text" in problems(f"text=@{file}", of=of)[0]


def test_unknown_and_missing_keys_are_named_with_the_nearest() -> None:
    of = schema(timezone={"type": "string"}, count={"type": "integer", "description": "How many"})
    of["required"] = ["count"]
    assert problems("timezon=UTC", "x:=1", "word", of=of) == [
        "word: expected key=value, key:=JSON or key=@file",
        "timezon: there is no such argument. Did you mean 'timezone', 'count'?",
        "x: there is no such argument. Did you mean 'timezone', 'count'?",
        "count: is missing (How many)",
    ]


def test_a_tool_without_arguments_takes_none_unless_it_says_nothing() -> None:
    closed = {"type": "object", "properties": {}, "additionalProperties": False}
    assert problems("a=1", of=closed) == ["a: there is no such argument; the tool takes none"]
    assert read_arguments(["a=1"], {"type": "object"}) == {"a": 1}
    open_ended = schema(a={"type": "string"}) | {"additionalProperties": {"type": "string"}}
    assert read_arguments(["a=1", "b=x"], open_ended) == {"a": "1", "b": "x"}


def test_given_arguments_count_and_words_win() -> None:
    of = schema(a={"type": "integer"}, b={"type": "integer"}) | {"required": ["a", "b"]}
    assert read_arguments(["b=2"], of, {"a": 1, "b": 1, "more": [1]}) == {
        "a": 1,
        "b": 2,
        "more": [1],
    }


def test_without_a_schema_values_are_texts() -> None:
    assert read_arguments(["a=1", "b:=2"], None) == {"a": "1", "b": 2}


def test_a_circle_of_references_ends() -> None:
    of = schema(a={"$ref": "#/properties/a"})
    assert read_arguments(["a=1"], of) == {"a": 1}


def test_what_a_problem_quotes_cannot_move_the_cursor() -> None:
    assert "\x1b" not in problems("\x1b[2J=1", "\x1b", of=schema(a={}))[0]


def test_schemas_of_no_sense_do_not_end_a_call() -> None:
    of = schema(key=True) | {"required": [5, ["a"], "key"]}
    assert problems(of=of) == ["key: is missing"]
    assert read_arguments(["key=x"], of) == {"key": "x"}


def test_words_that_are_no_utf_8_text_are_refused() -> None:
    of = schema(key={"type": "string"})
    assert problems("key=\udcff", of=of) == ["key=\udcff: is not UTF-8 text"]


@pytest.mark.parametrize("text", ["1_000", "\uff11\uff12", "nan", "1e999"])
def test_only_numbers_of_json_are_numbers(text: str) -> None:
    assert problems(f"key={text}", of=schema(key={"type": "number"})) == ["key: expected a number"]
