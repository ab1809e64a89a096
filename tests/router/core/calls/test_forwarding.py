"""Every way in which a forwarded request ends: once, and only once."""

from typing import Any

import pytest

from router.core.calls import forwarding
from router.core.state import calls
from tests.router.core.conversation import Conversation, ready, spec

# --- Cancellation ----------------------------------------------------------------------------


def test_a_cancelled_call_is_cancelled_upstream_and_gets_no_answer() -> None:
    talk, alice, upstream = ready()
    call = alice.routes("echo")
    seen = upstream.sees_one()
    alice.cancels(call, reason="changed my mind")
    cancelled = upstream.sees_one()
    assert cancelled["params"] == {"requestId": seen["id"], "reason": "changed my mind"}
    upstream.answers(seen, "late")
    talk.time_passes(100)
    assert (call.mailbox.closed, call.finals) == (True, [])


@pytest.mark.parametrize("more", [{}, {"reason": None}, {"reason": {"x": 1}}], ids=str)
def test_a_cancellation_needs_no_reason(more: dict[str, Any]) -> None:
    _, alice, upstream = ready()
    call = alice.routes("echo")
    seen = upstream.sees_one()
    alice.cancels(call, **more)
    assert upstream.sees_one()["params"] == {"requestId": seen["id"]}


def test_a_parked_call_can_be_cancelled() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    alice = talk.client()
    call = alice.routes("echo")
    alice.cancels(call)
    assert call.mailbox.closed
    talk.starting("a")
    assert talk.up("a", "echo").sees() == []
    assert talk.core.next_deadline_s() is None


def test_cancelling_ends_no_channel_that_is_there_for_more() -> None:
    talk = Conversation()
    talk.with_upstreams("a")
    alice = talk.client(one_channel=True)
    alice.cancels(alice.routes("echo"))
    assert not alice.outbox.closed
    assert alice.asks("ping", id="p").result == {}


def test_a_client_cannot_cancel_the_call_of_another() -> None:
    talk, alice, upstream = ready()
    call = alice.routes("echo", id=5)
    talk.client().says("notifications/cancelled", {"requestId": 5})
    upstream.answers(upstream.sees_one(), {})
    assert call.result == {}


def test_a_string_does_not_cancel_a_number() -> None:
    _, alice, _ = ready()
    call = alice.routes("echo", id=5)
    alice.says("notifications/cancelled", {"requestId": "5"})
    assert call.is_waiting


# --- Time ------------------------------------------------------------------------------------


def test_a_call_times_out_upstream_is_told_and_a_late_answer_is_dropped() -> None:
    talk, alice, upstream = ready()
    call = alice.routes("echo")
    seen = upstream.sees_one()
    talk.time_passes(29.99)
    assert call.is_waiting
    talk.time_passes(0.26)
    assert call.tool_error == ("TIMEOUT", "Timeout exceeded: 30s")
    cancelled = upstream.sees_one()
    assert cancelled["params"] == {"requestId": seen["id"], "reason": "Timeout exceeded: 30s"}
    upstream.answers(seen, "late")
    assert len(call.finals) == 1


def test_a_selected_tool_that_times_out_gets_the_error_code() -> None:
    talk, alice, _ = ready(timeout_s=0.5)
    alice.uses()
    call = alice.calls("echo", {})
    talk.time_passes(1)
    assert call.error == {"code": -32011, "message": "Timeout exceeded: 0.5s"}


def test_an_instance_may_have_its_own_timeout() -> None:
    talk = Conversation()
    talk.configured(spec("a", timeout_s=2.5))
    talk.starting("a")
    talk.up("a", "echo")
    call = talk.client().routes("echo")
    talk.time_passes(3)
    assert call.tool_error == ("TIMEOUT", "Timeout exceeded: 2.5s")


def test_progress_extends_a_call_up_to_its_hard_end() -> None:
    talk, alice, upstream = ready()
    call = alice.routes("echo", _meta={"progressToken": 1})
    seen = upstream.sees_one()
    for step in range(14):
        talk.time_passes(20)
        assert call.is_waiting
        upstream.says("notifications/progress", {"progressToken": seen["id"], "progress": step})
    talk.time_passes(20.25)
    assert call.tool_error[0] == "TIMEOUT"
    assert talk.now_s == 1000.0 + 10 * 30.0 + 0.25


def test_while_the_client_is_asked_only_the_hard_end_applies() -> None:
    talk, alice, upstream = ready()
    alice.initializes(roots={})
    call = alice.routes("echo", _meta={"progressToken": 1})
    seen = upstream.sees_one()
    upstream.asks("roots/list")
    upstream.says("notifications/progress", {"progressToken": seen["id"], "progress": 1})
    talk.time_passes(119)
    assert call.is_waiting
    alice.answers({"id": 1}, {"roots": []})
    talk.time_passes(29)
    assert call.is_waiting
    talk.time_passes(2)
    assert call.tool_error[0] == "TIMEOUT"


