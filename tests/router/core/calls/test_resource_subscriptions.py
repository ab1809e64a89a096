"""The clients that are told of updates of resources, and the subscriptions upstream for them."""

from typing import Any

import pytest

from router.core.calls.resource_subscriptions import LISTEN_AGAIN_S, MAX_OF_CLIENT, MAX_URI_CHARS
from router.core.names.resource_uris import shown_uri
from router.core.protocol.bridging import CAPABILITIES_KEY, REVISION_KEY, SUBSCRIPTION_KEY
from router.core.state import calls
from router.messages.commands import Principal
from router.messages.errors import OVERLOADED
from router.messages.frames import Request
from router.messages.instances.exposure import Exposure, NameFilter, Profile
from tests.router.core.conversation import (
    Conversation,
    FakeClient,
    FakeUpstream,
    SentRequest,
    raw,
    spec,
)

SUBSCRIBE, UNSUBSCRIBE = "resources/subscribe", "resources/unsubscribe"
UPDATED, LISTEN = "notifications/resources/updated", "subscriptions/listen"
CANCELLED = "notifications/cancelled"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"


def serving(
    *uris: str, revision: str = "2025-11-25", **settings: Any
) -> tuple[Conversation, FakeUpstream]:
    """A direct view of one server with these resources."""
    talk = Conversation(**{"view": "direct"} | settings)
    return talk, talk.with_instance("a", resources=uris or ("x:1", "x:2"), revision=revision)


def subscribed(client: FakeClient, upstream: FakeUpstream, uri: str = "x:1") -> SentRequest:
    """Have a client subscribe to a resource, and the server agree."""
    asked = client.asks(SUBSCRIBE, {"uri": uri})
    seen(upstream)
    assert asked.result == {}
    return asked


def confirms(upstream: FakeUpstream, request: dict[str, Any]) -> None:
    """Have a server confirm that it tells of updates from now on."""
    if request["method"] == SUBSCRIBE:
        upstream.answers(request, {})
    elif request["method"] == LISTEN:
        upstream.says(ACKNOWLEDGED, {"_meta": {SUBSCRIPTION_KEY: request["id"]}})


def listens(client: FakeClient, *uris: str) -> SentRequest:
    asked = client.asks(LISTEN, {"notifications": {"resourceSubscriptions": uris}})
    asked.mailbox.take()
    return asked


def seen(upstream: FakeUpstream) -> list[tuple[str, Any]]:
    """Return method and what matters of the params of each frame; the server confirms them all."""
    frames = upstream.sees()
    for frame in frames:
        confirms(upstream, frame)
    return [(frame["method"], _essence(frame["params"])) for frame in frames]


def _essence(params: dict[str, Any]) -> Any:
    if "notifications" in params:
        return params["notifications"]["resourceSubscriptions"]
    return params.get("uri", params.get("requestId"))


def told(mailbox: Any) -> list[str]:
    """Return the URIs of the updates since the last time."""
    return [frame["params"]["uri"] for frame in mailbox.take() if frame.get("method") == UPDATED]


# --- Servers with sessions -----------------------------------------------------------------------


def test_a_subscription_reaches_the_server_and_its_updates_the_client() -> None:
    talk, upstream = serving()
    alice, bystander = talk.client(), talk.client()
    asked = alice.asks(SUBSCRIBE, {"uri": "x:1", "odd": 1, "_meta": {"k": 1}})
    request = upstream.sees_one()
    assert request["params"] == {"uri": "x:1", "odd": 1, "_meta": {"k": 1}}
    upstream.answers(request, {"_meta": {"odd": 1}})
    assert asked.result == {"_meta": {"odd": 1}}
    upstream.says(UPDATED, {"uri": "x:1", "title": "T", "_meta": {"k": [1]}})
    (frame,) = alice.outbox.take()
    assert frame["params"] == {"uri": "x:1", "title": "T", "_meta": {"k": [1]}}
    upstream.says(UPDATED, {"uri": "x:2"})
    assert (told(alice.outbox), told(bystander.outbox)) == ([], [])


def test_an_update_whose_meta_is_null_is_told_as_well() -> None:
    talk, upstream = serving()
    alice = talk.client()
    alice.asks(SUBSCRIBE, {"uri": "x:1"})
    upstream.says(UPDATED, {"uri": "x:1", "_meta": None})
    assert told(alice.outbox) == ["x:1"]


