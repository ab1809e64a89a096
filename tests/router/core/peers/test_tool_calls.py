"""Calls of the router's own tools, and of tools of instances."""

from typing import Any

import pytest

from router.core.names.direct_names import direct_name
from router.messages.commands import Principal
from router.messages.core_settings import CoreSettings
from router.messages.events import CoreSettingsChanged
from tests.router.core.conversation import Conversation, raw, ready, spec

# --- The router's own tools --------------------------------------------------------------------


@pytest.mark.parametrize("listed", ["dotted", "underscored"])
@pytest.mark.parametrize("name", ["mcp.router.list", "mcp_router_list"])
def test_both_spellings_are_accepted_in_a_call(listed: str, name: str) -> None:
    assert Conversation(tool_names=listed).client().calls(name).text == []


def test_use_without_a_session_is_answered_and_forgotten() -> None:
    talk, _, _ = ready()
    lone = talk.client(one_shot=True)
    assert lone.uses().text["instance"] == "a"
    assert lone.outbox.take() == []


def test_use_waits_for_an_instance_that_starts() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    alice = talk.client()
    used = alice.uses()
    assert used.is_waiting
    talk.starting("a")
    talk.up("a", "echo")
    assert used.text["tools"] == ["echo"]


# --- Tools of the selected instance ------------------------------------------------------------


def test_a_selected_tool_is_called_by_its_own_name_and_its_result_is_untouched() -> None:
    _, alice, upstream = ready()
    alice.uses()
    call = alice.calls("echo", {"b": 1, "a": [1.50, "é"]}, extra={"kept": True})
    seen = upstream.sees_one()
    assert seen["method"] == "tools/call"
    assert seen["params"] == {
        "name": "echo",
        "arguments": {"b": 1, "a": [1.5, "é"]},
        "extra": {"kept": True},
    }
    upstream.answers(seen, b'{"content" : [],  "x":1.50}')
    assert call.result_bytes == b'{"content" : [],  "x":1.50}'


@pytest.mark.parametrize("spelling", [{}, {"arguments": None}], ids=["missing", "null"])
def test_arguments_may_be_missing_or_null(spelling: dict[str, None]) -> None:
    _, alice, upstream = ready()
    alice.uses()
    alice.asks("tools/call", {"name": "echo"} | spelling)
    assert upstream.sees_one()["params"] == {"name": "echo"}
    assert alice.asks("tools/call", {"name": "mcp.router.list"} | spelling).text[0]["name"] == "a"


def test_arguments_that_are_no_object_are_refused() -> None:
    _, alice, upstream = ready()
    alice.uses()
    error = alice.calls("echo", [1]).error
    assert error == {"code": -32602, "message": "params.arguments must be an object"}
    assert upstream.sees() == []


def test_a_task_is_never_asked_of_an_upstream() -> None:
    _, alice, upstream = ready()
    alice.uses()
    alice.calls("echo", {"x": 1}, task={"ttl": 1})
    assert upstream.sees_one()["params"] == {"name": "echo", "arguments": {"x": 1}}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (None, "params.name is missing"),
        ({"name": 5}, "params.name must be a string"),
        ({"name": "echo", "Name": "rm"}, "params: 'Name' differs from a known key in case"),
        ({"name": "echo", "ARGUMENTS": {}}, "params: 'ARGUMENTS' differs from a known key in case"),
        (
            {"name": "echo", "argument\u017f": {}},
            "params: 'argument\u017f' differs from a known key in case",
        ),
    ],
)
def test_a_call_that_two_readers_could_read_differently_is_refused(
    params: Any, message: str
) -> None:
    _, alice, upstream = ready()
    alice.uses()
    error = alice.asks("tools/call", params).error
    assert error == {"code": -32602, "message": message}
    assert upstream.sees() == []


def test_the_upstream_sees_the_one_of_two_equal_keys_that_the_router_read() -> None:
    _, alice, upstream = ready()
    alice.uses()
    alice.asks("tools/call", b'{"name":"rm","arguments":{"x":1},"name":"echo","arguments":{}}')
    frame = upstream.inbox.waiting[0]
    assert bytes(frame.params) == b'{"name":"echo","arguments":{}}'


def test_without_a_selection_there_are_no_other_tools() -> None:
    alice = Conversation().client()
    assert alice.calls("sing").error == {"code": -32602, "message": "Unknown tool: sing"}


