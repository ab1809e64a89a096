"""Notifications of servers that the router does not know, and those about resources."""

from typing import Any

import pytest

from router.messages.commands import Principal
from router.messages.instances.exposure import Profile
from tests.router.core.conversation import Conversation

ODD, UPDATED = "com.example/odd", "notifications/resources/updated"
PARAMS = {"x": [1.5, None], "_meta": {"k": "文"}}


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_an_unknown_notification_reaches_those_who_see_its_server_alone(revision: str) -> None:
    talk = Conversation(view="direct", profiles={"one": Profile("transparent", ("a",))})
    upstream = talk.with_instance("a", "echo", revision=revision)
    talk.with_instance("b", "echo")
    transparent = [talk.client(view="a"), talk.client(view="one")]
    connection = talk.stateless_connection(view="a")
    others = [talk.client(), talk.client(view="b"), talk.client(view="gone")]
    mallory = talk.client(view="a", principal=Principal("m", instances=frozenset({"b"})))
    upstream.says(ODD, PARAMS)
    for client in transparent:
        assert client.outbox.take() == [{"method": ODD, "params": PARAMS}]
    assert [client.outbox.take() for client in (*others, mallory, connection)] == [[]] * 5


@pytest.mark.parametrize(("view", "hears"), [("a", True), ("direct", False), ("router", False)])
def test_one_that_belongs_to_a_call_reaches_that_call_alone(view: str, *, hears: bool) -> None:
    talk = Conversation(view=view)
    upstream = talk.with_instance("a", "echo")
    bystander = talk.client(view="a")
    for client in (talk.client(), talk.client(one_shot=True), talk.stateless_client()):
        call = client.calls("echo" if view == "a" else "a__echo", {})
        seen = upstream.sees_one()
        upstream.says(ODD, PARAMS, related=seen["id"])
        came = [frame["method"] for frame in call.mailbox.take()]
        assert came == ([ODD] if hears else [])
        upstream.answers(seen, {"content": []})
        assert call.result["content"] == []
    assert bystander.outbox.take() == []


def test_one_that_comes_before_the_answer_is_brought_before_it() -> None:
    talk = Conversation()
    upstream = talk.with_instance("a", "echo")
    call = talk.client(view="a").asks("x/odd")
    seen = upstream.sees_one()
    upstream.says(ODD, related=seen["id"])
    upstream.answers(seen, {})
    assert [frame.get("method") for frame in call.mailbox.take()] == [ODD, None]


def test_a_call_whose_client_is_away_to_answer_a_question_hears_nothing() -> None:
    talk = Conversation()
    upstream = talk.with_instance("a", "echo")
    client = talk.stateless_client(view="a", elicitation={"form": {}})
    call = client.calls("echo", {})
    seen = upstream.sees_one()
    form = {"message": "m", "requestedSchema": {"type": "object"}}
    upstream.asks("elicitation/create", form, related=seen["id"])
    upstream.says(ODD, related=seen["id"])
    assert [frame.get("method") for frame in call.mailbox.take()] == [None]


def test_a_dead_incarnation_notifies_nobody() -> None:
    talk = Conversation()
    upstream = talk.with_instance("a", "echo")
    alice = talk.client(view="a")
    upstream.breaks()
    upstream.says(ODD)
    upstream.says(UPDATED, {"uri": "x:1"})
    assert alice.outbox.take() == []


@pytest.mark.parametrize("view", ["a", "direct", "router"])
@pytest.mark.parametrize("params", [{"uri": "x:1"}, {}, b"5"])
def test_an_update_that_nobody_subscribed_to_is_dropped(view: str, params: Any) -> None:
    talk = Conversation(view=view)
    upstream = talk.with_instance("a", "echo", resources=["x:1"])
    alice = talk.client()
    alice.uses()
    alice.outbox.take()
    upstream.says(UPDATED, params)
    assert alice.outbox.take() == []


def test_an_unknown_request_of_a_server_is_refused_in_views_of_several_instances() -> None:
    for view in ("direct", "router"):
        talk = Conversation(view=view)
        upstream = talk.with_instance("a", "echo")
        alice = talk.client()
        alice.initializes(roots={})
        alice.calls("a__echo", {})
        upstream.sees()
        upstream.asks("com.example/ask", {}, id="q")
        error = upstream.sees_one()["error"]
        assert error == {"code": -32601, "message": "Method not found: com.example/ask"}
