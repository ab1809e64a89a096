"""Prompts and resources of which a server asks the client something, in each pair of eras."""

from typing import Any

import pytest

from router.core.names.resource_uris import shown_uri
from tests.router.core.conversation import (
    Conversation,
    FakeUpstream,
    SentRequest,
    StatelessClient,
)

ELICIT = "elicitation/create"
FORM = {"mode": "form", "message": "Which?", "requestedSchema": {"type": "object"}}
ANSWER = {"action": "accept", "content": {"x": "文"}}
CAN_ANSWER: dict[str, Any] = {"elicitation": {"form": {}, "url": {}}}

READ = ("resources/read", {"uri": "x:1"})
READ_NAMED = ("resources/read", {"uri": shown_uri("a", "x:1")})
PROMPT = ("prompts/get", {"name": "a__ask", "arguments": {"x": "1"}})
OWN_PROMPT = ("prompts/get", {"name": "ask", "arguments": {"x": "1"}})
ASKED = [
    ("direct", *READ),
    ("direct", *READ_NAMED),
    ("router", *READ_NAMED),
    ("direct", *PROMPT),
    ("a", *READ),
    ("a", *OWN_PROMPT),
]


def serving(view: str, revision: str) -> tuple[Conversation, FakeUpstream]:
    talk = Conversation(view=view)
    upstream = talk.with_instance("a", prompts=["ask"], resources=["x:1"], revision=revision)
    talk.with_instance("b", resources=["y:1"])
    return talk, upstream


