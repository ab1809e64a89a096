"""The lists of each kind of view, for clients of each era."""

from typing import Any

from router.core.protocol.bridging import CLIENT_INFO_KEY
from router.messages.catalog import Catalog, Item
from router.messages.events import CatalogChanged
from tests.router.core.conversation import Conversation, raw, ready

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
