"""A client that was sent to a URL is notified when that is done; no other client is."""

from typing import Any

import pytest

from router.core.peers.server_messages import MAX_REMEMBERED
from tests.router.core.conversation import FakeClient, FakeUpstream, ready

ELICIT = "elicitation/create"
ELICITATION_COMPLETE = "notifications/elicitation/complete"


def url(elicitation_id: str = "e") -> dict[str, Any]:
    return {"mode": "url", "url": "https://a.test", "elicitationId": elicitation_id}


def able() -> tuple[FakeClient, FakeClient, FakeUpstream]:
    talk, client, upstream = ready("b")
    other = talk.client()
    for one in (client, other):
        one.initializes(elicitation={"url": {}})
    return client, other, upstream


def completes(upstream: FakeUpstream, elicitation_id: str = "e") -> dict[str, Any]:
    params = {"elicitationId": elicitation_id}
    upstream.says(ELICITATION_COMPLETE, params)
    return {"method": ELICITATION_COMPLETE, "params": params}


def test_a_client_that_was_asked_is_notified_even_after_the_call() -> None:
    client, other, upstream = able()
    call = client.routes("echo")
    sent = upstream.sees_one()
    upstream.asks(ELICIT, url(), related=sent["id"])
    upstream.answers(sent, {"content": []})
    assert not call.is_waiting
    assert client.outbox.take() == other.outbox.take() == []
    told = completes(upstream)
    assert client.outbox.take() == [told]
    assert other.outbox.take() == []
    completes(upstream)
    assert client.outbox.take() == []


def test_a_client_whose_call_needs_the_url_first_is_notified() -> None:
    client, _, upstream = able()
    client.routes("echo")
    data = {"elicitations": [url("e"), url("f")]}
    upstream.fails(upstream.sees_one(), {"code": -32042, "message": "go", "data": data})
    told = [completes(upstream, "f"), completes(upstream, "e")]
    assert client.outbox.take() == told


def test_a_client_that_is_gone_is_remembered_no_more() -> None:
    talk, client, upstream = ready()
    client.initializes(elicitation={"url": {}})
    client.routes("echo")
    upstream.asks(ELICIT, url(), related=upstream.sees_one()["id"])
    assert talk.state.elicited
    client.leaves()
    assert not talk.state.elicited


def test_another_upstream_cannot_complete_an_elicitation() -> None:
    client, _, upstream = able()
    client.routes("echo")
    upstream.asks(ELICIT, url(), related=upstream.sees_one()["id"])
    forger = upstream.talk.up("b", "echo")
    completes(forger)
    assert client.outbox.take() == []


@pytest.mark.parametrize("params", [None, {}, {"elicitationId": 5}])
def test_a_completion_of_no_elicitation_is_dropped(params: Any) -> None:
    client, _, upstream = able()
    upstream.says(ELICITATION_COMPLETE, params)
    assert client.outbox.take() == []


@pytest.mark.parametrize("error", [{"code": -32042}, {"code": -32042, "data": 5}, {"code": -1}])
def test_errors_that_name_no_url_are_just_errors(error: dict[str, Any]) -> None:
    client, _, upstream = able()
    call = client.routes("echo")
    upstream.fails(upstream.sees_one(), error)
    assert call.error == error


def test_a_client_that_is_gone_is_not_looked_for() -> None:
    client, _, upstream = able()
    client.routes("echo")
    upstream.asks(ELICIT, url(), related=upstream.sees_one()["id"])
    client.leaves()
    completes(upstream)
    assert client.outbox.take() == []


def test_the_newest_are_remembered() -> None:
    client, _, upstream = able()
    call = client.routes("echo")
    sent = upstream.sees_one()
    for number in range(MAX_REMEMBERED + 1):
        upstream.asks(ELICIT, url(str(number)), id=number, related=sent["id"])
        (question,) = call.mailbox.take()
        client.answers(question, {"action": "accept"})
    completes(upstream, "0")
    assert client.outbox.take() == []
    told = completes(upstream, "1")
    assert client.outbox.take() == [told]
