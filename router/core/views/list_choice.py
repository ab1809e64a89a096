"""Chooses which list of tools a client of a view with direct names gets.

In an `auto` view that is the whole list where it costs a model little, or where the client searches
by itself, and the tools that search everywhere else.

Invariants:

- A session keeps its choice, whatever changes meanwhile. Only "direct" that was chosen while some
  instances had never been listed is chosen anew, until all have been.
- Nothing is chosen before it is known which instances there are, as during a handshake at start.
- A request without a session has a choice of its own; a call needs none.
"""

from __future__ import annotations

import logging
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from router.core.records.session_records import name_and_version
from router.core.state.views import ListChoice
from router.core.text.raw_json import is_object, optional_text_of
from router.core.text.sentences import cut_to_one_line
from router.messages.effects import LogLine
from router.messages.params import object_of

if TYPE_CHECKING:
    from router.core.state.clients import Client
    from router.core.state.instance_table import Instances
    from router.core.state.routing_state import RoutingState
    from router.core.state.views import View
    from router.messages.commands import Principal
    from router.messages.instances.exposure import Expose

MAX_LONE: Final = 100
"""Choices for clients without sessions that are kept; each request can name another client."""

MAX_SHOWN: Final = 100
"""Different choices that are shown."""

NO_NAME: Final = "a client without a name"
"""Stands in reasons and in the log for the name that a client did not give."""


def listed_as(state: RoutingState, client: Client, view: View) -> Expose:
    """Return the kind of list of tools: "direct", "search" or "code".

    Args:
        state: the state.
        client: the client.
        view: the client's; it is direct (`View.is_direct`).
    """
    if view.expose == "code" and not state.settings.can_run_code:
        return "search"
    if view.expose != "auto":
        return view.expose
    kept = client.list_choice
    if kept is not None and kept.is_final:
        return kept.kind
    if not state.are_instances_known:
        return "direct"
    choice = _choose(state, client, view)
    if client.id not in state.clients:
        return choice.kind  # A stand-in: somebody asks what a client would get.
    if client.is_for_one_request:
        _note_lone(state, client, choice)
    elif client.has_initialized:
        if kept is None or kept.kind != choice.kind:
            _log(state, choice)
        client.list_choice = choice
    return choice.kind


def may_search_later(state: RoutingState, client: Client, view: View) -> bool:
    """Return whether it is open if a client that is listed all tools now will search them later."""
    choice = client.list_choice
    is_open = choice is not None and not choice.is_final
    return view.expose == "auto" and (is_open or not state.are_instances_known)


def choice_for_anybody(
    state: RoutingState, view: View, seen: Instances, place: str | None
) -> ListChoice:
    """Return the choice for a client of which nothing is known but its place.

    Args:
        state: the state.
        view: the view of the place.
        seen: the instances that it shows to the client's principal.
        place: the place; None for the default view.
    """
    return _choice(state, view, seen, NO_NAME, place, searches=False)


def _choose(state: RoutingState, client: Client, view: View) -> ListChoice:
    # For start-up time: no other view needs them.
    from router.core.names.searching_clients import searches_by_itself

    info = object_of(client.info) if is_object(client.info) else {}
    name, version = (optional_text_of(info, key) for key in ("name", "version"))
    searches = searches_by_itself(name, version)
    # What a client calls itself may be anything, also several lines.
    who = cut_to_one_line(name_and_version(client.info)) or NO_NAME
    where = client.place or client.principal.profile
    seen = view.seen_by(state.instances, client.principal)
    return _choice(state, view, seen, who, where, searches=searches)


def _choice(
    state: RoutingState,
    view: View,
    seen: Instances,
    who: str,
    place: str | None,
    *,
    searches: bool,
) -> ListChoice:
    """Return the choice by what the whole list costs.

    Args:
        state: the state.
        view: the client's.
        seen: the instances that it shows to the client's principal.
        who: name and version of the client.
        place: the place of the view; None for the default one.
        searches: True if the client searches for tools by itself.
    """
    # For start-up time, as above.
    from router.core.costs.tool_costs import list_cost

    limit = state.settings.auto_limit_tokens
    cost = list_cost(state, view, seen, limit)
    if cost.is_beyond and searches:
        return ListChoice("direct", f"{who} searches by itself", True, who, place)
    if cost.is_beyond:
        return ListChoice("search", f"more than {limit:,} tokens", True, who, place)
    reason = f"{cost.tokens:,} of {limit:,} tokens"
    unknown = 0 if searches else sum(row.known is None and row.may_run for row in seen)
    if unknown:
        servers = "a server has" if unknown == 1 else f"{unknown} servers have"
        reason = f"{reason} so far: {servers} yet to be listed"
    return ListChoice("direct", reason, not unknown, who, place)


def _log(state: RoutingState, choice: ListChoice, level: int = logging.INFO) -> None:
    place = choice.place
    where = "the default view" if place is None else f"the view '{cut_to_one_line(place)}'"
    line = f"{choice.client}, at {where}: {choice.kind}: {choice.reason}"
    state.effects.append(LogLine(level, line, instance=""))


# --- What was chosen -------------------------------------------------------------------------


def _note_lone(state: RoutingState, client: Client, choice: ListChoice) -> None:
    """Note the choice for a client without a session, and log it if it is news."""
    chosen, key = state.lone_choices, (choice.place, choice.client, client.principal.name)
    before = chosen.pop(key, None)
    is_full = len(chosen) >= MAX_LONE
    if is_full:
        del chosen[next(iter(chosen))]
    chosen[key] = choice
    if before is None or before.kind != choice.kind:
        _log(state, choice, logging.DEBUG if is_full else logging.INFO)


def choices_shown_to(state: RoutingState, principal: Principal) -> list[dict[str, Any]]:
    """Return a row for each different choice at places that are `auto`, the most sessions first.

    A principal with limits sees those of its own sessions only. A client without sessions counts
    none.
    """
    is_limited = principal.instances is not None or principal.profile is not None
    sessions = Counter[ListChoice]()
    for (_, _, name), choice in reversed(state.lone_choices.items()):
        if not is_limited or name == principal.name:
            sessions[choice] += 0
    for client in state.clients.values():
        choice = client.list_choice
        if choice is not None and (not is_limited or client.principal.name == principal.name):
            sessions[choice] += 1
    held = (row for row in sessions.most_common() if _is_auto(state, row[0].place))
    return [
        {
            "place": choice.place,
            "client": choice.client,
            "kind": choice.kind,
            "reason": choice.reason,
            "sessions": count,
        }
        for choice, count in islice(held, MAX_SHOWN)
    ]


def _is_auto(state: RoutingState, place: str | None) -> bool:
    """Return whether choices hold at a place: its view may have become another one."""
    view = state.views.find(place, state.settings, state.instances)
    return view is not None and view.expose == "auto"
