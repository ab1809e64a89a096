"""An instance that nobody uses is stopped, loses nothing by it, and is started by its next use."""

from typing import Any

import pytest

from router.core.sessions.idle_times import TASK_KEPT_S, UNUSED_LAZY_STOP_S
from router.core.state.session_rows import IDLE_EXPIRY_S
from router.messages.events import CataloguesRead
from router.messages.instances.run_policy import RunPolicy
from tests.router.core.conversation import Conversation, FakeUpstream
from tests.router.core.lazy import (
    IDLE_S,
    comes_up,
    idle_talk,
    known,
    lazy,
    runs,
    serves,
    state_of,
)
from tests.router.core.per_client import comes_up as client_comes_up
from tests.router.core.per_client import initialized, per_client, ready_for, talk_about
from tests.router.core.tasks.task_peers import (
    EXTENSION,
    TASKS,
    begins_task,
    client_of,
    handle_of,
    stateless_client_of,
    task,
)


def ready(
    *, view: str = "router", more: Any = None, up: Any = None, **policy: Any
) -> tuple[Conversation, FakeUpstream]:
    """Return a conversation with an instance `a` that is up and stops after `IDLE_S`."""
    talk = Conversation(view=view)
    idle_s = policy.pop("idle_stop_s", IDLE_S)
    talk.configured(runs("a", more=more, idle_stop_s=idle_s, **policy))
    talk.starting("a")
    return talk, talk.up("a", "echo", **(up or {}))


# --- When ------------------------------------------------------------------------------------


def test_an_unused_instance_is_stopped_and_idle_without_an_error() -> None:
    talk, _ = ready()
    talk.time_passes(IDLE_S - 1)
    assert talk.stopped == []
    talk.time_passes(2)
    row = talk.list_row("a")
    assert (talk.stopped, row["state"], row["last_error"], row["restarts"]) == (
        ["a"],
        "idle",
        None,
        0,
    )
    assert not talk.state.sessions


def test_it_is_stopped_once_and_its_end_is_no_failure() -> None:
    talk, upstream = ready()
    talk.time_passes(IDLE_S + 1)
    upstream.breaks("closed")
    talk.down("a", "", None)
    talk.time_passes(10 * IDLE_S)
    row = talk.list_row("a")
    assert (talk.stopped, row["state"], row["last_error"]) == (["a"], "idle", None)


def test_the_time_counts_from_the_end_of_the_last_call() -> None:
    talk, upstream = ready(more={"timeout_s": 10 * IDLE_S})
    call = talk.client().routes("echo")
    talk.time_passes(IDLE_S * 1.5)
    serves(upstream, call)
    talk.time_passes(IDLE_S - 1)
    assert talk.stopped == []
    talk.time_passes(2)
    assert talk.stopped == ["a"]


def test_without_a_time_it_is_never_stopped() -> None:
    talk, _ = ready(idle_stop_s=0.0)
    talk.time_passes(1_000_000)
    assert talk.stopped == []


def test_the_default_of_the_settings_holds_where_an_instance_does_not_say() -> None:
    talk = Conversation(idle_stop_s=IDLE_S)
    talk.configured(runs("a"), runs("b", idle_stop_s=0.0), runs("c", idle_stop_s=1.0))
    for name in "abc":
        talk.starting(name)
        talk.up(name, "echo")
    talk.time_passes(IDLE_S + 1)
    assert talk.stopped == ["c", "a"]


def test_a_lazy_instance_that_was_used_runs_on_where_no_time_is_set() -> None:
    talk = idle_talk()
    call = talk.client().routes("echo")
    serves(comes_up(talk), call)
    talk.time_passes(1_000_000)
    assert talk.stopped == []


