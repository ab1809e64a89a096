"""Instances that depend on the first root of a client (`${roots.0}`)."""

from typing import Any

import pytest

from router.core.sessions.client_roots import ANSWER_WITHIN_S, INPUT_KEY
from router.core.state.session_rows import IDLE_EXPIRY_S
from router.messages.commands import CallTool
from router.messages.frames import NO_RAW
from tests.router.core.conversation import Conversation, FakeClient, FakeUpstream, SentRequest
from tests.router.core.per_client import comes_up, initialized, per_client, talk_about

ROOTS = "roots/list"
CHANGED = "notifications/roots/list_changed"


def at_root(**changes: Any) -> Any:
    return per_client(**{"cwd": "${roots.0}", "args": ("--in=${roots.0}",)} | changes)


def talk_about_roots(**settings: Any) -> Conversation:
    return talk_about(at_root(), **settings)


def roots(*paths: str) -> dict[str, Any]:
    return {"roots": [{"uri": f"file://{path}"} for path in paths]}


def tells(client: FakeClient, asked: SentRequest, *paths: str) -> None:
    """Answer the router's question, which came on the stream of a request."""
    (question,) = asked.mailbox.take()
    assert question["method"] == ROOTS
    client.answers(question, roots(*paths))


def places(talk: Conversation) -> list[str | None]:
    return [started.cwd for started in talk.started]


# --- One session for each root ---------------------------------------------------------------


def test_a_client_is_asked_for_its_roots_on_the_stream_of_its_call() -> None:
    talk = talk_about_roots()
    alice = initialized(talk, roots={})
    call = alice.routes("echo")
    assert talk.started == []
    tells(alice, call, "/work/a", "/work/other")
    (started,) = talk.started
    assert (started.name, started.cwd, started.args) == ("a#1", "/work/a", ("--in=/work/a",))
    assert started.client is None
    upstream = comes_up(talk, "a#1")
    upstream.answers(upstream.sees_one(), {"content": []})
    assert call.result == {"content": []}


def test_a_client_is_asked_once() -> None:
    talk = talk_about_roots()
    alice = initialized(talk, roots={})
    first, second = alice.routes("echo"), alice.routes("echo")
    tells(alice, first, "/work/a")
    third = alice.routes("echo")
    assert (second.mailbox.take(), third.mailbox.take(), alice.outbox.take()) == ([], [], [])
    upstream = comes_up(talk, "a#1")
    assert len(upstream.sees()) == 3


def test_clients_with_the_same_root_share_a_session_and_others_do_not() -> None:
    talk = talk_about_roots()
    clients = [initialized(talk, roots={}) for _ in range(3)]
    for client, path in zip(clients, ("/work/a", "/work/b", "/work/./a/"), strict=True):
        tells(client, client.routes("echo"), path)
    assert places(talk) == ["/work/a", "/work/b"]
    assert len(comes_up(talk, "a#1").sees()) == 2


def test_a_shared_session_ends_some_time_after_its_last_client() -> None:
    talk = talk_about_roots()
    alice, bob = initialized(talk, roots={}), initialized(talk, roots={})
    for client in (alice, bob):
        tells(client, client.routes("echo"), "/work/a")
    upstream = comes_up(talk, "a#1")
    for request in upstream.sees():
        upstream.answers(request, {})
    alice.leaves()
    talk.time_passes(5 * IDLE_EXPIRY_S)
    assert talk.stopped == []
    bob.leaves()
    talk.time_passes(IDLE_EXPIRY_S - 1)
    assert talk.stopped == []
    talk.time_passes(2)
    assert talk.stopped == ["a#1"]
    assert talk.state.client_sessions.by_name == {}


def test_a_client_whose_roots_change_moves_to_another_session() -> None:
    talk = talk_about_roots()
    alice = initialized(talk, roots={"listChanged": True})
    tells(alice, alice.routes("echo"), "/work/a")
    upstream = comes_up(talk, "a#1")
    upstream.answers(upstream.sees_one(), {})
    alice.says(CHANGED)
    assert upstream.sees() == []
    tells(alice, alice.routes("echo"), "/work/b")
    assert places(talk) == ["/work/a", "/work/b"]
    talk.time_passes(IDLE_EXPIRY_S + 1)
    assert talk.stopped == ["a#1"]


