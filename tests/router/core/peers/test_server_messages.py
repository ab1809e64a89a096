"""Messages of upstreams, each for the one client it belongs to."""

from typing import Any

import pytest

from router.core.peers.server_messages import MAX_UNANSWERED
from tests.router.core.conversation import Conversation, FakeClient, FakeUpstream, ready

ROOTS = "roots/list"
SAMPLING = "sampling/createMessage"
ELICITATION = "elicitation/create"


def calling(
    revision: str = "2025-11-25", **capabilities: Any
) -> tuple[Conversation, FakeClient, FakeUpstream]:
    """An upstream, and a client of this revision and capabilities with a call in flight there."""
    talk = Conversation()
    (upstream,) = talk.with_upstreams("a")
    alice = talk.client()
    alice.initializes(revision, **capabilities)
    alice.routes("echo")
    upstream.sees()
    return talk, alice, upstream


# --- Answers ---------------------------------------------------------------------------------


def test_two_clients_with_the_same_ids_get_their_own_answers() -> None:
    talk, alice, upstream = ready()
    bob = talk.client()
    for_alice, for_bob = alice.routes("echo", id=1), bob.routes("echo", id=1)
    first, second = upstream.sees()
    upstream.answers(second, "bob")
    upstream.answers(first, "alice")
    assert (for_alice.result, for_bob.result) == ("alice", "bob")


def test_an_upstream_cannot_answer_the_call_of_another_one() -> None:
    talk = Conversation()
    honest, evil = talk.with_upstreams("a", "b")
    alice = talk.client()
    call = alice.routes("echo", "a", _meta={"progressToken": "p"})
    seen = honest.sees_one()
    evil.answers(seen, "forged")
    evil.fails(seen, {"code": 1, "message": "forged"})
    evil.says("notifications/progress", {"progressToken": seen["id"], "progress": 1})
    evil.says("notifications/message", {"level": "error", "data": "x"}, related=seen["id"])
    evil.asks(ROOTS, related=seen["id"])
    assert call.mailbox.waiting == []
    assert evil.sees_one()["error"]["code"] == -32017
    honest.answers(seen, "true")
    assert call.result == "true"


@pytest.mark.parametrize("answer_id", [None, "2", 99], ids=repr)
def test_an_answer_to_no_call_is_dropped(answer_id: Any) -> None:
    _, alice, upstream = ready()
    call = alice.routes("echo")
    upstream.fails({"id": answer_id}, {"code": 1, "message": "m"})
    assert call.is_waiting


def test_a_second_answer_is_dropped() -> None:
    _, alice, upstream = ready()
    call = alice.routes("echo")
    seen = upstream.sees_one()
    upstream.answers(seen, "first")
    upstream.answers(seen, "second")
    assert call.result == "first"


def test_a_dead_incarnation_is_not_listened_to() -> None:
    talk, alice, old = ready()
    old.breaks()
    talk.down("a")
    talk.starting("a")
    new = talk.up("a", "echo")
    call = alice.routes("echo")
    seen = new.sees_one()
    old.answers(seen, "from the grave")
    assert call.is_waiting


# --- Questions -------------------------------------------------------------------------------


def test_a_question_goes_to_the_client_whose_call_it_belongs_to_and_its_answer_back() -> None:
    _, alice, upstream = calling(roots={})
    call = alice.routes("echo")
    upstream.sees()
    upstream.asks(ROOTS, id="q1")
    (question,) = call.mailbox.take()
    assert question == {"id": 1, "method": ROOTS}
    alice.answers(question, {"roots": []})
    assert upstream.sees_one() == {"id": "q1", "result": {"roots": []}}


def test_a_client_may_refuse_a_question() -> None:
    _, alice, upstream = calling(roots={})
    call = alice.routes("echo")
    upstream.sees()
    upstream.asks(ROOTS, id="q1")
    alice.refuses(call.mailbox.take()[0], {"code": -1, "message": "User rejected"})
    assert upstream.sees_one()["error"] == {"code": -1, "message": "User rejected"}


