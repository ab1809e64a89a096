"""Safe calls whose session was lost are sent once more, if their instance allows that."""

from typing import Any

import pytest

from router.core.calls import forwarding
from router.messages.catalog import Item
from router.messages.errors import SESSION_LOST
from router.messages.instances.run_policy import RunPolicy
from tests.router.core.conversation import T_S, Conversation, FakeClient, FakeUpstream, raw, spec
from tests.router.core.per_client import comes_up, initialized, per_client, ready_for, talk_about

RETRYING = RunPolicy(retry_safe_calls=True)
READ_ONLY = {"readOnlyHint": True}
LOST = "Instance 'a' was lost during the call: it broke"


def tool(annotations: Any, name: str = "echo") -> Item:
    return Item(name, raw({"name": name, "inputSchema": {}, "annotations": annotations}))


def ready_with(
    annotations: Any, run_policy: RunPolicy = RETRYING, **changes: Any
) -> tuple[Conversation, FakeClient, FakeUpstream]:
    talk = Conversation()
    talk.configured(spec("a", run_policy=run_policy, **changes))
    talk.starting("a")
    upstream = talk.up("a", tool(annotations))
    client = talk.client()
    client.initializes()
    return talk, client, upstream


def restarted(talk: Conversation, upstream: FakeUpstream) -> FakeUpstream:
    """Lose the session and return the next one."""
    upstream.breaks()
    talk.down("a", "it broke")
    talk.starting("a")
    return talk.up("a", tool(READ_ONLY))


@pytest.mark.parametrize("annotations", [READ_ONLY, {"idempotentHint": True, "title": 5}])
def test_safe_call_is_sent_to_the_next_session(annotations: Any) -> None:
    talk, alice, upstream = ready_with(annotations)
    call = alice.routes("echo", _meta={"progressToken": "p"})
    upstream.sees_one()
    again = restarted(talk, upstream)
    assert call.is_waiting
    seen = again.sees_one()
    assert seen["params"]["name"] == "echo"
    assert seen["params"]["_meta"]["progressToken"] == seen["id"]
    again.answers(seen, {"content": []})
    assert call.result == {"content": []}


@pytest.mark.parametrize(
    "annotations",
    [None, {}, {"readOnlyHint": False}, {"readOnlyHint": "true"}, {"destructiveHint": False}, 5],
)
def test_other_call_is_not(annotations: Any) -> None:
    _, alice, upstream = ready_with(annotations)
    call = alice.routes("echo")
    upstream.breaks()
    assert call.tool_error == ("SESSION_LOST", LOST)


def test_safe_call_is_not_if_its_instance_does_not_allow_it() -> None:
    _, alice, upstream = ready_with(READ_ONLY, RunPolicy())
    call = alice.routes("echo")
    upstream.breaks()
    assert call.tool_error == ("SESSION_LOST", LOST)


def test_call_of_a_tool_that_is_not_listed_is_not() -> None:
    _, alice, upstream = ready_with(READ_ONLY)
    call = alice.calls("a__unlisted")
    upstream.breaks()
    assert call.error["code"] == SESSION_LOST


def test_other_request_is_not() -> None:
    talk = Conversation()
    talk.configured(spec("a", run_policy=RETRYING))
    talk.starting("a")
    upstream = talk.up("a", tool(READ_ONLY), prompts=["p"])
    alice = talk.client()
    alice.initializes()
    got = alice.asks("prompts/get", {"name": "a__p"})
    upstream.breaks()
    assert got.error["code"] == SESSION_LOST


def test_call_is_sent_at_most_twice() -> None:
    talk, alice, upstream = ready_with(READ_ONLY)
    call = alice.routes("echo")
    again = restarted(talk, upstream)
    again.sees_one()
    again.breaks()
    assert call.tool_error == ("SESSION_LOST", LOST)


def test_call_ends_within_the_deadline_of_the_first() -> None:
    talk, alice, upstream = ready_with(READ_ONLY)
    call = alice.routes("echo")
    talk.time_passes(T_S - 10)
    again = restarted(talk, upstream)
    assert call.is_waiting
    talk.time_passes(11)
    assert call.tool_error[0] == "TIMEOUT"
    assert [frame["method"] for frame in again.sees()] == ["tools/call", "notifications/cancelled"]


def test_call_that_waits_for_the_next_session_ends_at_its_deadline_with_the_cause() -> None:
    talk, alice, upstream = ready_with(READ_ONLY)
    call = alice.routes("echo")
    talk.time_passes(T_S - 10)
    upstream.breaks()
    talk.time_passes(11)
    assert call.tool_error == ("SESSION_LOST", LOST)


