"""Handles: a client reaches its own tasks, and no others, by ids that it cannot make up."""

import pytest

from router.access.request_state_seal import ProcessSeal
from router.core.core import Core
from router.core.state import tasks as task_table
from router.core.tasks import handles
from router.messages.commands import Principal
from router.messages.core_settings import CoreSettings
from tests.router.core.conversation import spec
from tests.router.core.tasks.task_peers import (
    ALICE,
    ANONYMOUS,
    BOB,
    EXTENSION,
    RELATED,
    TASKS,
    begins_task,
    client_of,
    handle_of,
    is_refused,
    stateless_client_of,
    talk_with_extension,
    talk_with_tasks,
    task,
)


def test_a_client_gets_a_handle_and_the_server_its_own_id() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    handle = handle_of(begins_task(alice, upstream, "t1"))
    assert handle != "t1"
    asked = alice.asks("tasks/get", {"taskId": handle})
    request = upstream.sees_one()
    assert request["params"] == {"taskId": "t1"}
    upstream.answers(request, task("t1", "completed"))
    assert asked.result == task(handle, "completed")


def test_another_session_of_the_same_principal_reaches_the_task() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    handle = handle_of(begins_task(alice, upstream))
    alice.leaves()
    again = client_of(talk)
    asked = again.asks("tasks/get", {"taskId": handle})
    upstream.answers(upstream.sees_one(), task("t1"))
    assert asked.result["taskId"] == handle


@pytest.mark.parametrize("method", ["tasks/get", "tasks/result", "tasks/cancel"])
def test_another_principal_does_not(method: str) -> None:
    talk, (upstream,) = talk_with_tasks()
    handle = handle_of(begins_task(client_of(talk), upstream))
    assert is_refused(client_of(talk, BOB).asks(method, {"taskId": handle}))
    assert upstream.sees() == []


def test_another_session_without_a_principal_does_not() -> None:
    talk, (upstream,) = talk_with_tasks()
    owner = client_of(talk, ANONYMOUS)
    handle = handle_of(begins_task(owner, upstream))
    assert is_refused(client_of(talk, ANONYMOUS).asks("tasks/get", {"taskId": handle}))
    owner.asks("tasks/get", {"taskId": handle})
    assert upstream.sees_one()["params"] == {"taskId": "t1"}


def test_a_lone_request_reaches_the_task_of_another_by_its_handle_alone() -> None:
    talk, (upstream,) = talk_with_tasks()
    first = client_of(talk, ANONYMOUS, one_shot=True)
    handle = handle_of(begins_task(first, upstream))
    client_of(talk, ANONYMOUS, one_shot=True).asks("tasks/get", {"taskId": handle})
    assert upstream.sees_one()["params"] == {"taskId": "t1"}


def test_the_same_principal_at_another_place_does_not() -> None:
    talk, (upstream,) = talk_with_tasks()
    handle = handle_of(begins_task(client_of(talk), upstream))
    assert is_refused(client_of(talk, view="a").asks("tasks/get", {"taskId": handle}))


def test_a_client_of_the_other_era_does_not() -> None:
    talk, (upstream,) = talk_with_tasks()
    handle = handle_of(begins_task(client_of(talk), upstream))
    assert is_refused(stateless_client_of(talk).asks("tasks/get", {"taskId": handle}))


@pytest.mark.parametrize("handle", ["t1", "", "sealed-9", "x" * 100_000, "\u00fc"])
def test_what_is_no_handle_is_refused_in_the_same_words(handle: str) -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    begins_task(alice, upstream)
    assert is_refused(alice.asks("tasks/get", {"taskId": handle}))


def test_a_key_that_a_server_may_take_for_the_id_is_refused() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    handle = handle_of(begins_task(alice, upstream))
    asked = alice.asks("tasks/get", {"taskId": handle, "TaskID": "t2"})
    assert asked.error["code"] == -32602
    assert upstream.sees() == []


def test_a_principal_that_may_not_see_the_instance_any_more_is_refused() -> None:
    talk, (upstream,) = talk_with_tasks()
    handle = handle_of(begins_task(client_of(talk), upstream))
    limited = Principal("alice", instances=frozenset({"other"}))
    assert is_refused(client_of(talk, limited).asks("tasks/get", {"taskId": handle}))


