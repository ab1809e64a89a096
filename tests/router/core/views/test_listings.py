"""The lists of each kind of view, for clients of each era."""

from typing import Any

import pytest

from router.core.names.direct_names import direct_name
from router.core.names.resource_uris import shown_uri
from router.core.protocol.bridging import CLIENT_INFO_KEY, SERVER_INFO_KEY
from router.messages.catalog import Catalog, Item
from router.messages.commands import Principal
from router.messages.events import CatalogChanged
from router.messages.instances.exposure import Exposure, NameFilter, Profile
from tests.router.core.conversation import Conversation, FakeClient, raw, ready, spec

OWN = ["mcp.router.use", "mcp.router.list", "mcp.router.help", "mcp.router.call"]


# --- Router views ------------------------------------------------------------------------------


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


# --- Direct views ------------------------------------------------------------------------------

PARTS = ("tools", "prompts", "resources", "templates")
OFFERS: dict[str, Any] = {
    "prompts": ["ask"],
    "resources": ["x:1"],
    "templates": ["x:{y}"],
}


def with_two(**settings: Any) -> Conversation:
    talk = Conversation(**settings)
    talk.with_instance("a", "echo", **OFFERS)
    talk.with_instance("文件", "read file")
    return talk


def clients_of(talk: Conversation, view: str | None = None) -> list[FakeClient]:
    """One client of each kind: a session, two lone requests, and a connection of either era."""
    return [
        talk.client(view=view),
        talk.client(one_shot=True, view=view),
        talk.stateless_client(view=view),
        talk.stateless_connection(view=view),
    ]


def test_a_direct_view_lists_everything_of_every_instance_to_clients_of_each_era() -> None:
    talk = with_two(view="direct")
    for client in clients_of(talk):
        assert client.lists() == ["a__echo", direct_name("文件", "read file", 48)]
        assert client.lists("prompts") == ["a__ask"]
        assert client.lists("resources") == ["x:1"]
        assert client.lists("templates") == ["x:{y}"]


def test_only_the_name_of_what_is_listed_is_changed() -> None:
    talk = Conversation(view="direct")
    item = {"name": "t", "title": "T", "inputSchema": {}, "icons": [1.5], "_meta": {"k": "ui"}}
    prompt = {"name": "p", "arguments": [], "odd": None}
    talk.with_instance("a", Item("t", raw(item)), prompts=[Item("p", raw(prompt))])
    alice = talk.client()
    assert alice.asks("tools/list").result == {"tools": [item | {"name": "a__t"}]}
    assert alice.asks("prompts/list").result == {"prompts": [prompt | {"name": "a__p"}]}


def test_lists_of_2026_07_28_are_private_and_say_whose_they_are() -> None:
    talk = with_two(view="direct")
    for part in ("tools", "prompts", "resources", "resources/templates"):
        listed = talk.stateless_client().asks(f"{part}/list").result
        assert (listed["ttlMs"], listed["cacheScope"]) == (0, "private")
        assert listed["resultType"] == "complete"
        assert listed["_meta"][SERVER_INFO_KEY]["name"] == "mcp_router"


def test_the_interface_that_a_tool_names_is_the_one_that_its_instance_serves() -> None:
    talk = Conversation(view="direct")
    for name in ("a", "b"):
        meta = {"ui": {"resourceUri": "ui://app"}, "ui/resourceUri": "ui://app"}
        named = Item("t", raw({"name": "t", "inputSchema": {}, "_meta": meta}))
        talk.with_instance(name, named, resources=["ui://app"])
    for client in clients_of(talk):
        listed = client.asks("tools/list").result["tools"]
        shown = client.lists("resources")
        assert [tool["_meta"]["ui"]["resourceUri"] for tool in listed] == shown
        assert [tool["_meta"]["ui/resourceUri"] for tool in listed] == shown
        assert shown == [shown_uri("a", "ui://app"), shown_uri("b", "ui://app")]


def test_a_direct_view_of_nothing_has_empty_lists() -> None:
    for client in clients_of(Conversation(view="direct")):
        assert [client.lists(part) for part in PARTS] == [[], [], [], []]


