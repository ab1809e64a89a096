"""Builds the answers to requests for lists: of tools, prompts, resources and templates.

A list is encoded once per change: the part of each instance is kept with its row, and the whole
with the instances that a view shows to a principal. A transparent view has its lists from here only
where its server's own answer will not do (`transparent_requests`).

Invariants:

- A list has one page: the router has read all pages of all servers already.
- Whatever is listed leads to the instance that it was listed for (`direct_names`, `resources`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec import Raw, Struct

from router.core.names.direct_names import direct_name
from router.core.protocol import extensions
from router.core.protocol.bridging import (
    NOT_CACHED,
    SERVER_INFO_KEY,
    tool_as_handshake,
    tool_as_stateless,
)
from router.core.protocol.own_tools import router_tools
from router.core.text.raw_json import raw_of
from router.core.views import resources
from router.core.views.instance_views import tool_view
from router.core.views.list_choice import listed_as
from router.messages.catalog import Item
from router.messages.errors import INVALID_PARAMS, RpcError
from router.messages.instances.exposure import matches_any
from router.messages.params import given, object_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from router.core.state.clients import Client
    from router.core.state.instance_table import Instances
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.core.state.views import View
    from router.messages.instances.exposure import Expose
    from router.messages.params import Params

METHODS: Final = {
    "tools": "tools/list",
    "prompts": "prompts/list",
    "resources": "resources/list",
    "templates": "resources/templates/list",
}
"""Part of a `Catalog` -> the request for it."""

_MEMBERS: Final = {
    "tools": "tools",
    "prompts": "prompts",
    "resources": "resources",
    "templates": "resourceTemplates",
}
"""Part of a `Catalog` -> the member of the result that holds it."""


def check_first_page(params: Params) -> None:
    """Check that a request for a list asks for no page but the first.

    Raises:
        RpcError: -32602, another page is asked for, and there is only one.
    """
    if given(params.members, "cursor") is not None:
        raise RpcError(INVALID_PARAMS, "params.cursor is not one of ours: the list has one page")


def result_for(state: RoutingState, client: Client, part: str) -> Raw:
    """Return the whole result of a list request, in the words of the client's era.

    Args:
        part: the part of a `Catalog`.

    Raises:
        RpcError: -32010, the view of this client is gone.
    """
    view = state.view_of(client)
    seen = view.seen_by(state.instances, client.principal)
    if view.is_direct:
        return _direct_result(state, client, view, seen, part)
    items = [item.raw for _, item in _indirect_items(state, client, view, seen, part)]
    return _encoded(state, client, part, [b",".join(items)])


def tools_for(state: RoutingState, client: Client) -> list[tuple[Instance | None, Item]]:
    """Return the tools that `result_for` lists, each with its instance; None for our own.

    Raises:
        RpcError: -32010, the view of this client is gone.
    """
    view = state.view_of(client)
    seen = view.seen_by(state.instances, client.principal)
    if not view.is_direct:
        return list(_indirect_items(state, client, view, seen, "tools"))
    rows = _direct_tools(state, client, view, seen)
    return [(row, item) for row, items, _ in rows for item in items]


def _indirect_items(
    state: RoutingState, client: Client, view: View, seen: Instances, part: str
) -> Iterator[tuple[Instance | None, Item]]:
    """Yield what a `router` or transparent view lists, in the words of the client's era."""
    rows: Iterable[tuple[Instance | None, Iterable[Item]]]
    if view.is_transparent:
        rows = [(row, _shown_items(state, view, row, part)) for row in seen]
    else:
        rows = _router_rows(state, client, view, part)
    for row, listed in rows:
        adapt = _adapter(client, row, is_transparent=view.is_transparent)
        for item in listed:
            yield row, Item(item.key, adapt(item.raw))


def _shown_items(state: RoutingState, view: View, row: Instance, part: str) -> Sequence[Item]:
    if part == "tools":
        return admitted_tools(state, view, row)
    items: tuple[Item, ...] = getattr(row.offers.catalog, part)
    return items


def admitted_tools(state: RoutingState, view: View, instance: Instance) -> Sequence[Item]:
    """Return the tools of an instance that the profile of a view shows."""
    tools = instance.offers.catalog.tools
    if view.profile.tools.admits_all:
        return tools
    limit = state.settings.name_limit
    return [item for item in tools if view.admits_tool(instance.name, item.key, limit)]


def admitted_names(state: RoutingState, view: View, instance: Instance) -> list[str]:
    """Return the names of those tools."""
    return [item.key for item in admitted_tools(state, view, instance)]


def _router_rows(
    state: RoutingState, client: Client, view: View, part: str
) -> list[tuple[Instance | None, Iterable[Item]]]:
    """Return the router's own tools, then those of the selected instance; ours win a name."""
    if part != "tools":
        return []
    rows: list[tuple[Instance | None, Iterable[Item]]] = [(None, own_items(state, client))]
    selected = selected_instance(state, client)
    if selected is not None:
        theirs = admitted_tools(state, view, selected)
        shown = [item for item in theirs if router_tools.canonical_name(item.key) is None]
        rows.append((selected, shown))
    return rows