def test_a_client_that_never_answers_a_question_keeps_its_call_no_longer_than_the_hard_end() -> (
    None
):
    talk, alice, upstream = ready()
    alice.initializes(roots={})
    call = alice.routes("echo")
    upstream.asks("roots/list")
    talk.time_passes(300)
    assert call.tool_error[0] == "TIMEOUT"
    methods = [frame.get("method") for frame in call.mailbox.take()]
    assert methods == ["roots/list", "notifications/cancelled", None]


# --- Parking ---------------------------------------------------------------------------------


def test_parked_calls_are_sent_in_their_order_when_the_instance_is_ready() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    alice = talk.client()
    calls = [alice.routes("echo", _meta={"n": n}) for n in range(3)]
    talk.starting("a")
    upstream = talk.up("a", "echo")
    assert [seen["params"]["_meta"]["n"] for seen in upstream.sees()] == [0, 1, 2]
    assert all(call.is_waiting for call in calls)


def test_a_parked_call_for_a_tool_that_turns_out_not_to_exist_is_refused() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    alice = talk.client()
    call = alice.routes("sing")
    talk.starting("a")
    talk.up("a", "echo")
    assert call.tool_error[0] == "TOOL_NOT_FOUND"


def test_a_parked_call_waits_as_long_as_a_call_may_take() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    call = talk.client().routes("echo")
    talk.time_passes(29.9)
    assert call.is_waiting
    talk.time_passes(0.4)
    assert call.tool_error == ("UNAVAILABLE", "Instance 'a' not connected: starting")


def test_parked_calls_fail_as_soon_as_the_instance_failed_to_start() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    talk.starting("a")
    alice = talk.client()
    call = alice.routes("echo")
    talk.down("a", "No such file: 'a'", 0.5)
    message = "Instance 'a' not connected: backoff: No such file: 'a' (next try in 0.5 s)"
    assert call.tool_error == ("UNAVAILABLE", message)
    talk.starting("a")
    again = alice.routes("echo")
    talk.failed("a", "No such file: 'a'")
    assert again.tool_error[0] == "UNAVAILABLE"


def test_a_parked_call_of_a_selected_tool_fails_with_the_error_code() -> None:
    talk, alice, upstream = ready()
    alice.uses()
    upstream.breaks()
    call = alice.calls("echo", {})
    talk.failed("a")
    assert call.error["code"] == -32013


def test_a_reason_that_is_no_utf8_can_be_sent() -> None:
    talk, alice, upstream = ready()
    call = alice.routes("echo")
    upstream.breaks("no file /tmp/\udcff")
    assert call.tool_error[1].endswith("no file /tmp/\\udcff")
    assert talk.list_row("a")["last_error"] == "no file /tmp/\\udcff"
    talk.down("a", "bad \ud800")
    alice.leaves("gone \udcff")


# --- Too much --------------------------------------------------------------------------------


def test_beyond_what_may_be_parked_calls_are_shed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "MAX_PARKED", 1)
    talk = Conversation()
    talk.configured(spec("a"))
    alice = talk.client()
    kept, shed = alice.routes("echo"), alice.routes("echo")
    assert kept.is_waiting
    message = "Too many calls wait for instances, as for 'a'"
    assert shed.tool_error == ("OVERLOADED", message)


def test_one_client_does_not_take_all_places_for_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "MAX_PARKED_OF_CLIENT", 2)
    talk = Conversation()
    talk.configured(spec("a"))
    greedy, connection, alice = talk.client(), talk.stateless_connection(), talk.client()
    for client in (greedy, connection):
        asked = [client.routes("echo") for _ in range(3)]
        assert [one.is_waiting for one in asked] == [True, True, False]
        client.cancels(asked[0])
        assert client.routes("echo").is_waiting
    assert alice.routes("echo").is_waiting


def test_beyond_what_may_be_in_flight_calls_are_shed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "MAX_CALLS", 1)
    _, alice, upstream = ready()
    kept, shed = alice.routes("echo"), alice.routes("echo")
    assert shed.tool_error == ("OVERLOADED", "Too many calls are in flight; try again later")
    upstream.answers(upstream.sees_one(), {})
    assert kept.result == {}


def test_one_client_does_not_have_the_calls_of_others_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calls, "MAX_CALLS_OF_CLIENT", 2)
    talk, greedy, upstream = ready()
    kept = [greedy.routes("echo"), greedy.routes("echo")]
    message = "This client has 2 calls in flight; try again later"
    assert greedy.routes("echo").tool_error == ("OVERLOADED", message)
    assert talk.client().routes("echo").is_waiting
    assert talk.stateless_client().routes("echo").is_waiting
    upstream.answers(upstream.sees()[0], {})
    assert kept[0].result == {}
    assert greedy.routes("echo").is_waiting
