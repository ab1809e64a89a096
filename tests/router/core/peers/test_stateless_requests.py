"""Requests without a session: their envelope, and the methods that only they have."""

import gc
import weakref
from typing import Any

import pytest

from router.core.peers.stateless_requests import MAX_SUBSCRIPTIONS
from router.core.protocol.bridging import (
    CAPABILITIES_KEY,
    CLIENT_INFO_KEY,
    LOG_LEVEL_KEY,
    REVISION_KEY,
    SERVER_INFO_KEY,
    SUBSCRIPTION_KEY,
)
from router.messages.commands import Principal
from router.messages.core_settings import CoreSettings
from router.messages.events import CoreSettingsChanged
from router.messages.revisions import HANDSHAKE_REVISIONS, REVISIONS
from tests.router.core.conversation import (
    Conversation,
    FakeUpstream,
    StatelessClient,
    spec,
)

OTHER = Principal("other")
LISTEN = "subscriptions/listen"
TOOLS = {"notifications": {"toolsListChanged": True}}


def talking(*names: str) -> tuple[Conversation, StatelessClient, FakeUpstream]:
    talk = Conversation()
    upstream = talk.with_upstreams("a", *names)[0]
    return talk, talk.stateless_client(), upstream


# --- Discovery and lists ---------------------------------------------------------------------


@pytest.mark.parametrize("on_connection", [False, True])
def test_discover_says_what_a_handshake_would_have(on_connection: bool) -> None:
    talk, client, _ = talking()
    if on_connection:
        client = talk.stateless_connection()
    found = client.asks("server/discover").result
    assert found["supportedVersions"] == list(REVISIONS)
    assert found["capabilities"]["tools"] == {"listChanged": True}
    assert "mcp.router.list" in found["instructions"]
    assert (found["ttlMs"], found["cacheScope"], found["resultType"]) == (0, "private", "complete")
    assert found["_meta"] == {SERVER_INFO_KEY: {"name": "mcp_router", "version": "9.9"}}


def test_lists_are_not_to_be_cached() -> None:
    _, client, _ = talking()
    listed = client.asks("tools/list").result
    assert (listed["ttlMs"], listed["cacheScope"], listed["resultType"]) == (
        0,
        "private",
        "complete",
    )
    assert listed["tools"][0]["name"] == "mcp.router.use"


# --- The envelope ----------------------------------------------------------------------------


def test_a_request_that_was_said_to_be_stateless_needs_its_envelope() -> None:
    _, client, _ = talking()
    client.meta = {REVISION_KEY: None}
    assert client.asks("tools/list").error["code"] == -32602
    client.meta, client.declares = {}, 5  # type: ignore[assignment]
    assert "clientCapabilities" in client.asks("tools/list").error["message"]


def test_another_revision_is_told_what_is_spoken() -> None:
    _, client, _ = talking()
    client.meta = {REVISION_KEY: "2099-01-01"}
    error = client.asks("tools/list").error
    assert error["code"] == -32022
    assert error["data"] == {"supported": list(REVISIONS), "requested": "2099-01-01"}


def test_a_session_does_not_take_requests_without_one() -> None:
    talk, _, _ = talking()
    session = talk.client()
    session.initializes()
    envelope = {REVISION_KEY: "2026-07-28", CAPABILITIES_KEY: {}}
    error = session.asks("tools/list", {"_meta": envelope}).error
    assert (error["code"], error["data"]["supported"]) == (-32022, list(HANDSHAKE_REVISIONS))


def test_upstreams_see_nothing_of_the_envelope() -> None:
    _, client, upstream = talking()
    client.meta = {CLIENT_INFO_KEY: {"name": "me", "version": "1"}, LOG_LEVEL_KEY: "debug"}
    client.routes("echo", _meta={"traceparent": "00-1", "progressToken": "p"})
    sent = upstream.sees_one()
    assert sent["params"]["_meta"] == {"traceparent": "00-1", "progressToken": sent["id"]}


def test_a_null_state_and_answers_to_nothing_are_not_sent_on() -> None:
    _, client, upstream = talking()
    client.calls("a__echo", {}, requestState=None, inputResponses={"1": {"action": "accept"}})
    assert set(upstream.sees_one()["params"]) == {"name", "arguments", "_meta"}


# --- Calls -----------------------------------------------------------------------------------


def test_progress_comes_before_a_result_that_is_complete() -> None:
    _, client, upstream = talking()
    asked = client.routes("echo", _meta={"progressToken": 7})
    sent = upstream.sees_one()
    upstream.says("notifications/progress", {"progressToken": sent["id"], "progress": 1})
    upstream.answers(sent, {"content": [], "structuredContent": {"x": 1}})
    progress, answer = asked.mailbox.take()
    assert progress["params"] == {"progressToken": 7, "progress": 1}
    assert answer["result"]["structuredContent"] == {"x": 1}
    assert answer["result"]["resultType"] == "complete"


