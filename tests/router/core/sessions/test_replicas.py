"""Several processes share the calls of one instance; only its own calls feel the death of one."""

from typing import Any

import pytest

from router.messages.catalog import Item
from router.messages.commands import ShowStatus
from router.messages.events import SessionOverflowed
from tests.router.core.conversation import T_S, Conversation, FakeUpstream, raw
from tests.router.core.lazy import IDLE_S, idle_talk, known, lazy, runs, state_of
from tests.router.core.tasks.task_peers import (
    EXTENSION,
    TASKS,
    begins_task,
    client_of,
    handle_of,
    is_refused,
    stateless_client_of,
    task,
)

URI = "file:///x"
LIST_CHANGED = "notifications/tools/list_changed"


def ready(
    count: int = 2, *tools: str | Item, view: str = "router", up: Any = None, **policy: Any
) -> tuple[Conversation, list[FakeUpstream]]:
    """Return a conversation with an instance `a` whose replicas are all up."""
    talk = Conversation(view=view)
    talk.configured(runs("a", replicas=count, **policy))
    return talk, [comes_up(talk, f"a#{n + 1}", *tools, **(up or {})) for n in range(count)]


def comes_up(talk: Conversation, name: str, *tools: str | Item, **more: Any) -> FakeUpstream:
    assert name in [started.name for started in talk.started]
    talk.starting(name)
    return talk.up(name, *(tools or ("echo",)), **more)


def dies(talk: Conversation, upstream: FakeUpstream, reason: str = "killed") -> None:
    upstream.breaks(reason)
    talk.down(upstream.instance, reason, 1.0)


def rows(talk: Conversation) -> list[tuple[str, str, int]]:
    shown = talk.list_row("a")["replicas"]
    return [(row["name"], row["state"], row["restarts"]) for row in shown]


# --- Starts and states -----------------------------------------------------------------------


def test_each_replica_is_started_under_a_name_of_its_own() -> None:
    talk = Conversation()
    talk.configured(runs("a", replicas=3))
    assert [started.name for started in talk.started] == ["a#1", "a#2", "a#3"]
    assert {started.command for started in talk.started} == {"a"}
    assert not any(started.has_replicas for started in talk.started)
    assert rows(talk) == [("a#1", "starting", 0), ("a#2", "starting", 0), ("a#3", "starting", 0)]
    assert state_of(talk) == "starting"


def test_an_instance_without_replicas_shows_none() -> None:
    talk = Conversation()
    talk.configured(runs("a"))
    assert "replicas" not in talk.list_row("a")


def test_the_instance_is_ready_as_soon_as_one_replica_is() -> None:
    talk = Conversation()
    talk.configured(runs("a", replicas=2))
    call = talk.client().routes("echo")
    upstream = comes_up(talk, "a#2")
    upstream.answers(upstream.sees_one(), {"content": []})
    assert call.result == {"content": []}
    row = talk.list_row("a")
    assert (row["state"], row["connected"], row["tools_count"]) == ("ready", True, 1)
    assert [shown["state"] for shown in row["replicas"]] == ["starting", "ready"]


def test_the_state_is_the_best_of_all_with_the_reason_of_the_others_only_while_none_is_ready() -> (
    None
):
    talk, (one, two) = ready()
    dies(talk, one, "killed")
    row = talk.list_row("a")
    assert (row["state"], row["last_error"]) == ("ready", None)
    assert [shown["last_error"] for shown in row["replicas"]] == ["killed", None]
    dies(talk, two, "crashed")
    row = talk.list_row("a")
    assert (row["state"], row["last_error"], row["connected"]) == ("backoff", "killed", False)
    talk.starting("a#2")
    assert state_of(talk) == "starting"
    talk.failed("a#2", "crashed")
    assert state_of(talk) == "backoff"
    talk.failed("a#1", "killed", probe_in_s=60)
    row = talk.list_row("a")
    assert (row["state"], row["restarts"]) == ("failed", 10)
    message = "Instance 'a' not connected: failed: killed (next try in 60.0 s)"
    assert talk.client().routes("echo").tool_error == ("UNAVAILABLE", message)