def test_a_question_without_a_call_in_a_session_of_several_clients_is_refused() -> None:
    talk = talk_about_roots()
    alice, bob = initialized(talk, roots={}), initialized(talk, roots={})
    tells(alice, alice.routes("echo"), "/work/a")
    upstream = comes_up(talk, "a#1")
    upstream.answers(upstream.sees_one(), {})
    upstream.asks(ROOTS, id="q")
    assert [frame["method"] for frame in alice.outbox.take()] == [ROOTS]
    tells(bob, bob.routes("echo"), "/work/a")
    upstream.answers(upstream.sees_one(), {})
    upstream.asks(ROOTS, id="r")
    assert upstream.sees_one()["error"]["code"] == -32017
    assert (alice.outbox.take(), bob.outbox.take()) == ([], [])


# --- No roots --------------------------------------------------------------------------------

DEPENDS = "Instance 'a' depends on the client's roots"


def test_a_client_that_declares_no_roots_is_told_so() -> None:
    talk = talk_about_roots()
    call = initialized(talk).routes("echo")
    assert call.tool_error[1] == f"{DEPENDS}, and this client declares none"
    assert talk.started == []


def test_a_lone_request_of_a_handshake_revision_is_told_so() -> None:
    talk = talk_about_roots()
    call = talk.client(one_shot=True).routes("echo")
    assert call.tool_error[1] == f"{DEPENDS}, and this client declares none"


def test_a_command_is_told_so() -> None:
    talk = talk_about_roots()
    error = talk.admin_asks(CallTool("a", "echo", NO_RAW)).error
    assert (error.code, error.message) == (-32602, f"{DEPENDS}, so only an MCP client can use it")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"roots": []}, "The client has no roots; open a folder in it first"),
        ({}, "The client's answer to roots/list has no roots"),
        ({"roots": [{"name": "x"}]}, "The client's answer to roots/list has no roots"),
        ({"roots": [{"uri": "https://a.test/"}]}, "The client's first root is no file URI"),
        ({"roots": [{"uri": "file:///a/%2e%2e"}]}, "The client's first root has a part .."),
        ({"roots": [{"uri": "file:///a%00b"}]}, "The client's first root has a control character"),
    ],
)
def test_a_root_that_is_no_path_is_refused_with_the_reason(answer: Any, reason: str) -> None:
    talk = talk_about_roots()
    alice = initialized(talk, roots={})
    call = alice.routes("echo")
    (question,) = call.mailbox.take()
    alice.answers(question, answer)
    assert call.tool_error[1].startswith(reason)
    assert talk.started == []


def test_a_client_that_refuses_is_asked_again_by_the_next_call() -> None:
    talk = talk_about_roots()
    alice = initialized(talk, roots={})
    call = alice.routes("echo")
    (question,) = call.mailbox.take()
    alice.refuses(question, {"code": -1, "message": "no"})
    assert call.tool_error[1] == "The client refused to say what its roots are"
    tells(alice, alice.routes("echo"), "/work/a")
    assert places(talk) == ["/work/a"]


def test_a_client_that_does_not_answer_is_waited_for_a_limited_time() -> None:
    talk = talk_about_roots()
    alice = initialized(talk, roots={})
    call = alice.routes("echo")
    (question,) = call.mailbox.take()
    talk.time_passes(ANSWER_WITHIN_S + 1)
    assert call.tool_error == (
        "TIMEOUT",
        "The client has not said within 10 s what its roots are; instance 'a' depends on them",
    )
    again = alice.routes("echo")
    tells(alice, again, "/work/a")
    alice.answers(question, roots("/work/late"))
    assert places(talk) == ["/work/a"]


def test_a_client_that_leaves_while_it_is_asked_leaves_nothing() -> None:
    talk = talk_about_roots()
    alice = initialized(talk, roots={})
    call = alice.routes("echo")
    alice.leaves()
    assert call.mailbox.closed
    assert talk.state.instances.by_name["a"].waiting == {}
    assert len(talk.state.parked) == 0


def test_a_call_that_waits_for_roots_ends_with_its_instance() -> None:
    talk = talk_about_roots()
    call = initialized(talk, roots={}).routes("echo")
    call.mailbox.take()
    talk.configured()
    assert call.tool_error[1] == "Instance 'a' not connected: stopping"