def test_an_instance_that_is_not_ready_is_not_waited_for() -> None:
    talk = with_two(view="direct")
    talk.configured(*(row.spec for row in talk.state.instances), spec("new"))
    talk.down("a")
    assert talk.client().lists() == ["a__echo", direct_name("文件", "read file", 48)]
    talk.configured(spec("a", is_active=False), spec("new"))
    assert talk.client().lists() == []


def test_tools_that_change_instances_are_listed_in_direct_views_where_they_are_allowed() -> None:
    talk = with_two(view="direct", allow_instance_management=True)
    management = [f"mcp.router.{name}" for name in ("add", "remove", "disable", "enable")]
    assert talk.client().lists()[:5] == [*management, "a__echo"]
    talk.settings_change(allow_instance_management=False)
    assert talk.client().lists()[0] == "a__echo"


def test_a_server_of_2026_07_28_is_listed_to_handshake_clients_in_words_they_accept() -> None:
    talk = Conversation(view="direct")
    odd = {"name": "t", "inputSchema": {}, "outputSchema": {"type": "array"}}
    talk.with_instance("a", Item("t", raw(odd)), revision="2026-07-28")
    new = talk.stateless_client().asks("tools/list").result["tools"]
    old = talk.client().asks("tools/list").result["tools"]
    assert new == [odd | {"name": "a__t"}]
    assert old == [{"name": "a__t", "inputSchema": {}}]


def test_a_list_is_encoded_once_until_something_changes() -> None:
    talk = with_two(view="direct")
    alice, bob = talk.client(), talk.client()
    for part in ("tools", "prompts", "resources", "resources/templates"):
        first = alice.asks(f"{part}/list").mailbox.waiting[0].result
        assert bob.asks(f"{part}/list").mailbox.waiting[0].result is first
    talk.with_instance("c", "echo")
    assert alice.lists()[-1] == "c__echo"
    talk.settings_change(name_limit=16)
    assert alice.lists()[1] == direct_name("文件", "read file", 16)


# --- Profiles and principals -------------------------------------------------------------------


def test_a_profile_lists_its_instances_and_the_tools_that_it_admits() -> None:
    profile = Profile("direct", ("a", "文*"), NameFilter(("*echo", "b__*"), ()))
    talk = with_two(profiles={"work": profile})
    talk.with_instance("b", "echo")
    for client in clients_of(talk, "work"):
        assert client.lists() == ["a__echo"]
        assert client.lists("prompts") == ["a__ask"]


def test_a_principal_is_listed_no_instance_but_its_own_in_any_view() -> None:
    talk = with_two(view="direct")
    only = Principal("m", instances=frozenset({"文件"}))
    none = Principal("n", instances=frozenset())
    assert talk.client(principal=only).lists() == [direct_name("文件", "read file", 48)]
    assert talk.client(principal=only).lists("resources") == []
    assert talk.stateless_client(none).lists() == []
    assert talk.client(principal=only, view="a").asks("tools/list").error["code"] == -32010


def test_the_profile_of_a_principal_is_what_it_is_listed() -> None:
    talk = with_two(profiles={"work": Profile("direct", ("a",))})
    bound = Principal("m", profile="work")
    assert talk.client(principal=bound).lists() == ["a__echo"]
    assert talk.stateless_client(bound).lists() == ["a__echo"]


def test_what_an_instance_hides_is_listed_in_no_view() -> None:
    talk = Conversation(view="direct")
    exposure = Exposure(NameFilter(("keep", "old")), NameFilter(()), rename={"old": "new"})
    talk.with_instance("a", "old", "keep", "drop", prompts=["p"], exposure=exposure)
    for client in clients_of(talk):
        assert (client.lists(), client.lists("prompts")) == (["a__new", "a__keep"], [])


# --- Pages and methods -------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["tools", "prompts", "resources", "resources/templates"])
def test_each_list_has_one_page(part: str) -> None:
    talk = with_two(view="direct")
    for client in clients_of(talk):
        refused = client.asks(f"{part}/list", {"cursor": "x"}).error
        assert refused["code"] == -32602
        assert "nextCursor" not in client.asks(f"{part}/list", {"cursor": None}).result


@pytest.mark.parametrize("part", ["prompts", "resources", "resources/templates"])
def test_a_router_view_has_no_lists_but_tools(part: str) -> None:
    talk = with_two()
    for client in clients_of(talk):
        error = client.asks(f"{part}/list").error
        assert error == {"code": -32601, "message": f"Method not found: {part}/list"}
