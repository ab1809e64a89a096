"""The arguments of tools in one line."""

from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.text import signatures as subject
from router.core.text.sentences import cut_to_one_line
from router.core.text.signatures import MAX_CHARS, prompt_signature, signature


def of_type(schema: Any, **root: Any) -> str:
    """Return what is written of the type of one argument."""
    written = signature({"properties": {"x": schema}, "required": ["x"]} | root)
    assert written.startswith("x: ")
    return written.removeprefix("x: ")


def test_required_arguments_come_first_in_their_order_and_others_are_marked() -> None:
    schema = {
        "properties": {"a": {"type": "string"}, "c": {"type": "integer"}, "b": {"type": "number"}},
        "required": ["b", "c"],
    }
    assert signature(schema) == "b: number, c: integer, a?: string"


@pytest.mark.parametrize(
    "schema",
    [None, True, "odd", [], {}, {"properties": {}}, {"properties": None, "required": None}],
)
def test_a_schema_without_properties_has_no_arguments(schema: Any) -> None:
    assert signature(schema) == ""


def test_an_argument_that_is_required_and_not_described_may_be_anything() -> None:
    assert signature({"required": ["x", 1]}) == "x: any"


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (True, "any"),
        (False, "any"),
        ({}, "any"),
        ({"type": "odd"}, "any"),
        ({"type": 5}, "any"),
        ({"type": "boolean"}, "boolean"),
        ({"type": "object", "properties": {"y": {}}}, "object"),
        ({"properties": {"y": {}}}, "object"),
        ({"type": "array"}, "any[]"),
        ({"type": "array", "items": {"type": "string"}}, "string[]"),
        ({"type": "array", "items": {"type": "array", "items": {"type": "number"}}}, "number[][]"),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, '("a"|"b")[]'),
        ({"type": ["string", "null"]}, "string"),
        ({"type": ["string", "array"], "items": {"type": "integer"}}, "string|integer[]"),
        ({"type": ["null"]}, "null"),
        ({"type": "null"}, "null"),
        ({"enum": ["a", "b", None]}, '"a"|"b"'),
        ({"type": "integer", "enum": [1, 2]}, "1|2"),
        ({"const": True}, "true"),
        ({"const": None}, "any"),
        ({"enum": [str(number) for number in range(50)]}, "string"),
        ({"type": "integer", "enum": list(range(50))}, "integer"),
        ({"enum": ["x" * 100]}, "string"),
        ({"enum": [{"a": 1}]}, "any"),
        ({"enum": ["a\nb\u202e"]}, '"a\\nb "'),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string"),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, "string|integer"),
        ({"anyOf": [{"type": "string"}, {}]}, "any"),
        ({"anyOf": []}, "null"),
        ({"allOf": [{"description": "d"}, {"type": "string"}]}, "string"),
        ({"allOf": [{}]}, "any"),
        ({"type": "object", "anyOf": [{"required": ["y"]}]}, "object"),
        ({"anyOf": [{"type": "string"}, *[{"const": number} for number in range(9)]]}, "any"),
    ],
)
def test_types_are_short(schema: Any, expected: str) -> None:
    assert of_type(schema) == expected


def test_references_within_the_schema_are_followed() -> None:
    defs = {"Mode": {"enum": ["r", "w"]}, "a/b": {"$ref": "#/$defs/Mode"}}
    assert of_type({"$ref": "#/$defs/Mode"}, **{"$defs": defs}) == '"r"|"w"'
    assert of_type({"$ref": "#/$defs/a~1b"}, **{"$defs": defs}) == '"r"|"w"'


@pytest.mark.parametrize("reference", ["#/$defs/none", "https://example.com/schema", 7, "#"])
def test_a_reference_that_leads_nowhere_may_be_anything(reference: Any) -> None:
    assert of_type({"$ref": reference}) in {"any", "object"}


def test_a_schema_that_contains_itself_is_cut_off() -> None:
    tree = {"type": "array", "items": {"$ref": "#/$defs/tree"}}
    assert of_type({"$ref": "#/$defs/tree"}, **{"$defs": {"tree": tree}}) == "any[][]"
    loop = {"anyOf": [{"$ref": "#/$defs/loop"}, {"type": "string"}]}
    assert of_type({"$ref": "#/$defs/loop"}, **{"$defs": {"loop": loop}}) == "any"


def test_a_schema_that_branches_at_each_level_takes_bounded_work() -> None:
    branch = {"anyOf": [{"$ref": "#/$defs/branch"}] * 7}
    properties = {f"x{number}": branch for number in range(5000)}
    written = signature({"properties": properties, "$defs": {"branch": branch}})
    assert written.startswith("x0?: any, x1?: any")


def test_a_signature_that_is_too_long_says_how_many_arguments_it_leaves_out() -> None:
    names = [f"argument_number_{number}" for number in range(100)]
    written = signature({"properties": {name: {"type": "string"} for name in names}})
    shown, _, rest = written.rpartition(", ")
    assert len(shown) <= MAX_CHARS
    assert rest == f"and {100 - len(shown.split(', '))} more"


class Unread(list[Any]):
    """A list of which only a slice may be read."""

    def __iter__(self) -> Any:
        raise AssertionError


class Unsplit(str):
    """A text that may not be split."""

    def removeprefix(self, prefix: str, /) -> str:
        raise AssertionError(prefix)


def test_long_values_and_references_are_not_read_to_their_end() -> None:
    assert of_type({"enum": Unread(["x"] * 100)}) == "string"
    assert of_type({"type": Unread(["string"] * 100)}) == "string"
    assert of_type({"enum": ["x" * 100], "type": "string"}) == "string"
    assert of_type({"$ref": Unsplit("#" + "/x" * 200)}) == "any"


def test_of_many_arguments_only_those_are_read_for_which_there_is_room() -> None:
    properties = {f"x{number}": True for number in range(1000)}
    with mock.patch.object(subject, "cut_to_one_line", wraps=cut_to_one_line) as cut:
        written = signature({"properties": properties})
        assert written.endswith(f"and {1000 - written.count(':')} more")
        prompt_signature([{"name": name} for name in properties])
    assert cut.call_count < MAX_CHARS


def test_names_are_bounded_and_printable() -> None:
    name = "a\n\u200bb" + "c" * 100
    assert signature({"required": [name]}) == "a b" + "c" * 60 + "…: any"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=8)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "required", "items", "anyOf", "oneOf", "enum", "$ref", "x"]
            )
            | st.text(max_size=5),
            inner | st.sampled_from(["string", "array", "#", "#/properties/x"]),
            max_size=8,
        )
    ),
    max_leaves=40,
)


@given(JSON)
def test_whatever_the_schema_is_the_line_is_bounded_and_printable(schema: Any) -> None:
    written = signature(schema)
    assert len(written) <= MAX_CHARS + len(", and 100 more")
    assert written.isprintable()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (None, ""),
        ("odd", ""),
        ([1, {"name": 5}, {}], ""),
        ([{"name": "tone"}, {"name": "topic", "required": True}], "topic, tone?"),
    ],
)
def test_arguments_of_prompts_are_their_names(arguments: Any, expected: str) -> None:
    assert prompt_signature(arguments) == expected
