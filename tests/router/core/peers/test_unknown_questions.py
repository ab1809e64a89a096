"""Requests of servers that the router does not know."""

from typing import Any

import pytest

from tests.router.core.conversation import Conversation, FakeClient, FakeUpstream

ODD = "com.example/ask"
PARAMS: dict[str, Any] = {"x": [1.5, None], "_meta": {"k": "文"}}


def calling(view: str | None, **opens: Any) -> tuple[FakeClient, FakeUpstream, dict[str, Any], Any]:
    """Return a client with a call in flight, its server, the request there and the call."""
    talk = Conversation()
    upstream = talk.with_instance("a", "echo")
    client = talk.client(view=view, **opens)
    call = client.calls("echo" if view else "a__echo")
    return client, upstream, upstream.sees_one(), call


def test_they_reach_the_client_of_a_transparent_view_and_its_answer_comes_back() -> None:
    client, upstream, seen, call = calling("a")
    upstream.asks(ODD, PARAMS, id=7, related=seen["id"])
    (question,) = call.mailbox.take()
    assert (question["method"], question["params"]) == (ODD, PARAMS)
    client.answers(question, {"odd": 1})
    assert upstream.sees_one() == {"id": 7, "result": {"odd": 1}}


def test_a_client_refuses_what_it_does_not_know_itself() -> None:
    client, upstream, seen, call = calling("a")
    upstream.asks(ODD, id=7, related=seen["id"])
    (question,) = call.mailbox.take()
    client.refuses(question, {"code": -32601, "message": "no"})
    assert upstream.sees_one()["error"]["code"] == -32601


@pytest.mark.parametrize(("view", "one_shot"), [(None, False), ("a", True)])
def test_anybody_else_is_not_asked(view: str | None, *, one_shot: bool) -> None:
    _, upstream, seen, call = calling(view, one_shot=one_shot)
    upstream.asks(ODD, PARAMS, related=seen["id"])
    assert call.mailbox.take() == []
    assert upstream.sees_one()["error"]["code"] == -32601


def test_a_request_without_a_session_is_not_asked() -> None:
    talk = Conversation()
    upstream = talk.with_instance("a", "echo")
    call = talk.stateless_client(view="a").calls("echo")
    upstream.asks(ODD, PARAMS, related=upstream.sees_one()["id"])
    assert call.is_waiting
    assert upstream.sees_one()["error"]["code"] == -32601
