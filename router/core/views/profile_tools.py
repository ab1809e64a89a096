"""Shows what clients would be listed, and about how many tokens that costs a model.

The REST API asks for it piece by piece (`CountTools` first), so that no other request waits long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.core.costs import tool_costs
from router.core.state.clients import Client
from router.core.text.raw_json import optional_text_of
from router.core.text.sentences import first_sentence
from router.core.text.token_estimates import estimate_tokens
from router.core.views import instance_views, listings
from router.core.views.list_choice import choice_for_anybody, choices_shown_to, listed_as
from router.messages.commands import ShowCosts, ShowProfileTools, ShowViewCost, ShowViews
from router.messages.errors import INSTANCE_NOT_FOUND, RpcError
from router.messages.params import object_of
from router.messages.revisions import LATEST_HANDSHAKE_REVISION

if TYPE_CHECKING:
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.core.state.views import View
    from router.messages.catalog import Item
    from router.messages.commands import Principal
    from router.messages.events import AdminCommand

DEAREST: Final = 10
"""Tools that are named, those with the most tokens."""


def profile_tools(state: RoutingState, event: AdminCommand, name: str) -> dict[str, Any]:
    """Return the answer to `ShowProfileTools`: the very list that a client would get.

    It is that of the last handshake revision, for a client without a name.

    Raises:
        RpcError: -32010, there is no such profile.
    """
    _check_profile(state, name)
    client = _stand_in(state, event, name)
    is_direct = state.view_of(client).is_direct
    tools: list[dict[str, Any]] = []
    for row, item in listings.tools_for(state, client):
        tool = instance_views.tool_view(item)
        instance = None if row is None else row.name
        tokens = _tokens(state, row if is_direct else None, item)
        tools.append(tool | {"instance": instance, "tokens": tokens})
    return {"tools": tools, "total_tokens": sum(tool["tokens"] for tool in tools)}


def _tokens(state: RoutingState, row: Instance | None, item: Item) -> int:
    """Return the tokens of a listed tool; those of a row are counted already, as a rule.

    Args:
        state: the state.
        row: the row under whose direct name the tool is listed; None if it has none.
        item: the tool, as it is listed.
    """
    limit, counted = state.settings.name_limit, None
    if row is not None:
        own = row.direct_names(limit).get(item.key, "")
        counted = tool_costs.costs_of(row, limit).by_name.get(own)
    return tool_costs.tokens_of(item, item.key) if counted is None else counted


def _check_profile(state: RoutingState, name: str) -> None:
    profiles = state.settings.profiles
    if name not in profiles:
        available = ", ".join(f"'{each}'" for each in profiles) or "none"
        problem = f"Profile not found: {name}. Available profiles: {available}"
        raise RpcError(INSTANCE_NOT_FOUND, problem)


def _stand_in(state: RoutingState, event: AdminCommand, place: str | None) -> Client:
    """Return a client at a place, on behalf of whoever sent a command."""
    return Client(
        f"command-{state.next_key()}",
        event.reply_to,
        event.principal,
        one_shot=True,
        place=place,
        revision=LATEST_HANDSHAKE_REVISION,
    )


# --- Costs -----------------------------------------------------------------------------------


def costs(state: RoutingState, principal: Principal, instance: str | None) -> dict[str, Any]:
    """Return the answer to `ShowCosts`.

    Raises:
        RpcError: -32010, there is no such instance.
    """
    seen, limit = state.shown_to(principal), state.settings.name_limit
    rows = list(seen) if instance is None else [seen.find(instance)]
    view = state.view_of_sender(principal)
    counted: list[tuple[int, Instance, Item]] = []
    instances: list[dict[str, Any]] = []
    for row in rows:
        by_name = tool_costs.costs_of(row, limit).by_name
        items = () if view is None else listings.admitted_tools(state, view, row)
        once = {item.key: item for item in items if item.key in by_name}
        tools = [(by_name[key], row, item) for key, item in once.items()]
        counted += tools
        tokens = sum(tokens for tokens, *_ in tools)
        instances.append({"name": row.name, "tools": len(tools), "tokens": tokens})
    total = sum(tokens for tokens, *_ in counted)
    counted.sort(key=lambda one: -one[0])
    every = {} if instance is None else {"tools": {item.key: cost for cost, _, item in counted}}
    return every | {
        "total_tokens": total,
        "limit_tokens": state.settings.auto_limit_tokens,
        "instances": sorted(instances, key=lambda one: -one["tokens"]),
        "dearest": [_dear(*one, total) for one in counted[:DEAREST]],
        "places": _places(state, principal),
    }


def _dear(tokens: int, row: Instance, item: Item, total: int) -> dict[str, Any]:
    return {
        "instance": row.name,
        "tool": item.key,
        "tokens": tokens,
        "share": round(tokens / total, 4) if total else 0.0,
        "deny_saves": tokens,
        "describe_saves": _beyond_first_sentence(item),
    }


def _beyond_first_sentence(item: Item) -> int:
    """Return the tokens that a tool's description takes after its first sentence."""
    text = optional_text_of(object_of(item.raw, "tool"), "description") or ""
    return max(0, estimate_tokens(text.encode()) - estimate_tokens(first_sentence(text).encode()))


def _places(state: RoutingState, principal: Principal) -> list[str | None]:
    """Return the places whose views a principal is told of; None is the default one.

    All profiles are a matter of those alone who may see everything.
    """
    if principal.profile is not None:
        return [principal.profile]
    return [None] if principal.instances is not None else [None, *state.settings.profiles]


def view_cost(state: RoutingState, event: AdminCommand, place: str | None) -> dict[str, Any]:
    """Return the answer to `ShowViewCost`.

    Raises:
        RpcError: -32010, there is no such place among those that `costs` names.
    """
    view = None
    if place in _places(state, event.principal):
        view = state.views.find(place, state.settings, state.instances)
    if view is None:
        raise RpcError(INSTANCE_NOT_FOUND, f"View not found: {place or state.settings.view}")
    seen = view.seen_by(state.instances, event.principal)
    whole = tool_costs.list_cost(state, view, seen, None)
    row = {
        "place": place,
        "kind": view.expose,
        "tools": whole.tools,
        "tokens": whole.tokens,
        "listed_tokens": whole.tokens,
        "reason": None,
    }
    if view.expose == "auto":
        choice = choice_for_anybody(state, view, seen, place)
        row["reason"] = f"{choice.kind}: {choice.reason}"
    client = _stand_in(state, event, place)
    if _lists_few(state, client, view):
        listed = listings.tools_for(state, client)
        row["listed_tokens"] = sum(tool_costs.tokens_of(item, item.key) for _, item in listed)
    return row


def _lists_few(state: RoutingState, client: Client, view: View) -> bool:
    """Return whether a view lists other tools than all of its instances'."""
    if view.is_transparent:
        return False
    return not view.is_direct or listed_as(state, client, view) != "direct"


def answer(state: RoutingState, event: AdminCommand) -> Any:
    """Return the answer to `ShowProfileTools` or one of `COST_COMMANDS`.

    Raises:
        RpcError: -32010, what it names is not there.
    """
    match event.what:
        case ShowProfileTools(name):
            return profile_tools(state, event, name)
        case ShowCosts(instance):
            return costs(state, event.principal, instance)
        case ShowViewCost(place):
            return view_cost(state, event, place)
        case ShowViews():
            return choices_shown_to(state, event.principal)
        case _:
            return tool_costs.count_tools(state, state.shown_to(event.principal))
