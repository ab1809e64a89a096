"""Subscriptions to tasks (MCP Tasks extension of 2026-07-28, Task Status Notifications)."""

from typing import Any

import pytest

from router.core.tasks import listening
from tests.router.core.conversation import Conversation, SentRequest, ready
from tests.router.core.fake_peers import StatelessClient
from tests.router.core.tasks.task_peers import (
    ALICE,
    BOB,
    EXTENSION,
    begins_task,
    handle_of,
    stateless_client_of,
    talk_with_extension,
    task,
)

SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


def _listens(client: StatelessClient, *task_ids: Any) -> SentRequest:
    return client.asks("subscriptions/listen", {"notifications": {"taskIds": list(task_ids)}})


def test_a_client_is_told_of_its_own_tasks() -> None:
    talk, upstream = talk_with_extension()
    mine = handle_of(begins_task(stateless_client_of(talk), upstream, "t1"))
    of_bob = handle_of(begins_task(stateless_client_of(talk, BOB), upstream, "t2"))
    client = stateless_client_of(talk)
    listening = _listens(client, mine, of_bob, "t2", "no handle")
    (acknowledged,) = listening.mailbox.take()
    assert acknowledged["params"]["notifications"] == {"taskIds": [mine]}
    opened = upstream.sees_one()
    assert opened["method"] == "subscriptions/listen"
    assert opened["params"]["notifications"] == {"taskIds": ["t1"]}
    declared = opened["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"]
    assert declared == {"extensions": {EXTENSION: {}}}
    status = task("t1", "completed", result={"content": []})
    meta = {SUBSCRIPTION: opened["id"], "own": 1}
    upstream.says("notifications/tasks", status | {"_meta": meta}, related=opened["id"])
    upstream.says("notifications/tasks", task("t2"), related=opened["id"])
    (told,) = listening.mailbox.take()
    assert told["method"] == "notifications/tasks"
    assert told["params"] == task(mine, "completed", result={"content": []}) | {
        "_meta": {SUBSCRIPTION: listening.id, "own": 1}
    }


def test_a_status_waits_for_the_acknowledgement() -> None:
    talk, upstream = talk_with_extension()
    upstream.lists("dig", resources=("file:///x",))
    mine = handle_of(begins_task(stateless_client_of(talk), upstream))
    wanted = {"taskIds": [mine], "resourceSubscriptions": ["file:///x"]}
    client = stateless_client_of(talk)
    listening = client.asks("subscriptions/listen", {"notifications": wanted})
    upstream.says("notifications/tasks", task("t1"))
    assert listening.mailbox.take() == []
    (opened,) = [
        frame
        for frame in upstream.sees()
        if "resourceSubscriptions" in frame["params"]["notifications"]
    ]
    meta = {SUBSCRIPTION: opened["id"]}
    upstream.says("notifications/subscriptions/acknowledged", {"_meta": meta})
    acknowledged, status = listening.mailbox.take()
    assert acknowledged["params"]["notifications"] == wanted
    assert status["params"]["taskId"] == mine


def test_the_result_in_a_status_is_in_the_words_of_the_view() -> None:
    talk, upstream = talk_with_extension()
    mine = handle_of(begins_task(stateless_client_of(talk), upstream))
    listening = _listens(stateless_client_of(talk), mine)
    result = {"content": [], "_meta": {"ui": {"resourceUri": "ui://app"}}}
    upstream.says("notifications/tasks", task("t1", result=result))
    shown = listening.mailbox.take()[-1]["params"]["result"]["_meta"]["ui"]["resourceUri"]
    assert shown.startswith("ui://a/")


def test_a_status_without_a_task_reaches_nobody() -> None:
    talk, upstream = talk_with_extension()
    mine = handle_of(begins_task(stateless_client_of(talk), upstream))
    listening = _listens(stateless_client_of(talk), mine)
    listening.mailbox.take()
    upstream.says("notifications/tasks", {"status": "working"})
    assert listening.mailbox.take() == []