def result_for(params: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a server, by the URI or name that it knows."""
    if "uri" in params:
        return {"contents": [{"uri": "x:1", "text": "t"}], "resultType": "complete"}
    return {"messages": [], "resultType": "complete"}


def is_answered(asked: SentRequest, params: dict[str, Any]) -> bool:
    """Return whether a request has the result of the server, under the URI it was asked for."""
    if "uri" in params:
        return bool(asked.result["contents"][0]["uri"] == params["uri"])
    return bool(asked.result["messages"] == [])


@pytest.mark.parametrize(("view", "method", "params"), ASKED)
@pytest.mark.parametrize("on_connection", [False, True])
def test_a_server_with_sessions_asks_a_client_of_2026_07_28(
    view: str, method: str, params: dict[str, Any], *, on_connection: bool
) -> None:
    talk, upstream = serving(view, "2025-11-25")
    client: StatelessClient = talk.stateless_client(**CAN_ANSWER)
    if on_connection:
        client = talk.stateless_connection(**CAN_ANSWER)
    first = client.asks(method, params)
    seen = upstream.sees_one()
    upstream.asks(ELICIT, FORM, id="q", related=seen["id"])
    assert first.result["resultType"] == "input_required"
    assert "ttlMs" not in first.result
    ((key, question),) = first.result["inputRequests"].items()
    assert question == {"method": ELICIT, "params": FORM}
    state = {"requestState": first.result["requestState"], "inputResponses": {key: ANSWER}}
    retry = client.asks(method, params | state)
    assert upstream.sees_one() == {"id": "q", "result": ANSWER}
    upstream.answers(seen, result_for(params))
    assert is_answered(retry, params)
    assert retry.result["resultType"] == "complete"
    again = client.asks(method, params | state)
    assert again.error["data"] == {"reason": "invalid_request_state"}


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("resources/read", {"uri": shown_uri("a", "x:1")}),
        ("resources/read", {"uri": "x:2"}),
        ("prompts/get", {"uri": "x:1", "name": "a__ask"}),
        ("tools/call", {"uri": "x:1", "name": "a__ask"}),
    ],
)
def test_a_state_is_for_the_very_request_that_it_was_given_to(
    method: str, params: dict[str, Any]
) -> None:
    """Security: another request would go on with the answer of this one."""
    talk, upstream = serving("direct", "2025-11-25")
    client = talk.stateless_client(**CAN_ANSWER)
    first = client.asks(*READ)
    upstream.asks(ELICIT, FORM, id="q", related=upstream.sees_one()["id"])
    stolen = {"requestState": first.result["requestState"], "inputResponses": {}}
    elsewhere = talk.stateless_client(view="a", **CAN_ANSWER).asks(
        "resources/read", READ[1] | stolen
    )
    for asked in (client.asks(method, params | stolen), elsewhere):
        assert asked.error["data"] == {"reason": "invalid_request_state"}
    assert upstream.sees() == []
    assert client.asks("resources/read", READ[1] | stolen).result["resultType"] == "input_required"


@pytest.mark.parametrize(("view", "method", "params"), ASKED)
def test_a_server_of_2026_07_28_asks_a_client_of_it_in_its_own_words(
    view: str, method: str, params: dict[str, Any]
) -> None:
    talk, upstream = serving(view, "2026-07-28")
    client = talk.stateless_client(**CAN_ANSWER)
    first = client.asks(method, params)
    asking = {
        "resultType": "input_required",
        "inputRequests": {"文": {"method": ELICIT, "params": FORM}},
        "requestState": "the server's own",
        "odd": [1.5],
    }
    upstream.answers(upstream.sees_one(), asking)
    assert first.result == asking
    state = {"requestState": "the server's own", "inputResponses": {"文": ANSWER}}
    retry = client.asks(method, params | state)
    seen = upstream.sees_one()
    assert {key: seen["params"][key] for key in state} == state
    upstream.answers(seen, result_for(params))
    assert is_answered(retry, params)


@pytest.mark.parametrize(("view", "method", "params"), ASKED)
def test_a_server_of_2026_07_28_asks_a_client_with_a_session(
    view: str, method: str, params: dict[str, Any]
) -> None:
    talk, upstream = serving(view, "2026-07-28")
    alice = talk.client()
    alice.initializes(**CAN_ANSWER)
    asked = alice.asks(method, params)
    seen = upstream.sees_one()
    requests = {"k": {"method": ELICIT, "params": FORM}}
    upstream.answers(
        seen, {"resultType": "input_required", "inputRequests": requests, "requestState": "s"}
    )
    (question,) = asked.mailbox.take()
    alice.answers(question, ANSWER)
    again = upstream.sees_one()
    assert again["params"] == seen["params"] | {
        "inputResponses": {"k": ANSWER},
        "requestState": "s",
    }
    upstream.answers(again, result_for(params))
    assert is_answered(asked, params)
    assert "resultType" not in asked.result


@pytest.mark.parametrize(("view", "method", "params"), ASKED)
def test_a_state_that_is_not_the_routers_does_not_reach_a_server_with_sessions(
    view: str, method: str, params: dict[str, Any]
) -> None:
    talk, upstream = serving(view, "2025-11-25")
    error = talk.stateless_client().asks(method, params | {"requestState": "forged"}).error
    assert (error["code"], error["data"]) == (-32602, {"reason": "invalid_request_state"})
    assert upstream.sees() == []


@pytest.mark.parametrize(
    ("view", "method", "params"),
    [
        ("a", "completion/complete", {"ref": {"type": "ref/prompt", "name": "ask"}}),
        ("direct", "completion/complete", {"ref": {"type": "ref/prompt", "name": "a__ask"}}),
        ("a", "tools/list", {}),
        ("a", "x/odd", {}),
    ],
)
def test_requests_that_cannot_be_retried_ask_for_nothing(
    view: str, method: str, params: dict[str, Any]
) -> None:
    talk, upstream = serving(view, "2025-11-25")
    asked = talk.stateless_client(**CAN_ANSWER).asks(method, params)
    seen = upstream.sees_one()
    upstream.asks(ELICIT, FORM, id="q", related=seen["id"])
    assert upstream.sees_one()["error"] == {
        "code": -32601,
        "message": f"The client takes no questions about {method}",
    }
    upstream.answers(seen, {"completion": {"values": []}})
    assert asked.result["completion"] == {"values": []}