def test_a_start_that_takes_long_says_why() -> None:
    talk = Conversation()
    talk.configured(runs("a", replicas=2))
    talk.starting("a#1")
    talk.delayed("a#1", "installing")
    call = talk.client().routes("echo")
    talk.time_passes(T_S + 1)
    assert "starting: installing" in call.tool_error[1]


def test_restarts_are_shown_of_each_and_of_all() -> None:
    talk, (one, _) = ready()
    dies(talk, one)
    talk.starting("a#1")
    comes_up(talk, "a#1")
    assert rows(talk) == [("a#1", "ready", 1), ("a#2", "ready", 0)]
    assert talk.list_row("a")["restarts"] == 1


def test_calls_in_flight_of_all_are_counted() -> None:
    talk, _ = ready()
    alice = talk.client()
    for _ in range(3):
        alice.routes("echo")
    (status,) = talk.admin_asks(ShowStatus()).answer
    assert (status["calls"], status["in_flight"]) == (3, 3)


# --- Choice ----------------------------------------------------------------------------------


def test_a_call_goes_to_the_replica_with_the_fewest_in_flight() -> None:
    talk, (one, two) = ready()
    alice = talk.client()
    for _ in range(4):
        alice.routes("echo")
    of_one, of_two = one.sees(), two.sees()
    assert (len(of_one), len(of_two)) == (2, 2)
    for request in of_two:
        two.answers(request, {"content": []})
    alice.routes("echo")
    alice.routes("echo")
    assert (len(one.sees()), len(two.sees())) == (0, 2)


def test_each_of_three_serves_a_third_of_calls_that_come_one_at_a_time() -> None:
    talk, upstreams = ready(3)
    alice = talk.client()
    of: list[str] = []
    for _ in range(6):
        call = alice.routes("echo")
        (serving,) = [one for one in upstreams if one.inbox.waiting]
        serving.answers(serving.sees_one(), {"of": serving.instance})
        of.append(call.result["of"])
    assert sorted(of) == ["a#1", "a#1", "a#2", "a#2", "a#3", "a#3"]


def test_a_dead_replica_is_felt_by_its_calls_in_flight_alone() -> None:
    talk, (one, two) = ready(view="direct")
    alice = talk.client()
    alice.initializes()
    alice.lists()
    calls = [alice.calls("a__echo") for _ in range(2)]
    dies(talk, one)
    two.answers(two.sees_one(), {"content": []})
    assert calls[1].result == {"content": []}
    assert "lost during the call: killed" in calls[0].error["message"]
    later = alice.calls("a__echo")
    two.answers(two.sees_one(), {"content": []})
    assert later.result == {"content": []}
    assert alice.hears() == []
    assert alice.lists() == ["a__echo"]


def test_calls_wait_while_none_is_ready_and_any_may_become_so() -> None:
    talk, (one, two) = ready()
    dies(talk, one)
    dies(talk, two)
    call = talk.client().routes("echo")
    talk.failed("a#1", "killed")
    assert call.is_waiting
    upstream = comes_up(talk, "a#2")
    upstream.answers(upstream.sees_one(), {"content": []})
    assert call.result == {"content": []}


def test_calls_that_wait_are_answered_when_the_last_one_fails() -> None:
    talk = Conversation()
    talk.configured(runs("a", replicas=2))
    call = talk.client().routes("echo")
    talk.starting("a#1")
    talk.down("a#1", "no such file", 1.0)
    assert call.is_waiting
    talk.starting("a#2")
    talk.down("a#2", "no such file", 1.0)
    assert call.tool_error[1].startswith("Instance 'a' not connected: backoff: no such file")


def test_calls_wait_no_longer_than_their_timeout() -> None:
    talk = Conversation()
    talk.configured(runs("a", replicas=2))
    call = talk.client().routes("echo")
    talk.time_passes(T_S + 1)
    assert call.tool_error == ("UNAVAILABLE", "Instance 'a' not connected: starting")


# --- Lists, logs, subscriptions --------------------------------------------------------------


def test_a_change_of_lists_that_each_announces_is_told_once() -> None:
    talk, upstreams = ready(3, view="direct")
    alice = talk.client()
    alice.initializes()
    alice.lists()
    for upstream in upstreams:
        upstream.lists("echo", "sing", announced=["tools"])
    assert alice.hears() == [LIST_CHANGED]
    assert alice.lists() == ["a__echo", "a__sing"]


