"""Messages of servers about tasks: they reach the owner of the task, and nobody else."""

from typing import Any

from tests.router.core.conversation import FakeUpstream
from tests.router.core.tasks.task_peers import (
    ALICE,
    ANONYMOUS,
    BOB,
    RELATED,
    begins_task,
    client_of,
    handle_of,
    talk_with_tasks,
    task,
)


def _asks_about(upstream: FakeUpstream, task_id: str, **more: Any) -> None:
    params = {"message": "Which?", "requestedSchema": {}, "_meta": {RELATED: {"taskId": task_id}}}
    upstream.asks("elicitation/create", params | more)


# --- Status ----------------------------------------------------------------------------------


def test_a_status_reaches_the_owner_alone_with_its_handle() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice, bob, same_view = client_of(talk), client_of(talk, BOB), client_of(talk, view="a")
    handle = handle_of(begins_task(alice, upstream))
    upstream.says("notifications/tasks/status", task("t1", "completed", more=1))
    assert alice.outbox.take() == [
        {"method": "notifications/tasks/status", "params": task(handle, "completed", more=1)}
    ]
    assert bob.outbox.take() == same_view.outbox.take() == []


def test_a_status_of_an_unknown_task_reaches_nobody() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk, view="a")
    upstream.says("notifications/tasks/status", task("t1"))
    upstream.says("notifications/tasks/status", {})
    upstream.says("notifications/tasks/status")
    assert alice.outbox.take() == []


def test_a_status_reaches_the_session_that_asked_last() -> None:
    talk, (upstream,) = talk_with_tasks()
    first, second = client_of(talk), client_of(talk)
    handle = handle_of(begins_task(first, upstream))
    second.asks("tasks/get", {"taskId": handle})
    upstream.says("notifications/tasks/status", task("t1"))
    assert first.outbox.take() == []
    assert second.outbox.take()[0]["params"]["taskId"] == handle


def test_a_status_for_a_client_that_is_gone_is_dropped() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    begins_task(alice, upstream)
    alice.leaves()
    upstream.says("notifications/tasks/status", task("t1"))
    assert alice.outbox.take() == []


def test_a_session_tells_nothing_of_the_task_of_another_live_session() -> None:
    talk, (one, other) = talk_with_tasks("a", "b")
    alice = client_of(talk)
    begins_task(alice, one, "1")
    (known,) = talk.state.tasks.with_id("a", "1")
    known.session = other.session
    one.says("notifications/tasks/status", task("1"))
    assert alice.outbox.take() == []


def test_two_servers_with_the_same_ids_do_not_mix() -> None:
    talk, (one, other) = talk_with_tasks("a", "b")
    alice, bob = client_of(talk), client_of(talk, BOB)
    begins_task(alice, one, "1")
    of_bob = handle_of(begins_task(bob, other, "1"))
    other.says("notifications/tasks/status", task("1"))
    assert alice.outbox.take() == []
    assert bob.outbox.take()[0]["params"]["taskId"] == of_bob


# --- Requests --------------------------------------------------------------------------------


def test_a_request_about_a_task_reaches_its_owner_though_no_call_is_in_flight() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice, bob = client_of(talk), client_of(talk, BOB)
    handle = handle_of(begins_task(alice, upstream))
    bob.calls("a__dig")  # It is the only call in flight, and none of the task's owner.
    upstream.sees()
    _asks_about(upstream, "t1")
    (question,) = alice.outbox.take()
    assert question["method"] == "elicitation/create"
    assert question["params"]["_meta"] == {RELATED: {"taskId": handle}}
    answer = {"action": "accept", "_meta": {RELATED: {"taskId": handle}, "own": 1}}
    alice.answers(question, answer)
    assert upstream.sees_one() == {
        "id": 1,
        "result": {"action": "accept", "_meta": {RELATED: {"taskId": "t1"}, "own": 1}},
    }
    assert bob.outbox.take() == []