# --- Lists and views -------------------------------------------------------------------------


def test_a_client_that_lists_is_asked_so_that_the_lists_become_known() -> None:
    talk = talk_about_roots(view="direct")
    alice = initialized(talk, roots={})
    assert alice.lists() == []
    assert alice.lists() == []
    (question,) = alice.outbox.take()
    alice.answers(question, roots("/work/a"))
    assert places(talk) == ["/work/a"]
    comes_up(talk, "a#1", "echo")
    assert alice.lists() == ["a__echo"]


def test_a_client_without_roots_that_lists_is_not_asked() -> None:
    talk = talk_about_roots(view="direct")
    alice = initialized(talk)
    assert alice.lists() == []
    assert alice.outbox.take() == []


def test_a_transparent_view_begins_before_the_server_is_known() -> None:
    talk = talk_about_roots(view="a")
    alice = talk.client()
    hello = alice.initializes(roots={})
    assert hello.result["serverInfo"] == {"name": "a", "version": "unknown"}
    call = alice.calls("echo")
    tells(alice, call, "/work/a")
    upstream = comes_up(talk, "a#1", capabilities={"tools": {}})
    upstream.answers(upstream.sees_one(), {"content": []})
    assert call.result == {"content": []}
    later = talk.client()
    assert later.initializes(roots={}).result["serverInfo"]["name"] == "a#1"
    assert later.outbox.take() == []


def at_its_root(talk: Conversation, path: str, n: int) -> tuple[FakeClient, FakeUpstream]:
    """Return a client of a transparent view, and the server at its root, which is idle."""
    client = talk.client()
    client.initializes(roots={})
    tells(client, client.calls("echo"), path)
    upstream = comes_up(talk, f"a#{n}")
    upstream.answers(upstream.sees_one(), {})
    client.outbox.take()
    return client, upstream


def test_in_a_transparent_view_the_server_at_the_root_of_a_client_lists_and_is_notified() -> None:
    talk = talk_about_roots(view="a")
    alice, at_a = at_its_root(talk, "/work/a", 1)
    bob, at_b = at_its_root(talk, "/work/b", 2)
    alice.asks("tools/list")
    bob.says("notifications/acme")
    assert at_a.sees_one()["method"] == "tools/list"
    assert at_b.sees_one() == {"method": "notifications/acme"}


@pytest.mark.parametrize("again", [True, False])
def test_a_subscription_outlives_a_change_as_long_as_the_root_counts(again: bool) -> None:
    talk = talk_about_roots(view="a")
    alice, upstream = at_its_root(talk, "/work/a", 1)
    alice.asks("resources/subscribe", {"uri": "file:///x"})
    upstream.answers(upstream.sees_one(), {})
    talk.configured(at_root(command="other") if again else per_client(command="other"))
    assert talk.stopped == ["a#1"]
    assert places(talk) == ["/work/a", "/work/a"][: 1 + again]
    if again:
        assert comes_up(talk, "a#2").sees_one()["params"] == {"uri": "file:///x"}
    alice.leaves()
    assert talk.state.subscribers == {}


def test_an_instance_that_is_switched_off_begins_nothing() -> None:
    talk = talk_about(at_root(is_active=False), view="a")
    assert talk.client().initializes(roots={}).error["message"] == "Instance 'a' is not active"


# --- 2026-07-28 ------------------------------------------------------------------------------


def routed(client: Any, **more: Any) -> SentRequest:
    asked: SentRequest = client.routes("echo", **more)
    return asked


def test_a_request_of_2026_is_sent_again_with_the_roots() -> None:
    talk = talk_about_roots()
    client = talk.stateless_client(roots={})
    asked = routed(client)
    result = asked.result
    assert result["resultType"] == "input_required"
    assert result["inputRequests"] == {INPUT_KEY: {"method": ROOTS}}
    assert "requestState" not in result
    again = routed(client, inputResponses={INPUT_KEY: roots("/work/a")})
    assert places(talk) == ["/work/a"]
    upstream = comes_up(talk, "a#1")
    request = upstream.sees_one()
    assert "inputResponses" not in request["params"]
    upstream.answers(request, {"content": []})
    assert again.result["resultType"] == "complete"