def test_a_selected_tool_waits_for_its_instance_to_come_back() -> None:
    talk, alice, upstream = ready()
    alice.uses()
    upstream.breaks()
    call = alice.calls("echo", {})
    talk.down("a", "it broke", 0.5)
    assert call.is_waiting
    talk.starting("a")
    back = talk.up("a", "echo")
    back.answers(back.sees_one(), {"ok": True})
    assert call.result == {"ok": True}


def test_a_selected_tool_of_an_instance_that_failed_gets_the_reason_as_an_error() -> None:
    talk, alice, _ = ready()
    alice.uses()
    talk.failed("a", "command not found", 60.0)
    error = alice.calls("echo", {}).error
    assert error["code"] == -32013
    assert error["message"] == (
        "Instance 'a' not connected: failed: command not found (next try in 60.0 s)"
    )
    assert error["data"] == {
        "state": "failed",
        "last_error": "command not found",
        "retry_in_s": 60.0,
    }


def test_a_request_without_a_session_may_call_without_initialize() -> None:
    talk, _, upstream = ready()
    lone = talk.client(one_shot=True)
    call = lone.routes("echo")
    upstream.answers(upstream.sees_one(), {"content": []})
    assert call.result == {"content": []}


# --- mcp.router.call ---------------------------------------------------------------------------


def test_call_reaches_the_tool_and_its_result_is_the_result() -> None:
    _, alice, upstream = ready()
    call = alice.routes("echo")
    seen = upstream.sees_one()
    assert seen["params"] == {"name": "echo", "arguments": {"x": 1}}
    upstream.answers(seen, b'{"isError":true,"content":[], "_meta":{"k":1}}')
    assert call.result_bytes == b'{"isError":true,"content":[], "_meta":{"k":1}}'


def test_an_error_of_the_upstream_passes_unchanged() -> None:
    _, alice, upstream = ready()
    for code in (-32602, -32002, -32042, 1):
        call = alice.routes("echo")
        upstream.fails(upstream.sees_one(), {"code": code, "message": "m", "data": {"d": 1}})
        assert call.error == {"code": code, "message": "m", "data": {"d": 1}}


@pytest.mark.parametrize("more", [{}, {"arguments": None}], ids=["missing", "null"])
def test_the_tools_arguments_may_be_missing_or_null(more: dict[str, None]) -> None:
    _, alice, upstream = ready()
    alice.calls("mcp_router_call", {"instance_name": "a", "tool_name": "echo"} | more)
    assert upstream.sees_one()["params"] == {"name": "echo", "arguments": {}}


@pytest.mark.parametrize(
    "arguments",
    [
        b'{"instance_name":"a","tool_name":"echo","arguments":{"x": 1},"more":2}',
        b'{"arguments":null,"tool_name":7,"instance_name":"a","tool_name":"echo",'
        b'"arguments":{"x": 1}}',
        b'{"\\u0069nstance_name":"a","tool_name":"ec\\u0068o","arguments":{"x": 1}}',
    ],
    ids=["unknown key", "repeated keys", "escapes"],
)
def test_arguments_of_call_may_be_unusual(arguments: bytes) -> None:
    _, alice, upstream = ready()
    alice.calls("mcp.router.call", raw(arguments))
    assert upstream.sees_one()["params"] == {"name": "echo", "arguments": {"x": 1}}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (None, "arguments.instance_name is missing"),
        ([], "arguments must be an object"),
        ({"instance_name": "a"}, "arguments.tool_name is missing"),
        ({"instance_name": 1, "tool_name": "echo"}, "arguments.instance_name must be a string"),
        (
            {"instance_name": "a", "tool_name": "echo", "arguments": "{}"},
            "arguments.arguments must be an object",
        ),
        (
            {"instance_name": "a", "tool_name": "echo", "Tool_Name": "rm"},
            "arguments: 'Tool_Name' differs from a known key in case",
        ),
    ],
)
def test_call_says_what_is_wrong_with_its_arguments(arguments: Any, message: str) -> None:
    _, alice, _ = ready()
    assert alice.calls("mcp.router.call", arguments).tool_error == ("VALIDATION_ERROR", message)


def test_an_unknown_instance_is_an_error_that_names_the_others() -> None:
    _, alice, _ = ready("b")
    assert alice.routes("echo", "x").tool_error == (
        "INSTANCE_NOT_FOUND",
        "Instance not found: x. Available instances: 'a', 'b'",
    )