def test_the_last_client_unsubscribes_upstream() -> None:
    talk, upstream = serving()
    alice, bob = talk.client(), talk.client()
    subscribed(alice, upstream)
    subscribed(bob, upstream)
    assert alice.asks(UNSUBSCRIBE, {"uri": "x:1"}).result == {}
    assert seen(upstream) == []
    upstream.says(UPDATED, {"uri": "x:1"})
    assert (told(alice.outbox), told(bob.outbox)) == ([], ["x:1"])
    assert bob.asks(UNSUBSCRIBE, {"uri": "x:1"}).result == {}
    assert seen(upstream) == [(UNSUBSCRIBE, "x:1")]
    assert bob.asks(UNSUBSCRIBE, {"uri": "x:1"}).result == {}
    assert seen(upstream) == []
    assert talk.state.subscribers == {}


@pytest.mark.parametrize("end", ["leaves", "overflows"])
def test_a_client_that_is_gone_is_unsubscribed(end: str) -> None:
    talk, upstream = serving()
    alice = talk.client()
    for uri in ("x:2", "x:1"):
        subscribed(alice, upstream, uri)
    getattr(alice, end)()
    assert seen(upstream) == [(UNSUBSCRIBE, "x:1"), (UNSUBSCRIBE, "x:2")]
    upstream.says(UPDATED, {"uri": "x:1"})
    assert talk.state.subscribers == {}


def test_a_subscription_that_the_server_refuses_is_forgotten() -> None:
    talk, upstream = serving()
    alice, bob = talk.client(), talk.client()
    subscribed(bob, upstream)
    asked = alice.asks(SUBSCRIBE, {"uri": "x:1"})
    upstream.fails(upstream.sees_one(), {"code": -32002, "message": "no"})
    assert asked.error == {"code": -32002, "message": "no"}
    upstream.says(UPDATED, {"uri": "x:1"})
    assert (told(alice.outbox), told(bob.outbox)) == ([], ["x:1"])
    alice.leaves()
    assert seen(upstream) == []
    talk.down("a")
    talk.starting("a")
    assert seen(talk.up("a")) == [(SUBSCRIBE, "x:1")]


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_a_subscription_that_the_router_refuses_is_forgotten(
    monkeypatch: pytest.MonkeyPatch, revision: str
) -> None:
    monkeypatch.setattr(calls, "MAX_CALLS", 0)
    talk, upstream = serving(revision=revision)
    client = talk.client()
    assert client.asks(SUBSCRIBE, {"uri": "x:1"}).error["code"] == OVERLOADED
    upstream.says(UPDATED, {"uri": "x:1"})
    assert told(client.outbox) == []
    assert not talk.state.subscribers


def test_a_second_subscription_that_the_router_refuses_leaves_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    talk, upstream = serving()
    client = talk.client()
    subscribed(client, upstream)
    monkeypatch.setattr(calls, "MAX_CALLS", 0)
    assert client.asks(SUBSCRIBE, {"uri": "x:1"}).error["code"] == OVERLOADED
    upstream.says(UPDATED, {"uri": "x:1"})
    assert told(client.outbox) == ["x:1"]


def test_a_session_that_is_started_anew_is_subscribed_again() -> None:
    talk, upstream = serving()
    alice = talk.client()
    for uri in ("x:1", "x:2"):
        subscribed(alice, upstream, uri)
    upstream.breaks()
    assert alice.asks(UNSUBSCRIBE, {"uri": "x:2"}).result == {}
    talk.starting("a")
    again = talk.up("a", resources=["x:1"])
    (request,) = again.sees()
    assert (request["method"], request["params"]) == (SUBSCRIBE, {"uri": "x:1"})
    again.answers(request, {})
    again.says(UPDATED, {"uri": "x:1"})
    assert told(alice.outbox) == ["x:1"]
    upstream.says(UPDATED, {"uri": "x:1"})
    assert told(alice.outbox) == []


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_an_instance_whose_configuration_changes_is_subscribed_again(revision: str) -> None:
    talk, upstream = serving(revision=revision)
    alice = talk.client()
    subscribed(alice, upstream)
    talk.configured(spec("a", command="another"))
    talk.starting("a")
    again = talk.up("a", resources=["x:1"], revision=revision)
    assert [uri for _, uri in seen(again)] in (["x:1"], [["x:1"]])
    talk.configured()
    alice.leaves()
    assert (talk.state.subscribers, talk.state.listens) == ({}, {})


