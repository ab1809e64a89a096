"""A client that subscribes to a resource is answered once its server has confirmed that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from router.core.calls import confirmations
from router.core.calls.confirmations import CONFIRM_LIMIT_S
from router.core.protocol.bridging import SUBSCRIPTION_KEY
from router.messages.errors import METHOD_NOT_FOUND
from tests.router.core.conversation import Conversation, spec

if TYPE_CHECKING:
    from tests.router.core.fake_peers import FakeClient, FakeUpstream, SentRequest

LISTEN = "subscriptions/listen"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
UPDATED = "notifications/resources/updated"
TOOLS_CHANGED = "notifications/tools/list_changed"


def talking(revision: str, **settings: Any) -> tuple[Conversation, FakeUpstream]:
    """Begin a conversation in the transparent view of a server of this revision."""
    talk = Conversation(view="a", **settings)
    talk.configured(spec("a"))
    talk.starting("a")
    return talk, talk.up("a", "echo", revision=revision)


def listens(talk: Conversation, *uris: str, **wanted: Any) -> SentRequest:
    """Have a new client of 2026-07-28 listen."""
    notifications = {"resourceSubscriptions": list(uris)} | wanted
    return talk.stateless_client().asks(LISTEN, {"notifications": notifications})


def subscribing_client(talk: Conversation) -> FakeClient:
    client = talk.client()
    client.initializes()
    return client


def methods(asked: SentRequest) -> list[str]:
    return [one["method"] for one in asked.mailbox.take()]


# --- Listeners and a server with a handshake ---------------------------------------------------


def test_a_subscription_is_acknowledged_once_its_server_has_answered() -> None:
    talk, upstream = talking("2025-11-25")
    asked = listens(talk, "x:1", "x:2")
    first, second = upstream.sees()
    assert [one["method"] for one in (first, second)] == ["resources/subscribe"] * 2
    upstream.answers(first, {})
    assert asked.mailbox.take() == []
    upstream.answers(second, {})
    (acknowledged,) = asked.mailbox.take()
    assert acknowledged["method"] == ACKNOWLEDGED
    assert acknowledged["params"]["notifications"] == {"resourceSubscriptions": ["x:1", "x:2"]}


def test_a_long_subscription_takes_one_walk_over_what_is_not_confirmed_yet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    talk, upstream = talking("2025-11-25")
    walks: list[set[str]] = []

    def walk(state: Any, instance: Any, uris: set[str]) -> Any:
        walks.append(uris)
        return unconfirmed(state, instance, uris)

    unconfirmed = confirmations._unconfirmed
    monkeypatch.setattr(confirmations, "_unconfirmed", walk)
    uris = [f"x:{number}" for number in range(50)]
    asked = listens(talk, *uris)
    assert walks == [set(uris)]
    for sent in upstream.sees():
        assert asked.mailbox.take() == []
        upstream.answers(sent, {})
    assert methods(asked) == [ACKNOWLEDGED]


def test_changes_before_the_acknowledgement_come_once_each_and_after_it() -> None:
    talk, upstream = talking("2025-11-25")
    asked = listens(talk, "x:1", toolsListChanged=True)
    subscribe = upstream.sees_one()
    for tools in (["echo", "more"], ["echo"]):
        upstream.lists(*tools)
        upstream.says(UPDATED, {"uri": "x:1"})
    assert asked.mailbox.take() == []
    upstream.answers(subscribe, {})
    assert methods(asked) == [ACKNOWLEDGED, TOOLS_CHANGED, UPDATED]
    upstream.says(UPDATED, {"uri": "x:1"})
    assert methods(asked) == [UPDATED]


def test_who_listens_to_the_same_resource_meanwhile_waits_as_well() -> None:
    talk, upstream = talking("2025-11-25")
    first = listens(talk, "x:1")
    subscribe = upstream.sees_one()
    second = listens(talk, "x:1")
    assert upstream.sees() == second.mailbox.take() == []
    upstream.answers(subscribe, {})
    assert methods(first) == methods(second) == [ACKNOWLEDGED]
    assert methods(listens(talk, "x:1")) == [ACKNOWLEDGED]


def test_a_resource_whose_server_refuses_is_not_honoured() -> None:
    talk, upstream = talking("2025-11-25")
    asked = listens(talk, "x:1", "x:2")
    first, second = upstream.sees()
    upstream.fails(first, {"code": -32002, "message": "Resource not found"})
    upstream.answers(second, {})
    (acknowledged,) = asked.mailbox.take()
    assert acknowledged["params"]["notifications"] == {"resourceSubscriptions": ["x:2"]}
    upstream.says(UPDATED, {"uri": "x:1"})
    assert asked.mailbox.take() == []


def test_a_subscription_is_acknowledged_when_the_session_of_its_server_is_lost() -> None:
    talk, upstream = talking("2025-11-25")
    asked = listens(talk, "x:1")
    upstream.breaks()
    assert methods(asked) == [ACKNOWLEDGED]
    talk.starting("a")
    successor = talk.up("a", "echo")
    assert successor.sees_one()["method"] == "resources/subscribe"
    successor.says(UPDATED, {"uri": "x:1"})
    assert methods(asked) == [UPDATED]


def test_no_client_waits_for_a_server_that_does_not_answer() -> None:
    talk, upstream = talking("2025-11-25")
    asked = listens(talk, "x:1")
    talk.time_passes(CONFIRM_LIMIT_S + 1)
    assert methods(asked) == [ACKNOWLEDGED]
    upstream.answers(upstream.sees_one(), {})
    assert asked.mailbox.take() == []


def test_a_listener_that_left_meanwhile_is_sent_nothing() -> None:
    talk, upstream = talking("2025-11-25")
    client = talk.stateless_client()
    asked = client.asks(LISTEN, {"notifications": {"resourceSubscriptions": ["x:1"]}})
    client.leaves()
    upstream.answers(upstream.sees()[0], {})
    assert asked.mailbox.take() == []
    assert not talk.state.confirmations


def test_a_subscription_is_acknowledged_before_a_router_that_stops_ends_it() -> None:
    talk, _ = talking("2025-11-25")
    asked = listens(talk, "x:1")
    talk.drains()
    acknowledged, answer = asked.mailbox.take()
    assert acknowledged["method"] == ACKNOWLEDGED
    assert answer["result"]["_meta"][SUBSCRIPTION_KEY] == asked.id


# --- A server of 2026-07-28 --------------------------------------------------------------------


def acknowledges(upstream: FakeUpstream, listen: dict[str, Any]) -> None:
    assert listen["method"] == LISTEN
    notifications = listen["params"]["notifications"]
    params = {"_meta": {SUBSCRIPTION_KEY: listen["id"]}, "notifications": notifications}
    upstream.says(ACKNOWLEDGED, params)


def test_subscribing_is_answered_once_the_server_has_acknowledged() -> None:
    talk, upstream = talking("2026-07-28")
    asked = subscribing_client(talk).asks("resources/subscribe", {"uri": "x:1"})
    listen = upstream.sees_one()
    assert asked.is_waiting
    acknowledges(upstream, listen)
    assert asked.result == {}


def test_a_listener_waits_for_the_acknowledgement_too() -> None:
    talk, upstream = talking("2026-07-28")
    asked = listens(talk, "x:1")
    assert asked.mailbox.take() == []
    acknowledges(upstream, upstream.sees_one())
    assert methods(asked) == [ACKNOWLEDGED]


def test_who_waits_for_a_subscription_waits_for_the_one_that_takes_its_place() -> None:
    talk, upstream = talking("2026-07-28")
    client = subscribing_client(talk)
    first = client.asks("resources/subscribe", {"uri": "x:1"})
    listener = listens(talk, "x:1")
    second = client.asks("resources/subscribe", {"uri": "x:2"})
    before, after, cancelled = upstream.sees()
    assert cancelled["params"]["requestId"] == before["id"]
    acknowledges(upstream, before)
    assert first.is_waiting
    acknowledges(upstream, after)
    assert (first.result, second.result) == ({}, {})
    assert methods(listener) == [ACKNOWLEDGED]


def test_an_acknowledgement_of_something_else_confirms_nothing() -> None:
    talk, upstream = talking("2026-07-28")
    asked = subscribing_client(talk).asks("resources/subscribe", {"uri": "x:1"})
    listen = upstream.sees_one()
    for params in ({}, {"_meta": {}}, {"_meta": {SUBSCRIPTION_KEY: listen["id"] + 2}}):
        upstream.says(ACKNOWLEDGED, params)
    assert asked.is_waiting


def test_the_record_of_a_subscription_names_its_resource() -> None:
    talk, upstream = talking("2026-07-28", records=frozenset({"audit"}))
    subscribing_client(talk).asks("resources/subscribe", {"uri": "x:1"})
    upstream.fails(upstream.sees_one(), {"code": -32601, "message": "Method not found"})
    (record,) = talk.call_records()
    assert (record.instance, record.target, record.code) == ("a", "x:1", METHOD_NOT_FOUND)


def test_a_server_that_refuses_to_be_listened_to_is_heard_by_who_subscribes() -> None:
    talk, upstream = talking("2026-07-28")
    client = subscribing_client(talk)
    asked = client.asks("resources/subscribe", {"uri": "x:1"})
    error = {"code": -32601, "message": "Method not found"}
    upstream.fails(upstream.sees_one(), error)
    assert asked.error == error
    upstream.says(UPDATED, {"uri": "x:1"})
    assert client.outbox.take() == []


@pytest.mark.parametrize("end", ["cancels", "leaves"])
def test_a_client_that_waits_no_more_is_not_answered(end: str) -> None:
    talk, upstream = talking("2026-07-28")
    client = subscribing_client(talk)
    asked = client.asks("resources/subscribe", {"uri": "x:1"})
    listen = upstream.sees_one()
    if end == "cancels":
        client.cancels(asked)
    else:
        client.leaves()
    acknowledges(upstream, listen)
    assert asked.finals == []
    assert asked.mailbox.closed