def test_an_unknown_tool_is_answered_with_the_three_nearest_of_its_instance() -> None:
    talk = Conversation()
    talk.with_upstreams("a", tools=("list", "write_file", "move_file", "read_file"))
    talk.configured(spec("a"), spec("b"))
    talk.starting("b")
    talk.up("b", "raed_file")
    assert talk.client().routes("raed_file").tool_error == (
        "TOOL_NOT_FOUND",
        "Tool 'raed_file' not found in instance 'a'. "
        "Did you mean 'read_file', 'write_file', 'move_file'?",
    )


def test_an_unknown_tool_of_an_instance_without_tools_is_an_error_without_suggestions() -> None:
    talk = Conversation()
    talk.with_upstreams("a", tools=())
    assert talk.client().routes("sing").tool_error == (
        "TOOL_NOT_FOUND",
        "Tool 'sing' not found in instance 'a'",
    )


def test_an_inactive_instance_is_an_error() -> None:
    talk = Conversation()
    talk.configured(spec("a", is_active=False))
    assert talk.client().routes("echo").tool_error == ("UNAVAILABLE", "Instance 'a' is not active")


def test_the_rest_of_meta_travels_with_the_call() -> None:
    _, alice, upstream = ready()
    alice.routes("echo", _meta={"traceparent": "00-x", "com.example/k": [1]})
    assert upstream.sees_one()["params"]["_meta"] == {"traceparent": "00-x", "com.example/k": [1]}


# --- Direct names ------------------------------------------------------------------------------


def test_a_direct_name_calls_a_tool_without_a_selection_and_its_result_is_untouched() -> None:
    talk, alice, upstream = ready("b")
    lone = talk.client(one_shot=True)
    for client in (alice, lone):
        call = client.calls("a__echo", {"x": [1.50]}, extra={"kept": True}, _meta={"k": 1})
        seen = upstream.sees_one()
        assert (seen["method"], seen["params"]) == (
            "tools/call",
            {"name": "echo", "arguments": {"x": [1.5]}, "extra": {"kept": True}, "_meta": {"k": 1}},
        )
        upstream.answers(seen, b'{"content" : [],  "x":1.50}')
        assert call.result_bytes == b'{"content" : [],  "x":1.50}'


def test_clients_without_a_session_call_by_direct_name() -> None:
    talk, _, upstream = ready()
    for client in (talk.stateless_client(), talk.stateless_connection()):
        call = client.calls("a__echo", {})
        upstream.answers(upstream.sees_one(), {"content": []})
        assert call.result["content"] == []


def test_names_that_are_not_as_they_are_called_lead_to_their_tools() -> None:
    talk = Conversation()
    names = ("x y", "x_y", "x.y")
    upstreams = talk.with_upstreams("文件", "a", "数据", "a_", tools=names)
    alice = talk.client()
    for upstream in upstreams:
        for own in names:
            alice.calls(direct_name(upstream.instance, own, 48), {})
            assert upstream.sees_one()["params"]["name"] == own


def test_a_direct_name_of_another_length_is_known_once_the_setting_says_so() -> None:
    talk = Conversation()
    (upstream,) = talk.with_upstreams("a", tools=("a_tool_with_a_long_name",))
    alice = talk.client()
    short = direct_name("a", "a_tool_with_a_long_name", 16)
    alice.calls(short)
    assert upstream.sees_one()["params"]["name"] == short.removeprefix("a__")
    talk.happens(CoreSettingsChanged(CoreSettings("9.9", name_limit=16)))
    alice.calls(short)
    assert upstream.sees_one()["params"]["name"] == "a_tool_with_a_long_name"
    assert alice.calls("a__a_tool_with_a_long_name").error["code"] == -32602


def test_the_routers_own_tools_win_a_name_then_the_selected_ones_then_direct_names() -> None:
    talk = Conversation()
    talk.configured(spec("a"), spec("b"))
    talk.starting("a")
    talk.starting("b")
    a, b = talk.up("a", "b__echo", "mcp.router.list"), talk.up("b", "echo")
    alice = talk.client()
    alice.calls("b__echo")
    assert (len(b.sees()), len(a.sees())) == (1, 0)
    alice.uses("a")
    alice.calls("b__echo")
    assert a.sees_one()["params"]["name"] == "b__echo"
    assert b.sees() == []
    assert alice.calls("mcp.router.list").text[0]["name"] == "a"
    alice.calls(direct_name("a", "mcp.router.list", 48))
    assert a.sees_one()["params"]["name"] == "mcp.router.list"


