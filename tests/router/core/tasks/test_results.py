"""Results about tasks: whatever names a task names it by its handle."""

from typing import Any

import pytest

from router.messages.instances.exposure import Profile
from router.messages.instances.run_policy import RunPolicy
from tests.router.core.conversation import Conversation, spec
from tests.router.core.tasks.task_peers import (
    ALICE,
    BOB,
    EXTENSION,
    RELATED,
    TASKS,
    begins_task,
    client_of,
    handle_of,
    stateless_client_of,
    talk_with_extension,
    talk_with_tasks,
    task,
)

UI = {"_meta": {"ui": {"resourceUri": "ui://app/1"}}}
SHOWN_UI = "ui://a/ui%3A%2F%2Fapp%2F1"


# --- Calls that become tasks -----------------------------------------------------------------


@pytest.mark.parametrize("view", ["direct", "a"])
def test_a_call_with_task_is_forwarded_with_it(view: str) -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk, view=None if view == "direct" else view)
    call = alice.calls("dig" if view == "a" else "a__dig", {"x": 1}, task={"ttl": 5})
    request = upstream.sees_one()
    assert request["params"] == {"name": "dig", "arguments": {"x": 1}, "task": {"ttl": 5}}
    meta = {RELATED: {"taskId": "t1"}, "own": 1}
    upstream.answers(request, {"task": task("t1", ttl=5), "_meta": meta, "more": 2})
    handle = handle_of(call)
    assert call.result == {
        "task": task(handle, ttl=5),
        "_meta": {RELATED: {"taskId": handle}, "own": 1},
        "more": 2,
    }


@pytest.mark.parametrize(
    ("capabilities", "revision", "server_revision", "view"),
    [
        ({}, "2025-11-25", "2025-11-25", "direct"),
        ({"tasks": {"list": {}}}, "2025-11-25", "2025-11-25", "direct"),
        ({"tasks": None}, "2025-11-25", "2025-11-25", "direct"),
        ({"tasks": TASKS}, "2025-06-18", "2025-11-25", "direct"),
        ({"tasks": TASKS}, "2025-11-25", "2025-06-18", "direct"),
        ({"tasks": TASKS}, "2025-11-25", "2026-07-28", "direct"),
        ({"tasks": TASKS}, "2025-11-25", "2025-11-25", "router"),
    ],
)
def test_task_is_dropped_where_there_are_no_tasks(
    capabilities: Any, revision: str, server_revision: str, view: str
) -> None:
    talk = Conversation(view=view)
    upstream = talk.with_instance("a", "dig", capabilities=capabilities, revision=server_revision)
    alice = talk.client(principal=ALICE)
    alice.initializes(revision)
    alice.calls("a__dig", task={"ttl": 5})
    assert "task" not in upstream.sees_one()["params"]


def test_a_null_task_is_none() -> None:
    talk, (upstream,) = talk_with_tasks()
    client_of(talk).calls("a__dig", task=None)
    assert upstream.sees_one()["params"] == {"name": "dig"}


def test_a_call_with_task_that_becomes_none_is_answered_as_it_is() -> None:
    talk, (upstream,) = talk_with_tasks()
    call = client_of(talk).calls("a__dig", task={})
    upstream.answers(upstream.sees_one(), {"content": [], "structuredContent": {"task": "t1"}} | UI)
    assert call.result["structuredContent"] == {"task": "t1"}
    assert call.result["_meta"] == {"ui": {"resourceUri": SHOWN_UI}}
    assert len(talk.state.tasks) == 0


@pytest.mark.parametrize("result", [{"task": {}}, {"task": {"taskId": 7}}, {"task": "t1"}, [], 3])
def test_a_malformed_task_is_none(result: Any) -> None:
    talk, (upstream,) = talk_with_tasks()
    call = client_of(talk).calls("a__dig", task={})
    upstream.answers(upstream.sees_one(), result)
    assert call.result == result
    assert len(talk.state.tasks) == 0


# --- Requests about a task -------------------------------------------------------------------


def test_the_result_of_a_task_is_the_result_of_its_call_with_the_handle() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    handle = handle_of(begins_task(alice, upstream))
    asked = alice.asks("tasks/result", {"taskId": handle})
    result = {"content": [], "_meta": {RELATED: {"taskId": "t1"}} | UI["_meta"]}
    upstream.answers(upstream.sees_one(), result)
    meta = {RELATED: {"taskId": handle}, "ui": {"resourceUri": SHOWN_UI}}
    assert asked.result == {"content": [], "_meta": meta}


def test_the_large_result_of_a_task_is_cut_like_that_of_a_call() -> None:
    talk, _ = talk_with_tasks()
    talk.configured(spec("a", run_policy=RunPolicy(max_result_bytes=1024)))
    talk.starting("a")
    upstream = talk.up("a", "dig", capabilities={"tasks": TASKS})
    alice = client_of(talk)
    handle = handle_of(begins_task(alice, upstream))
    asked = alice.asks("tasks/result", {"taskId": handle})
    texts = [{"type": "text", "text": "line\n" * 1000}]
    result = {"content": texts, "structuredContent": {"kept": "x" * 2000}}
    meta = {"_meta": {RELATED: {"taskId": "t1"}}}
    upstream.answers(upstream.sees_one(), result | meta)
    assert asked.result["content"][1]["text"].startswith("[Cut after 1,020 of 5,000 bytes.")
    assert asked.result["structuredContent"] == {"kept": "x" * 2000}
    assert asked.result["_meta"] == {RELATED: {"taskId": handle}}