def test_a_change_that_no_list_shows_is_told_each_time_it_is_announced() -> None:
    talk, (one, _) = ready(view="direct")
    alice = talk.client()
    alice.initializes()
    alice.lists()
    one.lists("echo", announced=["tools"])
    assert alice.hears() == [LIST_CHANGED]


def test_logs_come_from_each_replica_and_each_is_told_the_level() -> None:
    talk, upstreams = ready(view="a", up={"capabilities": {"logging": {}}})
    alice = talk.client()
    alice.initializes()
    alice.asks("logging/setLevel", {"level": "info"})
    assert [one.sees_one()["method"] for one in upstreams] == ["logging/setLevel"] * 2
    for upstream in upstreams:
        upstream.says("notifications/message", {"level": "error", "data": upstream.instance})
    frames = alice.outbox.take()
    assert [frame["params"]["data"] for frame in frames if "params" in frame] == ["a#1", "a#2"]


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_a_subscription_is_made_in_each_replica_and_in_one_that_is_started_anew(
    revision: str,
) -> None:
    is_stateless = revision == "2026-07-28"
    method = "subscriptions/listen" if is_stateless else "resources/subscribe"
    up = {"resources": [URI], "revision": revision}
    talk, (one, two) = ready(view="direct", up=up)
    alice = talk.client()
    alice.initializes()
    subscribed = alice.asks("resources/subscribe", {"uri": URI})
    requests = {upstream.instance: upstream.sees_one() for upstream in (one, two)}
    assert {request["method"] for request in requests.values()} == {method}
    for upstream in (one, two):
        confirms(upstream, requests[upstream.instance])
    assert subscribed.result == {}
    dies(talk, one)
    again = comes_up(talk, "a#1", **up)
    assert again.sees_one()["method"] == method
    for upstream in (two, again):
        upstream.says("notifications/resources/updated", {"uri": URI})
    assert alice.hears() == ["notifications/resources/updated"] * 2
    alice.asks("resources/unsubscribe", {"uri": URI})
    ends = "notifications/cancelled" if is_stateless else "resources/unsubscribe"
    assert [upstream.sees_one()["method"] for upstream in (two, again)] == [ends] * 2


def confirms(upstream: FakeUpstream, request: dict[str, Any]) -> None:
    if upstream.is_stateless:
        meta = {"io.modelcontextprotocol/subscriptionId": request["id"]}
        upstream.says("notifications/subscriptions/acknowledged", {"_meta": meta})
    else:
        upstream.answers(request, {})


def test_a_subscription_of_a_second_client_is_made_by_nobody_else() -> None:
    talk, upstreams = ready(view="direct", up={"resources": [URI]})
    for _ in range(2):
        client = talk.client()
        client.initializes()
        client.asks("resources/subscribe", {"uri": URI})
    assert sum(len(one.sees()) for one in upstreams) == 3  # Two by clients, one by the router.


def test_a_stateless_client_waits_for_each_replica_to_confirm() -> None:
    talk, (one, two) = ready(view="direct", up={"resources": [URI]})
    alice = talk.stateless_client()
    asked = alice.asks("subscriptions/listen", {"notifications": {"resourceSubscriptions": [URI]}})
    confirms(one, one.sees_one())
    assert asked.mailbox.take() == []
    confirms(two, two.sees_one())
    (acknowledged,) = asked.mailbox.take()
    assert acknowledged["params"]["notifications"] == {"resourceSubscriptions": [URI]}


# --- Views -----------------------------------------------------------------------------------


def test_a_transparent_view_is_served_by_any_and_tells_each_what_it_does_not_know() -> None:
    talk, upstreams = ready(view="a")
    alice = talk.client()
    alice.initializes()
    listed = [alice.asks("tools/list"), alice.asks("tools/list")]
    for upstream in upstreams:
        request = upstream.sees_one()
        assert request["method"] == "tools/list"
        upstream.answers(request, {"tools": []})
    assert [one.result for one in listed] == [{"tools": []}] * 2
    alice.says("notifications/of/its/own")
    assert [one.sees_one()["method"] for one in upstreams] == ["notifications/of/its/own"] * 2