def test_a_question_is_answered_once() -> None:
    _, alice, upstream = calling(roots={})
    call = alice.routes("echo")
    upstream.sees()
    upstream.asks(ROOTS)
    (question,) = call.mailbox.take()
    alice.answers(question, {})
    alice.answers(question, {})
    assert len(upstream.sees()) == 1


def test_two_questions_of_one_call_are_kept_apart() -> None:
    talk, alice, upstream = ready()
    alice.initializes(roots={})
    call = alice.routes("echo")
    seen = upstream.sees_one()
    upstream.asks(ROOTS, id="one")
    upstream.asks(ROOTS, id="two")
    one, two = call.mailbox.take()
    alice.answers(two, {"n": 2})
    talk.time_passes(100)
    alice.answers(one, {"n": 1})
    assert [(got["id"], got["result"]["n"]) for got in upstream.sees()] == [("two", 2), ("one", 1)]
    upstream.answers(seen, {})
    assert call.result == {}


def test_a_question_with_several_clients_in_flight_is_refused_and_says_what_to_do() -> None:
    talk, alice, upstream = calling(roots={})
    bob = talk.client()
    bob.initializes(roots={})
    bob.routes("echo")
    upstream.sees()
    upstream.asks(ROOTS, id="q")
    refusal = upstream.sees_one()
    assert (refusal["id"], refusal["error"]["code"]) == ("q", -32017)
    assert refusal["error"]["message"] == (
        "Several clients have calls in flight on instance 'a'; let one client at a time use it, "
        'or give each a session of its own with "sessions": "per_client"'
    )
    assert (alice.outbox.take(), bob.outbox.take()) == ([], [])


def test_a_question_belongs_to_the_call_on_whose_stream_it_came() -> None:
    talk, alice, upstream = ready()
    alice.initializes(roots={})
    bob = talk.client()
    bob.initializes(roots={})
    for_alice, for_bob = alice.routes("echo"), bob.routes("echo")
    first, _ = upstream.sees()
    upstream.asks(ROOTS, related=first["id"])
    assert len(for_alice.mailbox.take()) == 1
    assert for_bob.mailbox.take() == []


def test_a_question_outside_any_call_is_refused() -> None:
    _, _, upstream = ready()
    upstream.asks(ROOTS)
    assert upstream.sees_one()["error"] == {
        "code": -32017,
        "message": "No client has a call in flight that this belongs to",
    }


def test_an_unknown_question_is_refused() -> None:
    _, _, upstream = calling(roots={})
    upstream.asks("tools/list")
    assert upstream.sees_one()["error"] == {
        "code": -32601,
        "message": "Method not found: tools/list",
    }


def test_a_lone_request_cannot_be_asked_anything() -> None:
    talk, _, upstream = ready()
    lone = talk.client(one_shot=True)
    lone.initializes(roots={})
    lone.routes("echo")
    upstream.sees()
    upstream.asks(ROOTS)
    assert upstream.sees_one()["error"]["code"] == -32601


FORM, URL = {"mode": "form"}, {"mode": "url", "url": "https://x.test", "elicitationId": "e"}


