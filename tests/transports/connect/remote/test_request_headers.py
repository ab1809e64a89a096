"""The headers of requests of MCP 2026-07-28, as a server gets them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from router.messages.catalog import Catalog, Item
from router.messages.frames import Request, RequestWithHeaders, Response
from tests.transports.connect.remote.fake_server import (
    Call,
    discovered,
)
from transports.connect.remote.request_headers import RequestHeaders


def tool(name: str, **properties: Any) -> Item:
    """Return a tool with these arguments, by name -> schema."""
    schema = {"type": "object", "properties": properties}
    return Item(name, Raw(json.dumps({"name": name, "inputSchema": schema}).encode()))


@pytest.mark.parametrize(
    ("method", "params", "name"),
    [
        ("tools/list", "{}", None),
        ("tools/call", '{"name":"echo","arguments":{}}', "echo"),
        ("prompts/get", '{"name":"greeting"}', "greeting"),
        ("resources/read", '{"uri":"file:///a%20b?c=d"}', "file:///a%20b?c=d"),
        ("resources/read", '{"name":"no", "uri":"a://b"}', "a://b"),
        ("tasks/get", '{"taskId":"t1"}', "t1"),
        ("tasks/update", '{"taskId":"t1","inputResponses":{}}', "t1"),
        ("tasks/cancel", '{"taskId":"t1"}', "t1"),
        ("tools/call", '{"name":"\\u00e9"}', "=?base64?w6k=?="),
        ("tools/call", '{"name":" a"}', "=?base64?IGE=?="),
        ("tools/call", '{"name":"a\\r\\nb: c"}', "=?base64?YQ0KYjogYw==?="),
        ("tools/call", '{"name":"=?base64?YQ==?="}', "=?base64?PT9iYXNlNjQ/WVE9PT89?="),
        ("tools/call", '{"name":5}', None),
        ("tools/call", "{}", None),
        ("tools/call", "", None),
    ],
)
async def test_headers_say_what_the_message_says(
    method: str, params: str, name: str | None
) -> None:
    async with discovered(Call.result) as talk:
        await talk.request(3, method, params)
        first, second = talk.server.calls
        assert first.mcp_headers == {
            "mcp-protocol-version": "2026-07-28",
            "mcp-method": "server/discover",
        }
        expected = {"mcp-protocol-version": "2026-07-28", "mcp-method": method}
        assert second.mcp_headers == expected | ({} if name is None else {"mcp-name": name})


async def test_a_method_that_no_header_could_hold_is_encoded() -> None:
    async with discovered(Call.result) as talk:
        await talk.request(3, "tomorrow/\r\né")
        assert talk.server.calls[1].headers["mcp-method"] == "=?base64?dG9tb3Jyb3cvDQrDqQ==?="


async def test_headers_of_the_instance_override_none_of_them() -> None:
    headers = {
        "MCP-Protocol-Version": "2025-11-25",
        "mcp-method": "tools/list",
        "Mcp-Name": "other",
        "Mcp-Param-Region": "moon",
        "Mcp-Session-Id": "s1",
        "Last-Event-ID": "e1",
        "X-Own": "kept",
    }
    async with discovered(Call.result, headers=headers) as talk:
        await talk.request(3, "tools/call", '{"name":"echo"}')
        await talk.request(5, "tools/list")
        call, listing = talk.server.calls[1:]
        expected = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call"}
        assert call.mcp_headers == expected | {"mcp-name": "echo"}
        assert listing.mcp_headers == expected | {"mcp-method": "tools/list"}
        for sent in talk.server.calls:
            assert sent.headers["x-own"] == "kept"
            assert "last-event-id" not in sent.headers


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"region":"eu","deep":{"level":7},"sure":true,"plain":"p"}', "eu 7 true"),
        ('{"region":"é"}', "=?base64?w6k=?= - -"),
        ('{"region":null,"deep":7}', "- - -"),
        ('{"deep":{"level":123456789012345678901}}', "- 123456789012345678901 -"),
        ('{"region":"eu","deep":{"level":' + 5000 * "9" + "}}", "- - -"),
        ("[]", "- - -"),
        ("{}", "- - -"),
    ],
)
async def test_arguments_are_repeated_in_the_headers_that_a_tool_names(
    arguments: str, expected: str
) -> None:
    annotated = tool(
        "where",
        region={"type": "string", "x-mcp-header": "Region"},
        sure={"type": "boolean", "x-mcp-header": "Sure"},
        plain={"type": "string"},
        deep={
            "type": "object",
            "properties": {"level": {"type": "integer", "x-mcp-header": "Level"}},
        },
    )
    async with discovered(Call.result) as talk:
        talk.wire.set_catalog(Catalog(tools=(tool("other"), annotated)))
        for number, name in ((3, "where"), (5, "other")):
            params = f'{{"name":"{name}","arguments":{arguments}}}'
            await talk.request(number, "tools/call", params)
        headers = talk.server.calls[1].headers
        got = [headers.get(f"mcp-param-{name}", "-") for name in ("region", "level", "sure")]
        assert " ".join(got) == expected
        assert "mcp-param-plain" not in headers
        assert not any(name.startswith("mcp-param-") for name in talk.server.calls[2].headers)


async def test_headers_for_arguments_follow_the_catalog() -> None:
    async with discovered(Call.result) as talk:
        params = '{"name":"t","arguments":{"a":"1"}}'
        for number, header in enumerate(("One", "Two")):
            annotated = tool("t", a={"type": "string", "x-mcp-header": header})
            talk.wire.set_catalog(Catalog(tools=(annotated,)))
            await talk.request(2 * number + 3, "tools/call", params)
        talk.wire.set_catalog(Catalog())
        await talk.request(7, "tools/call", params)
        sent = [
            {name for name in call.headers if name.startswith("mcp-param-")}
            for call in talk.server.calls[1:]
        ]
        assert sent == [{"mcp-param-one"}, {"mcp-param-two"}, set()]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "number", "x-mcp-header": "A"},
        {"type": "string", "x-mcp-header": "A: b\r\n"},
        {"type": "string", "x-mcp-header": 5},
    ],
)
async def test_an_annotation_that_is_not_allowed_makes_no_header(schema: Any) -> None:
    async with discovered(Call.result) as talk:
        talk.wire.set_catalog(Catalog(tools=(tool("t", a=schema),)))
        await talk.request(3, "tools/call", '{"name":"t","arguments":{"a":"1"}}')
        assert "mcp-name" in talk.server.calls[1].mcp_headers
        assert not any(name.startswith("mcp-param-") for name in talk.server.calls[1].headers)


@pytest.mark.parametrize("schema", ["[" * 5000 + "]" * 5000, '"\\ud800x"', "null", "[]"])
async def test_a_tool_that_cannot_be_read_can_be_called(schema: str) -> None:
    async with discovered(Call.result) as talk:
        unreadable = Item("t", Raw(b'{"inputSchema":%b}' % schema.encode()))
        talk.wire.set_catalog(Catalog(tools=(unreadable,)))
        params = '{"name":"t","arguments":{"a":"1"}}'
        assert await talk.request(3, "tools/call", params) == Response(3, Raw(b"{}"))


# --- Headers of clients ----------------------------------------------------------------------


def test_headers_of_a_client_go_with_its_request_unless_something_else_decides_about_them() -> None:
    headers = RequestHeaders(frozenset({"x-configured"}))
    sent = {"x-tenant": "t1", "x-configured": "theirs", "mcp-name": "theirs", "mcp-param-x": "y"}
    request = RequestWithHeaders(1, "tools/call", headers=sent)
    assert headers.forwarded_with(request) == {"x-tenant": "t1"}
    assert headers.forwarded_with(Request(1, "tools/call")) is None
