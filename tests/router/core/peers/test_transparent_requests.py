"""One server through a transparent view: as if the router were not there, in each pair of eras."""

from typing import Any

import pytest

from router.core.protocol.bridging import (
    CAPABILITIES_KEY,
    CLIENT_INFO_KEY,
    REVISION_KEY,
    SERVER_INFO_KEY,
)
from router.messages.catalog import Item
from router.messages.commands import Principal
from router.messages.instances.exposure import Exposure, NameFilter, Profile
from tests.router.core.conversation import Conversation, FakeClient, FakeUpstream, raw, spec

HANDSHAKE, STATELESS = "2025-11-25", "2026-07-28"
KINDS = ["session", "lone", "stateless", "connection"]
REVISIONS = [HANDSHAKE, STATELESS]
INFO = {"name": "a", "version": "2", "odd": [1.5]}


def at_a(talk: Conversation, kind: str) -> FakeClient:
    """Return a client of one kind at the place of the instance `a`."""
    if kind == "stateless":
        return talk.stateless_client(view="a")
    if kind == "connection":
        return talk.stateless_connection(view="a")
    return talk.client(one_shot=kind == "lone", view="a")


def is_new(kind: str) -> bool:
    """Return whether a client of this kind speaks 2026-07-28."""
    return kind in ("stateless", "connection")


def talking(
    kind: str, revision: str = HANDSHAKE, **up: Any
) -> tuple[Conversation, FakeClient, FakeUpstream]:
    talk = Conversation()
    tools = up.pop("tools", ("echo",))
    upstream = talk.with_instance("a", *tools, revision=revision, server_info=INFO, **up)
    talk.with_instance("b", "echo")
    return talk, at_a(talk, kind), upstream


# --- What the server is --------------------------------------------------------------------------

CAPABILITIES = {
    "tools": {"listChanged": False},
    "tasks": {"list": {}},
    "experimental": {"x": [1.5]},
    "extensions": {"com.example/y": {}},
}


@pytest.mark.parametrize("revision", REVISIONS)
def test_initialize_answers_with_what_the_server_says_of_itself(revision: str) -> None:
    _, alice, upstream = talking(
        "session", revision, capabilities=CAPABILITIES, instructions="Ask me. 文"
    )
    result = alice.initializes("2025-11-25").result
    shown = dict(CAPABILITIES)
    if revision == STATELESS:
        del shown["tasks"]
    assert result == {
        "protocolVersion": "2025-11-25",
        "capabilities": shown,
        "serverInfo": INFO,
        "instructions": "Ask me. 文",
    }
    assert upstream.sees() == []


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", ["stateless", "connection"])
def test_discover_answers_with_what_the_server_says_of_itself(kind: str, revision: str) -> None:
    _, client, _ = talking(kind, revision, capabilities=CAPABILITIES)
    result = client.asks("server/discover").result
    assert ("tasks" in result["capabilities"]) is (revision == STATELESS)
    assert result["capabilities"]["experimental"] == {"x": [1.5]}
    assert result["_meta"] == {SERVER_INFO_KEY: INFO}
    assert (result["resultType"], result["ttlMs"]) == ("complete", 0)
    assert "instructions" not in result


@pytest.mark.parametrize(
    ("kind", "method"), [("session", "initialize"), ("stateless", "server/discover")]
)
def test_the_first_request_waits_for_the_server_and_fails_with_the_reason(
    kind: str, method: str
) -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    params = {"protocolVersion": HANDSHAKE, "capabilities": {"roots": {}}}
    waiting = [at_a(talk, kind).asks(method, params) for _ in range(2)]
    assert all(one.is_waiting for one in waiting)
    talk.starting("a")
    talk.up("a", "echo")
    assert all("capabilities" in one.result for one in waiting)
    talk.down("a", "exit status 1")
    talk.starting("a")
    failing = at_a(talk, kind).asks(method, params)
    talk.failed("a", "command not found: a")
    error = failing.error
    assert (error["code"], error["data"]["state"]) == (-32013, "failed")
    assert error["data"]["last_error"] == "command not found: a"
    assert "command not found: a" in error["message"]
    late = at_a(talk, kind).asks(method, params).error
    assert (late["code"], late["data"]["last_error"]) == (-32013, "command not found: a")