def test_lists_are_shown_from_what_is_known_while_none_is_ready() -> None:
    talk, upstreams = ready(view="a")
    alice = talk.client()
    alice.initializes()
    for upstream in upstreams:
        dies(talk, upstream)
    assert alice.lists() == ["echo"]
    talk.failed("a#1")
    talk.failed("a#2")
    assert alice.lists() == []
    comes_up(talk, "a#2")
    assert len(talk.state.instances.by_name["a"].offers.catalog.tools) == 1


def test_the_request_state_of_a_server_is_for_a_server_of_its_kind() -> None:
    talk, (one, two) = ready(up={"revision": "2026-07-28"})
    alice = talk.stateless_client(roots={})
    alice.routes("echo", requestState="of the server", inputResponses={})
    assert len(one.sees() + two.sees()) == 1


# --- What stays with a replica ---------------------------------------------------------------


def test_a_question_is_answered_to_the_replica_that_asked() -> None:
    talk, upstreams = ready()
    alice = talk.client()
    alice.initializes(roots={})
    calls = [alice.routes("echo") for _ in upstreams]
    for call, upstream in zip(calls, upstreams, strict=True):
        request = upstream.sees_one()
        upstream.asks("roots/list", {"of": upstream.instance}, id=7, related=request["id"])
        (question,) = call.mailbox.take()
        assert question["params"] == {"of": upstream.instance}
        alice.answers(question, {"roots": []})
        assert upstream.sees_one()["id"] == 7


def test_a_call_that_waits_for_input_stays_with_its_replica() -> None:
    talk, (one, two) = ready()
    alice = talk.stateless_client(roots={})
    call = alice.routes("echo")
    request = one.sees_one()
    one.asks("roots/list", id=7, related=request["id"])
    retried = alice.retries(call, {key: {"roots": []} for key in call.result["inputRequests"]})
    assert one.sees_one()["id"] == 7
    one.answers(request, {"content": []})
    assert retried.result["content"] == []
    assert two.sees() == []


def test_two_replicas_may_give_two_tasks_the_same_id() -> None:
    talk, upstreams = ready(2, "dig", view="direct", up={"capabilities": {"tasks": TASKS}})
    alice = client_of(talk)
    handles = [handle_of(begins_task(alice, upstream)) for upstream in by_turn(talk, upstreams)]
    assert handles[0] != handles[1]
    for n, upstream in enumerate(upstreams):
        alice.asks("tasks/get", {"taskId": handles[n]})
        assert upstream.sees_one()["params"]["taskId"] == "t1"
        upstream.says("notifications/tasks/status", task("t1"))
        (told,) = alice.outbox.take()
        assert told["params"]["taskId"] == handles[n]


def by_turn(talk: Conversation, upstreams: list[FakeUpstream]) -> list[FakeUpstream]:
    """Return the replicas in the order in which they are chosen; their tools are named for `a`."""
    for upstream in upstreams:
        upstream.instance = "a"
    return upstreams


def test_a_task_of_a_replica_that_died_waits_for_no_other_and_is_asked_of_its_successor() -> None:
    talk, upstreams = ready(2, "dig", view="direct", up={"capabilities": {"tasks": TASKS}})
    one, two = by_turn(talk, upstreams)
    alice = client_of(talk)
    handle = handle_of(begins_task(alice, one))
    one.breaks("killed")
    talk.down("a#1", "killed", 1.0)
    refused = alice.asks("tasks/get", {"taskId": handle}).error
    assert refused["message"] == "Instance 'a' not connected: backoff: killed (next try in 1.0 s)"
    assert two.sees() == []
    again = comes_up(talk, "a#1", "dig", capabilities={"tasks": TASKS})
    alice.asks("tasks/get", {"taskId": handle})
    assert again.sees_one()["method"] == "tasks/get"


def test_a_task_of_a_replica_that_was_taken_away_is_not_found() -> None:
    talk, upstreams = ready(2, "dig", view="direct", up={"capabilities": {"tasks": TASKS}})
    alice = client_of(talk)
    handles = [handle_of(begins_task(alice, upstream)) for upstream in by_turn(talk, upstreams)]
    talk.configured(runs("a"))
    assert all(is_refused(alice.asks("tasks/get", {"taskId": handle})) for handle in handles)


