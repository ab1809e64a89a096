"""The router's own tools: their definitions, names and results."""

from typing import Any

import msgspec
import pytest

from router.core.protocol.own_tools import router_tools
from router.messages.errors import INSTANCE_NOT_FOUND, RpcError


def test_the_schemas_name_the_required_arguments() -> None:
    tools = [msgspec.json.decode(item.raw) for item in router_tools.items("dotted")]
    schemas = {tool["name"]: tool["inputSchema"] for tool in tools}
    assert list(schemas) == [
        router_tools.USE,
        router_tools.LIST,
        router_tools.HELP,
        router_tools.CALL,
    ]
    assert [schema.get("required", []) for schema in schemas.values()] == [
        ["instance_name"],
        [],
        [],
        ["instance_name", "tool_name"],
    ]
    assert schemas[router_tools.CALL]["properties"]["arguments"]["type"] == "object"
    assert all(tool["description"] for tool in tools)


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("mcp.router.use", "mcp.router.use"),
        ("mcp_router_use", "mcp.router.use"),
        ("mcp.router_use", None),
        ("MCP.router.use", None),
        ("echo", None),
    ],
)
def test_a_router_tool_has_two_spellings(name: str, canonical: str | None) -> None:
    assert router_tools.canonical_name(name) == canonical


@pytest.mark.parametrize(
    ("value", "structured"),
    [({"k": "é"}, {"k": "é"}), ([1], {"result": [1]}), ("Done", {"result": "Done"})],
)
def test_a_result_is_text_to_read_and_the_same_value_to_use(value: Any, structured: Any) -> None:
    result = msgspec.json.decode(router_tools.result_of(value, "2025-06-18"))
    assert result["structuredContent"] == structured
    assert result["isError"] is False
    (content,) = result["content"]
    assert msgspec.json.decode(content["text"]) == value
    assert "é" in content["text"] or "é" not in str(value)


def test_the_text_is_indented_by_two() -> None:
    result = msgspec.json.decode(router_tools.result_of({"a": [1]}, "2025-11-25"))
    assert result["content"][0]["text"] == '{\n  "a": [\n    1\n  ]\n}'


def test_older_revisions_know_no_structured_content() -> None:
    assert "structuredContent" not in msgspec.json.decode(router_tools.result_of({}, "2025-03-26"))


def test_an_error_is_a_result_with_message_and_code() -> None:
    error = RpcError(INSTANCE_NOT_FOUND, "Instance not found: 'é'")
    result = msgspec.json.decode(router_tools.error_result_of(error))
    assert result == {
        "content": [
            {
                "type": "text",
                "text": '{"error": "Instance not found: \'é\'", "code": "INSTANCE_NOT_FOUND"}',
            }
        ],
        "isError": True,
    }