def test_a_handle_works_after_its_server_was_restarted_and_the_server_answers_for_itself() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    handle = handle_of(begins_task(alice, upstream))
    upstream.breaks()
    talk.starting("a")
    again = talk.up("a", "dig", capabilities={"tasks": TASKS})
    asked = alice.asks("tasks/get", {"taskId": handle})
    request = again.sees_one()
    assert request["params"] == {"taskId": "t1"}
    again.fails(request, {"code": -32602, "message": "Task not found: t1"})
    assert asked.error["message"] == "Task not found: t1"


def test_an_id_that_a_restarted_server_uses_again_does_not_lead_to_the_new_task() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice, bob = client_of(talk), client_of(talk, BOB)
    before = handle_of(begins_task(alice, upstream, "1"))
    upstream.breaks()
    talk.starting("a")
    again = talk.up("a", "dig", capabilities={"tasks": TASKS})
    now = handle_of(begins_task(bob, again, "1"))
    assert is_refused(alice.asks("tasks/get", {"taskId": before}))
    assert again.sees() == []
    bob.asks("tasks/get", {"taskId": now})
    assert again.sees_one()["params"] == {"taskId": "1"}


def test_an_earlier_task_of_the_same_client_is_not_taken_for_the_new_one() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    before = handle_of(begins_task(alice, upstream, "1"))
    upstream.breaks()
    talk.starting("a")
    again = talk.up("a", "dig", capabilities={"tasks": TASKS})
    now = handle_of(begins_task(alice, again, "1"))
    assert is_refused(alice.asks("tasks/get", {"taskId": before}))
    alice.asks("tasks/get", {"taskId": now})
    assert again.sees_one()["params"] == {"taskId": "1"}


def test_an_answer_about_an_id_that_was_used_again_meanwhile_is_not_shown() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice, bob = client_of(talk), client_of(talk, BOB)
    before = handle_of(begins_task(alice, upstream, "1"))
    upstream.breaks()
    talk.starting("a")
    again = talk.up("a", "dig", capabilities={"tasks": TASKS})
    asked = alice.asks("tasks/get", {"taskId": before})
    request = again.sees_one()
    begins_task(bob, again, "1")
    again.answers(request, task("1", statusMessage="of bob"))
    assert is_refused(asked)


def test_a_task_that_a_server_gave_to_two_clients_is_reached_by_both() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice, bob = client_of(talk), client_of(talk, BOB)
    of_alice = handle_of(begins_task(alice, upstream, "same"))
    of_bob = handle_of(begins_task(bob, upstream, "same"))
    assert of_alice != of_bob
    alice.asks("tasks/get", {"taskId": of_alice})
    bob.asks("tasks/get", {"taskId": of_bob})
    assert [frame["params"] for frame in upstream.sees()] == [{"taskId": "same"}] * 2


def test_the_same_task_for_two_calls_of_a_client_has_one_handle() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    first, second = (handle_of(begins_task(alice, upstream, "same")) for _ in range(2))
    assert first == second


def test_a_forgotten_task_is_found_again_by_its_handle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_table, "MAX_OF_OWNER", 2)
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    first, *_ = [handle_of(begins_task(alice, upstream, name)) for name in ("1", "2", "3")]
    assert len(talk.state.tasks) == 2
    asked = alice.asks("tasks/get", {"taskId": first})
    upstream.answers(upstream.sees_one(), task("1"))
    assert asked.result["taskId"] == first
    assert len(talk.state.tasks) == 2


def test_a_task_may_be_forgotten_while_its_client_asks_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(task_table, "MAX_OF_OWNER", 1)
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    handle = handle_of(begins_task(alice, upstream, "1"))
    asked = [alice.asks("tasks/result", {"taskId": handle}) for _ in range(2)]
    requests = upstream.sees()
    begins_task(alice, upstream, "2")
    upstream.answers(requests[0], {"content": [1]})
    alice.asks("tasks/get", {"taskId": handle})
    upstream.answers(requests[1], {"content": [2]})
    assert [one.result["content"] for one in asked] == [[1], [2]]


def test_a_forgotten_task_whose_id_is_somebody_elses_now_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(task_table, "MAX_OF_OWNER", 1)
    talk, (upstream,) = talk_with_tasks()
    alice, bob = client_of(talk), client_of(talk, BOB)
    handle = handle_of(begins_task(alice, upstream, "1"))
    begins_task(alice, upstream, "2")
    begins_task(bob, upstream, "1")
    assert is_refused(alice.asks("tasks/get", {"taskId": handle}))