def test_tasks_are_listed_of_each_replica_in_turn() -> None:
    talk, upstreams = ready(2, "dig", view="direct", up={"capabilities": {"tasks": TASKS}})
    alice = client_of(talk)
    handles = [handle_of(begins_task(alice, upstream)) for upstream in by_turn(talk, upstreams)]
    found: list[str] = []
    cursor: dict[str, str] = {}
    for upstream in upstreams:
        page = alice.asks("tasks/list", cursor)
        upstream.answers(upstream.sees_one(), {"tasks": [task("t1")]})
        found += [one["taskId"] for one in page.result["tasks"]]
        cursor = {"cursor": page.result.get("nextCursor", "")}
    assert found == handles
    assert cursor == {"cursor": ""}


def test_a_client_that_listens_to_a_task_hears_of_it_from_its_replica() -> None:
    up = {"revision": "2026-07-28", "capabilities": {"extensions": {EXTENSION: {}}}}
    talk, upstreams = ready(2, "dig", view="direct", up=up)
    one, two = by_turn(talk, upstreams)
    alice = stateless_client_of(talk)
    handle = handle_of(begins_task(alice, one))
    asked = alice.asks("subscriptions/listen", {"notifications": {"taskIds": [handle]}})
    assert one.sees_one()["params"]["notifications"] == {"taskIds": ["t1"]}
    assert two.sees() == []
    asked.mailbox.take()
    two.says("notifications/tasks", task("t1"))
    assert asked.mailbox.take() == []
    one.says("notifications/tasks", task("t1"))
    (told,) = asked.mailbox.take()
    assert told["params"]["taskId"] == handle


# --- Changes ---------------------------------------------------------------------------------


def test_more_replicas_are_started_and_the_others_go_on() -> None:
    talk, (one, two) = ready()
    talk.configured(runs("a", replicas=3))
    assert [started.name for started in talk.started] == ["a#1", "a#2", "a#3"]
    assert talk.stopped == []
    three = comes_up(talk, "a#3")
    alice = talk.client()
    for _ in range(3):
        alice.routes("echo")
    assert [len(upstream.sees()) for upstream in (one, two, three)] == [1, 1, 1]


def test_fewer_replicas_stop_after_their_calls_and_get_no_more() -> None:
    talk, (one, two, three) = ready(3)
    alice = talk.client()
    calls = [alice.routes("echo") for _ in range(3)]
    talk.configured(runs("a", replicas=2))
    assert talk.stopped == []
    assert [name for name, *_ in rows(talk)] == ["a#1", "a#2"]
    for _ in range(2):
        alice.routes("echo")
    request = three.sees_one()
    three.answers(request, {"content": []})
    assert calls[2].result == {"content": []}
    assert talk.stopped == ["a#3"]
    assert (len(one.sees()), len(two.sees())) == (2, 2)


def test_those_that_are_not_ready_are_stopped_first() -> None:
    talk, (one, *_) = ready(3)
    dies(talk, one)
    talk.configured(runs("a", replicas=2))
    assert talk.stopped == ["a#1"]
    assert [name for name, *_ in rows(talk)] == ["a#2", "a#3"]


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_from_one_process_to_several_and_back(before: int, after: int) -> None:
    talk = Conversation(view="direct")
    alice = talk.client()
    alice.initializes()
    talk.configured(runs("a", replicas=before))
    old = ["a"] if before == 1 else ["a#1", "a#2"]
    for name in old:
        comes_up(talk, name)
    alice.lists()
    talk.configured(runs("a", replicas=after))
    assert sorted(talk.stopped) == old
    new = [started.name for started in talk.started if started.name not in old]
    assert new == (["a"] if after == 1 else ["a#1", "a#2"])
    assert alice.lists() == ["a__echo"]
    assert alice.hears() == []
    call = alice.calls("a__echo")
    upstream = comes_up(talk, new[0])
    upstream.answers(upstream.sees_one(), {"content": []})
    assert call.result == {"content": []}


def test_another_command_replaces_all_of_them_after_their_calls() -> None:
    talk, (one, two) = ready()
    alice = talk.client()
    call = alice.routes("echo")
    talk.configured(runs("a", replicas=2, more={"command": "other"}))
    assert talk.stopped == ["a#2"]
    assert [started.name for started in talk.started[2:]] == ["a#3", "a#4"]
    one.answers(one.sees_one(), {"content": []})
    assert call.result == {"content": []}
    assert talk.stopped == ["a#2", "a#1"]
    assert two.sees() == []


