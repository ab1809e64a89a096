"""Clients of both eras that answer whether a call of theirs may be carried out."""

from typing import Any

import pytest

from router.messages.commands import Principal
from router.messages.instances.exposure import Profile
from router.messages.observability.records import ApprovalRecord
from tests.router.core.approvals.asked import (
    ASK_S,
    CALLER,
    FORM,
    NEEDS_YES,
    TOOLS,
    YES,
    asking,
    listed,
    nothing_waits,
    question_of,
    retried,
)
from tests.router.core.conversation import Conversation, FakeUpstream, StatelessClient

DECLINED = ("NOT_APPROVED", "not approved: the user of the client did not agree")
TOO_LATE = ("NOT_APPROVED", "not approved: the question has expired, or was answered before")
NO = [{"action": "decline"}, {"action": "accept", "content": {"approve": False}}, {}]


# --- Clients with a session ------------------------------------------------------------------


@pytest.mark.parametrize("answer", NO)
def test_any_other_answer_than_a_yes_refuses_the_call(answer: Any) -> None:
    talk, client, upstream = asking()
    call = client.calls("a__rm")
    client.answers(question_of(call), answer)
    assert call.tool_error == DECLINED
    assert upstream.sees() == []
    assert nothing_waits(talk)


def test_a_client_that_answers_with_an_error_refuses_the_call() -> None:
    _, client, upstream = asking()
    call = client.calls("a__rm")
    client.refuses(question_of(call), {"code": -32603, "message": "no window"})
    assert call.tool_error == DECLINED
    assert upstream.sees() == []


def test_a_second_answer_and_one_of_somebody_else_do_nothing() -> None:
    talk, client, upstream = asking()
    other = talk.client(principal=CALLER)
    call = client.calls("a__rm")
    question = question_of(call)
    other.answers(question, YES)
    client.answers({"id": 99}, YES)
    assert call.is_waiting
    assert upstream.sees() == []
    client.answers(question, YES)
    client.answers(question, YES)
    upstream.sees_one()


def test_each_answer_is_for_its_own_call() -> None:
    _, client, upstream = asking()
    first, second = client.calls("a__rm", {"n": 1}), client.calls("a__rm", {"n": 2})
    client.answers(question_of(second), YES)
    assert upstream.sees_one()["params"]["arguments"] == {"n": 2}
    assert first.is_waiting


@pytest.mark.parametrize(
    ("revision", "declares", "one_shot"),
    [
        ("2025-03-26", FORM, False),
        ("2025-11-25", {}, False),
        ("2025-11-25", {"elicitation": {"url": {}}}, False),
        ("2025-11-25", FORM, True),
    ],
)
def test_a_client_that_cannot_be_asked_leaves_it_to_an_approver(
    revision: str, declares: Any, one_shot: bool
) -> None:
    talk, _, _ = asking()
    client = talk.client(one_shot=one_shot)
    client.initializes(revision, **declares)
    call = client.calls("a__rm")
    assert call.mailbox.waiting == []
    assert len(listed(talk)) == 1


def test_arguments_too_long_for_a_form_are_left_to_an_approver() -> None:
    talk, client, _ = asking()
    client.calls("a__rm", {"text": "x" * 5000})
    (row,) = listed(talk)
    assert len(row["arguments"]) > 5000


# --- Clients of 2026-07-28 -------------------------------------------------------------------


def stateless(
    *, on_connection: bool = False, revision: str = "2025-11-25", **settings: Any
) -> tuple[Conversation, StatelessClient, FakeUpstream]:
    talk = Conversation(**settings)
    upstream = talk.with_instance("a", *TOOLS, exposure=NEEDS_YES, revision=revision)
    open_client = talk.stateless_connection if on_connection else talk.stateless_client
    return talk, open_client(CALLER, elicitation={"form": {}}), upstream


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
@pytest.mark.parametrize("on_connection", [False, True])
def test_a_client_without_a_session_makes_its_call_again_with_the_yes(
    on_connection: bool, revision: str
) -> None:
    talk, client, upstream = stateless(on_connection=on_connection, revision=revision)
    call = client.routes("rm")
    assert call.result["resultType"] == "input_required"
    (question,) = call.result["inputRequests"].values()
    assert question["method"] == "elicitation/create"
    assert question["params"]["message"].endswith('{\n  "x": 1\n}')
    assert upstream.sees() == []
    retry = retried(client, call)
    sent = upstream.sees_one()
    assert sent["params"]["arguments"] == {"x": 1}
    assert not {"requestState", "inputResponses"} & sent["params"].keys()
    upstream.answers(sent, {"content": [], "resultType": "complete"})
    assert retry.result["resultType"] == "complete"
    assert nothing_waits(talk)


