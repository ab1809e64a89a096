"""Requests about tasks: where there are any, and how a list walks over the servers."""

from typing import Any

import pytest

from router.messages.commands import Principal
from tests.router.core.conversation import Conversation
from tests.router.core.tasks.task_peers import (
    ALICE,
    ANONYMOUS,
    BOB,
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

METHODS = ("tasks/get", "tasks/result", "tasks/cancel", "tasks/list", "tasks/update")


# --- Where there are tasks -------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_a_router_view_has_no_tasks(method: str) -> None:
    talk, _ = talk_with_tasks(view="router")
    asked = client_of(talk).asks(method, {"taskId": "t1"})
    assert asked.error == {"code": -32601, "message": f"Method not found: {method}"}


@pytest.mark.parametrize("place", [None, "a"])
@pytest.mark.parametrize("method", METHODS)
def test_earlier_revisions_have_no_tasks(method: str, place: str | None) -> None:
    talk, (upstream,) = talk_with_tasks()
    client = talk.client(principal=ALICE, view=place)
    client.initializes("2025-06-18")
    assert client.asks(method, {"taskId": "t1"}).error["code"] == -32601
    assert upstream.sees() == []


@pytest.mark.parametrize("place", [None, "a"])
def test_each_era_has_methods_of_its_own(place: str | None) -> None:
    talk, (upstream,) = talk_with_tasks()
    assert client_of(talk, view=place).asks("tasks/update", {}).error["code"] == -32601
    assert upstream.sees() == []
    talk, upstream = talk_with_extension()
    for method in ("tasks/list", "tasks/result"):
        client = stateless_client_of(talk, view=place)
        assert client.asks(method, {}).error["code"] == -32601
    assert upstream.sees() == []


@pytest.mark.parametrize("method", ["tasks/get", "tasks/result", "tasks/cancel"])
def test_a_transparent_view_passes_no_id_of_the_server_on(method: str) -> None:
    talk, (upstream,) = talk_with_tasks()
    begins_task(client_of(talk), upstream, "t1")
    assert is_refused(client_of(talk, BOB, view="a").asks(method, {"taskId": "t1"}))
    assert upstream.sees() == []


def test_tasks_are_for_those_who_may_call() -> None:
    talk, _ = talk_with_tasks()
    reader = client_of(talk, Principal("reader", permissions=frozenset({"read"})))
    assert reader.asks("tasks/list").error["code"] == -32016


def test_a_task_id_is_required() -> None:
    talk, _ = talk_with_tasks()
    assert client_of(talk).asks("tasks/get").error["message"] == "params.taskId is missing"


def test_a_request_about_a_task_waits_for_its_server() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    handle = handle_of(begins_task(alice, upstream))
    upstream.breaks()
    asked = alice.asks("tasks/get", {"taskId": handle})
    assert asked.is_waiting
    again = talk.up("a", "dig", capabilities={"tasks": TASKS})
    again.answers(again.sees_one(), task("t1"))
    assert asked.result == task(handle)


def test_a_task_is_gone_with_a_server_of_its_revision() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    handle = handle_of(begins_task(alice, upstream))
    upstream.breaks()
    again = talk.up("a", "dig", revision="2026-07-28")
    assert is_refused(alice.asks("tasks/get", {"taskId": handle}))
    assert again.sees() == []


# --- Declared --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("view", "revision", "expected"),
    [
        ("direct", "2025-11-25", TASKS),
        ("direct", "2025-06-18", None),
        ("router", "2025-11-25", None),
    ],
)
def test_views_declare_tasks_where_they_have_them(view: str, revision: str, expected: Any) -> None:
    talk, _ = talk_with_tasks(view=view)
    declared = talk.client().initializes(revision).result["capabilities"]
    assert declared.get("tasks") == expected
    assert "io.modelcontextprotocol/tasks" not in declared.get("extensions", {})


def test_a_direct_view_declares_the_extension_to_clients_of_2026_07_28() -> None:
    talk, _ = talk_with_extension()
    declared = talk.stateless_client(ALICE).asks("server/discover").result["capabilities"]
    assert declared["extensions"]["io.modelcontextprotocol/tasks"] == {}
    assert "tasks" not in declared


def test_a_transparent_view_declares_what_its_server_does() -> None:
    talk = Conversation()
    capabilities = {"tasks": {"cancel": {}}, "extensions": {"org.own": {"x": 1}}}
    talk.with_instance("a", capabilities=capabilities)
    shown = talk.client(view="a").initializes().result["capabilities"]
    assert shown == capabilities
    shown = talk.client(view="a").initializes("2025-06-18").result["capabilities"]
    assert shown == {"extensions": {"org.own": {"x": 1}}}


def test_a_transparent_view_declares_no_tasks_to_the_other_era() -> None:
    talk = Conversation()
    extensions = {"io.modelcontextprotocol/tasks": {}, "org.own": {"x": 1}}
    talk.with_instance("a", revision="2026-07-28", capabilities={"extensions": extensions})
    shown = talk.client(view="a").initializes().result["capabilities"]
    assert shown == {"extensions": {"org.own": {"x": 1}}}
    discovered = talk.stateless_client(view="a").asks("server/discover").result
    assert discovered["capabilities"] == {"extensions": extensions}