def test_a_client_that_waited_is_known_by_what_it_declared() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    alice = at_a(talk, "session")
    asked = alice.initializes("2025-06-18", roots={})
    talk.starting("a")
    upstream = talk.up("a", "echo")
    assert asked.result["protocolVersion"] == "2025-06-18"
    call = alice.calls("echo")
    upstream.sees()
    upstream.asks("roots/list")
    assert call.mailbox.take()[0]["method"] == "roots/list"


def test_an_instance_that_is_not_active_is_an_error_at_once() -> None:
    talk = Conversation()
    talk.configured(spec("a", is_active=False))
    assert at_a(talk, "session").initializes().error["message"] == "Instance 'a' is not active"


def test_a_principal_that_may_not_see_the_instance_is_told_that_there_is_none() -> None:
    talk = Conversation()
    upstream = talk.with_instance("a", "echo")
    mallory = talk.client(principal=Principal("m", instances=frozenset({"b"})), view="a")
    for method in ("initialize", "tools/list", "tools/call", "x/unknown", "resources/read"):
        error = mallory.asks(method, {"name": "echo", "uri": "x:1"}).error
        assert error == {"code": -32010, "message": "Instance not found: a"}
    mallory.says("notifications/odd")
    assert upstream.sees() == []


def test_a_router_that_stops_refuses_what_would_be_sent_and_lists_what_it_knows() -> None:
    talk, alice, upstream = talking("session", prompts=["ask"])
    talk.drains()
    for method in ("initialize", "tools/call", "prompts/get", "x/unknown"):
        error = alice.asks(method, {"name": "echo"}).error
        assert error == {"code": -32013, "message": "The router is stopping"}
    assert (alice.lists(), alice.lists("prompts")) == (["echo"], ["ask"])
    assert alice.asks("ping").result == {}
    assert upstream.sees() == []


# --- Lists ---------------------------------------------------------------------------------------

LISTS = ["tools/list", "prompts/list", "resources/list", "resources/templates/list"]


