"""Arguments are compared with the tool's own schema (OWASP MCP05)."""

from typing import Any

import pytest

from router.core.protocol import tool_schemas
from router.core.protocol.tool_schemas import Schemas
from router.messages.catalog import Item
from tests.router.core.conversation import raw

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
REFUSED = 'arguments.city: the value is not of type "string"'
LIST = {"properties": {"a": {"items": {"type": "integer"}}}}
TREE = {
    "$ref": "#/$defs/t",
    "$defs": {"t": {"type": "object", "additionalProperties": {"$ref": "#"}}},
}
DOUBLING = {
    "$ref": "#/$defs/0",
    "$defs": {str(i): {"allOf": [{"$ref": f"#/$defs/{i + 1}"}] * 2} for i in range(40)}
    | {"40": {"type": "integer"}},
}


def listed(schema: Any) -> Item:
    return Item("t", raw({"name": "t"} | ({} if schema is None else {"inputSchema": schema})))


def problem_of(schema: Any, given: Any) -> str | None:
    return Schemas.of([listed(schema)]).problem_in("t", raw(given))


@pytest.mark.parametrize(
    ("schema", "given", "problem"),
    [
        (CITY, {"city": "Bonn"}, None),
        (CITY, {"city": 5}, REFUSED),
        (CITY, None, 'arguments: "city" is a required property'),
        (LIST, {"a": [1, "x"]}, 'arguments.a[1]: the value is not of type "integer"'),
        (LIST, b'{"a":[' + b"9" * 100 + b"]}", None),
        (LIST, b'{"a":[1e999]}', None),
        ({"$schema": "http://json-schema.org/draft-07/schema#"} | CITY, {"city": 5}, REFUSED),
        (TREE, {"a": {"b": {}}}, None),
        (TREE, {"a": {"b": 1}}, "arguments: do not match the tool's inputSchema"),
        ({"allOf": [{"$ref": "#/allOf/1"}, {"type": "array"}]}, {}, "arguments: the value is not"),
    ],
)
def test_arguments_are_checked_against_the_schema(
    schema: Any, given: Any, problem: str | None
) -> None:
    found = problem_of(schema, given)
    assert (found is None) == (problem is None)
    assert (found or "").startswith(problem or "")


@pytest.mark.parametrize(
    ("given", "key"),
    [
        (b'{"city":"Bonn","city":"Bonn"}', '"city"'),
        (b'{"city":5,"city":"Bonn"}', '"city"'),
        (b'{"city":"Bonn","x":[{"y":{"z":1,"z":2}}]}', '"z"'),
        (b'{"city":"Bonn","c\\u0069ty":"Bonn"}', '"city"'),
        # Numbers that are longer when written anew, and quotes that are.
        (b'{"city":"Bonn","a":1,"a":2,"n":1e20}', '"a"'),
        (b'{"city":"\\u0022\\u0022","a":1,"a":2}', '"a"'),
        (b'{"city":"Bonn","a":1,"a":1e999}', '"a"'),
        (b'{"city":"Bonn","\\ud800":1,"\\ud800":2,"n":1e999}', '"\\\\ud800"'),
    ],
)
def test_key_that_is_there_twice_is_a_mistake_at_any_depth(given: bytes, key: str) -> None:
    expected = f"arguments: the key {key} is there twice in one object"
    assert problem_of(CITY, given) == expected


def test_repeated_keys_are_named_once_each_and_before_what_else_does_not_fit() -> None:
    assert problem_of(CITY, b'{"b":1,"b":2,"b":3,"city":[{"a":1,"a":1}]}') == (
        'arguments: the key "a" is there twice in one object; '
        'arguments: the key "b" is there twice in one object; ' + REFUSED
    )


def test_all_mistakes_are_named_with_their_places() -> None:
    schema = {**LIST, "required": ["b"], "additionalProperties": False}
    found = problem_of(schema, {"a": [1, "x", "y"], "c": 1})
    assert found is not None
    assert sorted(found.split("; ")) == [
        'arguments.a[1]: the value is not of type "integer"',
        'arguments.a[2]: the value is not of type "integer"',
        'arguments: "b" is a required property',
        "arguments: Additional properties are not allowed ('c' was unexpected)",
    ]


def test_of_many_mistakes_the_first_ones_are_named_and_the_others_counted() -> None:
    found = problem_of(LIST, {"a": ["x"] * 13})
    assert found is not None
    assert found.count("arguments.a[") == tool_schemas.MAX_MISTAKES
    assert found.endswith("; and 3 more")


def test_where_it_would_take_long_to_collect_all_mistakes_the_first_is_named() -> None:
    given = {"a": ["x"] * tool_schemas.MAX_MISTAKE_CHECKS}
    assert problem_of(LIST, given) == 'arguments.a[0]: the value is not of type "integer"'


@pytest.mark.parametrize(
    "given",
    [
        b'{ "city" : "Bo\\u006en", "a": {"city": 1}, "b": [{"a": 1}, {"a": 1}], "n": 1.50 }',
        b'{"city":"say \\"a\\": 1, \\u0022a\\u0022: 2"}',
        b'{"city":"Bonn","City":1,"a":"a","b":"a"}',
    ],
)
def test_keys_that_only_look_alike_are_let_through(given: bytes) -> None:
    assert problem_of(CITY, given) is None


def test_without_a_schema_a_key_may_be_there_twice() -> None:
    assert problem_of(None, b'{"a":1,"a":2}') is None


@pytest.mark.parametrize(
    "schema",
    [
        None,
        {"type": "nonsense"},
        {"$ref": "http://127.0.0.1:9/x"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "#/nowhere"},
        {"$dynamicRef": "#x"},
        {"properties": {"a": {"$id": "urn:x", "type": "integer"}}},
        {"properties": {"a": {"pattern": "(a{1000}){1000}"}}},
        {"properties": {"a": {"pattern": "("}}},
        {"type": "array", "title": "x" * tool_schemas.MAX_SCHEMA_BYTES},
        DOUBLING,
        b'{"not":' * 600 + b"{}" + b"}" * 600,
    ],
)
def test_invalid_or_expensive_schema_is_left_to_the_server(schema: Any) -> None:
    if isinstance(schema, bytes):
        assert tool_schemas.compile_schema(raw(schema)) is None
    else:
        assert problem_of(schema, {"a": "x"}) is None


def test_no_value_is_quoted_and_messages_are_short() -> None:
    found = problem_of({"properties": {"a": {"enum": ["x" * 5000]}}}, {"a": "canary"})
    assert found is not None
    assert "canary" not in found
    assert len(found) == tool_schemas.MAX_MESSAGE + 1