def test_a_lazy_instance_that_was_only_listed_is_stopped_soon() -> None:
    talk = Conversation()
    talk.configured(lazy("a"), lazy("b", idle_stop_s=1000.0), lazy("c", idle_stop_s=5.0))
    for name in "abc":
        talk.starting(name)
        talk.up(name, "echo")
    talk.time_passes(6)
    assert talk.stopped == ["c"]
    talk.time_passes(UNUSED_LAZY_STOP_S)
    assert sorted(talk.stopped) == ["a", "b", "c"]


def test_a_lazy_instance_that_was_used_and_stopped_is_stopped_again() -> None:
    talk = idle_talk(lazy(idle_stop_s=IDLE_S))
    for n in (1, 2):
        call = talk.client().routes("echo")
        serves(comes_up(talk), call)
        talk.time_passes(IDLE_S + 1)
        talk.down("a", "", None)
        assert talk.stopped == ["a"] * n
    assert len(talk.started) == 2


def test_an_instance_that_fails_is_not_idle() -> None:
    talk, upstream = ready()
    upstream.breaks("killed")
    talk.down("a", "killed", 60.0)
    talk.time_passes(10 * IDLE_S)
    assert (talk.stopped, state_of(talk)) == ([], "backoff")


def test_an_instance_that_was_started_anew_is_stopped_in_its_turn() -> None:
    talk, upstream = ready()
    upstream.breaks("killed")
    talk.down("a", "killed", 1.0)
    talk.starting("a")
    talk.up("a", "echo")
    talk.time_passes(IDLE_S + 1)
    assert (talk.stopped, state_of(talk)) == (["a"], "idle")
    assert talk.list_row("a")["restarts"] == 1


def test_a_router_that_stops_leaves_its_instances_alone() -> None:
    talk, upstream = ready()
    call = talk.client().routes("echo")
    talk.drains()
    serves(upstream, call)
    talk.time_passes(IDLE_S + 1)
    assert talk.stopped == []


def test_a_changed_time_holds_at_once() -> None:
    talk, _ = ready()
    talk.time_passes(50)
    talk.configured(runs(idle_stop_s=60.0))
    talk.time_passes(11)
    assert talk.stopped == ["a"]


def test_a_time_that_is_taken_away_stops_nothing() -> None:
    talk, _ = ready(idle_stop_s=None)
    talk.settings_change(idle_stop_s=IDLE_S)
    talk.settings_change(idle_stop_s=0.0)
    talk.time_passes(10 * IDLE_S)
    assert talk.stopped == []
    assert not len(talk.state.idle_due)


def test_a_removed_instance_has_no_deadline_that_would_stop_another() -> None:
    talk, _ = ready()
    talk.configured()
    talk.configured(runs(idle_stop_s=2 * IDLE_S))
    talk.starting("a")
    talk.up("a", "echo")
    talk.stopped.clear()
    talk.time_passes(IDLE_S + 1)
    assert talk.stopped == []


def test_an_eager_instance_that_is_idle_stays_so_when_something_else_changes() -> None:
    talk, _ = ready()
    talk.time_passes(IDLE_S + 1)
    talk.settings_change(help_limit_bytes=1000)
    talk.configured(runs(idle_stop_s=IDLE_S, more={"metadata": {"n": 1}}))
    assert (talk.started, state_of(talk)) == ([talk.started[0]], "idle")


# --- A call while it is stopping -------------------------------------------------------------


def test_a_call_while_it_stops_waits_and_starts_it_again() -> None:
    talk, _ = ready()
    talk.time_passes(IDLE_S + 1)
    started = len(talk.started)
    call = talk.client().routes("echo")
    assert call.is_waiting
    assert len(talk.started) == started
    talk.down("a", "", None)
    assert len(talk.started) == started + 1
    serves(comes_up(talk), call)
    assert talk.list_row("a")["last_error"] is None


