"""The tools that each client is listed, and the clients that are notified when these change."""

from typing import Any

from router.core.protocol.bridging import CLIENT_INFO_KEY, SUBSCRIPTION_KEY
from router.messages.catalog import Catalog, Item
from router.messages.core_settings import CoreSettings
from router.messages.events import CatalogChanged, CoreSettingsChanged
from tests.router.core.conversation import Conversation, raw, ready, spec

OWN = ["mcp.router.use", "mcp.router.list", "mcp.router.help", "mcp.router.call"]


# --- The list ----------------------------------------------------------------------------------


def test_the_routers_own_tools_are_listed_in_their_order() -> None:
    assert Conversation().client().lists() == OWN


def test_underscored_names_are_listed_when_configured_so() -> None:
    alice = Conversation(tool_names="underscored").client()
    assert alice.lists() == [name.replace(".", "_") for name in OWN]


def test_each_client_is_listed_the_names_that_it_takes() -> None:
    talk = Conversation(tool_names="auto")
    old, new, claude, lone = talk.client(), talk.client(), talk.client(), talk.client(one_shot=True)
    old.initializes("2025-06-18")
    new.initializes("2025-11-25")
    info = {"name": "claude-ai", "version": "0.1.0"}
    params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": info}
    assert "mcp_router_list shows" in claude.asks("initialize", params).result["instructions"]
    underscored = [name.replace(".", "_") for name in OWN]
    assert (old.lists(), lone.lists()) == (OWN, OWN)
    assert (new.lists(), claude.lists()) == (underscored, underscored)
    called = claude.asks("tools/list").result["tools"][3]
    shown = called["inputSchema"]["properties"]["tool_name"]["description"]
    assert shown == "Name of the tool, as mcp_router_help shows"


def test_a_client_without_a_session_is_listed_the_names_that_it_takes() -> None:
    client = Conversation(tool_names="auto").stateless_client()
    assert client.lists()[0] == "mcp_router_use"
    assert "mcp_router_list" in client.asks("server/discover").result["instructions"]
    client.meta = {CLIENT_INFO_KEY: {"name": "gemini-cli-mcp-client", "version": "1"}}
    assert client.lists()[0] == "mcp.router.use"
    client.meta = {CLIENT_INFO_KEY: ["odd"]}
    assert client.lists()[0] == "mcp_router_use"


def test_a_cursor_is_refused_and_a_null_one_is_none() -> None:
    alice = Conversation().client()
    assert alice.asks("tools/list", {"cursor": "x"}).error["code"] == -32602
    assert len(alice.asks("tools/list", {"cursor": None}).result["tools"]) == 4


def test_use_lists_the_instances_tools_beside_the_routers_for_that_session_alone() -> None:
    talk, alice, _ = ready()
    bob = talk.client()
    assert alice.uses().text == {"instance": "a", "tools": ["echo"], "active": True}
    assert [frame["method"] for frame in alice.outbox.take()] == [
        "notifications/tools/list_changed"
    ]
    assert alice.lists() == [*OWN, "echo"]
    assert bob.lists() == OWN
    assert bob.outbox.take() == []


def test_a_tool_named_like_one_of_the_routers_does_not_shadow_it() -> None:
    talk = Conversation()
    talk.with_upstreams("a", tools=("mcp.router.list", "mcp_router_call", "echo"))
    alice = talk.client()
    alice.uses()
    assert alice.lists() == [*OWN, "echo"]
    assert alice.calls("mcp.router.list").text[0]["name"] == "a"


def test_tools_are_listed_without_headers_that_only_their_server_could_compare() -> None:
    talk = Conversation()
    (upstream,) = talk.with_upstreams("a")
    client = talk.stateless_connection()
    schema = {"type": "object", "properties": {"city": {"type": "string", "x-mcp-header": "City"}}}
    plain = {"type": "object", "properties": {"city": {"type": "string"}}}
    tools: list[Any] = [
        {"name": "t0", "inputSchema": schema, "odd": 1},
        {"name": "t1", "inputSchema": {"allOf": [schema]}},
        {"name": "t2", "description": "x-mcp-header"},
    ]
    listed = Catalog(tools=tuple(Item(tool["name"], raw(tool)) for tool in tools))
    talk.happens(CatalogChanged(upstream.session, listed))
    client.uses()
    assert client.asks("tools/list").result["tools"][-3:] == [
        {"name": "t0", "inputSchema": plain, "odd": 1},
        {"name": "t1", "inputSchema": {"allOf": [plain]}},
        {"name": "t2", "description": "x-mcp-header"},
    ]
    direct = talk.stateless_client().uses().text["direct"]
    assert [one["inputSchema"] for one in direct] == [plain, {"allOf": [plain]}, {}]