# --- Lists -----------------------------------------------------------------------------------


def test_a_list_visits_each_server_that_has_tasks_of_the_client_once() -> None:
    talk, upstreams = talk_with_tasks("a", "b", "c", "d")
    alice, bob = client_of(talk), client_of(talk, BOB)
    names = {"a": "1", "c": "1", "d": "2"}
    mine = [
        handle_of(begins_task(alice, one, names[one.instance]))
        for one in upstreams
        if one.instance in names
    ]
    begins_task(bob, upstreams[1], "1")
    listed: list[str] = []
    visited: list[tuple[str, Any]] = []
    params: dict[str, Any] = {}
    pages = {("c", None): "page 2"}
    while True:
        asked = alice.asks("tasks/list", params)
        ((upstream, request),) = [(one, frame) for one in upstreams for frame in one.sees()]
        cursor = request.get("params", {}).get("cursor")
        visited.append((upstream.instance, cursor))
        tasks = [task("1"), task("2"), task("3")] if cursor is None else []
        following = pages.get((upstream.instance, cursor))
        more = {} if following is None else {"nextCursor": following}
        upstream.answers(request, {"tasks": tasks} | more)
        listed += [one["taskId"] for one in asked.result["tasks"]]
        if "nextCursor" not in asked.result:
            break
        params = {"cursor": asked.result["nextCursor"]}
    assert visited == [("a", None), ("c", None), ("c", "page 2"), ("d", None)]
    assert listed == mine


def test_a_client_without_tasks_asks_no_server() -> None:
    talk, (upstream,) = talk_with_tasks()
    begins_task(client_of(talk, BOB), upstream)
    assert client_of(talk).asks("tasks/list").result == {"tasks": []}
    assert upstream.sees() == []


def test_a_list_does_not_wait_for_a_server_that_is_not_ready() -> None:
    talk, (one, other) = talk_with_tasks("a", "b")
    alice = client_of(talk)
    for upstream in (one, other):
        begins_task(alice, upstream)
    one.breaks()
    asked = alice.asks("tasks/list")
    other.answers(other.sees_one(), {"tasks": []})
    assert asked.result == {"tasks": []}


def test_the_list_of_a_transparent_view_waits_for_its_server() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk, view="a")
    call = alice.calls("dig", task={})
    upstream.answers(upstream.sees_one(), {"task": task("t1")})
    upstream.breaks()
    asked = alice.asks("tasks/list")
    assert asked.is_waiting
    again = talk.up("a", "dig", capabilities={"tasks": TASKS})
    again.answers(again.sees_one(), {"tasks": [task("t1"), task("t2")]})
    assert asked.result == {"tasks": [task(handle_of(call))]}


def test_a_server_that_lists_no_tasks_is_passed_over() -> None:
    talk = Conversation(view="direct")
    capabilities = {"tasks": {"requests": {"tools": {"call": {}}}}}
    upstream = talk.with_instance("a", "dig", capabilities=capabilities)
    alice = client_of(talk)
    begins_task(alice, upstream)
    assert alice.asks("tasks/list").result == {"tasks": []}
    assert upstream.sees() == []


def test_lone_requests_without_a_principal_share_no_list() -> None:
    talk, (upstream,) = talk_with_tasks()
    begins_task(client_of(talk, ANONYMOUS, one_shot=True), upstream)
    lone = client_of(talk, ANONYMOUS, one_shot=True)
    assert lone.asks("tasks/list").result == {"tasks": []}


@pytest.mark.parametrize("cursor", ["1", "", "sealed-0", "x" * 10_000])
def test_a_cursor_from_elsewhere_is_refused(cursor: str) -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    begins_task(alice, upstream)
    asked = alice.asks("tasks/list", {"cursor": cursor})
    assert asked.error == {"code": -32602, "message": "params.cursor is not one of ours"}


def test_a_cursor_is_for_its_owner_and_its_instance() -> None:
    talk, (one, other) = talk_with_tasks("a", "b")
    alice, bob = client_of(talk), client_of(talk, BOB)
    for client in (alice, bob):
        begins_task(client, one, client.id)
        begins_task(client, other, client.id)
    asked = alice.asks("tasks/list")
    one.answers(one.sees_one(), {"tasks": []})
    cursor = {"cursor": asked.result["nextCursor"]}
    assert bob.asks("tasks/list", cursor).error["code"] == -32602
    limited = client_of(talk, Principal("alice", instances=frozenset({"a"})))
    assert limited.asks("tasks/list", cursor).error["code"] == -32602
    alice.asks("tasks/list", cursor)
    assert other.sees_one()["method"] == "tasks/list"


def test_a_cursor_of_a_server_that_is_too_long_is_an_error() -> None:
    talk, (upstream,) = talk_with_tasks()
    alice = client_of(talk)
    begins_task(alice, upstream)
    asked = alice.asks("tasks/list")
    upstream.answers(upstream.sees_one(), {"tasks": [], "nextCursor": "x" * 3000})
    assert asked.error["code"] == -32603
