"""Shows what a search has found: a sentence and a signature for each tool, prompt or resource.

Invariant: what the client's view does not admit, or is not there any more, is not shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from router.core.names.direct_names import SEPARATOR, direct_name
from router.core.protocol.own_tools.router_tools import compact
from router.core.text.raw_json import EMPTY_OBJECT, optional_text_of
from router.core.text.sentences import cut_to_one_line, first_sentence
from router.core.text.signatures import prompt_signature, signature
from router.core.views import listings, resources
from router.core.views.searched import index_feed
from router.messages.params import given, object_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from msgspec import Raw

    from router.core.state.clients import Client
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.core.state.views import Sight
    from router.messages.catalog import Item
    from router.messages.own_tools.search import Found


class FoundItem(Struct, frozen=True, eq=False):
    """Something that was found, and is there still.

    Attributes:
        found: the result of the search.
        row: the row that offers it.
        item: as the server describes it.
        name: the name, or the URI, by which the client can use it.
        is_template: True if it is a template of resources.
    """

    found: Found
    row: Instance
    item: Item
    name: str
    is_template: bool = False


def shown(state: RoutingState, client: Client, results: Sequence[Found]) -> list[FoundItem]:
    """Return those results that this client may see, in their order.

    Raises:
        RpcError: -32010, the view of this client is gone.
    """
    sight = state.sight_of(client)
    rows = {index_feed.address_of(row): row for row in sight.seen}
    wanted: dict[str, set[str]] = {}
    for one in results:
        if one.row in rows:
            wanted.setdefault(one.row, set()).add(one.key)
    # One walk over the lists of a row, which may be long, for all of its results.
    listed = {address: _items(rows[address], keys) for address, keys in wanted.items()}
    items = (
        _shown(state, sight, one, rows[one.row], listed[one.row])
        for one in results
        if one.row in rows
    )
    return [item for item in items if item is not None]


def _shown(
    state: RoutingState, sight: Sight, found: Found, row: Instance, listed: _Items
) -> FoundItem | None:
    """Return a result as this client sees it; None if it may not, or if it is gone."""
    limit, key = state.settings.name_limit, found.key
    item = listed.get((found.kind, key))
    if found.kind != "resource":
        is_admitted = found.kind == "prompt" or sight.view.admits_tool(row.name, key, limit)
        name = direct_name(row.name, key, limit)
        return FoundItem(found, row, item, name) if item is not None and is_admitted else None
    shared = resources.index_of(sight.seen).shared
    if item is not None:
        return FoundItem(found, row, item, resources.shown_uri(row.name, key, shared))
    template = listed.get(("template", key))
    if template is None:
        return None
    uri = resources.shown_template(row.name, key, shared)
    return FoundItem(found, row, template, uri, is_template=True)


_Items: TypeAlias = "dict[tuple[str, str], Item]"
"""The kind and the name, or URI, of something -> as its server describes it."""


def _items(row: Instance, keys: Iterable[str]) -> _Items:
    """Return the items of these names and URIs, by kind and key; of equal ones the first."""
    catalog, wanted = row.offers.catalog, frozenset(keys)
    found: _Items = {}
    for kind, items in (
        ("tool", catalog.tools),
        ("prompt", catalog.prompts),
        ("resource", catalog.resources),
        ("template", catalog.templates),
    ):
        for item in items:
            if item.key in wanted:
                found.setdefault((kind, item.key), item)
    return found


MAX_READ_BYTES: Final = 65_536
"""Of a schema: to read a longer one would hold up all calls. `mcp.router.describe` shows those."""

_UNREAD: Final = "…"


def in_brief(found: FoundItem) -> dict[str, Any]:
    """Return what a model has to read of a result before it chooses."""
    members = object_of(found.item.raw, "an item")
    described = optional_text_of(members, "description") or optional_text_of(members, "title")
    about = first_sentence(described or "")
    if found.found.kind == "tool":
        line = _line(members.get("inputSchema"), signature)
        return _named(found) | {"description": about, "signature": line}
    if found.found.kind == "prompt":
        line = _line(members.get("arguments"), prompt_signature)
        return _named(found) | {"description": about, "arguments": line}
    texts = {
        "name": cut_to_one_line(optional_text_of(members, "name") or ""),
        "description": about,
        "mimeType": cut_to_one_line(optional_text_of(members, "mimeType") or ""),
    }
    member = "uriTemplate" if found.is_template else "uri"
    return {member: found.name} | {key: text for key, text in texts.items() if text}


def _line(raw: Raw | None, written: Callable[[Any], str]) -> str:
    is_long = raw is not None and len(raw) > MAX_READ_BYTES
    return _UNREAD if is_long else written(decoded(raw))


def _named(found: FoundItem) -> dict[str, Any]:
    """Return the name, and that of the instance where the name does not begin with it."""
    instance = found.row.name
    is_told = found.name.startswith(instance + SEPARATOR)
    return {"name": found.name} | ({} if is_told else {"instance": instance})


def decoded(raw: Raw | None) -> Any:
    """Return a member of an item, decoded; None for one that is absent or nested too deeply."""
    try:
        return msgspec.json.decode(raw or b"null")
    except (msgspec.MsgspecError, RecursionError):
        return None


def schema_of(state: RoutingState, client: Client, found: FoundItem, max_bytes: int) -> Raw | None:
    """Return the input schema of a tool, in the words of the client's era; None if it is longer."""
    theirs = given(object_of(found.item.raw, "tool"), "inputSchema") or EMPTY_OBJECT
    if len(theirs) > MAX_READ_BYTES:
        return None
    tool = listings.direct_tool(state, client, found.row, found.item)
    schema = given(object_of(tool.raw, "tool"), "inputSchema") or EMPTY_OBJECT
    return schema if len(compact(schema)) <= max_bytes else None
