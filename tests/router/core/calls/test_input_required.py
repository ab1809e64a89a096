"""Questions of an upstream to clients without a session, and the retries that bring the answers."""

from typing import Any

import pytest
from msgspec import Raw

from router.core.calls.input_required import (
    MAX_AWAITING_RETRY,
    MAX_AWAITING_RETRY_OF_PRINCIPAL,
    MAX_INPUT_REQUESTS,
)
from router.core.protocol.bridging import CLIENT_INFO_KEY, SERVER_INFO_KEY
from router.messages.commands import Principal
from router.messages.events import ClientOpened, FromClient
from router.messages.frames import Request
from tests.router.core.conversation import (
    T_S,
    Conversation,
    FakeUpstream,
    Mailbox,
    SentRequest,
    StatelessClient,
)

ELICIT, ROOTS, SAMPLE = "elicitation/create", "roots/list", "sampling/createMessage"
FORM = {"mode": "form", "message": "Your name?", "requestedSchema": {"type": "object"}}
ANSWER = {"action": "accept", "content": {"name": "Ada"}}
EVERYTHING = {"elicitation": {"form": {}, "url": {}}, "roots": {}, "sampling": {}}


def talking(**settings: Any) -> tuple[Conversation, StatelessClient, FakeUpstream]:
    talk = Conversation(**settings)
    upstream = talk.with_upstreams("a", "b")[0]
    return talk, talk.stateless_client(**EVERYTHING), upstream


def asked(
    client: StatelessClient, upstream: FakeUpstream, method: str = ELICIT, params: Any = FORM
) -> tuple[SentRequest, dict[str, Any]]:
    """A call of which the upstream has asked something; the call as the upstream saw it."""
    call = client.routes("echo")
    sent = upstream.sees_one()
    upstream.asks(method, params, id="q", related=sent["id"])
    return call, sent


def keys_of(call: SentRequest) -> list[str]:
    return list(call.result["inputRequests"])


def answers_to(call: SentRequest, answer: Any = ANSWER) -> dict[str, Any]:
    return dict.fromkeys(keys_of(call), answer)


@pytest.mark.parametrize("on_connection", [False, True])
def test_a_question_ends_the_request_and_the_retry_goes_on_with_the_call(
    on_connection: bool,
) -> None:
    talk, client, upstream = talking()
    if on_connection:
        client = talk.stateless_connection(**EVERYTHING)
    call, sent = asked(client, upstream)
    assert call.result["resultType"] == "input_required"
    assert list(call.result["inputRequests"].values()) == [{"method": ELICIT, "params": FORM}]
    assert call.result["_meta"][SERVER_INFO_KEY]["name"] == "mcp_router"
    if not on_connection:
        client.leaves()
    assert upstream.sees() == []

    retry = client.retries(call, answers_to(call))
    assert upstream.sees() == [{"id": "q", "result": ANSWER}]
    assert retry.is_waiting
    upstream.answers(sent, {"content": [], "isError": False})
    assert retry.result["resultType"] == "complete"
    assert talk.state.input_required == {}
    assert len(talk.state.input_required_due) == len(talk.state.calls.deadlines) == 0


def test_fields_for_the_upstreams_transport_alone_are_left_out_of_the_question() -> None:
    _, client, upstream = talking()
    url = {"mode": "url", "url": "https://a.test", "message": "go", "elicitationId": "e"}
    call, _ = asked(client, upstream, params=url | {"_meta": {"progressToken": 1}, "task": {}})
    (question,) = call.result["inputRequests"].values()
    assert question["params"] == {"mode": "url", "url": "https://a.test", "message": "go"}


def test_a_question_without_params_stays_without() -> None:
    _, client, upstream = talking()
    call, _ = asked(client, upstream, ROOTS, None)
    assert list(call.result["inputRequests"].values()) == [{"method": ROOTS}]


@pytest.mark.parametrize("method", [ELICIT, ROOTS, SAMPLE, "made/up"])
def test_what_the_request_did_not_declare_is_refused_to_the_upstream(method: str) -> None:
    _, client, upstream = talking()
    client.declares = {}
    call, _ = asked(client, upstream, method, {})
    assert upstream.sees_one()["error"]["code"] == -32601
    assert call.is_waiting