def test_the_large_result_in_a_task_of_2026_is_cut_as_well() -> None:
    talk, _ = talk_with_extension()
    talk.configured(spec("a", run_policy=RunPolicy(max_result_bytes=1024)))
    capabilities = {"extensions": {EXTENSION: {}}}
    talk.starting("a")
    upstream = talk.up("a", "dig", revision="2026-07-28", capabilities=capabilities)
    http = stateless_client_of(talk)
    handle = handle_of(begins_task(http, upstream))
    asked = http.asks("tasks/get", {"taskId": handle})
    inner = {"content": [{"type": "text", "text": "line\n" * 1000}]}
    upstream.answers(upstream.sees_one(), task("t1", "completed", result=inner))
    said = asked.result["result"]["content"][1]["text"]
    assert said.startswith("[Cut after 1,020 of 5,000 bytes.")


def test_cancelling_a_task_answers_with_its_handle() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    handle = handle_of(begins_task(alice, upstream))
    asked = alice.asks("tasks/cancel", {"taskId": handle})
    request = upstream.sees_one()
    assert (request["method"], request["params"]) == ("tasks/cancel", {"taskId": "t1"})
    upstream.answers(request, task("t1", "cancelled"))
    assert asked.result == task(handle, "cancelled")


def test_a_result_that_is_no_object_is_passed_on() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    handle = handle_of(begins_task(alice, upstream))
    asked = alice.asks("tasks/get", {"taskId": handle})
    upstream.answers(upstream.sees_one(), [1])
    assert asked.result == [1]


# --- 2026-07-28 ------------------------------------------------------------------------------


def test_any_call_may_become_a_task_if_its_client_declared_the_extension() -> None:
    talk, upstream = talk_with_extension()
    call = begins_task(stateless_client_of(talk), upstream)
    assert call.result == {"resultType": "task"} | task(handle_of(call))
    assert handle_of(call) != "t1"


def test_the_extension_is_declared_upstream_in_views_that_route_it() -> None:
    talk, upstream = talk_with_extension()
    declared = {EXTENSION: {}, "io.modelcontextprotocol/ui": {}, "org.other": {}}
    for view, expected in (
        (None, {EXTENSION, "io.modelcontextprotocol/ui"}),
        ("a", set(declared)),
        ("old", set[str]()),
    ):
        talk.settings_change(profiles={"old": Profile("router")})
        client = talk.stateless_client(ALICE, view, extensions=declared)
        client.calls("dig" if view == "a" else "a__dig")
        meta = upstream.sees_one()["params"]["_meta"]
        capabilities = meta["io.modelcontextprotocol/clientCapabilities"]
        assert set(capabilities["extensions"]) == expected


def test_a_finished_task_holds_the_result_in_the_words_of_the_view() -> None:
    talk, upstream = talk_with_extension()
    client = stateless_client_of(talk)
    handle = handle_of(begins_task(client, upstream))
    asked = client.asks("tasks/get", {"taskId": handle})
    done = task("t1", "completed", result={"content": []} | UI)
    upstream.answers(upstream.sees_one(), {"resultType": "complete"} | done)
    assert asked.result["taskId"] == handle
    assert asked.result["result"]["_meta"] == {"ui": {"resourceUri": SHOWN_UI}}


def test_input_for_a_task_goes_to_the_server_as_it_is() -> None:
    talk, upstream = talk_with_extension()
    client = stateless_client_of(talk)
    handle = handle_of(begins_task(client, upstream))
    responses = {"name": {"action": "accept"}}
    asked = client.asks("tasks/update", {"taskId": handle, "inputResponses": responses})
    request = upstream.sees_one()
    assert request["params"]["taskId"] == "t1"
    assert request["params"]["inputResponses"] == responses
    upstream.answers(request, {"resultType": "complete"})
    assert asked.result == {"resultType": "complete"}


def test_a_server_of_the_other_era_never_makes_tasks_of_these_calls() -> None:
    talk, (upstream,) = talk_with_tasks()
    client = stateless_client_of(talk)
    client.calls("a__dig", task={})
    assert upstream.sees_one()["params"] == {"name": "dig", "_meta": {}}


def test_a_client_with_a_session_does_not_pass_on_the_extension_of_the_other_era() -> None:
    talk, upstream = talk_with_extension()
    alice = talk.client(principal=ALICE)
    ui = "io.modelcontextprotocol/ui"
    alice.initializes(extensions={EXTENSION: {}, ui: {}})
    alice.calls("a__dig")
    meta = upstream.sees_one()["params"]["_meta"]
    declared = meta["io.modelcontextprotocol/clientCapabilities"]["extensions"]
    assert declared == {ui: {}}


# --- Lists -----------------------------------------------------------------------------------


def test_a_list_shows_a_client_its_own_tasks_alone() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice, bob = client_of(talk), client_of(talk, BOB)
    mine = handle_of(begins_task(alice, upstream, "of alice"))
    begins_task(bob, upstream, "of bob")
    asked = alice.asks("tasks/list")
    request = upstream.sees_one()
    assert request.get("params", {}) == {}
    listed = [task("of bob"), task("of alice", ttl=1), task("of nobody")]
    upstream.answers(request, {"tasks": listed, "_meta": {}})
    assert asked.result == {"tasks": [task(mine, ttl=1)], "_meta": {}}


@pytest.mark.parametrize("result", [[], {}, {"tasks": 3}, {"tasks": ["t1"]}])
def test_a_malformed_list_is_an_error(result: Any) -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    begins_task(alice, upstream)
    asked = alice.asks("tasks/list")
    upstream.answers(upstream.sees_one(), result)
    assert asked.error["code"] == -32603
    assert asked.error["message"] == "Instance 'a' answered with a malformed list of tasks"