@pytest.mark.parametrize("method", LISTS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_server_lists_page_by_page(kind: str, method: str) -> None:
    _, client, upstream = talking(kind)
    asked = client.asks(method, {"cursor": "page 2", "odd": 1})
    seen = upstream.sees_one()
    assert (seen["method"], seen["params"].get("_meta", {})) == (method, {})
    assert seen["params"] | {"_meta": 0} == {"cursor": "page 2", "odd": 1, "_meta": 0}
    answer = {"nextCursor": "page 3", "odd": [1.5], "tools": [{"name": "t", "odd": None}]}
    upstream.answers(seen, answer)
    kept = {key: asked.result[key] for key in answer}
    assert kept == answer
    assert ("ttlMs" in asked.result, "resultType" in asked.result) == (is_new(kind), is_new(kind))


def test_within_an_era_a_list_is_the_very_bytes_of_the_server() -> None:
    for kind, revision in (("session", HANDSHAKE), ("stateless", STATELESS)):
        _, client, upstream = talking(kind, revision)
        for method in LISTS:
            asked = client.asks(method)
            upstream.answers(upstream.sees_one(), b'{"tools" : [ ],"ttlMs":5000, "x":1.50}')
            assert asked.result_bytes == b'{"tools" : [ ],"ttlMs":5000, "x":1.50}'


@pytest.mark.parametrize("answer", [b'{"tools":5}', b"{}", b"[]", b'{"tools":[5,null]}'])
def test_a_list_that_makes_no_sense_is_brought_as_it_is(answer: bytes) -> None:
    _, alice, upstream = talking("session", STATELESS)
    asked = alice.asks("tools/list")
    upstream.answers(upstream.sees_one(), answer)
    assert asked.result_bytes == answer


def test_tools_are_listed_in_the_words_of_the_clients_era() -> None:
    odd = {"name": "t", "inputSchema": {"x-mcp-header": "H"}, "outputSchema": {"type": "array"}}
    for kind, revision, expected in (
        ("session", STATELESS, {"name": "t", "inputSchema": {"x-mcp-header": "H"}}),
        ("stateless", HANDSHAKE, odd),
        ("session", HANDSHAKE, odd),
    ):
        _, client, upstream = talking(kind, revision)
        asked = client.asks("tools/list")
        upstream.answers(upstream.sees_one(), {"tools": [odd], "resultType": "complete"})
        assert asked.result["tools"] == [expected]


@pytest.mark.parametrize("kind", KINDS)
def test_lists_that_a_filter_changes_are_listed_as_it_says(kind: str) -> None:
    exposure = Exposure(
        NameFilter(deny=("rm",)), NameFilter(("ask",)), NameFilter(deny=("x:2",)), {"echo": "say"}
    )
    offers: dict[str, Any] = {
        "prompts": ["ask", "hide"],
        "resources": ["x:1", "x:2"],
        "templates": ["x:{y}"],
    }
    _, client, upstream = talking(kind, tools=("echo", "rm"), exposure=exposure, **offers)
    assert client.lists() == ["say"]
    assert (client.lists("prompts"), client.lists("resources")) == (["ask"], ["x:1"])
    assert client.asks("tools/list", {"cursor": "x"}).error["code"] == -32602
    client.asks("resources/templates/list")
    assert [seen["method"] for seen in upstream.sees()] in ([], ["resources/templates/list"])


@pytest.mark.parametrize("kind", KINDS)
def test_while_its_server_is_away_the_last_known_lists_are_listed(kind: str) -> None:
    talk, client, upstream = talking(kind, prompts=["ask"])
    upstream.breaks()
    assert (client.lists(), client.lists("prompts")) == (["echo"], ["ask"])
    talk.configured(spec("a", is_active=False))
    assert (client.lists(), client.lists("prompts"), client.lists("templates")) == ([], [], [])


# --- Requests ------------------------------------------------------------------------------------


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["com.example/odd", "prompts/get", "文/字"])
def test_requests_come_through_with_everything_in_them(
    kind: str, revision: str, method: str
) -> None:
    _, client, upstream = talking(kind, revision)
    params = {"name": "mcp.router.list", "odd": [1.5, None], "_meta": {"com.example/k": "文"}}
    asked = client.asks(method, params)
    seen = upstream.sees_one()
    meta = seen["params"].pop("_meta")
    assert (seen["method"], seen["params"]) == (
        method,
        {"name": "mcp.router.list", "odd": [1.5, None]},
    )
    assert meta.pop("com.example/k") == "文"
    envelope = {REVISION_KEY, CAPABILITIES_KEY} if revision == STATELESS else set()
    assert set(meta) == envelope
    upstream.answers(
        seen, {"odd": {"x": [2.50]}, "_meta": {"k": 1}, "resultType": "complete", "ttlMs": 9}
    )
    assert (asked.result["odd"], asked.result["_meta"]["k"]) == ({"x": [2.5]}, 1)
    if not is_new(kind) and revision == STATELESS:
        assert set(asked.result) == {"odd", "_meta"}
    if is_new(kind) and revision == HANDSHAKE:
        assert asked.result["_meta"][SERVER_INFO_KEY] == INFO


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_without_params_comes_through(kind: str) -> None:
    _, client, upstream = talking(kind)
    client.asks("x/odd")
    assert upstream.sees_one().get("params", {}) in ({}, {"_meta": {}})


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_errors_come_through(kind: str, revision: str) -> None:
    _, client, upstream = talking(kind, revision)
    for error in (
        {"code": -32601, "message": "Method not found"},
        {"code": -32050, "message": "文", "data": [1.5], "odd": 1},
    ):
        asked = client.asks("x/odd")
        upstream.fails(upstream.sees_one(), error)
        assert asked.error == error


@pytest.mark.parametrize("kind", KINDS)
def test_progress_of_an_unknown_request_reaches_its_client(kind: str) -> None:
    _, client, upstream = talking(kind)
    asked = client.asks("x/odd", {"_meta": {"progressToken": "p"}})
    seen = upstream.sees_one()
    upstream.says("notifications/progress", {"progressToken": seen["id"], "progress": 1})
    assert asked.mailbox.take()[0]["params"] == {"progressToken": "p", "progress": 1}