def test_several_questions_one_after_the_other() -> None:
    _, client, upstream = talking()
    call, sent = asked(client, upstream)
    second = client.retries(call, answers_to(call))
    upstream.sees()
    upstream.asks(ROOTS, id="r", related=sent["id"])
    assert second.result["resultType"] == "input_required"
    assert keys_of(second) != keys_of(call)
    third = client.retries(second, answers_to(second, {"roots": []}))
    assert upstream.sees() == [{"id": "r", "result": {"roots": []}}]
    upstream.answers(sent, {"content": []})
    assert third.result["resultType"] == "complete"


def test_a_question_that_comes_before_the_retry_is_asked_with_it() -> None:
    _, client, upstream = talking()
    call, sent = asked(client, upstream)
    upstream.asks(ROOTS, id="r", related=sent["id"])
    second = client.retries(call, answers_to(call))
    assert upstream.sees() == [{"id": "q", "result": ANSWER}]
    assert list(second.result["inputRequests"].values()) == [{"method": ROOTS}]
    third = client.retries(second, answers_to(second, {"roots": []}))
    assert upstream.sees() == [{"id": "r", "result": {"roots": []}}]
    assert third.is_waiting


def test_a_retry_without_the_answer_is_asked_again() -> None:
    _, client, upstream = talking()
    call, _ = asked(client, upstream)
    second = client.retries(call, {"unknown": ANSWER})
    assert second.result["inputRequests"] == call.result["inputRequests"]
    assert upstream.sees() == []
    client.retries(second, answers_to(second))
    assert upstream.sees() == [{"id": "q", "result": ANSWER}]


def test_a_question_that_the_upstream_cancels_needs_no_answer() -> None:
    _, client, upstream = talking()
    call, sent = asked(client, upstream)
    upstream.says("notifications/cancelled", {"requestId": "other"})
    upstream.says("notifications/cancelled", {"requestId": "q"})
    retry = client.retries(call, answers_to(call))
    assert upstream.sees() == []
    upstream.answers(sent, {"content": []})
    assert retry.result["resultType"] == "complete"


def test_an_outcome_that_came_first_is_kept_for_the_retry() -> None:
    talk, client, upstream = talking()
    call, sent = asked(client, upstream)
    upstream.answers(sent, {"content": [], "isError": True})
    retry = client.retries(call, answers_to(call))
    assert (retry.result["isError"], retry.result["resultType"]) == (True, "complete")
    # On a shared wire the question may have been about another call of this client.
    assert upstream.sees() == [{"id": "q", "result": ANSWER}]
    assert talk.state.input_required == {}


def test_what_is_left_unanswered_when_the_call_has_ended_is_refused_upstream() -> None:
    talk, client, upstream = talking()
    call, sent = asked(client, upstream)
    upstream.answers(sent, {"content": []})
    assert client.retries(call, {}).result["resultType"] == "complete"
    assert upstream.sees_one()["error"]["code"] == -32603
    call, sent = asked(client, upstream)
    upstream.answers(sent, {"content": []})
    talk.time_passes(T_S * 10 + 61)
    assert upstream.sees_one()["error"]["code"] == -32603


def test_a_session_that_is_lost_before_the_retry_is_the_answer_to_it() -> None:
    _, client, upstream = talking()
    call, _ = asked(client, upstream)
    upstream.breaks()
    assert client.retries(call, answers_to(call)).tool_error[0] == "SESSION_LOST"


def test_progress_for_nobody_is_dropped_and_goes_on_with_the_retrys_own_token() -> None:
    _, client, upstream = talking()
    call = client.routes("echo", _meta={"progressToken": "first"})
    sent = upstream.sees_one()
    upstream.asks(ELICIT, FORM, id="q")
    news = {"progressToken": sent["id"], "progress": 1}
    upstream.says("notifications/progress", news)
    retry = client.retries(call, answers_to(call), _meta={"progressToken": "second"})
    upstream.says("notifications/progress", news)
    assert [one["params"]["progressToken"] for one in retry.mailbox.take()] == ["second"]


def test_a_call_that_is_never_retried_is_cancelled_upstream_and_forgotten() -> None:
    talk, client, upstream = talking()
    call, sent = asked(client, upstream)
    client.leaves()
    talk.time_passes(T_S * 4 - 1)
    assert upstream.sees() == []
    talk.time_passes(2)
    assert upstream.sees_one()["error"]["code"] == -32011
    talk.time_passes(T_S)
    cancelled = upstream.sees_one()
    assert (cancelled["method"], cancelled["params"]["requestId"]) == (
        "notifications/cancelled",
        sent["id"],
    )
    assert client.retries(call, answers_to(call)).tool_error[0] == "TIMEOUT"


