"""Commands that ask what the clients of a profile are listed, and what tools cost."""

from typing import Any

import msgspec
import pytest

from router.core.costs import tool_costs
from router.core.text.token_estimates import estimate_tokens
from router.messages.catalog import Item
from router.messages.commands import (
    CountTools,
    Principal,
    ShowCosts,
    ShowProfileTools,
    ShowStatus,
    ShowViewCost,
)
from router.messages.errors import INSTANCE_NOT_FOUND
from router.messages.events import ClientOpened
from router.messages.instances.exposure import NameFilter, Profile
from tests.router.core.conversation import Conversation, FakeClient, raw, spec, value_of

PROFILES = {
    "all": Profile(),
    "some": Profile(instances=("a*",), tools=NameFilter(deny=("*__drop",))),
    "empty": Profile(instances=("nothing-*",)),
    "one": Profile("transparent", ("a",)),
    "old": Profile("router"),
}


def talking(**settings: Any) -> Conversation:
    """Begin a conversation with two instances, whose tools have the same names."""
    talk = Conversation(profiles=PROFILES, **settings)
    talk.with_upstreams("a", "b", tools=("echo", "drop"))
    return talk


def shown(talk: Conversation, name: str, **limits: Any) -> Any:
    asked = talk.admin_asks(ShowProfileTools(name), Principal("admin", **limits))
    return value_of(raw(asked.answer))


def listed(talk: Conversation, place: str) -> list[dict[str, Any]]:
    """Return the tools that a client at a place is listed."""
    client = FakeClient(talk, f"client-{next(talk.ids)}")
    talk.happens(ClientOpened(client.id, client.outbox, view=place))
    client.initializes()
    return client.asks("tools/list").result["tools"]


@pytest.mark.parametrize("name", ["all", "some", "empty", "old"])  # There the server itself lists.
@pytest.mark.parametrize("settings", [{}, {"allow_instance_management": True}])
def test_it_is_the_list_that_a_client_gets(name: str, settings: dict[str, Any]) -> None:
    talk = talking(**settings)
    usual = ("name", "description", "inputSchema")
    tools = [{key: tool[key] for key in usual} for tool in shown(talk, name)["tools"]]
    assert tools == [{key: tool[key] for key in usual} for tool in listed(talk, name)]


def test_each_tool_names_its_instance() -> None:
    talk = talking(allow_instance_management=True)
    assert {(tool["instance"], tool["name"]) for tool in shown(talk, "some")["tools"]} >= {
        ("a", "a__echo"),
        (None, "mcp.router.add"),
    }
    assert [(tool["instance"], tool["name"]) for tool in shown(talk, "one")["tools"]] == [
        ("a", "echo"),
        ("a", "drop"),
    ]


@pytest.mark.parametrize("is_counted", [False, True])
def test_tokens_are_estimates_of_what_is_shown_of_a_tool(is_counted: bool) -> None:
    talk = talking()
    if is_counted:
        assert talk.admin_asks(CountTools()).answer is True
    answer = shown(talk, "all")
    for tool in answer["tools"]:
        seen = {key: tool[key] for key in ("name", "description", "inputSchema") if tool[key]}
        assert tool["tokens"] == estimate_tokens(msgspec.json.encode(seen))
    assert answer["total_tokens"] == sum(tool["tokens"] for tool in answer["tools"])
    assert answer["total_tokens"] > 0
    assert shown(talking(), "empty") == {"tools": [], "total_tokens": 0}


@pytest.mark.parametrize("name", ["a", "direct", "router", "some*", ""])
def test_only_a_profile_is_one(name: str) -> None:
    error = talking().admin_asks(ShowProfileTools(name)).error
    available = "'all', 'some', 'empty', 'one', 'old'"
    assert error.code == INSTANCE_NOT_FOUND
    assert error.message == f"Profile not found: {name}. Available profiles: {available}"


def test_instances_that_the_asker_may_not_see_are_left_out() -> None:
    tools = shown(talking(), "all", instances=frozenset({"b"}))["tools"]
    assert [tool["name"] for tool in tools] == ["b__echo", "b__drop"]


def test_nothing_of_the_asker_stays() -> None:
    talk = talking()
    before = talk.state.clients.copy()
    shown(talk, "all")
    assert talk.state.clients == before


# --- Costs -----------------------------------------------------------------------------------

LONG = Item(
    "long",
    raw({"name": "long", "description": "Says a word. " + "And then it goes on and on. " * 20}),
)
SHORT = Item("short", raw({"name": "short", "description": "Says a word."}))
LIMITED = Principal("limited", instances=frozenset({"b"}))
BOUND = Principal("bound", profile="some")