def own_items(state: RoutingState, client: Client) -> tuple[Item, ...]:
    """Return the router's own tools as they are listed to this client in a `router` view."""
    return router_tools.items_for(state.settings, client.spelling(state.settings.tool_names))


def selected_instance(state: RoutingState, client: Client) -> Instance | None:
    """Return the instance that this client selected; None if it may not see one of that name."""
    name = client.selection.instance
    return None if name is None else state.seen_by(client).by_name.get(name)


# --- Direct views ----------------------------------------------------------------------------


def _direct_result(
    state: RoutingState, client: Client, view: View, seen: Instances, part: str
) -> Raw:
    listed = listed_as(state, client, view) if part == "tools" else "direct"
    key = (part, listed, client.is_stateless, client.spelling(state.settings.tool_names))
    made_of: list[object] = [row.offers for row in seen]
    if part == "tools":
        made_of.append(_own_in_direct(state, client, listed, seen))
    kept = seen.encoded.get(key)
    if kept is not None and kept.is_of(state.settings, made_of):
        return kept.result
    pieces = _direct_pieces(state, client, view, seen, part)
    result = _encoded(state, client, part, [piece for piece in pieces if piece])
    seen.encoded[key] = _Kept(state.settings, made_of, result)
    return result


Searched: TypeAlias = "dict[tuple[object, ...], tuple[Instances, Raw]]"
"""Lists of clients that search for tools, by the instances that they see and their words."""


def searched_tools(
    state: RoutingState, client: Client, known: Searched | None = None
) -> Raw | None:
    """Return the list of tools of a client that searches for tools; None for any other client.

    Args:
        known: is given the list, and answers in place of the same work for the next client.

    Raises:
        RpcError: -32010, the view of this client is gone.
    """
    view = state.view_of(client)
    listed = "direct" if view.expose in _NEVER_SEARCHED else listed_as(state, client, view)
    if listed == "direct":
        return None
    seen = view.seen_by(state.instances, client.principal)
    spelling = client.spelling(state.settings.tool_names)
    key = (id(seen), listed, client.is_stateless, spelling)
    known = {} if known is None else known
    if key not in known:
        # With the instances, so that no others get their id.
        known[key] = seen, _direct_result(state, client, view, seen, "tools")
    return known[key][1]


_NEVER_SEARCHED: Final = frozenset({"router", "direct", "transparent"})


class _Kept(Struct, frozen=True, eq=False):
    """A list that was encoded, with everything that it was made of."""

    settings: object
    made_of: list[object]
    result: Raw

    def is_of(self, settings: object, made_of: list[object]) -> bool:
        return settings is self.settings and resources.is_same(made_of, self.made_of)


def _direct_pieces(
    state: RoutingState, client: Client, view: View, seen: Instances, part: str
) -> list[bytes]:
    """Return the members of a list, instance by instance, each as encoded items."""
    if part in ("resources", "templates"):
        shared = resources.index_of(seen).shared
        return [_resource_piece(row, part, shared) for row in seen]
    if part == "tools":
        return [joined for _, _, joined in _direct_tools(state, client, view, seen)]
    return [_direct_items(state, client, row, part)[1] for row in seen]


def _direct_tools(
    state: RoutingState, client: Client, view: View, seen: Instances
) -> Iterator[tuple[Instance | None, Sequence[Item], bytes]]:
    """Yield the listed tools of the router (None), then of each instance, and all joined."""
    listed = listed_as(state, client, view)
    own = _own_in_direct(state, client, listed, seen)
    if own:
        yield None, own, b",".join(item.raw for item in own)
    if listed != "direct":
        for row in seen if view.profile.pinned else ():
            items = _pinned_items(state, client, view, row)
            yield row, items, b",".join(item.raw for item in items)
        return
    names = view.profile.tools
    for row in seen:
        items, joined = _direct_items(state, client, row, "tools")
        if not names.admits_all:
            items = [item for item in items if names.admits(item.key)]
            joined = b",".join(item.raw for item in items)
        yield row, items, joined


def _own_in_direct(
    state: RoutingState, client: Client, listed: Expose, seen: Instances
) -> tuple[Item, ...]:
    """Return the router's own tools in a direct view; the same object until they change."""
    settings, spelling = state.settings, client.spelling(state.settings.tool_names)
    if listed != "direct":
        from router.core.views.searched.own_items import own_items  # For start-up time.

        return own_items(settings, listed, spelling, seen)
    return router_tools.management_items(spelling) if settings.allow_instance_management else ()