def test_reports_about_the_session_that_ends_are_not_about_the_next_one() -> None:
    talk, _ = ready()
    talk.time_passes(IDLE_S + 1)
    call = talk.client().routes("echo")
    talk.down("a", "it had crashed", 0.5)
    talk.starting("a")
    late = talk.up("a", "echo")
    talk.failed("a", "it had crashed")
    assert call.is_waiting
    assert late.sees() == []
    assert state_of(talk) == "starting"
    talk.down("a", "", None)
    serves(comes_up(talk), call)


def test_a_change_while_it_stops_starts_the_changed_one_after_it() -> None:
    talk, _ = ready()
    talk.time_passes(IDLE_S + 1)
    started = len(talk.started)
    talk.configured(runs(idle_stop_s=IDLE_S, more={"command": "other"}))
    talk.starting("a")
    assert len(talk.started) == started
    talk.down("a", "", None)
    call = talk.client().routes("echo")
    assert talk.started[-1].command == "other"
    serves(comes_up(talk), call)


def test_a_change_to_a_known_lazy_one_waits_for_the_calls_of_the_one_before() -> None:
    talk, upstream = ready(more={"command": "other"})
    call = talk.client().routes("echo")
    started = len(talk.started)
    talk.happens(CataloguesRead({"a": known("echo")}))
    talk.configured(lazy())
    next_call = talk.client().routes("echo")
    serves(upstream, call)
    assert talk.stopped == ["a"]
    assert len(talk.started) == started
    talk.down("a", "", None)
    serves(comes_up(talk), next_call)


# --- Use -------------------------------------------------------------------------------------


def test_a_change_there_and_back_starts_the_instance_after_its_former_session_has_ended() -> None:
    talk = idle_talk()
    alice = talk.client()
    former = alice.routes("echo")
    upstream = comes_up(talk)
    talk.configured(lazy(replicas=2))
    talk.configured(lazy())
    call = alice.routes("echo")
    assert [one.name for one in talk.started] == ["a"]
    serves(upstream, former)
    assert talk.stopped == ["a"]
    talk.down("a", "", None)
    assert [one.name for one in talk.started] == ["a", "a"]
    serves(comes_up(talk), call)


def test_a_subscription_keeps_it_running_until_its_end() -> None:
    talk, upstream = ready(view="direct", up={"resources": ["file:///x"]})
    alice = talk.client()
    alice.initializes()
    alice.asks("resources/subscribe", {"uri": "file:///x"})
    upstream.answers(upstream.sees_one(), {})
    talk.time_passes(10 * IDLE_S)
    assert talk.stopped == []
    alice.leaves()
    talk.time_passes(2 * IDLE_S)
    assert talk.stopped == ["a"]


def test_a_call_that_waits_for_its_clients_input_keeps_it_running() -> None:
    talk, upstream = ready(idle_stop_s=20.0)
    alice = talk.stateless_client(roots={})
    call = alice.routes("echo")
    request = upstream.sees_one()
    upstream.asks("roots/list", related=request["id"])
    assert call.result["resultType"] == "input_required"
    talk.time_passes(60)
    assert talk.stopped == []
    retried = alice.retries(call, {key: {"roots": []} for key in call.result["inputRequests"]})
    upstream.answers(request, {"content": []})
    assert retried.result["content"] == []


def test_a_question_without_an_answer_keeps_it_running() -> None:
    talk = talk_about(per_client(run_policy=RunPolicy(idle_stop_s=20.0)))
    alice = initialized(talk, roots={})
    upstream = ready_for(talk, alice)
    upstream.asks("roots/list")
    (question,) = alice.outbox.take()
    talk.time_passes(100)
    assert talk.stopped == []
    alice.answers(question, {"roots": []})
    talk.time_passes(40)
    assert talk.stopped == ["a#1"]