def test_what_was_kept_is_forgotten_in_the_end() -> None:
    talk, client, upstream = talking()
    call, _ = asked(client, upstream)
    talk.time_passes(T_S * 10 + 61)
    assert talk.state.input_required == {}
    assert client.retries(call, answers_to(call)).error["code"] == -32602


def test_the_end_of_a_connection_ends_its_calls_that_wait_for_a_retry() -> None:
    talk, other, upstream = talking()
    client = talk.stateless_connection(**EVERYTHING)
    asked(client, upstream)
    kept, _ = asked(other, upstream)
    done, sent = asked(client, upstream)
    upstream.answers(sent, {"content": []})
    assert done.mailbox.waiting
    client.leaves()
    assert upstream.sees_one()["method"] == "notifications/cancelled"
    assert len(talk.state.input_required) == 1
    assert other.retries(kept, answers_to(kept)).is_waiting


def test_a_question_on_stdio_is_not_put_to_one_of_two_clients_at_a_guess() -> None:
    _, client, upstream = talking()
    client.routes("echo")
    client.principal = Principal("another")
    client.routes("echo")
    upstream.sees()
    upstream.asks(ELICIT, FORM)
    assert upstream.sees_one()["error"]["code"] == -32017


def test_two_requests_of_one_principal_are_of_the_same_client() -> None:
    _, client, upstream = talking()
    client.routes("echo")
    last = client.routes("echo")
    upstream.sees()
    upstream.asks(ELICIT, FORM)
    assert last.result["resultType"] == "input_required"


def test_a_client_that_has_not_retried_is_asked_the_next_question_on_another_call() -> None:
    _, client, upstream = talking()
    left = client.routes("echo")
    upstream.asks(ELICIT, FORM, id="q1", related=upstream.sees_one()["id"])
    call = client.routes("echo")
    upstream.sees()
    upstream.asks(ELICIT, FORM, id="q2")
    assert call.result["resultType"] == "input_required"
    again = left.result["requestState"] != call.result["requestState"]
    assert again


def test_two_programs_of_one_principal_are_two_clients() -> None:
    _, client, upstream = talking()
    for name in ("one", "other"):
        client.meta = {CLIENT_INFO_KEY: {"name": name, "version": "1"}}
        client.routes("echo")
    upstream.sees()
    upstream.asks(ELICIT, FORM)
    assert upstream.sees_one()["error"]["code"] == -32017


def test_two_requests_on_one_connection_are_of_the_same_client() -> None:
    talk, _, upstream = talking()
    client = talk.stateless_connection(**EVERYTHING)
    client.routes("echo")
    last = client.routes("echo")
    upstream.sees()
    upstream.asks(ELICIT, FORM)
    assert last.result["resultType"] == "input_required"


# --- requestState ----------------------------------------------------------------------------


def is_invalid_request_state(asked: SentRequest) -> bool:
    return asked.error == {
        "code": -32602,
        "message": "Invalid or expired requestState",
        "data": {"reason": "invalid_request_state"},
    }