def test_a_part_of_a_resource_is_told_to_those_who_subscribed_to_the_whole() -> None:
    talk, upstream = serving("file:///dir", "file:///other/")
    alice = talk.client()
    for uri in ("file:///dir", "file:///other/"):
        subscribed(alice, upstream, uri)
    updates = ["file:///dir/x", "file:///dir", "file:///dirx", "file:///other/y", "file:///"]
    for uri in updates:
        upstream.says(UPDATED, {"uri": uri})
    assert told(alice.outbox) == ["file:///dir/x", "file:///dir", "file:///other/y"]


def test_a_client_is_told_of_the_uri_that_it_subscribed_to() -> None:
    talk, upstream = serving()
    talk.with_instance("b", resources=["x:1"])
    alice, inside, explicit = talk.client(), talk.client(view="a"), talk.client()
    form = shown_uri("a", "x:1")
    subscribed(alice, upstream, form)
    subscribed(inside, upstream, "x:1")
    subscribed(explicit, upstream, shown_uri("a", "x:2"))
    for uri in ("x:1", "x:1/part", "x:2"):
        upstream.says(UPDATED, {"uri": uri})
    assert told(alice.outbox) == [form, shown_uri("a", "x:1/part")]
    assert told(inside.outbox) == ["x:1", "x:1/part"]
    assert told(explicit.outbox) == [shown_uri("a", "x:2")]


def test_a_uri_that_leads_elsewhere_by_now_can_still_be_unsubscribed() -> None:
    talk, upstream = serving()
    alice = talk.client()
    subscribed(alice, upstream)
    other = talk.with_instance("b", resources=["x:1"])
    assert alice.asks(UNSUBSCRIBE, {"uri": "x:1"}).result == {}
    assert (seen(upstream), seen(other)) == ([(UNSUBSCRIBE, "x:1")], [])
    assert alice.asks(UNSUBSCRIBE, {"uri": "x:1"}).result == {}
    assert (seen(upstream), seen(other)) == ([], [])


def test_a_resource_of_an_instance_that_is_removed_can_still_be_unsubscribed() -> None:
    talk, upstream = serving()
    alice = talk.client()
    subscribed(alice, upstream)
    talk.configured()
    assert alice.asks(UNSUBSCRIBE, {"uri": "x:1"}).result == {}
    assert talk.state.subscribers == {}


def test_a_lone_request_subscribes_to_nothing() -> None:
    talk, upstream = serving()
    lone = talk.client(one_shot=True)
    assert lone.asks(SUBSCRIBE, {"uri": "x:1"}).result == {}
    assert (seen(upstream), talk.state.subscribers) == ([], {})


def test_subscriptions_of_a_client_are_bounded() -> None:
    talk, upstream = serving()
    alice = talk.client()
    for number in range(MAX_OF_CLIENT):
        alice.asks(SUBSCRIBE, {"uri": f"x:{number}"})
    assert alice.asks(SUBSCRIBE, {"uri": "x:more"}).error["code"] == -32015
    upstream.sees()
    subscribed(alice, upstream, "x:1")


def test_a_reader_may_not_subscribe() -> None:
    talk, upstream = serving()
    reader = Principal("r", permissions=frozenset({"read"}))
    assert talk.client(principal=reader).asks(SUBSCRIBE, {"uri": "x:1"}).error["code"] == -32016
    assert seen(upstream) == []


@pytest.mark.parametrize("params", [None, {}, {"uri": 5}, b"[]"])
def test_an_update_that_makes_no_sense_is_dropped(params: Any) -> None:
    talk, upstream = serving()
    alice = talk.client()
    subscribed(alice, upstream)
    upstream.says(UPDATED, params)
    assert alice.outbox.take() == []


def test_another_server_cannot_report_an_update() -> None:
    talk, upstream = serving()
    evil = talk.with_instance("b", resources=["y:1"])
    alice = talk.client()
    subscribed(alice, upstream)
    evil.says(UPDATED, {"uri": "x:1"})
    assert told(alice.outbox) == []


# --- What a view shows now -----------------------------------------------------------------------


