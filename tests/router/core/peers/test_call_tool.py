"""Calls of tools by their direct names through `mcp.router.call_tool`."""

from typing import Any

import pytest

from router.messages.commands import Principal, ShowMetrics
from router.messages.instances.exposure import Exposure, NameFilter, Profile
from router.messages.instances.run_policy import RunPolicy
from tests.router.core.conversation import Conversation, FakeClient, FakeUpstream, ready, spec
from tests.router.core.peers.own_tools.searched import calls_by_name

ARGUMENTS = {"b": 1, "a": [1.5, "é"]}


def ready_to_search(**settings: Any) -> tuple[Conversation, FakeClient, FakeUpstream]:
    return ready(**{"view": "search"} | settings)


@pytest.mark.parametrize("view", ["search", "direct", "router"])
@pytest.mark.parametrize("spelling", ["mcp.router.call_tool", "mcp_router_call_tool"])
def test_a_tool_is_called_by_its_direct_name_and_its_result_is_untouched(
    view: str, spelling: str
) -> None:
    _, alice, upstream = ready(view=view)
    call = alice.calls(spelling, {"name": "a__echo", "arguments": ARGUMENTS})
    seen = upstream.sees_one()
    assert seen["params"] == {"name": "echo", "arguments": ARGUMENTS}
    upstream.answers(seen, b'{"content" : [],  "x":1.50}')
    assert call.result_bytes == b'{"content" : [],  "x":1.50}'


@pytest.mark.parametrize("arguments", [{}, {"arguments": None}], ids=["missing", "null"])
def test_absent_arguments_are_an_empty_object(arguments: dict[str, None]) -> None:
    _, alice, upstream = ready_to_search()
    alice.calls("mcp.router.call_tool", {"name": "a__echo"} | arguments)
    assert upstream.sees_one()["params"]["arguments"] == {}


def test_the_same_name_can_be_called_directly() -> None:
    _, alice, upstream = ready_to_search()
    alice.calls("a__echo", ARGUMENTS)
    assert upstream.sees_one()["params"] == {"name": "echo", "arguments": ARGUMENTS}


def test_a_call_waits_for_an_instance_that_starts() -> None:
    talk = Conversation(view="search")
    talk.configured(spec("a"))
    call = calls_by_name(talk.client(), "a__echo", ARGUMENTS)
    assert call.is_waiting
    talk.starting("a")
    upstream = talk.up("a", "echo")
    upstream.answers(upstream.sees_one(), {"content": []})
    assert call.result == {"content": []}


def test_progress_is_asked_of_the_tool_that_is_called_and_a_task_is_not() -> None:
    _, alice, upstream = ready_to_search()
    meta = {"progressToken": 7}
    call = calls_by_name(alice, "a__echo", {}, _meta=meta, task={"ttl": 1}, odd=True)
    seen = upstream.sees_one()
    token = seen["params"]["_meta"]["progressToken"]
    assert seen["params"] == {
        "name": "echo",
        "arguments": {},
        "_meta": {"progressToken": token},
    }
    upstream.says("notifications/progress", {"progressToken": token, "progress": 1})
    assert call.mailbox.take()[0]["params"]["progressToken"] == 7


def test_a_link_in_the_result_leads_to_its_server() -> None:
    talk, alice, upstream = ready_to_search()
    talk.with_instance("b", resources=["x:1"])
    talk.with_instance("c", resources=["x:1"])
    call = calls_by_name(alice, "a__echo")
    link = {"type": "resource_link", "uri": "x:1", "name": "n"}
    upstream.answers(upstream.sees_one(), {"content": [link]})
    assert call.result["content"][0]["uri"] == "mcp-router://a/x%3A1"


def test_a_question_without_a_session_ends_the_request_and_its_answer_goes_on() -> None:
    talk, _, upstream = ready_to_search()
    client = talk.stateless_client(elicitation={})
    asked = calls_by_name(client, "a__echo", {})
    seen = upstream.sees_one()
    upstream.asks("elicitation/create", {"message": "?", "requestedSchema": {}}, related=seen["id"])
    assert asked.result["resultType"] == "input_required"
    (key,) = asked.result["inputRequests"]
    again = calls_by_name(
        client,
        "a__echo",
        {},
        requestState=asked.result["requestState"],
        inputResponses={key: {"action": "decline"}},
    )
    assert upstream.sees_one()["result"] == {"action": "decline"}
    upstream.answers(seen, {"content": []})
    assert again.result["content"] == []


