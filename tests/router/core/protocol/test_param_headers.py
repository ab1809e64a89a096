"""The headers that repeat arguments of a tool call (MCP 2026-07-28, Custom Headers)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw

from router.core.protocol.param_headers import ParamHeader, check, headers_of_tools
from router.core.text.raw_json import raw_of
from router.messages.catalog import Item
from router.messages.errors import HEADER_MISMATCH, RpcError

REGION = {"type": "string", "x-mcp-header": "Region"}
SURE = {"type": "boolean", "x-mcp-header": "Sure"}
LEVEL = {"type": "integer", "x-mcp-header": "Level"}
SCHEMA = {
    "type": "object",
    "properties": {
        "region": REGION,
        "sure": SURE,
        "where": {"type": "object", "properties": {"level": LEVEL}},
        "plain": {"type": "string"},
    },
}


def _declared(schema: Any) -> tuple[ParamHeader, ...]:
    item = Item("t", raw_of({"name": "t", "inputSchema": schema}))
    return headers_of_tools([item]).get("t", ())


DECLARED = _declared(SCHEMA)


# --- What a tool asks for --------------------------------------------------------------------


def test_marked_properties_are_found_with_the_keys_that_lead_to_them() -> None:
    assert set(DECLARED) == {
        ParamHeader("Region", ("region",), False),
        ParamHeader("Sure", ("sure",), False),
        ParamHeader("Level", ("where", "level"), True),
    }


def test_tools_that_ask_for_no_header_are_left_out() -> None:
    tools = [
        Item("plain", raw_of({"name": "plain", "inputSchema": {"type": "object"}})),
        Item("speaks", raw_of({"name": "speaks", "description": "x-mcp-header"})),
        Item("broken", raw_of({"name": "broken", "inputSchema": "x-mcp-header"})),
        Item("text", raw_of("x-mcp-header")),
    ]
    assert headers_of_tools(tools) == {}


def test_data_in_a_schema_marks_nothing() -> None:
    assert _declared({"properties": {"a": {"type": "string", "default": REGION}}}) == ()
    assert len(_declared({"properties": {"region": REGION}, "examples": [{"items": SURE}]})) == 1


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"type": "number", "x-mcp-header": "A"}}},
        {"properties": {"a": {"type": ["string", "null"], "x-mcp-header": "A"}}},
        {"properties": {"a": {"x-mcp-header": "A"}}},
        {"properties": {"a": {"type": "string", "x-mcp-header": ""}}},
        {"properties": {"a": {"type": "string", "x-mcp-header": "A b"}}},
        {"properties": {"a": {"type": "string", "x-mcp-header": 5}}},
        {"properties": {"a": REGION, "b": {"type": "string", "x-mcp-header": "REGION"}}},
        {"properties": {"a": {"type": "array", "items": REGION}}},
        {"properties": {"a": {"anyOf": [REGION]}}},
        {"properties": {"a": REGION}, "$defs": {"b": SURE}},
        {"properties": {"a": REGION}, "if": {"properties": {"b": SURE}}},
        {"type": "string", "x-mcp-header": "A"},
    ],
)
def test_a_schema_that_marks_what_it_must_not_asks_for_no_header_at_all(schema: Any) -> None:
    assert _declared(schema) == ()


# --- What a call has -------------------------------------------------------------------------


def _is_refused(arguments: Any, **sent: str | None) -> bool:
    try:
        check(DECLARED, None if arguments is None else raw_of(arguments), dict(sent))
    except RpcError as error:
        return error.code == HEADER_MISMATCH
    return False


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        (None, {}),
        ({}, {}),
        ({"plain": "x"}, {}),
        ({"region": None}, {}),
        ({"region": "eu"}, {"region": "eu"}),
        ({"region": ""}, {"region": ""}),
        ({"region": "\u4f60\n"}, {"region": "\u4f60\n"}),
        ({"sure": True}, {"sure": "true"}),
        ({"sure": False}, {"sure": "false"}),
        ({"where": {"level": 42}}, {"level": "42"}),
        ({"where": {"level": 42}}, {"level": "42.0"}),
        ({"where": {"level": 42.0}}, {"level": "42"}),
        ({"where": {"level": -(2**70)}}, {"level": str(-(2**70))}),
        ({"where": {"level": "high"}}, {"level": "high"}),
        ({"where": 5}, {}),
        ({"region": ["eu"]}, {}),
        ({"region": "eu"}, {"region": "eu", "of_nobody": "x"}),
        (["eu"], {}),
    ],
)
def test_headers_that_say_what_the_arguments_say_are_fine(
    arguments: Any, sent: dict[str, str]
) -> None:
    assert not _is_refused(arguments, **sent)


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ({"region": "eu"}, {}),
        ({"region": "eu"}, {"region": "us"}),
        ({"region": "eu"}, {"region": "EU"}),
        ({"region": "eu"}, {"region": None}),
        ({}, {"region": "eu"}),
        ({}, {"region": None}),
        (None, {"region": ""}),
        ({"region": None}, {"region": "null"}),
        ({"region": ["eu"]}, {"region": "['eu']"}),
        ({"sure": True}, {"sure": "True"}),
        ({"sure": True}, {"sure": "1"}),
        ({"where": {"level": 42}}, {"level": "42.5"}),
        ({"where": {"level": 42}}, {"level": "4.2e1"}),
        ({"where": {"level": 42.5}}, {"level": "42"}),
        ({"where": {"level": True}}, {"level": "1"}),
        (["eu"], {"region": "eu"}),
    ],
)
def test_a_header_that_says_something_else_is_refused(
    arguments: Any, sent: dict[str, str | None]
) -> None:
    assert _is_refused(arguments, **sent)


def test_the_error_names_header_and_argument() -> None:
    with pytest.raises(RpcError) as caught:
        check(DECLARED, raw_of({"where": {"level": 1}}), {})
    assert str(caught.value).startswith("Mcp-Param-Level must be sent once and repeat ")
    assert "params.arguments.where.level" in str(caught.value)


def test_arguments_that_cannot_be_decoded_are_left_to_the_server() -> None:
    check(DECLARED, Raw(b'{"region":1e999}'), {})