@pytest.mark.parametrize(
    ("revision", "capabilities", "method", "params"),
    [
        ("2024-11-05", {"roots": {}}, ROOTS, None),
        ("2024-11-05", {"sampling": {}}, SAMPLING, {"messages": []}),
        ("2025-06-18", {"elicitation": {}}, ELICITATION, {"message": "?"}),
        ("2025-06-18", {"elicitation": {}}, ELICITATION, FORM),
        ("2025-11-25", {"elicitation": {}}, ELICITATION, {"message": "?"}),
        ("2025-11-25", {"elicitation": {"form": {}}}, ELICITATION, FORM),
        ("2025-11-25", {"elicitation": {"url": {}}}, ELICITATION, URL),
        ("2025-11-25", {"sampling": {"tools": {}}}, SAMPLING, {"tools": []}),
        ("2025-11-25", {"sampling": {}}, SAMPLING, {"tools": None}),
    ],
)
def test_a_client_is_asked_what_it_can_answer(
    revision: str, capabilities: dict[str, Any], method: str, params: Any
) -> None:
    _, alice, upstream = calling(revision, **capabilities)
    call = alice.routes("echo")
    upstream.sees()
    upstream.asks(method, params)
    (question,) = call.mailbox.take()
    assert question.get("params") == params
    assert upstream.sees() == []


@pytest.mark.parametrize(
    ("revision", "capabilities", "method", "params", "code", "lacking"),
    [
        ("2025-11-25", {}, ROOTS, None, -32601, ROOTS),
        ("2025-03-26", {"elicitation": {}}, ELICITATION, FORM, -32601, ELICITATION),
        ("2025-06-18", {"elicitation": {"url": {}}}, ELICITATION, URL, -32602, "in url mode"),
        ("2025-11-25", {"elicitation": {}}, ELICITATION, URL, -32602, "elicitation in url mode"),
        ("2025-11-25", {"elicitation": {"url": {}}}, ELICITATION, {}, -32602, "in form mode"),
        ("2025-06-18", {"sampling": {"tools": {}}}, SAMPLING, {"tools": []}, -32602, "with tools"),
        ("2025-11-25", {"sampling": {}}, SAMPLING, {"toolChoice": {}}, -32602, "with tools"),
    ],
)
def test_a_client_is_never_asked_what_it_did_not_declare_or_its_revision_lacks(
    revision: str,
    capabilities: dict[str, Any],
    method: str,
    params: Any,
    code: int,
    lacking: str,
) -> None:
    _, alice, upstream = calling(revision, **capabilities)
    call = alice.routes("echo")
    upstream.sees()
    upstream.asks(method, params)
    error = upstream.sees_one()["error"]
    assert (error["code"], call.mailbox.take()) == (code, [])
    assert error["message"].startswith("The client does not support ")
    assert error["message"].endswith(lacking)


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        (ROOTS, {"_meta": 5}, "params._meta must be an object"),
        (ELICITATION, {"mode": 5}, "params.mode must be a string"),
        (
            ROOTS,
            {"_meta": {"ProgressToken": 5}},
            "params._meta: 'ProgressToken' differs from a known key in case",
        ),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(method: str, params: Any, message: str) -> None:
    _, _, upstream = calling(roots={}, elicitation={})
    upstream.asks(method, params)
    assert upstream.sees_one()["error"] == {"code": -32602, "message": message}


def test_a_clients_capability_that_is_no_object_is_refused_upstream() -> None:
    _, _, upstream = calling(elicitation=True)
    upstream.asks(ELICITATION, FORM)
    assert upstream.sees_one()["error"]["code"] == -32602


def test_progress_of_a_question_goes_back_under_the_upstreams_own_token() -> None:
    talk = Conversation()
    one, two = talk.with_upstreams("a", "b")
    alice = talk.client()
    alice.initializes(sampling={})
    calls = [alice.routes("echo", "a"), alice.routes("echo", "b")]
    questions: list[dict[str, Any]] = []
    for upstream, call in zip((one, two), calls, strict=True):
        upstream.sees()
        upstream.asks(SAMPLING, {"_meta": {"progressToken": "t", "k": 1}, "messages": []})
        questions += call.mailbox.take()
    meta = questions[1]["params"]["_meta"]
    assert meta == {"progressToken": questions[1]["id"], "k": 1}
    alice.says("notifications/progress", meta | {"progress": 0.5})
    assert one.sees() == []
    assert two.sees_one()["params"] == {"progressToken": "t", "k": 1, "progress": 0.5}