def comes(talk: Conversation, name: str, *tools: str | Item) -> None:
    """Have an instance become ready."""
    talk.starting(name)
    talk.up(name, *tools)


def costly(**settings: Any) -> Conversation:
    """Begin a conversation with an instance of dear tools and one of cheap ones; all counted."""
    talk = Conversation(profiles=PROFILES, **settings)
    talk.configured(spec("a"), spec("b"))
    comes(talk, "a", "drop", LONG, *(f"tool_{number}" for number in range(12)))
    comes(talk, "b", "echo", SHORT)
    assert talk.admin_asks(CountTools()).answer is True
    return talk


def test_the_dearest_tools_come_first_with_what_would_be_saved() -> None:
    costs = costly().admin_asks(ShowCosts()).answer
    first, *others = costs["dearest"]
    assert len(others) == 9
    assert (first["instance"], first["tool"]) == ("a", "long")
    assert first["tokens"] == first["deny_saves"] > first["describe_saves"] > 100
    assert first["share"] == round(first["tokens"] / costs["total_tokens"], 4)
    assert {one["describe_saves"] for one in others} == {0}
    assert [(one["name"], one["tools"]) for one in costs["instances"]] == [("a", 14), ("b", 2)]
    assert sum(one["tokens"] for one in costs["instances"]) == costs["total_tokens"]


def test_one_instance_has_its_own_total() -> None:
    costs = costly().admin_asks(ShowCosts("b")).answer
    assert {one["instance"] for one in costs["dearest"]} == {"b"}
    assert costs["tools"] == {one["tool"]: one["tokens"] for one in costs["dearest"]}
    assert costs["total_tokens"] == costs["instances"][0]["tokens"]
    assert costly().admin_asks(ShowCosts("x")).error.code == INSTANCE_NOT_FOUND


def test_a_view_costs_what_its_clients_are_listed() -> None:
    talk = costly(auto_limit_tokens=100, allow_instance_management=True)
    whole = talk.admin_asks(ShowCosts()).answer
    assert whole["places"] == [None, *PROFILES]
    default, rows = (
        talk.admin_asks(ShowViewCost(None)).answer,
        {name: talk.admin_asks(ShowViewCost(name)).answer for name in PROFILES},
    )
    assert (default["kind"], default["place"]) == ("router", None)
    for name in ("all", "some", "empty", "old"):
        listed_tokens = shown(talk, name)["total_tokens"]
        assert rows[name]["listed_tokens"] == listed_tokens, name
    assert rows["all"]["tokens"] > whole["total_tokens"]  # The tools that manage instances, too.
    assert rows["old"]["listed_tokens"] != rows["old"]["tokens"] == rows["all"]["tokens"]
    assert rows["one"]["tokens"] == whole["instances"][0]["tokens"]
    assert {row["reason"] for row in rows.values()} == {None}


def test_an_auto_view_says_what_a_client_without_a_name_is_listed() -> None:
    talk = costly(view="auto", auto_limit_tokens=100)
    row = talk.admin_asks(ShowViewCost(None)).answer
    assert row["reason"] == "search: more than 100 tokens"
    assert talk.state.lone_choices == {}
    talk.settings_change(view="auto", auto_limit_tokens=10_000)
    row = talk.admin_asks(ShowViewCost(None)).answer
    assert row["reason"] == f"direct: {row['tokens']} of 10,000 tokens"
    assert row["listed_tokens"] == row["tokens"]


@pytest.mark.parametrize(
    ("principal", "instances", "places"),
    [(LIMITED, ["b"], [None]), (BOUND, ["a"], ["some"])],
)
def test_a_principal_with_limits_is_told_of_its_own(
    principal: Principal, instances: list[str], places: list[str | None]
) -> None:
    talk = costly()
    costs = talk.admin_asks(ShowCosts(), principal).answer
    assert [one["name"] for one in costs["instances"]] == instances
    assert costs["places"] == places
    assert {one["instance"] for one in costs["dearest"]} == set(instances)
    assert "drop" not in {one["tool"] for one in costs["dearest"]} or principal is LIMITED
    assert talk.admin_asks(ShowViewCost("old"), principal).error.code == INSTANCE_NOT_FOUND


def test_tools_are_counted_in_parts_and_again_when_they_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tool_costs, "MAX_BYTES_AT_ONCE", 1)
    talk = talking()
    parts = [talk.admin_asks(CountTools()).answer for _ in range(4)]
    assert parts == [False, False, False, True]
    a, b = talk.admin_asks(ShowStatus()).answer
    assert a["tokens"] == b["tokens"] > 0
    comes(talk, "a", "echo")
    assert [row["tokens"] for row in talk.admin_asks(ShowStatus()).answer] == [None, b["tokens"]]
    assert talk.admin_asks(CountTools()).answer is True