def test_an_id_that_is_too_long_fails_the_call() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    assert handle_of(begins_task(alice, upstream, "x" * handles.MAX_ID_BYTES))
    call = begins_task(alice, upstream, "x" * (handles.MAX_ID_BYTES + 1))
    assert call.error["code"] == -32603
    assert "over 1024 B" in call.error["message"]
    assert not alice.asks("ping").is_waiting


def test_a_handle_is_printable_short_and_says_nothing() -> None:
    core = Core(CoreSettings("9.9", view="direct"), ProcessSeal())
    talk, (upstream,) = talk_with_tasks()
    talk.core = core
    talk.configured(spec("a"))
    talk.starting("a")
    upstream = talk.up("a", "dig", capabilities={"tasks": TASKS})
    alice = client_of(talk, ALICE)
    handle = handle_of(begins_task(alice, upstream, "786512e2-9e0d-44bd-8f29-789f320fe840"))
    assert handle.isascii()
    assert handle.isprintable()
    assert len(handle) < 128
    assert "786512e2" not in handle
    alice.asks("tasks/get", {"taskId": handle})
    assert upstream.sees_one()["params"]["taskId"].startswith("786512e2")
    changed = ("A" if handle[0] != "A" else "B") + handle[1:]
    assert is_refused(alice.asks("tasks/get", {"taskId": changed}))


# --- Tasks that requests belong to -----------------------------------------------------------


def test_a_request_that_belongs_to_a_task_gets_the_servers_own_id() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    handle = handle_of(begins_task(alice, upstream))
    related = {RELATED: {"taskId": handle}, "own": 1}
    alice.calls("a__dig", _meta=related)
    sent = upstream.sees_one()["params"]["_meta"]
    assert sent == {RELATED: {"taskId": "t1"}, "own": 1}


def test_a_request_cannot_name_the_task_of_another_client() -> None:
    talk, (upstream, other) = talk_with_tasks("a", "b")
    alice, bob = client_of(talk), client_of(talk, BOB)
    of_bob = handle_of(begins_task(bob, upstream, "t1"))
    of_alice_elsewhere = handle_of(begins_task(alice, other, "t1"))
    for task_id in ("t1", of_bob, of_alice_elsewhere, 1, None):
        related = {RELATED: {"taskId": task_id}, "own": 1}
        alice.calls("a__dig", _meta=related)
        assert upstream.sees_one()["params"]["_meta"] == {"own": 1}


def test_a_notification_of_a_transparent_view_names_own_tasks_alone() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk, view="a")
    call = alice.calls("dig", task={})
    upstream.answers(upstream.sees_one(), {"task": task("t1")})
    for task_id, meta in (
        (handle_of(call), {RELATED: {"taskId": "t1"}, "own": 1}),
        ("t1", {"own": 1}),
    ):
        alice.says("notifications/own", {"_meta": {RELATED: {"taskId": task_id}, "own": 1}})
        assert upstream.sees_one()["params"] == {"_meta": meta}


# --- 2026-07-28 ------------------------------------------------------------------------------


def test_requests_without_a_session_reach_the_tasks_of_their_principal() -> None:
    talk, upstream = talk_with_extension()
    handle = handle_of(begins_task(stateless_client_of(talk), upstream))
    asked = stateless_client_of(talk).asks("tasks/get", {"taskId": handle})
    request = upstream.sees_one()
    assert request["params"]["taskId"] == "t1"
    upstream.answers(request, {"resultType": "complete"} | task("t1"))
    assert asked.result == {"resultType": "complete"} | task(handle)
    assert is_refused(stateless_client_of(talk, BOB).asks("tasks/get", {"taskId": handle}))


def test_without_a_principal_they_belong_to_their_connection() -> None:
    talk, upstream = talk_with_extension()
    one = talk.stateless_connection(ANONYMOUS, extensions={EXTENSION: {}})
    other = talk.stateless_connection(ANONYMOUS, extensions={EXTENSION: {}})
    handle = handle_of(begins_task(one, upstream))
    assert is_refused(other.asks("tasks/get", {"taskId": handle}))
    one.asks("tasks/get", {"taskId": handle})
    assert upstream.sees_one()["params"]["taskId"] == "t1"
