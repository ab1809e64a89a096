"""Names and attributes by the MCP semantic conventions."""

from typing import Any

import pytest

from router.telemetry import semantics
from tests.router.telemetry.records import call


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "tools/call log"),
        ({"method": "prompts/get", "target": "review"}, "prompts/get review"),
        ({"method": "resources/read", "target": "file:///etc/motd"}, "resources/read"),
        ({"target": ""}, "tools/call"),
    ],
)
def test_spans_are_named_by_method_and_what_is_one_of_few(
    changes: dict[str, Any], name: str
) -> None:
    assert semantics.span_name(call(**changes)) == name


def test_a_call_of_a_tool_has_the_attributes_of_the_conventions() -> None:
    assert semantics.metric_attributes(call()) == {
        "mcp.method.name": "tools/call",
        "gen_ai.tool.name": "log",
        "gen_ai.operation.name": "execute_tool",
        "mcp_router.instance": "git",
    }


def test_a_prompt_has_its_name_and_a_resource_its_uri() -> None:
    prompt = call(method="prompts/get", target="review")
    resource = call(method="resources/read", target="file:///a")
    assert semantics.metric_attributes(prompt)["gen_ai.prompt.name"] == "review"
    assert semantics.client_attributes(resource) == {"mcp.resource.uri": "file:///a"}
    assert semantics.server_attributes(resource)["mcp.resource.uri"] == "file:///a"
    assert "file:///a" not in semantics.metric_attributes(resource).values()


def test_a_name_that_a_client_has_thought_up_is_on_its_span_alone() -> None:
    record = call(target="x" * 5000, sent_after_s=None, outcome="error", code=-32602)
    assert semantics.span_name(record) == "tools/call"
    assert "gen_ai.tool.name" not in semantics.metric_attributes(record)
    assert semantics.server_attributes(record)["gen_ai.tool.name"] == "x" * 1024


def test_a_long_name_that_got_to_a_server_is_cut() -> None:
    record = call(target="x" * 5000, outcome="tool_error")
    assert semantics.span_name(record) == "tools/call " + "x" * 1024
    assert semantics.metric_attributes(record)["gen_ai.tool.name"] == "x" * 1024


def test_codes_that_a_server_has_thought_up_are_told_apart_on_spans_alone() -> None:
    record = call(outcome="error", code=123456789)
    code = {"rpc.response.status_code": "_OTHER", "error.type": "_OTHER"}
    assert semantics.metric_attributes(record).items() >= code.items()
    code = {"rpc.response.status_code": "123456789", "error.type": "123456789"}
    assert semantics.client_attributes(record) == code
    assert semantics.server_attributes(record).items() >= code.items()


def test_methods_that_are_not_of_mcp_are_told_apart_on_spans_alone() -> None:
    record = call(method="x/" + "y" * 5000, target="")
    assert semantics.span_name(record) == "_OTHER"
    assert semantics.metric_attributes(record)["mcp.method.name"] == "_OTHER"
    shown = "x/" + "y" * 1022
    assert semantics.server_attributes(record)["mcp.method.name"] == shown
    assert semantics.client_attributes(record)["mcp.method.name"] == shown


def test_the_routers_own_tools_have_their_names() -> None:
    record = call(target="mcp.router.list", instance="", sent_after_s=None)
    assert semantics.span_name(record) == "tools/call mcp.router.list"
    assert semantics.metric_attributes(record)["gen_ai.tool.name"] == "mcp.router.list"


def test_what_is_not_known_is_left_out() -> None:
    bare = call(
        method="tasks/get", instance="", target="", revision="", principal="", address="", client=""
    )
    assert semantics.metric_attributes(bare) == {"mcp.method.name": "tasks/get"}
    assert semantics.client_attributes(bare) == {}
    assert semantics.server_attributes(bare) == {
        "network.transport": "tcp",
        "network.protocol.name": "http",
        "jsonrpc.request.id": "7",
        "mcp_router.request.size": 10,
        "mcp_router.response.size": 20,
    }


@pytest.mark.parametrize(
    ("outcome", "code", "error"),
    [
        ("ok", 0, None),
        ("tool_error", 0, "tool_error"),
        ("error", -32011, "-32011"),
        ("cancelled", 0, None),
        ("gone", 0, None),
    ],
)
def test_only_what_failed_has_an_error_type(outcome: str, code: int, error: str | None) -> None:
    record = call(outcome=outcome, code=code)
    attributes = semantics.metric_attributes(record)
    assert semantics.error_type(record) == attributes.get("error.type") == error
    assert attributes.get("rpc.response.status_code") == (str(code) if code else None)


def test_calls_that_nobody_waited_for_say_so() -> None:
    assert semantics.server_attributes(call(outcome="gone"))["mcp_router.outcome"] == "gone"
    assert "mcp_router.outcome" not in semantics.server_attributes(call())


def test_the_client_is_described_on_the_span_of_its_request() -> None:
    attributes = semantics.server_attributes(call())
    assert attributes == {
        "mcp.protocol.version": "2025-11-25",
        "network.transport": "tcp",
        "network.protocol.name": "http",
        "jsonrpc.request.id": "7",
        "mcp.session.id": "a session",
        "client.address": "10.0.0.7",
        "mcp_router.principal": "team",
        "mcp_router.request.size": 10,
        "mcp_router.response.size": 20,
    }


def test_stdio_is_a_pipe_and_requests_without_a_session_have_none() -> None:
    record = call(principal="stdio", address="", revision="2026-07-28")
    attributes = semantics.server_attributes(record)
    assert attributes["network.transport"] == "pipe"
    assert attributes["mcp_router.principal"] == "stdio"
    assert "network.protocol.name" not in attributes
    assert "mcp.session.id" not in attributes