@pytest.mark.parametrize("what", ["disabled", "removed"])
def test_all_of_them_are_stopped_with_their_instance(what: str) -> None:
    talk, _ = ready()
    off = runs("a", replicas=2, more={"is_active": False})
    talk.configured(*([off] if what == "disabled" else []))
    assert sorted(talk.stopped) == ["a#1", "a#2"]
    assert not talk.state.replicas
    assert not talk.state.sessions
    talk.down("a#1", "", None)
    talk.starting("a#2")
    assert len(talk.started) == 2


def test_what_is_only_shown_changes_in_each() -> None:
    talk, _ = ready()
    talk.configured(runs("a", replicas=2, more={"timeout_s": 5.0}))
    assert [row.spec.timeout_s for row in talk.state.replicas.values()] == [5.0, 5.0]
    assert (len(talk.started), talk.stopped) == (2, [])


def test_a_change_that_takes_away_the_last_that_could_start_answers_what_waits() -> None:
    talk = Conversation()
    talk.configured(runs("a", replicas=3))
    call = talk.client().routes("echo")
    for name in ("a#1", "a#2"):
        talk.starting(name)
        talk.failed(name, "no such file")
    talk.configured(runs("a", replicas=2))
    assert talk.stopped == ["a#3"]
    assert call.tool_error[1].startswith("Instance 'a' not connected: failed: no such file")


# --- Lazy and idle ---------------------------------------------------------------------------


def test_the_first_call_starts_all_of_them_and_is_served_by_the_first_that_is_ready() -> None:
    talk = idle_talk(lazy("a", replicas=2))
    assert talk.started == []
    assert rows(talk) == []
    call = talk.client().routes("echo")
    assert [started.name for started in talk.started] == ["a#1", "a#2"]
    upstream = comes_up(talk, "a#2")
    upstream.answers(upstream.sees_one(), {"content": []})
    assert call.result == {"content": []}


def test_all_of_them_are_stopped_when_nobody_uses_any_and_started_again() -> None:
    talk, (one, _) = ready(idle_stop_s=IDLE_S)
    alice = talk.client()
    call = alice.routes("echo")
    talk.time_passes(20)
    one.answers(one.sees_one(), {"content": []})
    assert call.result
    talk.time_passes(IDLE_S - 1)
    assert talk.stopped == []
    talk.time_passes(2)
    assert sorted(talk.stopped) == ["a#1", "a#2"]
    assert (state_of(talk), rows(talk)) == ("idle", [])
    again = alice.routes("echo")
    assert again.is_waiting
    talk.down("a#1", "", None)
    assert [started.name for started in talk.started[2:]] == ["a#3", "a#4"]
    upstream = comes_up(talk, "a#3")
    upstream.answers(upstream.sees_one(), {"content": []})
    assert again.result == {"content": []}


def test_one_call_in_flight_keeps_all_of_them() -> None:
    talk, _ = ready(idle_stop_s=5.0)
    talk.client().routes("echo")
    talk.time_passes(T_S - 1)
    assert talk.stopped == []


def test_replicas_of_which_nothing_is_known_are_started_to_be_listed() -> None:
    talk = Conversation()
    talk.configured(lazy("a", replicas=2))
    for name in ("a#1", "a#2"):
        comes_up(talk, name)
    talk.time_passes(60)
    assert sorted(talk.stopped) == ["a#1", "a#2"]
    assert talk.list_row("a")["tools_count"] == 1


def test_idle_replicas_are_listed_and_not_started_by_a_transparent_view() -> None:
    talk = idle_talk(lazy("a", replicas=2), server=known("echo"), view="a")
    alice = talk.client()
    alice.initializes()
    assert alice.lists() == ["echo"]
    assert talk.started == []


# --- Turns -----------------------------------------------------------------------------------