def test_one_subscription_upstream_is_about_the_tasks_of_all() -> None:
    talk, upstream = talk_with_extension()
    one = handle_of(begins_task(stateless_client_of(talk, ALICE), upstream, "t1"))
    two = handle_of(begins_task(stateless_client_of(talk, BOB), upstream, "t2"))
    alice, bob = stateless_client_of(talk, ALICE), stateless_client_of(talk, BOB)
    _listens(alice, one)
    first = upstream.sees_one()
    _listens(bob, two)
    second, cancelled = upstream.sees()
    assert second["params"]["notifications"] == {"taskIds": ["t1", "t2"]}
    assert cancelled["params"]["requestId"] == first["id"]
    alice.leaves()
    third, cancelled = upstream.sees()
    assert third["params"]["notifications"] == {"taskIds": ["t2"]}
    assert cancelled["params"]["requestId"] == second["id"]
    bob.leaves()
    assert upstream.sees_one()["params"]["requestId"] == third["id"]
    assert talk.state.tasks.listeners == talk.state.tasks.listens == {}


def test_a_cancelled_subscription_on_a_connection_ends() -> None:
    talk, upstream = talk_with_extension()
    client = talk.stateless_connection(ALICE, extensions={EXTENSION: {}})
    handle = handle_of(begins_task(client, upstream))
    listening = _listens(client, handle)
    opened = upstream.sees_one()
    client.cancels(listening)
    assert upstream.sees_one()["params"]["requestId"] == opened["id"]
    assert talk.state.tasks.listeners == {}


def test_a_new_session_is_subscribed_again() -> None:
    talk, upstream = talk_with_extension()
    handle = handle_of(begins_task(stateless_client_of(talk), upstream))
    _listens(stateless_client_of(talk), handle)
    upstream.breaks()
    assert talk.state.tasks.listens == {}
    talk.starting("a")
    again = talk.up("a", "dig", revision="2026-07-28")
    assert again.sees_one()["params"]["notifications"] == {"taskIds": ["t1"]}


def test_a_subscription_that_its_server_ended_stays_ended() -> None:
    talk, upstream = talk_with_extension()
    handle = handle_of(begins_task(stateless_client_of(talk), upstream))
    _listens(stateless_client_of(talk), handle)
    upstream.answers(upstream.sees_one(), {"resultType": "complete"})
    assert talk.state.tasks.listens == {}
    talk.time_passes(60.0)
    assert upstream.sees() == []


def test_the_router_ends_the_subscription_when_it_stops() -> None:
    talk, upstream = talk_with_extension()
    handle = handle_of(begins_task(stateless_client_of(talk), upstream))
    listening = _listens(stateless_client_of(talk), handle)
    talk.drains()
    assert listening.result["_meta"][SUBSCRIPTION] == listening.id
    assert talk.state.tasks.listeners == {}


def test_a_client_without_the_extension_is_told_what_it_lacks() -> None:
    talk, _ = talk_with_extension()
    listening = _listens(talk.stateless_client(ALICE), "t1")
    assert listening.error["code"] == -32021
    assert listening.error["data"] == {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}


@pytest.mark.parametrize("wanted", [{}, "t1", [1], [None]])
def test_task_ids_that_are_no_list_of_texts_are_refused(wanted: Any) -> None:
    talk, _ = talk_with_extension()
    client = stateless_client_of(talk)
    asked = client.asks("subscriptions/listen", {"notifications": {"taskIds": wanted}})
    assert asked.error["code"] == -32602
    assert asked.error["message"] == "params.notifications.taskIds must be an array of task ids"


def test_too_many_tasks_are_refused() -> None:
    talk, _ = talk_with_extension()
    assert _listens(stateless_client_of(talk), *map(str, range(1025))).error["code"] == -32015


def test_a_router_view_has_no_tasks_to_be_told_of() -> None:
    talk = Conversation()
    listening = _listens(stateless_client_of(talk), "t1")
    assert listening.mailbox.take()[0]["params"]["notifications"] == {}


def test_the_end_of_a_request_walks_over_no_subscriptions_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    talk, _, _ = ready()
    walks: list[Any] = []
    monkeypatch.setattr(listening, "forget_client", lambda _, client: walks.append(client.id))
    lone = talk.stateless_client()
    lone.asks("tools/list")
    lone.leaves()
    assert walks == []
    lone.asks("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
    lone.leaves()
    assert walks == [lone.id]