@pytest.mark.parametrize(
    ("revision", "tasks", "is_kept"),
    [
        (HANDSHAKE, {"requests": {"tools": {"call": {}}}}, True),
        (HANDSHAKE, {"list": {}}, False),
        (STATELESS, {"requests": {"tools": {"call": {}}}}, False),
    ],
)
def test_a_task_is_asked_of_a_server_that_makes_tasks_of_calls(
    revision: str, tasks: dict[str, Any], *, is_kept: bool
) -> None:
    _, client, upstream = talking("session", revision, capabilities={"tasks": tasks})
    client.initializes()
    client.calls("echo", {}, task={"ttl": 1})
    assert ("task" in upstream.sees_one()["params"]) is is_kept


@pytest.mark.parametrize("name", ["mcp.router.list", "mcp_router_use", "a__echo", "echo", "never"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_name_of_a_tool_is_the_servers_own(kind: str, name: str) -> None:
    _, client, upstream = talking(kind)
    asked = client.calls(name, {"x": 1}, odd=1)
    seen = upstream.sees_one()
    assert seen["params"] | {"_meta": 0} == {
        "name": name,
        "arguments": {"x": 1},
        "odd": 1,
        "_meta": 0,
    }
    upstream.answers(seen, {"content": [{"type": "resource_link", "uri": "ui://x"}], "odd": 1})
    assert asked.result["content"] == [{"type": "resource_link", "uri": "ui://x"}]


def test_methods_of_the_other_era_are_unknown_and_do_not_reach_the_server() -> None:
    for revision in REVISIONS:
        for kind, methods in (
            ("session", ["server/discover", "subscriptions/listen"]),
            (
                "stateless",
                ["initialize", "ping", "logging/setLevel", "resources/subscribe"],
            ),
        ):
            _, client, upstream = talking(kind, revision)
            for method in methods:
                error = client.asks(method, {"uri": "x:1", "notifications": {}}).error
                assert error == {"code": -32601, "message": f"Method not found: {method}"}
            assert upstream.sees() == []


def test_a_request_waits_for_its_server_and_is_cancelled_like_any_other() -> None:
    talk, alice, upstream = talking("session")
    upstream.breaks()
    waiting, cancelled = alice.asks("x/odd"), alice.asks("x/odd")
    alice.cancels(cancelled)
    talk.starting("a")
    again = talk.up("a", "echo")
    seen = again.sees_one()
    alice.cancels(waiting)
    assert again.sees_one()["params"] == {"requestId": seen["id"]}
    assert waiting.finals == []


def test_a_request_that_needs_the_permission_to_call_is_refused_without_it() -> None:
    talk, _, upstream = talking("session")
    reader = Principal("r", permissions=frozenset({"read"}))
    for method in ("x/odd", "prompts/get", "resources/read", "completion/complete"):
        refused = talk.client(principal=reader, view="a").asks(method, {"uri": "x:1"})
        assert refused.error["code"] == -32016
    talk.client(principal=reader, view="a").says("notifications/odd")
    assert upstream.sees() == []


# --- What a filter leaves out --------------------------------------------------------------------

PROMPT, SECRET = {"name": "hide"}, {"uri": "x:secret"}


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("prompts/get", PROMPT, -32602),
        ("completion/complete", {"ref": {"type": "ref/prompt"} | PROMPT}, -32602),
        ("resources/read", SECRET, -32002),
        ("resources/read", {"uri": "x:%73ecret"}, -32002),
        ("resources/subscribe", SECRET, -32002),
        ("completion/complete", {"ref": {"type": "ref/resource"} | SECRET}, -32002),
    ],
)
def test_what_a_filter_leaves_out_cannot_be_asked_for(
    method: str, params: dict[str, Any], code: int
) -> None:
    deny = NameFilter(deny=("hide", "x:secret"))
    _, alice, upstream = talking("session", exposure=Exposure(prompts=deny, resources=deny))
    assert alice.asks(method, params).error["code"] == code
    assert upstream.sees() == []
    alice.asks(method, {"name": "ask", "uri": "x:1", "ref": {"type": "x", "name": "ask"}})
    assert upstream.sees_one()["method"] == method


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("prompts/get", {"name": "ask", "Name": "hide"}),
        ("resources/read", {"uri": "x:1", "URI": "x:secret"}),
        ("completion/complete", {"ref": {"type": "x", "name": "ask", "NAME": "hide"}}),
        ("completion/complete", {"ref": {"type": "x"}, "Ref": {"type": "x", "name": "hide"}}),
    ],
)
def test_no_server_reads_another_name_than_the_filter_did(
    method: str, params: dict[str, Any]
) -> None:
    _, alice, upstream = talking("session")
    assert alice.asks(method, params).error["code"] == -32602
    assert upstream.sees() == []


