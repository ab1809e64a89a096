"""Requests of servers that a client does not answer: how long they wait, and what goes on then."""

from typing import Any

import pytest

from router.core.state.calls import MAX_EXTENSION
from router.messages.errors import TIMEOUT
from tests.router.core.conversation import T_S, Conversation, FakeClient, FakeUpstream, ready
from tests.router.core.limits.limited import asks, limited, ready_with
from tests.router.core.per_client import initialized, ready_for, talk_about

LIMIT_S = 120.0
UNANSWERED = "The client has not answered within 120 s (mcp_client.question_timeout_s)"


def asked_in_a_call(
    timeout_s: float = T_S,
) -> tuple[Conversation, FakeClient, FakeUpstream, Any, dict[str, Any]]:
    """Have a server ask the client something in a call; return the call and the question."""
    talk, _, upstream = ready(timeout_s=timeout_s)
    alice = talk.client()
    alice.initializes(elicitation={})
    call = alice.routes("echo")
    request = upstream.sees_one()
    upstream.asks("elicitation/create", {"message": "?"}, id="q", related=request["id"])
    (question,) = call.mailbox.take()
    return talk, alice, upstream, call, question


def test_a_question_that_nobody_answers_fails_and_its_call_goes_on() -> None:
    talk, alice, upstream, call, question = asked_in_a_call()
    talk.time_passes(LIMIT_S - 1)
    assert (upstream.sees(), call.mailbox.take()) == ([], [])
    talk.time_passes(1.5)
    assert upstream.sees_one() == {"id": "q", "error": {"code": TIMEOUT, "message": UNANSWERED}}
    assert call.mailbox.take() == [
        {
            "method": "notifications/cancelled",
            "params": {"requestId": question["id"], "reason": UNANSWERED},
        }
    ]
    assert call.is_waiting
    alice.answers(question, {"late": True})
    assert upstream.sees() == []
    talk.time_passes(T_S + 0.5)
    assert call.tool_error == ("TIMEOUT", "Timeout exceeded: 30s")
    assert talk.core.next_deadline_s() is None


def test_a_question_has_its_time_also_if_that_is_longer_than_all_the_time_of_a_call() -> None:
    talk, _, upstream, call, _ = asked_in_a_call(timeout_s=6.0)
    talk.time_passes(LIMIT_S - 1)
    assert call.is_waiting
    talk.time_passes(1.5)
    assert upstream.sees_one()["error"]["message"] == UNANSWERED
    talk.time_passes(5)
    assert call.is_waiting
    talk.time_passes(1.5)
    assert call.tool_error == ("TIMEOUT", "Timeout exceeded: 6s")


def test_an_answer_after_the_usual_end_of_a_call_is_in_time() -> None:
    talk, alice, upstream, call, question = asked_in_a_call(timeout_s=6.0)
    talk.time_passes(100)
    alice.answers(question, {"action": "accept"})
    assert upstream.sees_one()["result"] == {"action": "accept"}
    upstream.answers({"id": 2}, {"content": []})
    assert call.result == {"content": []}
    assert talk.core.next_deadline_s() is None


def test_a_server_that_asks_again_and_again_does_not_keep_a_call_for_ever() -> None:
    talk, _, upstream, call, _ = asked_in_a_call(timeout_s=6.0)
    (of_call,) = talk.state.calls.by_id.values()
    began_s = talk.now_s
    while call.is_waiting and talk.now_s < began_s + 10_000:
        talk.time_passes(LIMIT_S + 0.5)
        call.mailbox.take() if call.is_waiting else None
        if of_call.id in talk.state.calls.by_id:
            upstream.asks("elicitation/create", {"message": "?"}, id=1, related=of_call.id)
    assert of_call.id not in talk.state.calls.by_id
    assert talk.now_s - began_s < MAX_EXTENSION * (6 + LIMIT_S) + LIMIT_S


def test_the_limit_is_a_setting() -> None:
    talk, _, upstream = ready(question_timeout_s=7.5)
    alice = talk.client()
    alice.initializes(roots={})
    alice.routes("echo")
    upstream.asks("roots/list", id="q", related=upstream.sees_one()["id"])
    talk.time_passes(8)
    error = upstream.sees_one()["error"]
    assert error["message"].startswith("The client has not answered within 7.5 s")


def test_an_answered_or_withdrawn_question_leaves_nothing_behind() -> None:
    talk, alice, upstream, _, question = asked_in_a_call()
    upstream.says("notifications/cancelled", {"requestId": "q"})
    alice.answers(question, {})
    assert len(talk.state.questions_due) == 0


def test_the_questions_of_a_client_that_goes_end_with_it() -> None:
    talk, alice, _, _, _ = asked_in_a_call()
    alice.leaves()
    assert talk.core.next_deadline_s() is None


def test_a_question_that_belongs_to_no_call_is_limited_as_well() -> None:
    talk = talk_about()
    alice = initialized(talk, sampling={})
    upstream = ready_for(talk, alice)
    upstream.sees()
    upstream.asks("sampling/createMessage", {"messages": []}, id="q")
    (question,) = alice.outbox.take()
    talk.time_passes(LIMIT_S + 1)
    assert upstream.sees_one()["error"]["message"] == UNANSWERED
    assert alice.outbox.take()[0]["params"] == {"requestId": question["id"], "reason": UNANSWERED}


