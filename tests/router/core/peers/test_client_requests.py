"""What clients send, and what they get for it."""

from typing import Any

import pytest

from router.messages.events import FromClient
from router.messages.frames import Request
from router.messages.params import Params
from tests.router.core.conversation import Asked, Conversation, Mailbox, raw, ready, spec

ENVELOPE = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
OWN = ["mcp.router.use", "mcp.router.list", "mcp.router.help", "mcp.router.call"]


# --- Lifecycle and utilities -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "agreed"),
    [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
    ],
)
def test_initialize_agrees_on_a_revision(asked: str, agreed: str) -> None:
    result = Conversation().client().initializes(asked).result
    assert result["protocolVersion"] == agreed
    assert result["serverInfo"] == {"name": "mcp_router", "version": "9.9"}
    assert result["capabilities"] == {"tools": {"listChanged": True}, "logging": {}}
    assert "mcp.router.list" in result["instructions"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (None, "params.protocolVersion is missing"),
        ({"protocolVersion": 5}, "params.protocolVersion must be a string"),
        (
            {"protocolVersion": "2025-11-25", "capabilities": []},
            "params.capabilities must be an object",
        ),
    ],
)
def test_an_initialize_that_makes_no_sense_is_refused(params: Any, message: str) -> None:
    error = Conversation().client().asks("initialize", params).error
    assert error == {"code": -32602, "message": message}


def test_capabilities_may_be_left_out_or_null() -> None:
    alice = Conversation().client()
    assert alice.asks("initialize", {"protocolVersion": "2025-11-25", "capabilities": None}).result
    assert alice.asks("initialize", {"protocolVersion": "2025-11-25"}).result


def test_ping_is_answered_here() -> None:
    assert Conversation().client().asks("ping", {"_meta": {"x": 1}}, id="p").result == {}


def test_an_unknown_method_is_refused() -> None:
    error = Conversation().client().asks("tools/fly").error
    assert error == {"code": -32601, "message": "Method not found: tools/fly"}


@pytest.mark.parametrize("method", ["server/discover", "tools/list", "tools/call", "ping"])
def test_a_stateless_request_is_told_which_revisions_are_spoken(method: str) -> None:
    params = {"name": "mcp.router.list", "_meta": ENVELOPE}
    error = Conversation().client().asks(method, params).error
    assert error["code"] == -32022
    assert error["data"] == {
        "supported": ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"],
        "requested": "2026-07-28",
    }


def test_a_probe_without_an_envelope_is_an_unknown_method() -> None:
    assert Conversation().client().asks("server/discover", {}).error["code"] == -32601


def test_initialize_is_answered_whatever_its_meta_says() -> None:
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "_meta": ENVELOPE}
    assert Conversation().client().asks("initialize", params).result


def test_a_handshake_revision_in_the_envelope_is_no_reason_to_refuse() -> None:
    meta = {"io.modelcontextprotocol/protocolVersion": "2025-11-25"}
    assert Conversation().client().asks("ping", {"_meta": meta}).result == {}


@pytest.mark.parametrize("meta", [[], "x", 5])
def test_a_meta_that_is_no_object_is_refused(meta: Any) -> None:
    error = Conversation().client().asks("ping", {"_meta": meta}).error
    assert error == {"code": -32602, "message": "params._meta must be an object"}


def test_a_request_id_in_flight_is_not_taken_twice() -> None:
    _, alice, upstream = ready()
    first = alice.routes("echo", id=7)
    again = alice.asks("ping", id=7)
    assert again.error == {"code": -32600, "message": "Request id 7 is already in use"}
    upstream.answers(upstream.sees_one(), {"n": 1})
    assert first.result == {"n": 1}
    assert alice.asks("ping", id=7).result == {}


def test_a_request_id_of_a_parked_call_is_not_taken_twice() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    alice = talk.client()
    parked = alice.routes("echo", id="x")
    assert alice.asks("ping", id="x").error["code"] == -32600
    assert parked.is_waiting


def test_a_string_id_and_a_number_are_two_ids() -> None:
    _, alice, upstream = ready()
    number, string = alice.routes("echo", id=1), alice.routes("echo", id="1")
    one, two = upstream.sees()
    upstream.answers(two, "for the string")
    upstream.answers(one, "for the number")
    assert (number.result, string.result) == ("for the number", "for the string")


