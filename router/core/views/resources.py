"""Finds the instance that a URI belongs to, and shows URIs so that they find it again.

Invariants:

- A URI of a server is shown as it is if it leads back to that instance; else in the form that names
  the instance. Some URIs always have that form in direct views, see `is_always_named`.
- No resource is asked for at a guess: a URI that several instances may have is an error that says
  how to name one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from router.core.names import resource_uris
from router.core.names.resource_uris import UriTemplate
from router.messages.errors import INVALID_PARAMS, RESOURCE_NOT_FOUND, RpcError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.core.state.clients import Client
    from router.core.state.instance_table import Instances
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState

_INDEX: Final = "resources"

MAX_URI_CHARS: Final = 65_536
"""Of a URI that is looked up, far more than any header or browser takes: to take a URI of some MB
apart would hold up everybody else for seconds."""


class ResourceIndex(Struct, frozen=True, eq=False):
    """The resources and templates that a view shows to a principal.

    Attributes:
        offers: the lists that the index was made of.
        owners: URI or template -> the only instance that lists it.
        shared: the URIs and templates that several instances list.
        templates: the templates, taken apart, each with its instance.
        providers: the instances that have resources at all.
    """

    offers: tuple[object, ...]
    owners: dict[str, str]
    shared: frozenset[str]
    templates: tuple[tuple[UriTemplate, str], ...]
    providers: tuple[str, ...]

    def owner_of(self, uri: str) -> str | None:
        """Return the instance that a server's own URI leads to; None if that is not certain."""
        if uri in self.shared:
            return None
        owner = self.owners.get(uri)
        if owner is not None:
            return owner
        found = {name for template, name in self.templates if template.matches(uri)}
        if not found and len(self.providers) == 1:
            return self.providers[0]
        return found.pop() if len(found) == 1 else None


def index_of(seen: Instances) -> ResourceIndex:
    """Return the index of these instances; it is made anew when one of their lists has changed."""
    offers = tuple(row.offers for row in seen)
    kept: ResourceIndex | None = seen.encoded.get(_INDEX)
    if kept is not None and is_same(kept.offers, offers):
        return kept
    index = seen.encoded[_INDEX] = _index(offers, seen)
    return index


def is_same(before: Sequence[object], now: Sequence[object]) -> bool:
    """Return whether two sequences hold the same objects, which is cheaper than to compare them."""
    return len(before) == len(now) and all(a is b for a, b in zip(before, now, strict=True))


def _index(offers: tuple[object, ...], seen: Instances) -> ResourceIndex:
    owners: dict[str, str] = {}
    shared: set[str] = set()
    templates: list[tuple[UriTemplate, str]] = []
    providers: list[str] = []
    for row in seen:
        catalog = row.offers.catalog
        for key in {item.key for item in (*catalog.resources, *catalog.templates)}:
            if owners.setdefault(key, row.name) != row.name:
                shared.add(key)
        templates += [(UriTemplate.parse(item.key), row.name) for item in catalog.templates]
        if catalog.resources or catalog.templates or row.declares("resources"):
            providers.append(row.name)
    return ResourceIndex(offers, owners, frozenset(shared), tuple(templates), tuple(providers))


# --- To clients ------------------------------------------------------------------------------


def shown_uri(instance: str, uri: str, shared: frozenset[str]) -> str:
    """Return the URI under which a direct view lists a resource."""
    is_named = uri in shared or resource_uris.is_always_named(uri)
    return resource_uris.shown_uri(instance, uri) if is_named else uri


def shown_template(instance: str, template: str, shared: frozenset[str]) -> str:
    """Return the template under which a direct view lists a template."""
    is_named = template in shared or resource_uris.is_always_named(template)
    return resource_uris.shown_template(instance, template) if is_named else template


def shown_link(index: ResourceIndex, instance: str, uri: str) -> str:
    """Return the URI for a link in a result of this instance, so that it leads there."""
    if not resource_uris.is_always_named(uri) and index.owner_of(uri) == instance:
        return uri
    return resource_uris.shown_uri(instance, uri)


# --- From clients ----------------------------------------------------------------------------


def find(state: RoutingState, client: Client, uri: str) -> tuple[Instance, str]:
    """Return the instance that a URI (or template) leads to, and the server's own form of it.

    Raises:
        RpcError: -32002, no instance has such a resource; -32602, several may have it, or the URI
            is too long; -32010, the view of this client is gone.
    """
    view = state.view_of(client)
    if view.is_transparent:
        return view.the_instance(state.instances, client.principal), uri
    seen = view.seen_by(state.instances, client.principal)
    if len(uri) > MAX_URI_CHARS:
        raise RpcError(INVALID_PARAMS, f"params.uri is longer than {MAX_URI_CHARS:,} characters")
    named = resource_uris.own_uri(uri)
    if named is not None and named[0] in seen.by_name:
        return seen.by_name[named[0]], named[1]
    index = index_of(seen)
    owner = index.owner_of(uri)
    if owner is not None:
        return seen.by_name[owner], uri
    selected = seen.by_name.get(client.selection.instance or "")
    if selected is not None and selected.name in index.providers and uri not in index.shared:
        return selected, uri  # In a `router` view its results are as they are, links and all.
    candidates = _candidates(index, uri, seen)
    if not candidates:
        raise not_found(uri)
    forms = ", ".join(resource_uris.shown_uri(name, uri) for name in candidates[:8])
    raise RpcError(INVALID_PARAMS, f"Several servers may have {uri}; ask for one of {forms}")


def _candidates(index: ResourceIndex, uri: str, seen: Instances) -> list[str]:
    """Return the instances that may have a resource of which no one is known to be the owner."""
    if uri in index.shared:
        return [name for name in index.providers if _lists(seen.by_name[name], uri)]
    matching = {owner for template, owner in index.templates if template.matches(uri)}
    return [name for name in index.providers if name in matching]


def _lists(instance: Instance, uri: str) -> bool:
    catalog = instance.offers.catalog
    return any(item.key == uri for item in (*catalog.resources, *catalog.templates))


def not_found(uri: str) -> RpcError:
    """Return the error for a URI that leads nowhere (MCP 2025-11-25, Resources, Error Handling)."""
    return RpcError(RESOURCE_NOT_FOUND, "Resource not found", {"uri": uri})