# --- What `use` shows without a session --------------------------------------------------------


def test_use_without_a_session_shows_direct_names_and_schemas() -> None:
    talk, _, _ = ready()
    for lone in (talk.client(one_shot=True), talk.stateless_client()):
        used = lone.uses()
        assert used.text == {
            "instance": "a",
            "tools": ["echo"],
            "active": True,
            "direct": [
                {
                    "name": "a__echo",
                    "description": "Does echo",
                    "inputSchema": {"type": "object", "properties": {}},
                }
            ],
        }
        assert lone.outbox.take() == []


def test_direct_names_are_shown_as_short_as_they_are_to_be() -> None:
    talk = Conversation(name_limit=20)
    talk.with_upstreams("a", tools=("a_tool_with_a_long_name",))
    lone = talk.client(one_shot=True)
    (shown,) = lone.uses().text["direct"]
    assert len(shown["name"]) == 20
    lone.calls(shown["name"])
    assert len(talk.state.calls.by_id) == 1


def test_use_without_a_session_changes_nothing_for_anybody() -> None:
    """Security: a choice that leaks between clients."""
    talk, _, _ = ready("b")
    alice, bob = talk.stateless_client(), talk.stateless_client()
    alice.uses("a")
    listed = alice.lists()
    bob.uses("b")
    assert alice.lists() == bob.lists() == listed == OWN
    assert alice.calls("echo").error["code"] == -32602
    assert talk.client(one_shot=True).lists() == OWN


# --- The list has changed ----------------------------------------------------------------------


def test_a_changed_catalog_is_used_at_once_and_notified_to_clients_that_selected_it() -> None:
    talk, alice, upstream = ready()
    alice.uses()
    assert alice.lists()[4:] == ["echo"]
    bystander = talk.client()
    alice.outbox.take()
    upstream.lists("sing", "dance")
    assert [frame["method"] for frame in alice.outbox.take()] == [
        "notifications/tools/list_changed"
    ]
    assert bystander.outbox.take() == []
    assert alice.lists()[4:] == ["sing", "dance"]
    assert alice.calls("echo").error["code"] == -32014


def test_list_changed_is_sent_once_until_the_client_lists_again() -> None:
    _, alice, upstream = ready()
    alice.uses()
    upstream.lists("one")
    upstream.lists("two")
    assert len(alice.outbox.take()) == 1
    alice.lists()
    upstream.lists("three")
    assert len(alice.outbox.take()) == 1


def test_the_selection_is_by_name_and_survives_a_new_configuration() -> None:
    talk, alice, _ = ready()
    alice.uses()
    talk.configured(spec("a", command="other"))
    assert alice.lists()[4:] == []
    talk.starting("a")
    alice.outbox.take()
    talk.up("a", "sing")
    assert [frame["method"] for frame in alice.outbox.take()] == [
        "notifications/tools/list_changed"
    ]
    assert alice.lists()[4:] == ["sing"]


def test_requests_that_share_a_selection_are_notified_when_one_of_them_selects() -> None:
    talk, alice, _ = ready()
    bob = talk.stateless_connection()
    subscription = bob.asks("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
    bob.outbox.take()
    alice.uses()
    assert bob.outbox.take() == []
    bob.uses()
    changed = bob.outbox.take()[-1]
    assert changed["params"] == {"_meta": {SUBSCRIPTION_KEY: subscription.id}}


def test_clients_are_notified_when_the_routers_own_tools_change() -> None:
    talk, alice, _ = ready()
    alice.lists()
    bob = talk.client()  # It has not listed yet, so there is nothing that it could list again.
    talk.happens(CoreSettingsChanged(CoreSettings("9.9", allow_instance_management=True)))
    assert [frame["method"] for frame in alice.outbox.take()] == [
        "notifications/tools/list_changed"
    ]
    assert bob.outbox.take() == []
    assert len(alice.lists()) == len(OWN) + 4


def test_a_client_that_selects_its_instance_again_while_it_starts_is_notified_once() -> None:
    talk, alice, upstream = ready()
    alice.uses()
    alice.lists()
    upstream.breaks()
    alice.lists()
    talk.starting("a")
    used = alice.calls("mcp.router.use", {"instance_name": "a"})
    alice.outbox.take()
    talk.up("a", "echo")
    assert used.result["structuredContent"]["instance"] == "a"
    assert [frame["method"] for frame in alice.outbox.take()] == [
        "notifications/tools/list_changed"
    ]