def test_over_http_each_request_of_2026_brings_its_own_roots() -> None:
    talk = talk_about_roots()
    client = talk.stateless_client(roots={})
    for path in ("/work/a", "/work/b"):
        routed(client, inputResponses={INPUT_KEY: roots(path)})
    assert places(talk) == ["/work/a", "/work/b"]
    assert routed(client).result["resultType"] == "input_required"


def test_on_a_connection_the_roots_are_remembered() -> None:
    talk = talk_about_roots()
    client = talk.stateless_connection(roots={})
    assert routed(client, id=1).result["resultType"] == "input_required"
    routed(client, id=2, inputResponses={INPUT_KEY: roots("/work/a")})
    routed(client, id=3)
    assert places(talk) == ["/work/a"]
    assert len(comes_up(talk, "a#1").sees()) == 2
    client.says(CHANGED)
    assert routed(client, id=4).result["resultType"] == "input_required"


def test_roots_that_a_waiting_request_brought_are_not_remembered_after_a_change() -> None:
    talk = talk_about_roots()
    client = talk.stateless_connection(roots={})
    routed(client, id=1, inputResponses={INPUT_KEY: roots("/work/a")})
    client.says(CHANGED)
    assert len(comes_up(talk, "a#1").sees()) == 1
    assert routed(client, id=2).result["resultType"] == "input_required"


def test_a_server_of_2026_does_not_see_what_was_for_the_router() -> None:
    talk = talk_about_roots()
    client = talk.stateless_client(roots={})
    routed(client, inputResponses={INPUT_KEY: roots("/work/a"), "own": {"x": 1}})
    upstream = comes_up(talk, "a#1", revision="2026-07-28")
    assert upstream.sees_one()["params"]["inputResponses"] == {"own": {"x": 1}}


def test_a_question_of_a_server_of_2026_is_answered_together_with_the_roots() -> None:
    talk = talk_about_roots(view="a")
    client = talk.stateless_client(roots={}, elicitation={})
    brought = {INPUT_KEY: roots("/work/a")}
    asked = client.calls("echo", {}, inputResponses=brought)
    upstream = comes_up(talk, "a#1", revision="2026-07-28")
    wanted = {"own": {"method": "elicitation/create"}}
    result = {"resultType": "input_required", "inputRequests": wanted, "requestState": "mine"}
    upstream.answers(upstream.sees_one(), result)
    assert asked.result["inputRequests"] == wanted | {INPUT_KEY: {"method": ROOTS}}
    answers = brought | {"own": {"action": "accept"}}
    again = client.calls("echo", {}, inputResponses=answers, requestState="mine")
    request = upstream.sees_one()
    assert request["params"]["requestState"] == "mine"
    assert request["params"]["inputResponses"] == {"own": {"action": "accept"}}
    upstream.answers(request, {"resultType": "complete", "content": ["input_required"]})
    assert again.result["content"] == ["input_required"]
    assert len(talk.started) == 1


BROKEN = {"resultType": "input_required", "inputRequests": 5}


@pytest.mark.parametrize("result", ["input_required", {"x": "input_required"}, BROKEN])
def test_other_results_of_a_server_of_2026_are_left_as_they_are(result: Any) -> None:
    talk = talk_about_roots(view="a")
    client = talk.stateless_client(roots={})
    asked = client.calls("echo", {}, inputResponses={INPUT_KEY: roots("/work/a")})
    upstream = comes_up(talk, "a#1", revision="2026-07-28")
    upstream.answers(upstream.sees_one(), result)
    assert asked.result == result


def test_a_request_of_2026_that_cannot_bring_roots_is_told_so() -> None:
    talk = talk_about_roots(view="a")
    client = talk.stateless_client(roots={})
    asked = client.asks("completion/complete", {"ref": {"type": "ref/prompt", "name": "x"}})
    assert asked.error["code"] == -32602
    assert asked.error["message"] == f"{DEPENDS}, and completion/complete cannot bring them"


def test_a_request_of_2026_without_roots_is_told_so() -> None:
    client = talk_about_roots().stateless_client()
    assert routed(client).tool_error[1] == f"{DEPENDS}, and this client declares none"