def test_leaving_cancels_the_call() -> None:
    _, client, upstream = talking()
    client.routes("echo")
    sent = upstream.sees_one()
    client.leaves()
    assert upstream.sees_one()["params"]["requestId"] == sent["id"]


def test_a_connection_cancels_by_notification() -> None:
    talk, _, upstream = talking()
    client = talk.stateless_connection()
    asked = client.routes("echo")
    sent = upstream.sees_one()
    client.cancels(asked)
    assert upstream.sees_one()["params"]["requestId"] == sent["id"]
    client.routes("echo", id=asked.id)
    assert upstream.sees_one()["params"]["name"] == "echo"


def test_requests_of_a_connection_are_forgotten_when_answered() -> None:
    talk, _, upstream = talking()
    client = talk.stateless_connection()
    asked = [client.routes("echo"), client.routes("echo"), client.asks("tools/list")]
    for sent in upstream.sees():
        upstream.answers(sent, {"content": []})
    assert [one.result["resultType"] for one in asked] == ["complete"] * 3
    assert list(talk.state.clients) == [client.id]
    assert talk.state.clients[client.id].requests == {}


@pytest.mark.parametrize("on_connection", [False, True])
def test_a_request_that_is_over_needs_no_cycle_collector(on_connection: bool) -> None:
    talk, client, upstream = talking()
    if on_connection:
        client = talk.stateless_connection()
    gc.disable()
    try:
        answered = client.routes("echo")
        rows = [weakref.ref(call.client) for call in talk.state.calls.by_id.values()]
        upstream.answers(upstream.sees_one(), {"content": []})
        assert answered.result["content"] == []
        client.leaves()
        cancelled = talk.stateless_connection() if on_connection else client
        cancelled.routes("echo")
        rows += [weakref.ref(call.client) for call in talk.state.calls.by_id.values()]
        cancelled.leaves()
        assert [row() for row in rows] == [None, None]
    finally:
        gc.enable()


def test_an_id_that_is_in_use_is_refused_on_a_connection() -> None:
    talk, _, upstream = talking()
    client = talk.stateless_connection()
    client.routes("echo", id=1)
    again = client.routes("echo", id=1)
    assert again.error["code"] == -32600
    upstream.answers(upstream.sees_one(), {"content": []})


def test_the_end_of_a_connection_is_the_end_of_its_requests() -> None:
    talk, _, upstream = talking()
    client = talk.stateless_connection()
    client.routes("echo")
    client.asks(LISTEN, TOOLS)
    upstream.sees()
    client.leaves()
    assert upstream.sees_one()["method"] == "notifications/cancelled"
    assert talk.state.clients == {}


def test_a_connection_that_reads_too_slowly_is_closed_as_a_whole() -> None:
    talk, _, _ = talking()
    client = talk.stateless_connection()
    client.routes("echo")
    (request,) = talk.state.clients[client.id].requests.values()
    client.id = request.id
    client.overflows()
    assert client.outbox.closed


def test_a_request_waits_for_an_instance_that_starts() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    talk.starting("a")
    for client in (talk.stateless_client(), talk.stateless_connection()):
        asked = client.routes("echo")
        assert asked.is_waiting
    upstream = talk.up("a", "echo")
    assert [sent["params"]["_meta"] for sent in upstream.sees()] == [{}, {}]


def test_router_errors_of_our_tools_are_results_of_this_revision() -> None:
    _, client, _ = talking()
    asked = client.routes("nothing")
    assert asked.tool_error[0] == "TOOL_NOT_FOUND"
    assert asked.result["resultType"] == "complete"


# --- Selection -------------------------------------------------------------------------------


def test_a_selection_on_a_connection_is_its_own() -> None:
    talk, client, upstream = talking()
    connection = talk.stateless_connection()
    connection.uses()
    assert connection.lists()[-1] == "echo"
    assert "echo" not in client.lists()
    connection.calls("echo")
    assert upstream.sees_one()["params"]["name"] == "echo"


def test_a_selection_is_no_way_to_an_instance_that_was_taken_away() -> None:
    talk, _, upstream = talking()
    connection = talk.stateless_connection()
    connection.uses()
    row = talk.state.clients[connection.id]
    row.principal = Principal("all", instances=frozenset({"b"}))
    assert "echo" not in connection.lists()
    assert connection.calls("echo").error["code"] == -32602
    assert upstream.sees() == []