def test_an_answer_names_no_task_but_that_of_its_request() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    begins_task(alice, upstream)
    _asks_about(upstream, "t1")
    (question,) = alice.outbox.take()
    forged = {"action": "accept", "_meta": {RELATED: {"taskId": "t2"}}}
    alice.answers(question, forged)
    assert upstream.sees_one()["result"]["_meta"] == {RELATED: {"taskId": "t1"}}
    call = alice.calls("a__dig")
    upstream.sees()
    upstream.asks("elicitation/create", {"message": "Which?", "requestedSchema": {}})
    (question,) = call.mailbox.take()
    alice.answers(question, forged)
    assert upstream.sees_one()["result"] == {"action": "accept", "_meta": {}}


def test_an_answer_that_cannot_be_read_is_an_error_for_the_server() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    begins_task(alice, upstream)
    _asks_about(upstream, "t1")
    (question,) = alice.outbox.take()
    alice.answers(question, b'{"\\ud800 no character": 1}')
    assert upstream.sees_one()["error"]["message"] == "result must be an object"


def test_it_reaches_the_call_that_waits_for_the_result_of_the_task() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    handle = handle_of(begins_task(alice, upstream))
    asked = alice.asks("tasks/result", {"taskId": handle})
    request = upstream.sees_one()
    _asks_about(upstream, "t1")
    (question,) = asked.mailbox.take()
    assert alice.outbox.take() == []
    alice.answers(question, {"action": "decline"})
    assert upstream.sees_one()["result"] == {"action": "decline"}
    upstream.answers(request, {"content": []})
    assert asked.result == {"content": []}


def test_it_is_refused_when_its_owner_is_not_there() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice, bob = client_of(talk), client_of(talk, BOB)
    begins_task(alice, upstream)
    alice.leaves()
    bob.calls("a__dig")
    upstream.sees()
    _asks_about(upstream, "t1")
    error = upstream.sees_one()["error"]
    assert error == {"code": -32017, "message": "The client of this task is not connected"}
    assert bob.outbox.take() == []


def test_it_is_refused_when_its_owner_has_no_session() -> None:
    talk, (upstream,) = talk_with_tasks()
    begins_task(client_of(talk, one_shot=True), upstream)
    _asks_about(upstream, "t1")
    assert upstream.sees_one()["error"]["code"] == -32017


def test_it_is_refused_when_the_server_gave_the_task_to_several() -> None:
    talk, (upstream,) = talk_with_tasks()
    for principal in (ALICE, BOB):
        begins_task(client_of(talk, principal), upstream)
    _asks_about(upstream, "t1")
    error = upstream.sees_one()["error"]
    assert error == {"code": -32017, "message": "Several clients have a task of this id"}


def test_it_is_refused_when_the_client_did_not_declare_that_it_answers() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    begins_task(alice, upstream)
    upstream.asks("sampling/createMessage", {"_meta": {RELATED: {"taskId": "t1"}}})
    assert upstream.sees_one()["error"]["code"] == -32601
    assert alice.outbox.take() == []


def test_a_request_about_an_unknown_task_goes_by_the_calls_in_flight() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    call = alice.calls("a__dig")
    upstream.sees()
    _asks_about(upstream, "unknown")
    (question,) = call.mailbox.take()
    assert question["params"]["_meta"] == {RELATED: {"taskId": "unknown"}}


def test_the_client_is_not_offered_to_make_a_task_of_a_request() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    begins_task(alice, upstream)
    _asks_about(upstream, "t1", task={"ttl": 1})
    assert "task" not in alice.outbox.take()[0]["params"]


def test_progress_of_the_client_on_such_a_request_reaches_the_server() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    begins_task(alice, upstream)
    meta = {RELATED: {"taskId": "t1"}, "progressToken": "p"}
    upstream.asks("elicitation/create", {"message": "", "requestedSchema": {}, "_meta": meta})
    (question,) = alice.outbox.take()
    token = question["params"]["_meta"]["progressToken"]
    alice.says("notifications/progress", {"progressToken": token, "progress": 1})
    assert upstream.sees_one()["params"] == {"progressToken": "p", "progress": 1}