def test_progress_of_a_question_that_wants_none_is_dropped() -> None:
    _, alice, upstream = calling(roots={})
    upstream.asks(ROOTS, {"_meta": {}})
    alice.says("notifications/progress", {"progressToken": 1, "progress": 1})
    assert upstream.sees() == []


def test_an_upstream_may_cancel_its_question() -> None:
    talk, alice, upstream = ready()
    alice.initializes(roots={})
    call = alice.routes("echo")
    upstream.sees()
    upstream.asks(ROOTS, id="q")
    upstream.asks(ROOTS, id="other")
    first, _ = call.mailbox.take()
    upstream.says("notifications/cancelled", {"requestId": "q"})
    (cancelled,) = call.mailbox.take()
    assert cancelled["method"] == "notifications/cancelled"
    assert cancelled["params"]["requestId"] == first["id"]
    alice.answers(first, {})
    assert upstream.sees() == []
    upstream.says("notifications/cancelled", {"requestId": "never asked"})
    assert call.mailbox.take() == []
    assert len(talk.state.clients[alice.id].server_requests) == 1


def test_a_question_still_open_when_its_call_ends_is_cancelled_before_the_answer() -> None:
    _, alice, upstream = ready()
    alice.initializes(roots={})
    call, other = alice.routes("echo"), alice.routes("echo")
    first, second = upstream.sees()
    upstream.asks(ROOTS, id="q", related=first["id"])
    upstream.asks(ROOTS, id="kept", related=second["id"])
    upstream.answers(first, {})
    question, withdrawn, answer = call.mailbox.take()
    assert withdrawn["params"] == {
        "requestId": question["id"],
        "reason": "The call it belongs to has ended",
    }
    assert answer["result"] == {}
    assert len(other.mailbox.take()) == 1


# --- Progress --------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [0, 7, "seven", ""], ids=repr)
def test_progress_reaches_the_caller_under_its_own_token_before_the_answer(token: Any) -> None:
    _, alice, upstream = ready()
    call = alice.routes("echo", _meta={"progressToken": token, "k": 1})
    seen = upstream.sees_one()
    ours = seen["params"]["_meta"]["progressToken"]
    assert seen["params"]["_meta"] == {"progressToken": seen["id"], "k": 1}
    upstream.says("notifications/progress", {"progressToken": ours, "progress": 0.50, "x": [1]})
    upstream.answers(seen, {})
    progress, answer = call.mailbox.take()
    assert progress == {
        "method": "notifications/progress",
        "params": {"progressToken": token, "progress": 0.5, "x": [1]},
    }
    assert "result" in answer


def test_a_selected_tool_reports_progress_as_well() -> None:
    _, alice, upstream = ready()
    alice.uses()
    call = alice.calls("echo", {}, _meta={"progressToken": "p"})
    seen = upstream.sees_one()
    upstream.says("notifications/progress", {"progressToken": seen["id"], "progress": 1})
    assert call.mailbox.take()[0]["params"]["progressToken"] == "p"


@pytest.mark.parametrize("meta", [{}, {"progressToken": None}, {"progressToken": [1]}], ids=str)
def test_progress_that_nobody_asked_for_is_dropped(meta: dict[str, Any]) -> None:
    _, alice, upstream = ready()
    call = alice.routes("echo", _meta=meta)
    seen = upstream.sees_one()
    assert seen["params"]["_meta"] == {}
    upstream.says("notifications/progress", {"progressToken": seen["id"], "progress": 1})
    assert call.mailbox.take() == []


@pytest.mark.parametrize(
    "params",
    [
        None,
        {"progress": 1},
        {"progressToken": 4000},
        {"progressToken": "x"},
        {"progressToken": 2, "progresstoken": 2},
    ],
)
def test_progress_of_nothing_is_dropped(params: Any) -> None:
    _, alice, upstream = ready()
    call = alice.routes("echo", _meta={"progressToken": 1})
    upstream.says("notifications/progress", params)
    assert call.mailbox.take() == []