@pytest.mark.parametrize("answer", [*NO, None])
def test_a_retry_without_a_yes_is_refused(answer: Any) -> None:
    talk, client, upstream = stateless()
    retry = retried(client, client.routes("rm"), answer)
    assert retry.tool_error == DECLINED
    assert retry.result["resultType"] == "complete"
    assert upstream.sees() == []
    assert nothing_waits(talk)


def test_responses_that_are_no_object_are_no_yes() -> None:
    _, client, upstream = stateless()
    call = client.routes("rm")
    state = call.result["requestState"]
    retry = client.routes("rm", requestState=state, inputResponses=[])
    assert retry.tool_error == DECLINED
    assert upstream.sees() == []


def test_a_yes_is_good_once() -> None:
    _, client, upstream = stateless()
    call = client.routes("rm")
    retried(client, call)
    upstream.sees_one()
    assert retried(client, call).tool_error == TOO_LATE
    assert upstream.sees() == []


def test_a_yes_that_comes_too_late_is_refused() -> None:
    talk, client, upstream = stateless()
    call = client.routes("rm")
    talk.time_passes(ASK_S + 1)
    assert nothing_waits(talk)
    assert retried(client, call).tool_error == TOO_LATE
    assert upstream.sees() == []


def test_a_yes_for_other_arguments_another_tool_or_of_somebody_else_is_no_yes() -> None:
    talk, client, upstream = stateless()
    state = {
        "requestState": client.routes("rm").result["requestState"],
        "inputResponses": {"mcp-router-approval": YES},
    }
    stranger = talk.stateless_client(Principal("other"), elicitation={"form": {}})
    other_arguments = {"instance_name": "a", "tool_name": "rm", "arguments": {"x": 2}}
    for call in (
        client.calls("mcp.router.call", other_arguments, **state),
        client.routes("rm_all", **state),
        stranger.routes("rm", **state),
    ):
        error = call.error
        assert (error["code"], error["data"]) == (-32602, {"reason": "invalid_request_state"})
    assert upstream.sees() == []


def test_the_next_process_knows_no_question_of_this_one() -> None:
    _, client, _ = stateless()
    asked = client.routes("rm")
    _, again, upstream = stateless()
    call = retried(again, asked)
    assert call.error["code"] == -32602
    assert upstream.sees() == []


def test_an_answer_for_the_server_waits_with_the_call() -> None:
    _, client, upstream = stateless(revision="2026-07-28")
    for_server = {"requestState": "of the server", "inputResponses": {"k": {"action": "accept"}}}
    retry = retried(client, client.routes("rm", **for_server))
    params = upstream.sees_one()["params"]
    assert {key: params[key] for key in for_server} == for_server
    assert retry.is_waiting


def test_a_client_without_a_session_and_without_forms_waits_for_an_approver() -> None:
    talk, _, upstream = stateless()
    client = talk.stateless_client(CALLER)
    call = client.routes("rm")
    assert call.is_waiting
    assert len(listed(talk)) == 1
    client.leaves()
    assert nothing_waits(talk)
    assert upstream.sees() == []


def test_a_reload_forgets_the_question_to_a_client_that_is_away() -> None:
    talk, client, upstream = stateless()
    call = client.routes("rm")
    talk.settings_change(profiles={"work": Profile()})
    assert len(talk.state.approvals.by_id) == 1
    talk.configured()
    assert retried(client, call).tool_error == TOO_LATE
    assert upstream.sees() == []


def test_both_requests_have_their_own_record() -> None:
    talk, client, upstream = stateless(records=frozenset({"audit"}))
    call = client.routes("rm")
    talk.time_passes(2)
    retried(client, call)
    upstream.answers(upstream.sees_one(), {"content": []})
    asked, approved = talk.call_records()
    assert asked.approval == ApprovalRecord("client", "asked")
    assert approved.approval == ApprovalRecord("client", "approved", "agent", 2.0)
    retried(client, client.routes("rm"), None)
    denied = talk.call_records()[-1]
    assert denied.approval == ApprovalRecord("client", "denied", "agent")
    assert (denied.outcome, denied.code, denied.target) == ("error", -32008, "rm")