def test_a_name_that_is_given_twice_reaches_the_server_once() -> None:
    _, alice, upstream = talking("session")
    alice.asks("completion/complete", b'{"ref":{"type":"x","name":"hide","name":"ask"}}')
    (sent,) = upstream.inbox.waiting
    assert bytes(sent.params) == b'{"ref":{"type":"x","name":"ask"}}'


# --- Notifications -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["tools/call", "prompts/get", "resources/read", "tasks/cancel"])
def test_a_request_that_comes_as_a_notification_does_not_reach_the_server(method: str) -> None:
    _, alice, upstream = talking("session")
    alice.says(method, {"name": "rm", "taskId": "1"})
    assert upstream.sees() == []


@pytest.mark.parametrize("revision", REVISIONS)
def test_unknown_notifications_reach_the_server(revision: str) -> None:
    talk, alice, upstream = talking("session", revision)
    alice.says("notifications/odd", {"x": [1.5], "_meta": {"k": 1}})
    assert upstream.sees_one()["params"] == {"x": [1.5], "_meta": {"k": 1}}
    alice.says("com.example/plain")
    assert upstream.sees_one() == {"method": "com.example/plain"}
    talk.client(view="b").says("notifications/odd")
    talk.client().says("notifications/odd")
    assert upstream.sees() == []
    upstream.breaks()
    alice.says("notifications/odd")


@pytest.mark.parametrize(
    "method",
    [
        "notifications/initialized",
        "notifications/roots/list_changed",
        "notifications/cancelled",
        "notifications/progress",
    ],
)
def test_notifications_about_the_clients_own_session_do_not_reach_the_server(method: str) -> None:
    _, alice, upstream = talking("session")
    alice.says(method, {"requestId": 99, "progressToken": 99})
    assert upstream.sees() == []


@pytest.mark.parametrize("revision", REVISIONS)
def test_the_envelope_of_a_notification_is_for_servers_that_know_it(revision: str) -> None:
    talk, connection, upstream = talking("connection", revision)
    envelope = {REVISION_KEY: STATELESS, CLIENT_INFO_KEY: {"name": "n"}}
    connection.says("notifications/odd", {"x": 1, "_meta": envelope | {"k": 1}})
    meta = upstream.sees_one()["params"]["_meta"]
    assert meta == ({"k": 1} if revision == HANDSHAKE else envelope | {"k": 1})
    for params in (b"[]", {"_meta": 5}):
        connection.says("notifications/odd", params)
    assert len(talk.state.clients) == 1


# --- Profiles ------------------------------------------------------------------------------------


def test_a_transparent_profile_is_its_instance_under_another_name() -> None:
    profile = Profile("transparent", ("a",), title="Mine", instructions="Not shown")
    talk = Conversation(profiles={"mine": profile}, view="mine")
    item = Item("echo", raw({"name": "echo", "inputSchema": {}}))
    upstream = talk.with_instance("a", item, instructions="Its own", server_info=INFO)
    for alice in (talk.client(view="mine"), talk.client()):
        result = alice.initializes().result
        assert (result["serverInfo"], result["instructions"]) == (INFO, "Its own")
        alice.calls("echo")
        assert upstream.sees_one()["params"] == {"name": "echo"}
    talk.configured()
    error = talk.client(view="mine").initializes().error
    assert error == {"code": -32010, "message": "Instance not found: a"}
