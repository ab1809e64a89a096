"""Carries out `mcp.router.describe`: shows tools, prompts and resources in full, by their names.

Invariants:

- The answer is within `server.help_limit_bytes`, but for the names that were left out and the
  reasons; a note says how to get the rest.
- A server's instructions are shown with its tools, unless they wait for approval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.core.calls import forwarding
from router.core.names.exposed_catalog import NOTHING
from router.core.peers import feature_requests
from router.core.peers.own_tools.showing import lists_or_park
from router.core.protocol.own_tools import search_tools
from router.core.protocol.own_tools.router_tools import compact, text_result_of
from router.core.protocol.server_features import MAX_OF_SERVER_CHARS
from router.core.text.raw_json import optional_text_of, raw_of
from router.core.text.sentences import cut_to
from router.core.views import listings, resources
from router.core.views.instance_views import instructions
from router.core.views.unknown_tools import unknown_tool
from router.messages.errors import RpcError
from router.messages.params import given, object_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.core.state.clients import Client, ClientRequest, Members
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.messages.catalog import Item

_OF_TOOL: Final = (
    "name",
    "title",
    "description",
    "inputSchema",
    "outputSchema",
    "annotations",
)
_OF_PROMPT: Final = ("name", "title", "description", "arguments")
_OF_RESOURCE: Final = ("uri", "uriTemplate", "name", "title", "description", "mimeType", "size")

_MAX_SUGGESTIONS: Final = 2
"""Unknown names for which the nearest ones are sought; each may hold up all calls for 20 ms."""

_LEFT_OUT_FIRST: Final = (
    "outputSchema",
    "annotations",
    "inputSchema",
    "arguments",
    "title",
    "mimeType",
    "size",
)
_CUT: Final = ("description", "name")
"""Members without which, and those cut to which, even the longest tool has room."""

_BYTES_A_CHARACTER: Final = 8
"""As JSON, at most; with room for the other members."""


def describe(state: RoutingState, request: ClientRequest) -> None:
    """Answer `mcp.router.describe`.

    Raises:
        RpcError: -32013, an instance whose lists are to be shown will not be ready soon, or the
            router is stopping; -32602, an argument is wrong.
    """
    names = search_tools.described_names_of(given(request.params.members, "arguments"))
    client = request.client
    found: list[tuple[str, Instance, Members]] = []
    unknown: list[str] = []
    for name in names:
        awaited = _awaited_owner(state, client, name)
        if awaited is not None and not lists_or_park(state, request, awaited):
            return
        try:
            suggests = len(unknown) < _MAX_SUGGESTIONS
            found.append((name, *_members_of(state, client, name, suggests=suggests)))
        except RpcError as error:
            about = "" if name in error.message else f": {name}"
            unknown.append(error.message + about)
    value = _as_far_as_it_fits(found, state.settings.help_limit_bytes)
    if unknown:
        value["unknown"] = unknown
    forwarding.answer(state, request, text_result_of(value))


# --- By name ---------------------------------------------------------------------------------


def _awaited_owner(state: RoutingState, client: Client, name: str) -> Instance | None:
    """Return the instance that has to be ready before one can tell whether a name is known."""
    limit = state.settings.name_limit
    owner = state.seen_by(client).find_awaited_owner(name, limit)
    is_awaited = owner is not None and owner.offers is NOTHING and owner.may_become_ready()
    return owner if is_awaited else None


def _members_of(
    state: RoutingState, client: Client, name: str, *, suggests: bool
) -> tuple[Instance, Members]:
    """Return the instance of a tool, prompt or resource, and the members that are shown.

    Args:
        suggests: see `unknown_tool`.

    Raises:
        RpcError: there is nothing of this name.
    """
    sight, limit = state.sight_of(client), state.settings.name_limit
    tool = sight.seen.find_direct(name, limit)
    if tool is not None and sight.view.admits_tool(tool[0].name, tool[1], limit):
        row, key = tool
        item = _item_in(row.offers.catalog.tools, key)
        return row, _chosen(listings.direct_tool(state, client, row, item), _OF_TOOL)
    prompt = sight.seen.find_direct(name, limit, "prompts")
    if prompt is not None:
        row, key = prompt
        item = _item_in(row.offers.catalog.prompts, key)
        return row, _chosen(listings.direct_prompt(state, row, item), _OF_PROMPT)
    if _URI_MARK in name:
        return _resource(state, client, name)
    raise unknown_tool(state, client, name, suggests=suggests)


_URI_MARK: Final = ":"
"""Stands in each URI, and in no direct name."""


def _resource(state: RoutingState, client: Client, uri: str) -> tuple[Instance, Members]:
    row, own = feature_requests.find_resource(state, client, uri)
    catalog = row.offers.catalog
    for member, items in (("uri", catalog.resources), ("uriTemplate", catalog.templates)):
        for item in items:
            if item.key == own:
                return row, _chosen(item, _OF_RESOURCE) | {member: raw_of(uri)}
    raise resources.not_found(uri)


def _item_in(items: Iterable[Item], key: str) -> Item:
    return next(item for item in items if item.key == key)


def _chosen(item: Item, keys: tuple[str, ...]) -> Members:
    members = object_of(item.raw, "an item")
    return {key: members[key] for key in keys if key in members}


# --- As far as it fits -----------------------------------------------------------------------


def _as_far_as_it_fits(
    found: list[tuple[str, Instance, Members]], limit_bytes: int
) -> dict[str, Any]:
    """Return what was found, one after the other up to the limit, and a note about the rest."""
    room = limit_bytes
    shown: list[Members] = []
    left_out: list[str] = []
    notes: list[str] = []
    for name, _, members in found:
        size_bytes = len(compact(members))
        if not shown and size_bytes > room:
            members, why = _shortened(name, members, limit_bytes, size_bytes)
            size_bytes = len(compact(members))
            notes.append(why)
        if left_out or size_bytes > room:
            left_out.append(name)
        else:
            shown.append(members)
            room -= size_bytes
    value: dict[str, Any] = {"tools": shown}
    texts = _instructions_of((row for _, row, _ in found), room)
    if texts:
        value["instructions"] = texts
    if left_out:
        notes.append(
            f"The answer would have more than {limit_bytes:,} bytes (server.help_limit_bytes). "
            f"Ask again for: {', '.join(left_out)}"
        )
    if notes:
        value["note"] = " ".join(notes)
    return value


def _shortened(
    name: str, members: Members, limit_bytes: int, size_bytes: int
) -> tuple[Members, str]:
    """Return something without the members that take most, and a sentence that says so."""
    kept, dropped = members, list[str]()
    for key in _LEFT_OUT_FIRST:
        if key in kept and len(compact(kept)) > limit_bytes:
            kept = {other: raw for other, raw in kept.items() if other != key}
            dropped.append(key)
    why = (
        f"{name} has {size_bytes:,} bytes in full, more than {limit_bytes:,} "
        f"(server.help_limit_bytes), and is shown without: {', '.join(dropped) or 'its end'}."
    )
    for key in _CUT:
        if key in kept and len(compact(kept)) > limit_bytes:
            text = optional_text_of(kept, key) or ""
            kept = kept | {key: raw_of(cut_to(text, limit_bytes // _BYTES_A_CHARACTER))}
    return kept, why


def _instructions_of(rows: Iterable[Instance], room: int) -> dict[str, str]:
    """Return what the servers say about using their tools, as far as there is room for it."""
    texts: dict[str, str] = {}
    for row in rows:
        said = (instructions(row) or "").strip()
        text = cut_to(said, MAX_OF_SERVER_CHARS)
        size_bytes = len(compact({row.name: text}))
        if text and row.name not in texts and size_bytes <= room:
            texts[row.name] = text
            room -= size_bytes
    return texts