CHANGES: list[dict[str, Any]] = [
    {"state": {"requestState": "made up"}},
    {"state": {"requestState": ""}},
    {"state": {"requestState": 5}},
    {"tool_name": "other"},
    {"instance": "b"},
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_state_is_good_for_the_call_it_was_made_for(change: dict[str, Any]) -> None:
    _, client, upstream = talking()
    call, _ = asked(client, upstream)
    assert is_invalid_request_state(client.retries(call, answers_to(call), **change))
    assert upstream.sees() == []
    assert client.retries(call, answers_to(call)).is_waiting


def test_a_state_is_good_for_the_same_arguments_in_any_order() -> None:
    _, client, upstream = talking()
    call, _ = asked(client, upstream)
    state = {"requestState": call.result["requestState"], "inputResponses": answers_to(call)}
    arguments = {"arguments": {"x": 2}, "tool_name": "echo", "instance_name": "a"}
    assert is_invalid_request_state(client.calls("mcp.router.call", arguments, **state))
    assert client.calls("mcp.router.call", arguments | {"arguments": {"x": 1}}, **state).is_waiting


def test_arguments_that_no_float_can_hold_are_compared_as_they_were_written() -> None:
    _, client, upstream = talking()
    params = b'{"name":"a__echo","arguments":{"x":1e999},"_meta":%b%b}'
    meta = b'{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
    meta += b'"io.modelcontextprotocol/clientCapabilities":{"roots":{}}}'
    call = raw_call(client, params % (meta, b""))
    upstream.asks(ROOTS, id="q", related=upstream.inbox.waiting.pop().id)
    state = b',"inputResponses":{},"requestState":"%b"' % call.result["requestState"].encode()
    again = raw_call(client, params % (meta, state))
    assert again.result["resultType"] == "input_required"


def raw_call(client: StatelessClient, params: bytes) -> SentRequest:
    client.id, asked = f"raw-{next(client.talk.ids)}", SentRequest(1, Mailbox())
    opened = ClientOpened(client.id, Mailbox(), client.principal, one_shot=True, era="stateless")
    client.talk.happens(opened)
    client.talk.happens(FromClient(client.id, Request(1, "tools/call", Raw(params)), asked.mailbox))
    return asked


def test_a_state_is_used_once() -> None:
    _, client, upstream = talking()
    call, _ = asked(client, upstream)
    client.retries(call, answers_to(call))
    upstream.sees()
    assert is_invalid_request_state(client.retries(call, answers_to(call)))
    assert upstream.sees() == []


def test_a_state_belongs_to_a_principal() -> None:
    _, client, upstream = talking()
    call, _ = asked(client, upstream)
    mine, client.principal = client.principal, Principal("other")
    assert is_invalid_request_state(client.retries(call, answers_to(call)))
    client.principal = mine
    assert client.retries(call, answers_to(call)).is_waiting


def test_a_state_is_no_way_to_an_instance_that_was_taken_away() -> None:
    _, client, upstream = talking()
    call, _ = asked(client, upstream)
    client.principal = Principal(client.principal.name, instances=frozenset({"b"}))
    assert is_invalid_request_state(client.retries(call, answers_to(call)))


def test_a_principal_that_may_not_call_any_more_may_not_retry() -> None:
    _, client, upstream = talking()
    call, _ = asked(client, upstream)
    client.principal = Principal(client.principal.name, permissions=frozenset({"read"}))
    assert client.retries(call, answers_to(call)).error["code"] == -32016


@pytest.mark.parametrize("answers", [5, {"1": 5}, {"1": None}])
def test_answers_that_are_no_objects_leave_the_call_to_be_retried(answers: Any) -> None:
    talk, client, upstream = talking()
    call, _ = asked(client, upstream)
    assert client.retries(call, answers).error["code"] == -32602
    assert len(talk.state.input_required) == 1
    assert upstream.sees() == []


# --- Limits ----------------------------------------------------------------------------------


def test_questions_of_one_call_are_bounded() -> None:
    _, client, upstream = talking()
    call, sent = asked(client, upstream)
    for number in range(MAX_INPUT_REQUESTS):
        upstream.asks(ROOTS, id=number, related=sent["id"])
    refused = upstream.sees_one()
    assert (refused["id"], refused["error"]["code"]) == (MAX_INPUT_REQUESTS - 1, -32015)
    second = client.retries(call, answers_to(call))
    assert len(keys_of(second)) == MAX_INPUT_REQUESTS - 1


def test_calls_that_wait_for_a_retry_are_bounded_for_each_principal_and_in_all() -> None:
    talk, client, upstream = talking()
    for number in range(MAX_AWAITING_RETRY):
        client.principal = Principal(str(number // MAX_AWAITING_RETRY_OF_PRINCIPAL))
        asked(client, upstream)
    assert len(talk.state.input_required) == MAX_AWAITING_RETRY
    assert upstream.sees() == []
    client.principal = Principal("another")
    call, _ = asked(client, upstream)
    assert upstream.sees_one()["error"]["code"] == -32015
    assert call.is_waiting


def test_one_principal_does_not_take_the_room_of_another() -> None:
    _, client, upstream = talking()
    for _ in range(MAX_AWAITING_RETRY_OF_PRINCIPAL):
        asked(client, upstream)
    call, _ = asked(client, upstream)
    assert upstream.sees_one()["error"]["code"] == -32015
    assert call.is_waiting
    client.principal = Principal("another")
    call, _ = asked(client, upstream)
    assert call.result["resultType"] == "input_required"