def test_the_server_may_cancel_such_a_request() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    begins_task(alice, upstream)
    _asks_about(upstream, "t1")
    (question,) = alice.outbox.take()
    upstream.says("notifications/cancelled", {"requestId": 7})
    assert alice.outbox.take() == []
    upstream.says("notifications/cancelled", {"requestId": 1})
    (cancelled,) = alice.outbox.take()
    assert cancelled["params"]["requestId"] == question["id"]
    alice.answers(question, {"action": "accept"})
    assert upstream.sees() == []


def test_the_loss_of_the_server_cancels_such_a_request() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    begins_task(alice, upstream)
    _asks_about(upstream, "t1")
    (question,) = alice.outbox.take()
    upstream.breaks()
    cancelled = [frame for frame in alice.outbox.take() if "cancelled" in frame["method"]]
    assert [frame["params"]["requestId"] for frame in cancelled] == [question["id"]]


def test_the_server_is_told_when_the_client_leaves_such_a_request_unanswered() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk, ANONYMOUS)
    begins_task(alice, upstream)
    _asks_about(upstream, "t1")
    alice.leaves()
    assert upstream.sees_one()["error"]["message"] == "The client is gone"


# --- Progress and logs -----------------------------------------------------------------------


def test_progress_of_a_task_goes_on_under_the_token_of_its_call() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    call = alice.calls("a__dig", task={}, _meta={"progressToken": "mine"})
    request = upstream.sees_one()
    upstream.answers(request, {"task": task("t1")})
    token = request["params"]["_meta"]["progressToken"]
    meta = {RELATED: {"taskId": "t1"}}
    upstream.says("notifications/progress", {"progressToken": token, "progress": 1, "_meta": meta})
    assert alice.outbox.take() == [
        {
            "method": "notifications/progress",
            "params": {
                "progressToken": "mine",
                "progress": 1,
                "_meta": {RELATED: {"taskId": handle_of(call)}},
            },
        }
    ]


def test_progress_of_a_task_without_a_token_is_dropped() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    begins_task(alice, upstream)
    upstream.says("notifications/progress", {"progressToken": 2, "progress": 1})
    assert alice.outbox.take() == []


def test_a_log_of_a_task_reaches_its_owner_alone() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice, bob = client_of(talk), client_of(talk, BOB, view="a")
    handle = handle_of(begins_task(alice, upstream))
    for level in ("debug", "error"):
        params = {"level": level, "data": 1, "_meta": {RELATED: {"taskId": "t1"}}}
        upstream.says("notifications/message", params)
    (message,) = alice.outbox.take()
    assert message["params"] == {
        "level": "error",
        "data": 1,
        "_meta": {RELATED: {"taskId": handle}},
    }
    assert bob.outbox.take() == []


def test_an_unknown_notification_about_a_task_reaches_its_owner_in_a_transparent_view() -> None:
    talk, (upstream,) = talk_with_tasks()
    direct, transparent, other = client_of(talk), client_of(talk, view="a"), client_of(talk, BOB)
    begins_task(direct, upstream, "t1")
    call = transparent.calls("dig", task={})
    upstream.answers(upstream.sees_one(), {"task": task("t2")})
    for task_id in ("t1", "t2"):
        upstream.says("notifications/own", {"_meta": {RELATED: {"taskId": task_id}}})
    (told,) = transparent.outbox.take()
    assert told["params"] == {"_meta": {RELATED: {"taskId": handle_of(call)}}}
    assert direct.outbox.take() == other.outbox.take() == []


# --- Time ------------------------------------------------------------------------------------


def test_the_result_of_a_task_may_take_longer_than_a_call() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    handle = handle_of(begins_task(alice, upstream))
    asked = alice.asks("tasks/result", {"taskId": handle})
    talk.time_passes(299.0)
    assert asked.is_waiting
    talk.time_passes(2.0)
    assert asked.error["message"] == "Timeout exceeded: 300s"
    assert [frame["method"] for frame in upstream.sees()] == [
        "tasks/result",
        "notifications/cancelled",
    ]