def test_each_replica_has_the_limit_for_itself() -> None:
    talk, upstreams = ready(2, max_in_flight=1)
    alice = talk.client()
    calls = [alice.routes("echo") for _ in range(3)]
    assert [len(upstream.inbox.waiting) for upstream in upstreams] == [1, 1]
    upstreams[0].answers(upstreams[0].sees_one(), {"content": []})
    upstreams[0].answers(upstreams[0].sees_one(), {"content": []})
    assert [call.is_waiting for call in calls] == [False, True, False]


def test_a_call_that_waits_for_its_turn_at_a_replica_that_dies_goes_to_another() -> None:
    talk, (one, two) = ready(2, max_in_flight=1)
    alice = talk.client()
    calls = [alice.routes("echo") for _ in range(3)]
    dies(talk, one)
    two.answers(two.sees_one(), {"content": []})
    two.answers(two.sees_one(), {"content": []})
    assert calls[0].tool_error[0] == "SESSION_LOST"
    assert (calls[1].result, calls[2].result) == ({"content": []}, {"content": []})


def test_a_safe_call_at_a_replica_that_dies_is_sent_to_another_at_once() -> None:
    safe = Item("echo", raw({"name": "echo", "annotations": {"readOnlyHint": True}}))
    talk, (one, two) = ready(2, safe, retry_safe_calls=True)
    call = talk.client().routes("echo")
    busy, other = (one, two) if one.inbox.waiting else (two, one)
    dies(talk, busy)
    other.answers(other.sees_one(), {"content": []})
    assert call.result == {"content": []}


def test_a_call_that_waits_for_its_turn_goes_to_whichever_replica_has_room_first() -> None:
    talk, (one, two) = ready(2, max_in_flight=1)
    alice = talk.client()
    calls = [alice.routes("echo") for _ in range(4)]
    two.answers(two.sees_one(), {"content": []})
    two.answers(two.sees_one(), {"content": []})
    two.answers(two.sees_one(), {"content": []})
    assert [call.is_waiting for call in calls] == [True, False, False, False]
    assert len(one.sees()) == 1


def test_a_safe_call_that_is_repeated_waits_no_longer_than_its_own_time() -> None:
    safe = Item("echo", raw({"name": "echo", "annotations": {"readOnlyHint": True}}))
    talk, (one, two) = ready(2, safe, retry_safe_calls=True)
    call = talk.client().routes("echo")
    talk.time_passes(T_S - 10)
    dies(talk, two)
    dies(talk, one)
    talk.time_passes(9)
    assert call.is_waiting
    talk.time_passes(2)
    assert not call.is_waiting


def test_a_safe_call_that_is_repeated_waits_for_its_turn_in_its_own_time() -> None:
    safe = Item("echo", raw({"name": "echo", "annotations": {"readOnlyHint": True}}))
    talk, (one, two) = ready(2, safe, retry_safe_calls=True, max_in_flight=1)
    alice = talk.client()
    call = alice.routes("echo")
    talk.time_passes(T_S - 10)
    alice.routes("echo")
    dies(talk, one)
    assert len(two.sees()) == 1
    talk.time_passes(11)
    assert call.tool_error[0] == "TIMEOUT"


def test_a_call_that_did_not_get_to_its_replica_goes_to_another() -> None:
    talk, (one, two) = ready(2)
    call = talk.client().routes("echo")
    busy, other = (one, two) if one.inbox.waiting else (two, one)
    talk.happens(SessionOverflowed(busy.session, busy.inbox.waiting[-1], lost=True))
    dies(talk, busy)
    other.answers(other.sees_one(), {"content": []})
    assert call.result == {"content": []}


def test_a_call_that_got_to_no_replica_is_lost() -> None:
    talk, (one, two) = ready(2)
    call = talk.client().routes("echo")
    busy, other = (one, two) if one.inbox.waiting else (two, one)
    frame = busy.inbox.waiting[-1]
    dies(talk, other)
    talk.happens(SessionOverflowed(busy.session, frame, lost=True))
    assert call.tool_error[0] == "SESSION_LOST"


def test_calls_that_wait_for_their_turn_are_answered_when_the_last_one_fails() -> None:
    talk, (one, two) = ready(2, max_in_flight=1)
    alice = talk.client()
    calls = [alice.routes("echo") for _ in range(4)]
    for upstream in (one, two):  # The loss of the session is not always told before.
        talk.failed(upstream.instance)
    assert not any(call.is_waiting for call in calls)