@pytest.mark.parametrize("instance", ["a", "文件"])
def test_a_direct_call_waits_for_its_instance_to_come_up(instance: str) -> None:
    talk = Conversation()
    talk.configured(spec(instance), spec("数据", is_active=False))
    alice = talk.client()
    call = alice.calls(direct_name(instance, "echo", 48), {})
    assert call.is_waiting
    talk.starting(instance)
    upstream = talk.up(instance, "echo")
    upstream.answers(upstream.sees_one(), {"ok": True})
    assert call.result == {"ok": True}


def test_a_tool_that_a_ready_server_does_not_list_is_answered_by_the_server() -> None:
    talk = Conversation()
    talk.configured(spec("a"), spec("数据", is_active=False))
    alice = talk.client()
    before = alice.calls("a__sing", {})
    hashed = alice.calls(direct_name("数据", "sing", 48), {})
    talk.starting("a")
    upstream = talk.up("a", "echo")
    assert upstream.sees_one()["params"]["name"] == "sing"
    assert before.is_waiting
    alice.calls("a__hum", {})
    assert upstream.sees_one()["params"]["name"] == "hum"
    assert hashed.error["code"] == -32013


def test_a_direct_call_whose_instance_is_one_of_several_finds_it() -> None:
    """The names of both have the same characters until their tools are known."""
    talk = Conversation()
    talk.configured(spec("文件"), spec("数据"))
    alice = talk.client()
    call = alice.calls(direct_name("数据", "echo", 48), {})
    talk.starting("文件")
    talk.up("文件", "echo")
    assert call.is_waiting
    talk.starting("数据")
    upstream = talk.up("数据", "echo")
    assert upstream.sees_one()["params"]["name"] == "echo"


def test_a_direct_call_of_an_instance_that_failed_gets_the_reason_as_an_error() -> None:
    talk, alice, _ = ready()
    talk.failed("a", "command not found", 60.0)
    error = alice.calls("a__echo", {}).error
    assert (error["code"], error["data"]["state"]) == (-32013, "failed")
    assert alice.calls("b__echo", {}).error["code"] == -32602


def test_a_direct_call_does_not_wait_for_the_selected_instance() -> None:
    talk, alice, a = ready("b")
    alice.uses("a")
    a.breaks()
    assert alice.calls("b__echo", {}).is_waiting
    assert [call.instance for call in talk.state.calls.by_id.values()] == ["b"]
    assert alice.calls("c__echo", {}).is_waiting  # The selected one may come to have such a tool.
    assert len(talk.state.calls.by_id) == 1


def test_errors_of_a_direct_call_are_those_of_the_protocol() -> None:
    _, alice, upstream = ready()
    refused = alice.calls("a__echo", [1])
    assert refused.error == {"code": -32602, "message": "params.arguments must be an object"}
    call = alice.calls("a__echo")
    upstream.fails(upstream.sees_one(), {"code": -32602, "message": "no"})
    assert call.error == {"code": -32602, "message": "no"}


def test_an_unknown_tool_is_answered_with_the_nearest_direct_names() -> None:
    talk = Conversation()
    talk.with_upstreams("a", "b", tools=("echo", "sing"))
    alice = talk.client()
    assert alice.calls("c__ehco").error == {
        "code": -32602,
        "message": "Unknown tool: c__ehco. Did you mean 'a__echo', 'b__echo', 'a__sing'?",
    }
    alice.uses("a")
    assert alice.calls("echoes").error["message"] == (
        "Tool 'echoes' not found in instance 'a'. Did you mean 'echo', 'sing'?"
    )


def test_tools_that_a_token_does_not_see_have_no_direct_names() -> None:
    talk = Conversation()
    talk.with_upstreams("a", "b")
    talk.configured(spec("a"), spec("b"), spec("starting"))
    mallory = talk.client(principal=Principal("m", instances=frozenset({"a"})))
    for name in ("b__echo", "starting__echo", direct_name("b", "e o", 48)):
        error = mallory.calls(name, {}).error
        assert error["code"] == -32602
        assert "'b" not in error["message"]
    assert talk.state.calls.by_id == {}


def test_a_direct_call_needs_the_permission_to_call() -> None:
    talk, _, _ = ready()
    reader = talk.client(principal=Principal("r", permissions=frozenset({"read"})))
    assert reader.calls("a__echo").error["code"] == -32016


def test_a_name_of_any_length_is_looked_up_at_once() -> None:
    _, alice, _ = ready()
    error = alice.calls("a__" + "x" * 1_000_000).error
    assert error["code"] == -32602
