"""Carries out `mcp.router.search`: asks the search index, and answers when it has searched.

Invariants:

- A search that was begun gets exactly one answer, unless its client cancelled it or is gone.
- Nothing is shown that the client's view does not admit when the answer is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.core.calls import forwarding
from router.core.names.exposed_catalog import NOTHING
from router.core.peers.feature_requests import start_for_lists
from router.core.peers.own_tools import found_items
from router.core.peers.own_tools.showing import lists_or_park
from router.core.protocol.own_tools import search_tools
from router.core.protocol.own_tools.router_tools import DESCRIBE, spelled, text_result_of
from router.core.state.instances import InstanceState
from router.core.state.waiting.searches import Search
from router.core.views.searched import index_feed
from router.messages.errors import OVERLOADED, RpcError
from router.messages.own_tools.search import SearchTools
from router.messages.params import given

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from router.core.state.clients import Client, ClientRequest
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.messages.own_tools.search import ToolsFound

MAX_SEARCHING: Final = 256
MAX_SEARCHING_OF_PRINCIPAL: Final = 64
"""Searches that may wait for the index, of all and of one principal, which so leaves room for
others; each takes it less than a millisecond, as a rule."""

MAX_SCHEMA_BYTES: Final = 8192
"""Of the schema that comes with a result; a larger one is left to `mcp.router.describe`."""

_LISTS: Final = {"tool": "tools", "prompt": "prompts", "resource": "resources"}
"""Kind -> the member of the answer that has the results."""


def search(state: RoutingState, request: ClientRequest) -> None:
    """Have something searched; the request is answered after that.

    Raises:
        RpcError: -32010, there is no such instance; -32013, it will not be ready soon, or the
            router is stopping; -32015, too many searches wait; -32602, an argument is wrong.
    """
    asked = search_tools.search_arguments_of(given(request.params.members, "arguments"))
    client = request.client
    sight = state.sight_of(client)
    rows: Iterable[Instance] = sight.seen
    if asked.instance is not None:
        instance = sight.seen.find(asked.instance)
        is_known = instance.offers is not NOTHING
        if not is_known and not lists_or_park(state, request, instance):
            return
        rows = (instance,)
    forwarding.check_not_draining(state)
    searches = state.searches
    _check_room(searches.waiting.values(), client.principal.name)
    start_for_lists(state, client)
    addresses = index_feed.bring_up_to_date(state, rows)
    key = state.next_key()
    waiting = Search(request, asked.kind, asked.limit, addresses)
    searches.waiting[key] = client.awaited[request.id] = waiting
    names = sight.view.profile.tools
    effect = SearchTools(key, asked.query, addresses, names, asked.kind, asked.limit)
    state.effects.append(effect)


def _check_room(waiting: Collection[Search], principal: str) -> None:
    """Check that another search may wait.

    Raises:
        RpcError: -32015, too many do.
    """
    of_principal = sum(one.request.client.principal.name == principal for one in waiting)
    if len(waiting) >= MAX_SEARCHING or of_principal >= MAX_SEARCHING_OF_PRINCIPAL:
        raise RpcError(OVERLOADED, "Too many searches wait for their results; try again")


def tools_found(state: RoutingState, event: ToolsFound) -> None:
    """Answer the request behind a search, if it still waits."""
    search = state.searches.waiting.pop(event.key, None)
    if search is None or not state.is_awaited(search):
        return
    request = search.request
    del request.client.awaited[request.id]
    try:
        if event.problem is not None:
            raise event.problem
        value = _answer_to(state, search, event)
    except RpcError as error:
        forwarding.refuse(state, request, error)
        return
    forwarding.answer(state, request, text_result_of(value))


def _answer_to(state: RoutingState, search: Search, event: ToolsFound) -> dict[str, Any]:
    client, kind = search.request.client, search.kind
    shown = found_items.shown(state, client, event.found[: search.limit])
    value: dict[str, Any] = {
        "found": f"{len(shown)} of {event.total:,} {_LISTS[kind]}",
        _LISTS[kind]: [found_items.in_brief(each) for each in shown],
    }
    if not shown:
        other_words = "Try other words for what is to be done, in English if these were not."
        value["hint"] = other_words if event.total else f"No {_LISTS[kind]} are known."
    elif kind == "tool" and event.is_clear and shown[0].found is event.found[0]:
        schema = found_items.schema_of(state, client, shown[0], MAX_SCHEMA_BYTES)
        if schema is not None:
            value["schema"] = schema
        else:
            describe = spelled(DESCRIBE, client.spelling(state.settings.tool_names))
            value["hint"] = f"The schema of the first is long; {describe} shows it."
    starting = _still_starting(state, client)
    if starting:
        value["hint"] = f"{value['hint']} {starting}" if "hint" in value else starting
    return value


def _still_starting(state: RoutingState, client: Client) -> str:
    """Return a sentence about the servers that cannot be searched yet; empty if there is none."""
    awaited = [
        row.name
        for row in state.seen_by(client)
        if row.offers is NOTHING and row.state is InstanceState.STARTING
    ]
    names = ", ".join(awaited[:_MAX_AWAITED]) + (", …" if len(awaited) > _MAX_AWAITED else "")
    return f"Search again in some seconds; still starting: {names}." if awaited else ""


_MAX_AWAITED: Final = 20
