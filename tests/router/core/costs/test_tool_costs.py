"""Counting the tokens of tools: what is counted, how often, and how much at once."""

from typing import Any

import pytest

from router.core.costs import tool_costs
from router.core.costs.tool_costs import costs_of, count_tools, list_cost, tokens_of
from router.core.text.token_estimates import estimate_tokens
from router.messages.catalog import Item
from router.messages.commands import ShowCosts, ShowViewCost
from router.messages.instances.exposure import Profile
from tests.router.core.conversation import Conversation, raw

NAMES = tuple(f"tool_{number}" for number in range(5))


def item(**members: Any) -> Item:
    return Item("t", raw({"name": "t", **members}))


def talking(**settings: Any) -> Conversation:
    talk = Conversation(**{"view": "direct"} | settings)
    talk.with_upstreams("a", tools=NAMES)
    return talk


def cost_of(talk: Conversation, most: int | None = None) -> tool_costs.ListCost:
    state = talk.state
    client = state.clients[talk.client().id]
    view = state.view_of(client)
    return list_cost(state, view, view.seen_by(state.instances, client.principal), most)


def test_a_tool_costs_its_name_description_and_input_schema() -> None:
    schema = {"type": "object", "properties": {"path": {"type": "string"}}}
    full = item(description="Reads.", inputSchema=schema, outputSchema=schema, title="A title")
    seen = {"name": "a__t", "description": "Reads.", "inputSchema": schema}
    assert tokens_of(full, "a__t") == estimate_tokens(raw(seen))
    bare = {"name": "a__t", "inputSchema": {}}
    assert tokens_of(item(), "a__t") == estimate_tokens(raw(bare))


def test_a_tool_that_is_listed_twice_is_counted_once() -> None:
    talk = Conversation(view="direct")
    twice = item(description="Reads.")
    talk.with_instance("a", twice, twice)
    assert count_tools(talk.state, talk.state.instances)
    costs = costs_of(talk.state.instances.by_name["a"], 48)
    assert list(costs.by_name) == ["t"]
    assert costs.total == costs.by_name["t"]
    view = talk.admin_asks(ShowViewCost(None)).answer
    assert view["tools"] == 1
    assert view["tokens"] == costs.total
    shown = talk.admin_asks(ShowCosts()).answer
    assert (shown["total_tokens"], len(shown["dearest"])) == (costs.total, 1)


def test_counts_are_kept_until_the_list_or_the_limit_of_names_changes() -> None:
    talk = talking()
    row = talk.state.instances.by_name["a"]
    assert count_tools(talk.state, talk.state.instances)
    kept = costs_of(row, 48)
    assert (kept.is_whole, costs_of(row, 48)) == (True, kept)
    assert not costs_of(row, 20).is_whole
    talk.down("a")
    talk.starting("a")
    talk.up("a", *NAMES, "one_more")
    assert not costs_of(row, 48).is_whole


def test_a_list_is_summed_up_once_until_an_instance_lists_something_else() -> None:
    talk = talking()
    first = cost_of(talk)
    assert (first.tools, first.is_beyond) == (5, False)
    assert cost_of(talk) is first
    talk.down("a")
    talk.starting("a")
    talk.up("a", *NAMES, "one_more")
    second = cost_of(talk)
    assert second.tools == 6
    talk.settings_change(view="direct")
    assert cost_of(talk) is not second


def test_counting_stops_beyond_the_limit() -> None:
    talk = talking()
    cost = cost_of(talk, 1)
    assert (cost.is_beyond, cost.tools) == (True, 1)
    assert len(costs_of(talk.state.instances.by_name["a"], 48).by_name) == 1


def test_tools_that_are_not_counted_yet_are_taken_for_average_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    talk = talking()
    monkeypatch.setattr(tool_costs, "MAX_BYTES_AT_ONCE", 1)
    rough = [cost_of(talk) for _ in NAMES]
    monkeypatch.undo()
    exact = cost_of(talk)
    assert all(0.5 < one.tokens / exact.tokens < 2 for one in rough)
    assert rough[-1].tokens == exact.tokens
    assert rough[0] is not rough[1]


@pytest.mark.parametrize(("tool_names", "name"), [("dotted", "mcp.router.add"), ("auto", "")])
def test_the_tools_that_manage_instances_are_in_a_direct_list(tool_names: str, name: str) -> None:
    settings = {"tool_names": tool_names, "allow_instance_management": True}
    talk = talking(**settings, profiles={"one": Profile("transparent", ("a",))})
    assert cost_of(talk).tools == 9
    assert not name or name in talk.client().lists()
    state = talk.state
    client = state.clients[talk.client(view="one").id]
    view = state.view_of(client)
    seen = view.seen_by(state.instances, client.principal)
    assert list_cost(state, view, seen, None).tools == 5