# --- Logs ------------------------------------------------------------------------------------


def test_a_log_message_of_a_call_goes_to_it() -> None:
    talk, alice, upstream = ready()
    call = alice.routes("echo")
    seen = upstream.sees_one()
    upstream.says("notifications/message", {"level": "info", "data": "hi"}, related=seen["id"])
    (message,) = call.mailbox.take()
    assert message["params"] == {"level": "info", "data": "hi"}
    assert talk.client().outbox.take() == []


def test_a_client_that_set_no_level_gets_what_its_server_logs_until_another_client_sets_one() -> (
    None
):
    talk, alice, upstream = ready()
    call = alice.routes("echo")
    seen = upstream.sees_one()
    debug = {"level": "debug", "data": "details"}
    upstream.says("notifications/message", debug, related=seen["id"])
    assert [message["params"] for message in call.mailbox.take()] == [debug]
    talk.client().asks("logging/setLevel", {"level": "debug"})
    upstream.says("notifications/message", debug, related=seen["id"])
    assert call.mailbox.take() == []


def test_a_log_message_of_no_call_goes_to_the_clients_that_use_the_instance() -> None:
    talk, alice, upstream = ready("b")
    alice.uses("a")
    carol, lone = talk.client(), talk.client(one_shot=True)
    carol.uses("b")
    lone.routes("echo", "a")
    for client in (alice, carol):
        client.outbox.take()
    upstream.says("notifications/message", {"level": "warning", "data": 1})
    assert [len(client.outbox.take()) for client in (alice, carol, lone)] == [1, 0, 0]


def test_a_log_message_of_no_call_comes_with_the_newest_call_of_a_client_that_has_calls() -> None:
    """So it is there before the answer, and needs no stream of its own."""
    talk, _, upstream = ready()
    bob = talk.client()
    calls = [bob.routes("echo", "a"), bob.routes("echo", "a")]
    upstream.says("notifications/message", {"level": "warning", "data": 1})
    assert [len(call.mailbox.take()) for call in calls] == [0, 1]
    assert bob.outbox.take() == []


@pytest.mark.parametrize(
    ("wanted", "level", "told"),
    [
        (None, "debug", False),
        (None, "info", True),
        ("error", "warning", False),
        ("error", "error", True),
        ("debug", "debug", True),
        ("emergency", "made up", True),
    ],
)
def test_a_client_gets_the_levels_it_asked_for(wanted: str | None, level: str, told: bool) -> None:
    _, alice, upstream = ready()
    alice.uses()
    alice.outbox.take()
    if wanted:
        alice.asks("logging/setLevel", {"level": wanted})
    upstream.says("notifications/message", {"level": level, "data": ""})
    assert bool(alice.outbox.take()) is told


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("notifications/message", None),
        ("notifications/message", {"level": 5}),
        ("notifications/cancelled", {}),
        ("notifications/resources/updated", {"uri": "x"}),
    ],
)
def test_a_notification_that_means_nothing_here_is_dropped(method: str, params: Any) -> None:
    _, alice, upstream = ready()
    alice.uses()
    call = alice.routes("echo")
    alice.outbox.take()
    upstream.says(method, params)
    assert (alice.outbox.take(), call.mailbox.take()) == ([], [])


def test_one_call_asks_a_client_only_so_much_at_a_time() -> None:
    talk, alice, upstream = ready()
    alice.initializes(sampling={})
    alice.routes("echo")
    upstream.sees()
    for number in range(MAX_UNANSWERED + 1):
        upstream.asks("sampling/createMessage", {}, id=number)
    refused = upstream.sees_one()
    assert (refused["id"], refused["error"]["code"]) == (MAX_UNANSWERED, -32015)
    assert len(talk.state.clients[alice.id].server_requests) == MAX_UNANSWERED