def test_a_task_keeps_it_running_until_its_result_was_fetched() -> None:
    talk, upstream = ready(view="direct", up={"capabilities": {"tasks": TASKS}})
    talk.time_passes(1)
    upstream.lists("dig")
    alice = client_of(talk)
    handle = handle_of(begins_task(alice, upstream))
    talk.time_passes(2 * IDLE_S)
    asked = alice.asks("tasks/get", {"taskId": handle})
    upstream.answers(upstream.sees_one(), task("t1", "completed"))
    assert asked.result["status"] == "completed"
    talk.time_passes(2 * IDLE_S)
    assert talk.stopped == []
    alice.asks("tasks/result", {"taskId": handle})
    upstream.answers(upstream.sees_one(), {"content": []})
    alice.asks("tasks/get", {"taskId": handle})
    upstream.answers(upstream.sees_one(), task("t1", "completed"))
    talk.time_passes(2 * IDLE_S)
    assert talk.stopped == ["a"]


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_a_task_of_a_stateless_server_keeps_it_running_until_its_end_is_known(status: str) -> None:
    up = {"revision": "2026-07-28", "capabilities": {"extensions": {EXTENSION: {}}}}
    talk, upstream = ready(view="direct", up=up)
    upstream.lists("dig")
    alice = stateless_client_of(talk)
    handle = handle_of(begins_task(alice, upstream))
    for news in ("working", status):
        talk.time_passes(5 * IDLE_S)
        assert talk.stopped == []
        alice.asks("tasks/get", {"taskId": handle})
        upstream.answers(upstream.sees_one(), task("t1", news) | {"resultType": "complete"})
    talk.time_passes(2 * IDLE_S)
    assert talk.stopped == ["a"]


def test_a_task_that_nobody_asks_for_keeps_it_running_for_a_while_only() -> None:
    talk, upstream = ready(view="direct", up={"capabilities": {"tasks": TASKS}})
    upstream.lists("dig")
    begins_task(client_of(talk), upstream)
    talk.time_passes(TASK_KEPT_S - 1)
    assert talk.stopped == []
    talk.time_passes(2 * IDLE_S)
    assert talk.stopped == ["a"]


# --- Sessions of clients ---------------------------------------------------------------------


def test_the_session_of_a_client_that_is_there_is_stopped_too_where_a_time_is_set() -> None:
    talk = talk_about(per_client(run_policy=RunPolicy(idle_stop_s=IDLE_S)))
    alice = initialized(talk)
    ready_for(talk, alice)
    talk.time_passes(IDLE_S - 1)
    assert talk.stopped == []
    talk.time_passes(2)
    assert (talk.stopped, state_of(talk)) == (["a#1"], "idle")
    call = alice.routes("echo")
    serves(client_comes_up(talk, "a#2"), call)


def test_the_time_of_the_settings_holds_for_sessions_of_clients_and_its_change() -> None:
    talk = talk_about()
    ready_for(talk, initialized(talk))
    talk.time_passes(2 * IDLE_EXPIRY_S)
    assert talk.stopped == []
    talk.settings_change(idle_stop_s=IDLE_S)
    talk.time_passes(1)
    assert talk.stopped == ["a#1"]


def test_sessions_without_a_client_end_as_before_where_no_time_is_set() -> None:
    talk = talk_about(per_client(run_policy=RunPolicy(idle_stop_s=0.0)))
    ready_for(talk, talk.client(one_shot=True))
    talk.time_passes(IDLE_EXPIRY_S - 1)
    assert talk.stopped == []
    talk.time_passes(2)
    assert talk.stopped == ["a#1"]


def test_what_is_on_its_way_of_a_stop_is_ignored_after_two_changes() -> None:
    talk, _ = ready(start="lazy")
    talk.time_passes(IDLE_S + 1)
    assert talk.stopped == ["a"]
    talk.configured(runs("a", replicas=2))
    talk.configured(lazy())
    # Its last incarnation had failed and was started anew when the command to stop it came.
    talk.down("a", "killed", 1.0)
    talk.starting("a")
    talk.down("a", "", None)
    assert state_of(talk) == "idle"
    call = talk.client().routes("echo")
    serves(comes_up(talk), call)