def test_call_that_lasted_longer_than_its_timeout_is_not_sent_again() -> None:
    talk, alice, upstream = ready_with(READ_ONLY)
    call = alice.routes("echo", _meta={"progressToken": 1})
    seen = upstream.sees_one()
    talk.time_passes(T_S - 1)
    upstream.says("notifications/progress", {"progressToken": seen["id"], "progress": 1})
    talk.time_passes(2)
    upstream.breaks()
    assert call.tool_error == ("SESSION_LOST", LOST)


def test_call_whose_server_asked_its_client_is_not_sent_again() -> None:
    _, alice, upstream = ready_with(READ_ONLY)
    alice.initializes(sampling={})
    call = alice.routes("echo")
    upstream.sees_one()
    upstream.asks("sampling/createMessage", {"messages": []})
    upstream.breaks()
    assert call.tool_error == ("SESSION_LOST", LOST)


def test_client_may_cancel_a_call_that_waits_to_be_sent_again() -> None:
    talk, alice, upstream = ready_with(READ_ONLY)
    call = alice.routes("echo")
    upstream.breaks()
    alice.cancels(call)
    assert call.mailbox.closed
    talk.down("a", "it broke")
    talk.starting("a")
    assert talk.up("a", tool(READ_ONLY)).sees() == []


def test_call_to_an_instance_that_is_given_up_says_why() -> None:
    talk, alice, upstream = ready_with(READ_ONLY)
    call = alice.routes("echo")
    upstream.breaks()
    talk.failed("a", "too often")
    assert call.tool_error[0] == "UNAVAILABLE"
    assert "too often" in call.tool_error[1]


def test_call_to_an_instance_that_leaves_is_not_sent_again() -> None:
    talk, alice, upstream = ready_with(READ_ONLY)
    call = alice.routes("echo")
    talk.configured(spec("a", run_policy=RETRYING, command="other"))
    assert call.is_waiting
    upstream.breaks()
    assert call.tool_error == ("SESSION_LOST", LOST)


def test_call_that_finds_no_room_to_wait_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "MAX_PARKED", 0)
    _, alice, upstream = ready_with(READ_ONLY)
    call = alice.routes("echo")
    upstream.breaks()
    assert call.tool_error[0] == "OVERLOADED"


def test_router_that_stops_sends_nothing_again() -> None:
    talk, alice, upstream = ready_with(READ_ONLY)
    call = alice.routes("echo")
    done = talk.drains()
    upstream.breaks()
    assert call.tool_error == ("SESSION_LOST", LOST)
    assert done.waiting == [None]


def test_router_that_stops_asks_no_remote_server_again_and_says_that_the_call_was_lost() -> None:
    talk, alice, upstream = ready_with(READ_ONLY, type="http")
    call = alice.routes("echo")
    talk.drains()
    upstream.fails_to_answer(upstream.sees_one(), None, reason="reset", code=SESSION_LOST)
    assert call.tool_error == ("SESSION_LOST", "Instance 'a' failed during the call: reset")


def test_answer_of_a_remote_server_that_broke_off_is_asked_for_again_at_once() -> None:
    talk, alice, upstream = ready_with(READ_ONLY, type="http")
    call = alice.routes("echo")
    upstream.fails_to_answer(upstream.sees_one(), None, reason="reset", code=SESSION_LOST)
    assert call.is_waiting
    upstream.fails_to_answer(upstream.sees_one(), None, reason="reset", code=SESSION_LOST)
    assert call.tool_error == ("SESSION_LOST", "Instance 'a' failed during the call: reset")
    assert not talk.state.calls.by_id


def test_refusal_of_a_remote_server_is_final() -> None:
    _, alice, upstream = ready_with(READ_ONLY, type="http")
    call = alice.routes("echo")
    upstream.fails_to_answer(upstream.sees_one(), 503)
    assert call.tool_error[0] == "TRANSPORT_ERROR"


def test_call_of_one_clients_session_is_sent_to_its_next_session() -> None:
    talk = talk_about(per_client(run_policy=RETRYING))
    alice = initialized(talk)
    upstream = ready_for(talk, alice, tool(READ_ONLY))
    call = alice.routes("echo")
    upstream.sees_one()
    upstream.breaks()
    again = comes_up(talk, upstream.instance, tool(READ_ONLY))
    again.answers(again.sees_one(), {"content": []})
    assert call.result == {"content": []}