def test_nobody_is_told_of_what_its_view_does_not_show_any_more() -> None:
    talk, upstream = serving(profiles={"work": Profile("direct")})
    alice, lone = talk.client(view="work"), talk.stateless_client(view="work")
    subscribed(alice, upstream)
    asked = listens(lone, "x:1")
    for profiles in ({"work": Profile("direct", ("b",))}, {}):
        talk.settings_change(profiles=profiles)
        alice.outbox.take()
        upstream.says(UPDATED, {"uri": "x:1"})
        assert (told(alice.outbox), told(asked.mailbox)) == ([], [])
    talk.settings_change(profiles={"work": Profile()})
    upstream.says(UPDATED, {"uri": "x:1"})
    assert (told(alice.outbox), told(asked.mailbox)) == (["x:1"], ["x:1"])


def test_nobody_is_told_of_what_the_filter_of_its_instance_leaves_out_by_now() -> None:
    talk, upstream = serving()
    alice = talk.client()
    subscribed(alice, upstream)
    talk.configured(spec("a", exposure=Exposure(resources=NameFilter(deny=("x:1*",)))))
    for uri in ("x:1", "x:1/part"):
        upstream.says(UPDATED, {"uri": uri})
    assert told(alice.outbox) == []
    assert alice.asks(SUBSCRIBE, {"uri": "x:1"}).error["code"] == -32002
    assert alice.asks(UNSUBSCRIBE, {"uri": "x:1"}).result == {}


# --- Clients of 2026-07-28 -----------------------------------------------------------------------


def test_a_listening_client_is_told_on_its_own_subscription() -> None:
    talk, upstream = serving()
    form = shown_uri("a", "x:2")
    for client in (talk.stateless_client(), talk.stateless_connection()):
        asked = client.asks(
            LISTEN, {"notifications": {"resourceSubscriptions": ["x:1", form, 文 := "文件:😀"]}}
        )
        uris = [uri for method, uri in seen(upstream) if method == SUBSCRIBE]
        assert uris == ["x:1", "x:2", 文]
        (acknowledged,) = asked.mailbox.take()
        honoured = acknowledged["params"]["notifications"]
        assert honoured == {"resourceSubscriptions": ["x:1", form, 文]}
        mark = {SUBSCRIPTION_KEY: "forged", "k": 1}
        upstream.says(UPDATED, {"uri": "x:2", "_meta": mark})
        (frame,) = asked.mailbox.take()
        assert frame["params"] == {"uri": form, "_meta": {SUBSCRIPTION_KEY: asked.id, "k": 1}}
        client.leaves()
        assert {method for method, _ in seen(upstream)} == {UNSUBSCRIBE}


def test_two_listening_clients_have_one_subscription_upstream() -> None:
    talk, upstream = serving()
    first, second = talk.stateless_client(), talk.stateless_client()
    asked = [listens(first, "x:1"), listens(second, "x:1", "x:2")]
    assert seen(upstream) == [(SUBSCRIBE, "x:1"), (SUBSCRIBE, "x:2")]
    upstream.says(UPDATED, {"uri": "x:1"})
    assert [told(one.mailbox) for one in asked] == [["x:1"], ["x:1"]]
    first.leaves()
    assert seen(upstream) == []
    second.leaves()
    assert seen(upstream) == [(UNSUBSCRIBE, "x:1"), (UNSUBSCRIBE, "x:2")]


def test_a_cancelled_subscription_is_told_nothing_more() -> None:
    talk, upstream = serving()
    connection = talk.stateless_connection()
    first, second = listens(connection, "x:1"), listens(connection, "x:1")
    assert seen(upstream) == [(SUBSCRIBE, "x:1")]
    assert len(connection.outbox.take()) == 2
    connection.cancels(first)
    upstream.says(UPDATED, {"uri": "x:1"})
    (frame,) = connection.outbox.take()
    assert frame["params"]["_meta"] == {SUBSCRIPTION_KEY: second.id}
    connection.leaves()
    assert seen(upstream) == [(UNSUBSCRIBE, "x:1")]


def test_only_resources_that_there_are_are_acknowledged() -> None:
    talk = Conversation(view="direct")
    upstreams = [
        talk.with_instance(name, resources=["x:shared", f"{name}:1"]) for name in ("a", "b")
    ]
    client = talk.stateless_client(Principal("m", instances=frozenset({"a", "b"})))
    uris = ["x:shared", "a:1", "nowhere:1", shown_uri("c", "x:1"), shown_uri("b", "x:shared")]
    asked = client.asks(LISTEN, {"notifications": {"resourceSubscriptions": uris}})
    assert [seen(one) for one in upstreams] == [[(SUBSCRIBE, "a:1")], [(SUBSCRIBE, "x:shared")]]
    (acknowledged,) = asked.mailbox.take()
    honoured = acknowledged["params"]["notifications"]
    assert honoured == {"resourceSubscriptions": ["a:1", shown_uri("b", "x:shared")]}