# --- Subscriptions ---------------------------------------------------------------------------


def test_a_subscription_is_acknowledged_first_with_what_is_honoured() -> None:
    _, client, _ = talking()
    wanted = TOOLS["notifications"] | {"promptsListChanged": True, "resourceSubscriptions": ["x:"]}
    asked = client.asks(LISTEN, {"notifications": wanted}, id="l")
    (acknowledged,) = asked.mailbox.take()
    assert acknowledged == {
        "method": "notifications/subscriptions/acknowledged",
        "params": {"_meta": {SUBSCRIPTION_KEY: "l"}, "notifications": {"toolsListChanged": True}},
    }
    assert asked.is_waiting


@pytest.mark.parametrize("params", [{}, {"notifications": 5}])
def test_a_subscription_to_nothing_that_can_be_read_is_refused(params: Any) -> None:
    _, client, _ = talking()
    assert client.asks(LISTEN, params).error["code"] == -32602


CHANGED = "notifications/tools/list_changed"


def test_a_subscriber_over_http_is_notified_when_the_routers_own_tools_change() -> None:
    talk, client, _ = talking()
    listening = client.asks(LISTEN, TOOLS)
    deaf = client.asks(LISTEN, {"notifications": {"toolsListChanged": False}})
    for one in (listening, deaf):
        one.mailbox.take()
    talk.happens(CoreSettingsChanged(CoreSettings("9.9", tool_names="underscored")))
    assert listening.mailbox.take() == [
        {"method": CHANGED, "params": {"_meta": {SUBSCRIPTION_KEY: listening.id}}}
    ]
    assert deaf.mailbox.take() == []


def test_a_subscriber_on_a_connection_is_notified_of_its_selection_and_when_that_changes() -> None:
    talk, _, upstream = talking()
    client = talk.stateless_connection()
    listening = client.asks(LISTEN, TOOLS)
    client.asks(LISTEN, {"notifications": {"toolsListChanged": False}})
    client.outbox.take()
    client.uses()
    upstream.lists("echo", "more")
    told = [one for one in client.outbox.take() if "result" not in one]
    changed = {"method": CHANGED, "params": {"_meta": {SUBSCRIPTION_KEY: listening.id}}}
    assert told == [changed, changed]


def test_a_selection_that_waited_for_its_instance_is_notified_once() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    talk.starting("a")
    client = talk.stateless_connection()
    client.asks(LISTEN, TOOLS)
    client.uses()
    client.outbox.take()
    talk.up("a", "echo")
    assert [one["method"] for one in client.outbox.take() if "method" in one] == [CHANGED]


def test_without_a_subscription_nothing_is_notified() -> None:
    talk, _, upstream = talking()
    connection = talk.stateless_connection()
    connection.uses().mailbox.take()
    upstream.lists("echo", "more")
    assert connection.outbox.take() == []


def test_a_subscriber_is_not_notified_of_what_somebody_else_uses() -> None:
    talk, client, upstream = talking()
    others = [talk.stateless_client(), talk.stateless_client(OTHER), talk.stateless_connection()]
    listening = [other.asks(LISTEN, TOOLS) for other in others]
    for one in listening:
        one.mailbox.take()
    client.uses()
    talk.client().uses()
    upstream.lists("echo", "more")
    assert [one.mailbox.take() for one in listening] == [[], [], []]


def test_subscriptions_end_with_a_result_when_the_router_stops() -> None:
    talk, client, _ = talking()
    connection = talk.stateless_connection()
    asked = [client.asks(LISTEN, TOOLS), connection.asks(LISTEN, TOOLS)]
    assert talk.drains().waiting == [None]
    for one in asked:
        assert one.result["resultType"] == "complete"
        assert one.result["_meta"][SUBSCRIPTION_KEY] == one.id
    assert client.asks(LISTEN, TOOLS).error["code"] == -32013
    assert connection.id in talk.state.clients


def test_a_subscription_is_cancelled_on_its_connection() -> None:
    talk, _, upstream = talking()
    client = talk.stateless_connection()
    asked = client.asks(LISTEN, TOOLS)
    client.cancels(asked)
    client.outbox.take()
    client.uses().mailbox.take()
    upstream.lists("echo", "more")
    assert client.outbox.take() == []
    assert not client.outbox.closed


def test_subscriptions_of_a_connection_are_bounded() -> None:
    talk, _, _ = talking()
    client = talk.stateless_connection()
    for _ in range(MAX_SUBSCRIPTIONS):
        client.asks(LISTEN, TOOLS)
    client.outbox.take()
    assert client.asks(LISTEN, TOOLS).error["code"] == -32015