def test_huge_and_odd_ids_come_back_as_they_were() -> None:
    _, alice, upstream = ready()
    for request_id in (2**63, -1, 0, "", "é\n", 10**30):
        call = alice.routes("echo", id=request_id)
        upstream.answers(upstream.sees_one(), {})
        assert call.result == {}


def test_params_that_the_listener_has_read_are_not_decoded_again() -> None:
    talk, alice, _ = ready()
    params = Params(raw({"name": "mcp.router.list"}))
    assert params.members
    asked = Asked(7, Mailbox())
    unread = Request(7, "tools/call", raw({"name": "never looked at"}))
    talk.happens(FromClient(alice.id, unread, asked.mailbox, params))
    assert asked.text[0]["name"] == "a"


# --- Logging ---------------------------------------------------------------------------------


def test_the_lowest_level_any_client_set_is_sent_upstream() -> None:
    talk = Conversation()
    talk.configured(spec("a"), spec("mute"), spec("slow"))
    talk.starting("a")
    talk.starting("mute")
    upstream, mute = talk.up("a", capabilities={"logging": {}}), talk.up("mute")
    alice, bob = talk.client(), talk.client()

    def told() -> list[str]:
        return [one["params"]["level"] for one in upstream.sees()]

    assert alice.asks("logging/setLevel", {"level": "error"}).result == {}
    assert told() == ["error"]
    bob.asks("logging/setLevel", {"level": "debug"})
    assert told() == ["debug"]
    alice.asks("logging/setLevel", {"level": "warning"})
    assert told() == []
    bob.leaves()
    assert told() == ["warning"]
    alice.leaves()
    assert told() == []
    assert mute.sees() == []


def test_a_session_that_comes_up_later_is_told_the_level() -> None:
    talk = Conversation()
    alice = talk.client()
    alice.asks("logging/setLevel", {"level": "notice"})
    talk.configured(spec("a"))
    talk.starting("a")
    upstream = talk.up("a", capabilities={"logging": {}})
    asked = upstream.sees_one()
    assert (asked["method"], asked["params"]) == ("logging/setLevel", {"level": "notice"})
    upstream.answers(asked, {})
    assert talk.state.calls.by_id == {}


def test_an_unknown_level_is_refused() -> None:
    error = Conversation().client().asks("logging/setLevel", {"level": "loud"}).error
    assert error["code"] == -32602
    assert "debug, info, notice" in error["message"]


def test_a_request_without_a_session_sets_no_level() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    talk.starting("a")
    upstream = talk.up("a", capabilities={"logging": {}})
    lone = talk.client(one_shot=True)
    assert lone.asks("logging/setLevel", {"level": "debug"}).result == {}
    lone.leaves()
    assert upstream.sees() == []


# --- Listing and calling ---------------------------------------------------------------------


def test_the_routers_own_tools_are_listed_in_their_order() -> None:
    assert Conversation().client().lists() == OWN


def test_underscored_names_are_listed_when_configured_so() -> None:
    alice = Conversation(tool_names="underscored").client()
    assert alice.lists() == [name.replace(".", "_") for name in OWN]


@pytest.mark.parametrize("listed", ["dotted", "underscored"])
@pytest.mark.parametrize("name", ["mcp.router.list", "mcp_router_list"])
def test_both_spellings_are_accepted_in_a_call(listed: str, name: str) -> None:
    assert Conversation(tool_names=listed).client().calls(name).text == []


def test_a_cursor_is_refused_and_a_null_one_is_none() -> None:
    alice = Conversation().client()
    assert alice.asks("tools/list", {"cursor": "x"}).error["code"] == -32602
    assert len(alice.asks("tools/list", {"cursor": None}).result["tools"]) == 4


def test_use_lists_the_instances_tools_beside_the_routers_for_that_session_alone() -> None:
    talk, alice, _ = ready()
    bob = talk.client()
    assert alice.uses().text == {"instance": "a", "tools": ["echo"], "active": True}
    assert [frame["method"] for frame in alice.outbox.take()] == [
        "notifications/tools/list_changed"
    ]
    assert alice.lists() == [*OWN, "echo"]
    assert bob.lists() == OWN
    assert bob.outbox.take() == []