@pytest.mark.parametrize("uris", ["x:1", [5], {"x:1": True}, ["x:1", None]])
def test_uris_that_are_none_are_refused_and_nothing_is_left_behind(uris: Any) -> None:
    talk, upstream = serving()
    for client in (talk.stateless_client(), talk.stateless_connection()):
        wanted = {"resourceSubscriptions": uris, "toolsListChanged": True}
        asked = client.asks(LISTEN, {"notifications": wanted})
        assert asked.error["code"] == -32602
        talk.settings_change(allow_instance_management=True)
        talk.settings_change(allow_instance_management=False)
        assert len(asked.mailbox.take()) == 1
    talk.drains()
    assert (seen(upstream), talk.state.subscribers) == ([], {})


def test_subscriptions_end_with_the_router() -> None:
    talk, upstream = serving()
    asked = listens(talk.stateless_client(), "x:1")
    upstream.sees()
    talk.drains()
    assert asked.result["_meta"][SUBSCRIPTION_KEY] == asked.id
    assert seen(upstream) == [(UNSUBSCRIBE, "x:1")]
    assert talk.client().asks(SUBSCRIBE, {"uri": "x:1"}).error["code"] == -32013


def test_an_instance_that_starts_is_subscribed_once_it_is_there() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    asked = listens(talk.stateless_client(view="a"), "x:1")
    waiting = talk.client(view="a").asks(SUBSCRIBE, {"uri": "x:2"})
    assert waiting.is_waiting
    talk.starting("a")
    upstream = talk.up("a", resources=["x:1"])
    assert seen(upstream) == [(SUBSCRIBE, "x:1"), (SUBSCRIBE, "x:2")]
    upstream.says(UPDATED, {"uri": "x:1"})
    assert told(asked.mailbox) == ["x:1"]


# --- Servers of 2026-07-28 -----------------------------------------------------------------------


def test_a_server_without_sessions_gets_one_subscription_to_all_resources() -> None:
    talk, upstream = serving(revision="2026-07-28")
    alice, bob, lone = talk.client(), talk.client(), talk.stateless_client()
    waiting = alice.asks(SUBSCRIBE, {"uri": "x:1"})
    first = upstream.sees_one()
    assert (first["method"], _essence(first["params"])) == (LISTEN, ["x:1"])
    assert waiting.is_waiting
    confirms(upstream, first)
    assert waiting.result == {}
    assert first["params"]["_meta"] == {REVISION_KEY: "2026-07-28", CAPABILITIES_KEY: {}}
    assert bob.asks(SUBSCRIBE, {"uri": "x:1"}).result == {}
    assert seen(upstream) == []
    asked = listens(lone, "x:1", "x:2", "x:3")
    second, cancelled = upstream.sees()
    assert (second["method"], _essence(second["params"])) == (LISTEN, ["x:1", "x:2", "x:3"])
    assert (cancelled["method"], cancelled["params"]["requestId"]) == (CANCELLED, first["id"])
    confirms(upstream, second)
    upstream.says(UPDATED, {"uri": "x:1", "_meta": {SUBSCRIPTION_KEY: second["id"]}})
    params = alice.outbox.take()[-1]["params"]
    assert (params["uri"], params.get("_meta", {})) == ("x:1", {})
    assert (told(bob.outbox), told(asked.mailbox)) == (["x:1"], ["x:1"])
    lone.leaves()
    third, cancelled = upstream.sees()
    assert (_essence(third["params"]), cancelled["params"]["requestId"]) == (["x:1"], second["id"])
    alice.leaves()
    assert seen(upstream) == []
    bob.leaves()
    assert seen(upstream) == [(CANCELLED, third["id"])]
    assert (talk.state.listens, talk.state.subscribers) == ({}, {})


def test_the_answer_to_a_subscription_that_was_replaced_means_nothing() -> None:
    talk, upstream = serving(revision="2026-07-28")
    alice = talk.client()
    alice.asks(SUBSCRIBE, {"uri": "x:1"})
    first = upstream.sees_one()
    alice.asks(SUBSCRIBE, {"uri": "x:2"})
    upstream.sees()
    upstream.answers(first, {"resultType": "complete"})
    talk.time_passes(60)
    assert seen(upstream) == []