def test_a_server_without_sessions_that_needs_input_has_its_call_fail() -> None:
    talk = Conversation()
    upstream = talk.with_stateless_upstream()
    alice = talk.client()
    alice.initializes(roots={}, elicitation={})
    call = alice.routes("echo")
    wanted = {"one": {"method": "roots/list"}, "two": {"method": "roots/list"}}
    result = {"resultType": "input_required", "inputRequests": wanted}
    upstream.answers(upstream.sees_one(), result)
    first, second = call.mailbox.take()
    alice.answers(first, {"roots": []})
    talk.time_passes(LIMIT_S + 1)
    (cancelled, answer) = call.mailbox.take()
    assert cancelled["params"] == {"requestId": second["id"], "reason": UNANSWERED}
    assert UNANSWERED in answer["result"]["content"][0]["text"]
    assert upstream.sees() == []
    assert talk.core.next_deadline_s() is None


def test_two_questions_of_one_call_to_a_server_without_sessions_fail_it_once() -> None:
    talk = Conversation()
    upstream = talk.with_stateless_upstream()
    alice = talk.client()
    alice.initializes(roots={})
    call = alice.routes("echo")
    wanted = {key: {"method": "roots/list"} for key in "ab"}
    result = {"resultType": "input_required", "inputRequests": wanted}
    upstream.answers(upstream.sees_one(), result)
    call.mailbox.take()
    talk.time_passes(LIMIT_S + 1)
    methods = [frame.get("method", "answer") for frame in call.mailbox.take()]
    assert methods == ["notifications/cancelled", "notifications/cancelled", "answer"]


# --- A client without a session --------------------------------------------------------------


def accepted(call: Any) -> dict[str, Any]:
    """Return an answer to everything that a call requires."""
    return {key: {"action": "accept"} for key in call.result["inputRequests"]}


def held_call(timeout_s: float = T_S, **more: Any) -> tuple[Conversation, Any, FakeUpstream, Any]:
    """Have a server ask about the call of a client that has to come again to answer."""
    talk, _, upstream = ready(timeout_s=timeout_s, **more)
    http = talk.stateless_client(elicitation={})
    call = http.routes("echo")
    request = upstream.sees_one()
    upstream.asks("elicitation/create", {"message": "?"}, id="q", related=request["id"])
    assert call.result["resultType"] == "input_required"
    return talk, http, upstream, call


@pytest.mark.parametrize("timeout_s", [6.0, 30.0])
def test_a_question_to_a_client_that_does_not_come_again_is_limited(timeout_s: float) -> None:
    talk, http, upstream, call = held_call(timeout_s)
    talk.time_passes(LIMIT_S - 1)
    assert upstream.sees() == []
    talk.time_passes(1.5)
    assert upstream.sees_one() == {"id": "q", "error": {"code": TIMEOUT, "message": UNANSWERED}}
    upstream.answers({"id": 2}, {"content": []})
    answers = accepted(call)
    again = http.retries(call, answers)
    assert again.result["content"] == []
    assert upstream.sees() == []


def test_a_client_that_comes_again_too_late_waits_for_the_call_as_it_went_on() -> None:
    talk, http, upstream, call = held_call()
    talk.time_passes(LIMIT_S + 1)
    answers = accepted(call)
    again = http.retries(call, answers)
    assert again.is_waiting
    upstream.answers({"id": 2}, {"content": []})
    assert again.result["content"] == []


def test_a_question_that_is_asked_while_the_client_is_away_does_not_move_its_last_chance() -> None:
    talk, _, upstream, _ = held_call(timeout_s=6.0)
    (before,) = [call.ends_at_s for call in talk.state.calls.by_id.values()]
    talk.time_passes(100)
    upstream.asks("elicitation/create", {"message": "?"}, id="q2", related=2)
    (after,) = [call.ends_at_s for call in talk.state.calls.by_id.values()]
    assert before == after
    talk.time_passes(1000)
    assert not talk.state.calls.by_id
    assert talk.core.next_deadline_s() is None


def test_an_unanswered_question_stays_limited_when_it_is_asked_again() -> None:
    talk, http, upstream, call = held_call()
    talk.time_passes(100)
    again = http.retries(call, {})
    assert again.result["resultType"] == "input_required"
    talk.time_passes(21)
    assert upstream.sees_one()["error"]["message"] == UNANSWERED


def test_a_question_of_a_call_that_ended_meanwhile_is_left_to_the_retry() -> None:
    talk, http, upstream, call = held_call()
    upstream.answers({"id": 2}, {"content": []})
    talk.time_passes(LIMIT_S + 1)
    assert upstream.sees() == []
    again = http.retries(call, accepted(call))
    assert again.result["content"] == []
    assert upstream.sees_one()["result"] == {"action": "accept"}


def test_the_questions_of_a_connection_that_is_gone_end_with_it() -> None:
    talk, _, upstream = ready()
    connection = talk.stateless_connection(elicitation={})
    connection.routes("echo")
    request = upstream.sees_one()
    upstream.asks("elicitation/create", {"message": "?"}, id="q", related=request["id"])
    connection.leaves()
    assert talk.core.next_deadline_s() is None


# --- With few calls at a time ----------------------------------------------------------------


def test_a_call_that_waits_for_an_answer_keeps_its_turn() -> None:
    talk, _, upstream = ready_with(limited())
    alice = talk.client()
    alice.initializes(roots={})
    call = asks(alice, 0)
    upstream.asks("roots/list", id="q", related=upstream.sees_one()["id"])
    waiting = asks(talk.client(), 1)
    talk.time_passes(10)
    question, *_ = call.mailbox.take()
    alice.answers(question, {"roots": []})
    assert [frame.get("method") for frame in upstream.sees()] == [None]
    assert waiting.is_waiting
