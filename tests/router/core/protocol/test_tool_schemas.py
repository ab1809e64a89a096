"""The arguments of calls are checked against the tools' own schemas (OWASP MCP05)."""

from typing import Any

import pytest

from router.core.protocol import tool_schemas
from router.core.protocol.tool_schemas import Schemas
from router.messages.catalog import Catalog, Item
from router.messages.commands import CallTool
from router.messages.core_settings import CoreSettings
from router.messages.errors import INVALID_PARAMS, RpcError
from router.messages.events import CatalogChanged, CoreSettingsChanged
from tests.router.core.conversation import Conversation, FakeClient, FakeUpstream, raw, ready

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
    try:
        Schemas.of([listed(schema)]).check("t", raw(given))
    except RpcError as error:
        return error.message if error.code == INVALID_PARAMS else f"code {error.code}"
    return None


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
def test_key_that_is_there_twice_is_refused_at_any_depth(given: bytes, key: str) -> None:
    expected = f"arguments: the key {key} is there twice in one object"
    assert problem_of(CITY, given) == expected


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


def talking(schema: Any = CITY) -> tuple[Conversation, FakeClient, FakeUpstream]:
    talk, alice, upstream = ready()
    talk.happens(CatalogChanged(upstream.session, Catalog(tools=(listed(schema),))))
    alice.uses()
    return talk, alice, upstream


def routed(alice: FakeClient, given: Any) -> Any:
    called = {"instance_name": "a", "tool_name": "t", "arguments": given}
    return alice.calls("mcp.router.call", called)


def test_every_way_to_call_is_checked_and_nothing_is_sent() -> None:
    talk, alice, upstream = talking()
    assert routed(alice, {"city": 5}).tool_error == ("VALIDATION_ERROR", REFUSED)
    assert alice.calls("t", {"city": 5}).error == {"code": INVALID_PARAMS, "message": REFUSED}
    assert talk.admin_asks(CallTool("a", "t", raw({"city": 5}))).error.message == REFUSED
    assert upstream.sees() == []


def test_arguments_are_forwarded_byte_for_byte() -> None:
    _, alice, upstream = talking()
    exactly = b'{"city": "SELECT * FROM t; -- <script>alert(1)</script>", "n":1.0e2 }'
    alice.calls("t", raw(exactly))
    assert exactly in bytes(upstream.inbox.waiting[0].params)


def test_listing_anew_brings_new_schemas() -> None:
    talk, alice, upstream = talking()
    assert routed(alice, {"city": 5}).tool_error
    talk.happens(CatalogChanged(upstream.session, Catalog(tools=(listed({}),))))
    assert routed(alice, {"city": 5}).is_waiting


def test_checking_is_switched_off_and_on() -> None:
    talk, alice, _ = talking()
    for is_on in (False, True):
        talk.happens(CoreSettingsChanged(CoreSettings("1", enable_validation=is_on)))
        assert routed(alice, {"city": 5}).is_waiting is not is_on