@pytest.mark.parametrize("error", [None, {"code": -32000, "message": "later"}])
def test_a_subscription_that_its_server_ends_is_opened_again_after_a_while(error: Any) -> None:
    talk, upstream = serving(revision="2026-07-28")
    talk.client().asks(SUBSCRIBE, {"uri": "x:1"})
    request = upstream.sees_one()
    confirms(upstream, request)
    if error is None:
        upstream.answers(request, {"resultType": "complete"})
    else:
        upstream.fails(request, error)
    talk.time_passes(LISTEN_AGAIN_S - 1)
    assert seen(upstream) == []
    talk.time_passes(1)
    assert seen(upstream) == [(LISTEN, ["x:1"])]


def test_a_server_that_knows_no_subscriptions_is_not_asked_again_until_they_change() -> None:
    talk, upstream = serving(revision="2026-07-28")
    alice = talk.client()
    alice.asks(SUBSCRIBE, {"uri": "x:1"})
    upstream.fails(upstream.sees_one(), {"code": -32601, "message": "Method not found"})
    talk.time_passes(60)
    assert seen(upstream) == []


def test_another_server_cannot_end_a_subscription() -> None:
    talk, upstream = serving(revision="2026-07-28")
    evil = talk.with_instance("b", "echo", revision="2026-07-28")
    talk.client().asks(SUBSCRIBE, {"uri": shown_uri("a", "x:1")})
    evil.answers(upstream.sees_one(), {"resultType": "complete"})
    talk.time_passes(60)
    assert (seen(upstream), seen(evil)) == ([], [])


@pytest.mark.parametrize("ended", [False, True])
def test_a_session_that_ends_takes_its_subscription_with_it(ended: bool) -> None:
    talk, upstream = serving(revision="2026-07-28")
    talk.client().asks(SUBSCRIBE, {"uri": "x:1"})
    if ended:
        upstream.answers(upstream.sees_one(), {"resultType": "complete"})
    upstream.breaks()
    assert talk.core.next_deadline_s() is None
    talk.starting("a")
    again = talk.up("a", resources=["x:1"], revision="2026-07-28")
    assert seen(again) == [(LISTEN, ["x:1"])]
    talk.time_passes(60)
    assert (seen(again), talk.state.listens.keys()) == ([], {again.session})


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_many_resources_are_dropped_at_once(revision: str) -> None:
    talk, upstream = serving(revision=revision)
    lone, uris = talk.stateless_client(), [f"x:{number}" for number in range(MAX_OF_CLIENT)]
    listens(lone, *uris, "x:one-too-many")
    opened = seen(upstream)
    lone.leaves()
    closed = seen(upstream)
    if revision == "2026-07-28":
        assert (opened, len(closed)) == ([(LISTEN, uris)], 1)
    else:
        assert opened == [(SUBSCRIBE, uri) for uri in uris]
        assert sorted(closed) == sorted((UNSUBSCRIBE, uri) for uri in uris)


def test_a_subscription_that_did_not_fit_into_the_inbox_is_opened_again() -> None:
    talk, upstream = serving(revision="2026-07-28")
    alice = talk.client()
    alice.asks(SUBSCRIBE, {"uri": "x:1"})
    request = upstream.sees_one()
    upstream.overflows(Request(request["id"], LISTEN, raw(request["params"])))
    upstream.overflows(Request(99, LISTEN, raw({})))
    talk.time_passes(LISTEN_AGAIN_S)
    assert seen(upstream) == [(LISTEN, ["x:1"])]
    assert alice.asks(UNSUBSCRIBE, {"uri": "x:1"}).result == {}
    assert len(seen(upstream)) == 1


@pytest.mark.parametrize("view", ["direct", "a"])
def test_a_uri_that_would_fill_the_memory_is_not_subscribed_to(view: str) -> None:
    talk, upstream = serving(view=view)
    uri = "x:" + "y" * MAX_URI_CHARS
    client = talk.client()
    client.initializes()
    assert client.asks(SUBSCRIBE, {"uri": uri}).error["code"] == -32602
    asked = talk.stateless_client().asks(
        LISTEN, {"notifications": {"resourceSubscriptions": [uri]}}
    )
    (acknowledged,) = asked.mailbox.take()
    assert acknowledged["params"]["notifications"] == {}
    assert upstream.sees() == []
    assert talk.state.subscribers == {}