def test_a_tool_named_like_one_of_the_routers_does_not_shadow_it() -> None:
    talk = Conversation()
    talk.with_upstreams("a", tools=("mcp.router.list", "mcp_router_call", "echo"))
    alice = talk.client()
    alice.uses()
    assert alice.lists() == [*OWN, "echo"]
    assert alice.calls("mcp.router.list").text[0]["name"] == "a"


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
    assert call.exactly == b'{"content" : [],  "x":1.50}'


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


def test_a_task_is_not_asked_of_an_upstream_that_nobody_could_ask_about_it() -> None:
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


def test_of_duplicate_keys_the_upstream_sees_the_one_that_was_looked_at() -> None:
    _, alice, upstream = ready()
    alice.uses()
    alice.asks("tools/call", b'{"name":"rm","arguments":{"x":1},"name":"echo","arguments":{}}')
    frame = upstream.inbox.waiting[0]
    assert bytes(frame.params) == b'{"name":"echo","arguments":{}}'


def test_without_a_selection_there_are_no_other_tools() -> None:
    _, alice, _ = ready()
    assert alice.calls("echo").error == {"code": -32014, "message": "Unknown tool: echo"}


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


# --- mcp.router.call -------------------------------------------------------------------------


def test_call_reaches_the_tool_and_its_result_is_the_result() -> None:
    _, alice, upstream = ready()
    call = alice.routes("echo")
    seen = upstream.sees_one()
    assert seen["params"] == {"name": "echo", "arguments": {"x": 1}}
    upstream.answers(seen, b'{"isError":true,"content":[], "_meta":{"k":1}}')
    assert call.exactly == b'{"isError":true,"content":[], "_meta":{"k":1}}'


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
    assert alice.calls("mcp.router.call", arguments).failure == ("VALIDATION_ERROR", message)


def test_an_unknown_instance_is_an_error_that_names_the_others() -> None:
    _, alice, _ = ready("b")
    assert alice.routes("echo", "x").failure == (
        "INSTANCE_NOT_FOUND",
        "Instance not found: x. Available instances: 'a', 'b'",
    )


def test_an_unknown_tool_is_an_error() -> None:
    _, alice, _ = ready()
    assert alice.routes("sing").failure == (
        "TOOL_NOT_FOUND",
        "Tool 'sing' not found in instance 'a'",
    )


def test_an_inactive_instance_is_an_error() -> None:
    talk = Conversation()
    talk.configured(spec("a", is_active=False))
    assert talk.client().routes("echo").failure == ("UNAVAILABLE", "Instance 'a' is not active")


def test_the_rest_of_meta_travels_with_the_call() -> None:
    _, alice, upstream = ready()
    alice.routes("echo", _meta={"traceparent": "00-x", "com.example/k": [1]})
    assert upstream.sees_one()["params"]["_meta"] == {"traceparent": "00-x", "com.example/k": [1]}


# --- Notifications and answers ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("notifications/initialized", None),
        ("notifications/roots/list_changed", {}),
        ("notifications/cancelled", None),
        ("notifications/cancelled", {"requestId": True}),
        ("notifications/cancelled", {"requestId": 99}),
        ("notifications/progress", {}),
        ("notifications/progress", {"progressToken": 1, "progress": 1}),
        ("notifications/whatever", {"x": 1}),
    ],
)
def test_a_notification_that_means_nothing_here_is_dropped(method: str, params: Any) -> None:
    _, alice, upstream = ready()
    alice.says(method, params)
    assert (alice.outbox.take(), upstream.sees()) == ([], [])


def test_a_notification_whose_params_nest_too_deeply_is_dropped() -> None:
    _, alice, upstream = ready()
    alice.says("notifications/cancelled", b'{"requestId":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    assert upstream.sees() == []


def test_an_answer_to_no_question_is_dropped() -> None:
    _, alice, upstream = ready()
    alice.answers({"id": 1}, {})
    alice.refuses({"id": None}, {"code": 1})
    assert upstream.sees() == []