def test_a_request_state_of_a_server_goes_back_to_it() -> None:
    talk = Conversation(view="search")
    upstream = talk.with_stateless_upstream()
    client = talk.stateless_client(elicitation={})
    retry = {"requestState": "its own", "inputResponses": {}}
    calls_by_name(client, "a__echo", {}, **retry)
    assert upstream.sees_one()["params"].items() >= retry.items()
    unknown = calls_by_name(client, "b__echo", {}, **retry)
    assert unknown.error["code"] == -32602


def test_a_call_that_needs_a_yes_waits_for_it() -> None:
    talk = Conversation(view="search")
    exposure = Exposure(NameFilter(approve=("echo",)))
    upstream = talk.with_instance("a", "echo", exposure=exposure)
    alice = talk.client()
    calls_by_name(alice, "a__echo", {"x": 1})
    assert upstream.sees() == []
    (row,) = talk.state.approvals.by_id.values()
    assert (row.instance, row.tool, bytes(row.arguments)) == ("a", "echo", b'{"x":1}')


def test_calls_are_recorded_with_the_tool_that_they_call() -> None:
    talk, alice, upstream = ready_to_search(records=frozenset({"audit", "digests"}))
    directly = alice.calls("a__echo", {"x": 1})
    calls_by_name(alice, "a__echo", {"x": 1})
    for seen in upstream.sees():
        upstream.answers(seen, {"content": []})
    calls_by_name(alice, "b__echo", {"x": 1})
    first, second, third = talk.call_records()
    assert directly.result == {"content": []}
    assert (first.target, first.instance) == (second.target, second.instance) == ("echo", "a")
    assert first.arguments_sha256 == second.arguments_sha256 == third.arguments_sha256
    assert (third.target, third.outcome) == ("b__echo", "error")


def test_calls_are_counted_as_calls_of_their_server_however_they_end() -> None:
    talk, alice, upstream = ready_to_search()
    calls_by_name(alice, "a__echo")
    upstream.answers(upstream.sees_one(), {"content": []})
    calls_by_name(alice, "mcp.router.list")
    metrics = talk.admin_asks(ShowMetrics()).answer
    (of_a,) = metrics.instances
    assert of_a.methods["tools/call"].ends == {("ok", ""): 1}
    assert metrics.own["tools/call"].ends == {("error", "-32602"): 1}


# --- Errors ------------------------------------------------------------------------------------


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    _, alice, _ = ready_to_search()
    code, message = calls_by_name(alice, "b__echo").tool_error
    assert code == "VALIDATION_ERROR"
    assert message == "Unknown tool: b__echo. Did you mean 'a__echo'?"


@pytest.mark.parametrize("name", ["mcp.router.search", "mcp_router_list", "mcp.router.call_tool"])
def test_the_routers_own_tools_are_to_be_called_directly(name: str) -> None:
    _, alice, _ = ready_to_search()
    code, message = calls_by_name(alice, name).tool_error
    assert code == "VALIDATION_ERROR"
    assert message == f"{name} is a tool of the router itself; call it directly, by this name"


def test_a_tool_that_the_profile_leaves_out_is_unknown() -> None:
    profile = Profile("search", tools=NameFilter(deny=("a__rm",)))
    talk = Conversation(profiles={"work": profile})
    upstream = talk.with_instance("a", "echo", "rm")
    alice = talk.client(view="work")
    message = "Unknown tool: a__rm. Did you mean 'a__echo'?"
    assert calls_by_name(alice, "a__rm").tool_error[1] == message
    assert upstream.sees() == []


def test_who_may_only_read_may_not_call() -> None:
    talk, _, upstream = ready_to_search()
    reader = talk.client(principal=Principal("r", frozenset({"read"})))
    assert calls_by_name(reader, "a__echo").tool_error[0] == "SECURITY_ERROR"
    assert upstream.sees() == []


def test_a_call_beyond_the_limit_of_a_server_waits_for_its_turn() -> None:
    talk = Conversation(view="search")
    talk.configured(spec("a", run_policy=RunPolicy(max_in_flight=1)))
    talk.starting("a")
    upstream = talk.up("a", "echo")
    alice = talk.client()
    first, second = calls_by_name(alice, "a__echo"), calls_by_name(alice, "a__echo")
    upstream.answers(upstream.sees_one(), {"content": []})
    upstream.answers(upstream.sees_one(), {"content": []})
    assert (first.result, second.result) == ({"content": []}, {"content": []})