def _pinned_items(state: RoutingState, client: Client, view: View, row: Instance) -> list[Item]:
    """Return the pinned tools of an instance, which are listed beside those that search."""
    names, pinned = view.profile.tools, view.profile.pinned
    shown = row.direct_names(state.settings.name_limit).items()
    wanted = {key for name, key in shown if matches_any(name, pinned) and names.admits(name)}
    found: dict[str, Item] = {}
    for item in row.offers.catalog.tools if wanted else ():
        if item.key in wanted:
            found.setdefault(item.key, item)
    return [direct_tool(state, client, row, item) for item in found.values()]


def direct_tool(state: RoutingState, client: Client, row: Instance, item: Item) -> Item:
    """Return a tool of an instance under its direct name, in the words of the client's era."""
    adapt = _adapter(client, row)
    return _renamed(row.name, item.key, adapt(item.raw), state.settings.name_limit)


def direct_prompt(state: RoutingState, row: Instance, item: Item) -> Item:
    """Return a prompt of an instance under its direct name."""
    return _renamed(row.name, item.key, item.raw, state.settings.name_limit)


def _direct_items(
    state: RoutingState, client: Client, row: Instance, part: str
) -> tuple[list[Item], bytes]:
    """Return the tools or prompts of an instance under their direct names, and all joined."""
    limit = state.settings.name_limit
    is_adapted = part == "tools"  # Only tools differ between the eras.
    key = (part, is_adapted and client.is_stateless, limit)
    kept = row.encoded.get(key)
    if kept is None:
        adapt = _adapter(client, row) if is_adapted else _unchanged
        # A server may list a name twice, and model providers refuse a request with both.
        listed: dict[str, Item] = {}
        for item in getattr(row.offers.catalog, part):
            listed.setdefault(item.key, item)
        items = [_renamed(row.name, key, adapt(item.raw), limit) for key, item in listed.items()]
        kept = row.encoded[key] = (items, b",".join(item.raw for item in items))
    return kept


def _renamed(instance: str, name: str, raw: Raw, limit: int) -> Item:
    shown = direct_name(instance, name, limit)
    members = object_of(raw, "an item") | {"name": raw_of(shown)}
    return Item(shown, raw_of(extensions.with_shown_uris(instance, members)))


MAX_PIECES: Final = 8
"""Encoded lists of resources that are kept for one instance. There is one for each set of URIs that
it shares with others, and the others choose what they list."""


def _resource_piece(row: Instance, part: str, shared: frozenset[str]) -> bytes:
    """Return the resources or templates of an instance, joined.

    Args:
        shared: the URIs and templates that other instances list as well.
    """
    listed: tuple[Item, ...] = getattr(row.offers.catalog, part)
    own_shared = shared and shared.intersection(item.key for item in listed)
    of_part: dict[frozenset[str], bytes] = row.encoded.setdefault(part, {})
    kept = of_part.get(own_shared)
    if kept is None:
        if len(of_part) >= MAX_PIECES:
            del of_part[next(iter(of_part))]
        show = resources.shown_template if part == "templates" else resources.shown_uri
        shown = ((item, show(row.name, item.key, own_shared)) for item in listed)
        pieces = [_with_uri(item, uri, part) for item, uri in shown]
        kept = of_part[own_shared] = b",".join(pieces)
    return kept


def _with_uri(item: Item, shown: str, part: str) -> Raw:
    if shown == item.key:
        return item.raw
    member = "uriTemplate" if part == "templates" else "uri"
    return raw_of(object_of(item.raw) | {member: raw_of(shown)})


def direct_tools_for(state: RoutingState, client: Client, instance: Instance) -> list[Any]:
    """Return the tools of an instance under their direct names, for the answer to `use`.

    Each is an object of name, description and input schema, in the words of the client's revision.
    """
    items, _ = _direct_items(state, client, instance, "tools")
    names = state.view_of(client).profile.tools
    return [tool_view(item) for item in items if names.admits(item.key)]


# --- Words of an era -------------------------------------------------------------------------


def _unchanged(item: Raw) -> Raw:
    return item


def _adapter(
    client: Client, row: Instance | None, *, is_transparent: bool = False
) -> Callable[[Raw], Raw]:
    """Return the function that puts a tool of this instance into the words of a client's era.

    In a transparent view a schema keeps what it says of headers: the listener compares those.
    """
    if client.is_stateless:
        return _unchanged if is_transparent else tool_as_stateless
    is_of_stateless = row is not None and row.has_stateless_server
    return tool_as_handshake if is_of_stateless else _unchanged


def _encoded(state: RoutingState, client: Client, part: str, pieces: list[bytes]) -> Raw:
    """Return the result with these members, each some encoded items."""
    end = b"]}"
    if client.is_stateless:
        info = router_tools.server_info(state.settings)
        more = NOT_CACHED | {"resultType": "complete", "_meta": {SERVER_INFO_KEY: info}}
        end = b"]," + bytes(raw_of(more))[1:]
    items = b",".join(filter(None, pieces))
    return Raw(b"".join((b'{"', _MEMBERS[part].encode(), b'":[', items, end)))
