"""Sends the search index what instances offer, as far as it does not have that already.

Invariants:

- Nothing is sent before somebody searches; from then on the index follows every change.
- A row is sent again only if its lists, the line about it or its direct names have changed.
- What is gone is forgotten: the index holds no more rows than there are, and of the parts that
  persons have of instances no more than `MAX_PARTS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from router.core.names.direct_names import direct_name
from router.core.state.instance_table import whole_of
from router.core.state.waiting.searches import IndexedRow
from router.core.views.instance_views import line_about
from router.core.views.resources import shown_template, shown_uri
from router.messages.own_tools.search import IndexTools, Searchable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.messages.catalog import Catalog, Item
    from router.messages.own_tools.search import Kind

MAX_PARTS: Final = 200
"""Parts of instances that persons have; beyond them, the one that was searched longest ago is sent
anew when it is searched again."""

MAX_URI_CHARS: Final = 2000
"""Of a resource that can be found: models read the URIs that are found, and repeat them."""


def address_of(row: Instance) -> str:
    """Return the name by which the index knows a row: of an instance, or a part of it."""
    return row.task_scope


def bring_up_to_date(state: RoutingState, rows: Iterable[Instance]) -> frozenset[str]:
    """Send what has changed of these rows, and return the addresses of all of them."""
    state.searches.is_in_use = True
    forget_gone(state)
    addresses: list[str] = []
    for row in rows:
        addresses.append(address_of(row))
        if row.person is not None:  # The one that was searched last is the last to be forgotten.
            indexed = state.searches.indexed.pop(addresses[-1], None)
            if indexed is not None:
                state.searches.indexed[addresses[-1]] = indexed
        _send_if_changed(state, row)
    _forget_parts(state, frozenset(addresses))
    return frozenset(addresses)


def catalogue_changed(state: RoutingState, row: Instance) -> None:
    """Send what has changed of a row, if the index may be asked for it.

    Args:
        row: the row whose lists clients see.
    """
    if row.person is None or address_of(row) in state.searches.indexed:
        _send_if_changed(state, row)


def forget_gone(state: RoutingState) -> None:
    """Have the index forget the rows that there are no more."""
    for address, indexed in list(state.searches.indexed.items()):
        if not _is_there(state, indexed.row):
            _forget(state, address)


def _is_there(state: RoutingState, row: Instance) -> bool:
    whole = whole_of(row)
    if state.instances.by_name.get(whole.name) is not whole:
        return False
    return row is whole or whole.persons.get(row.person or "") is row


def _forget_parts(state: RoutingState, kept: frozenset[str]) -> None:
    """Have the index forget the parts of persons beyond `MAX_PARTS`, but for those to be searched.

    Args:
        kept: the addresses of those, but for what other searches wait for.
    """
    indexed = state.searches.indexed
    parts = [address for address, one in indexed.items() if one.row.person is not None]
    if len(parts) > MAX_PARTS:
        kept = kept.union(*(search.rows for search in state.searches.waiting.values()))
    for address in parts[: max(0, len(parts) - MAX_PARTS)]:
        if address not in kept:
            _forget(state, address)


def _forget(state: RoutingState, address: str) -> None:
    gone = state.searches.indexed.pop(address)
    state.effects.append(IndexTools(address, gone.row.name, "", ()))


def _send_if_changed(state: RoutingState, row: Instance) -> None:
    address, limit = address_of(row), state.settings.name_limit
    sent = state.searches.indexed.get(address)
    if not _has_any(row.offers.catalog):
        if sent is not None:
            _forget(state, address)
        return
    summary = line_about(row) or ""
    if (
        sent is not None
        and sent.row is row
        and sent.offers is row.offers
        and (sent.summary, sent.name_limit) == (summary, limit)
    ):
        return
    state.searches.indexed[address] = IndexedRow(row, row.offers, summary, limit)
    offered = _Offered(row.name, row.offers.catalog, limit)
    state.effects.append(IndexTools(address, row.name, summary, offered))


def _has_any(catalog: Catalog) -> bool:
    return bool(catalog.tools or catalog.prompts or catalog.resources or catalog.templates)


class _Offered(Struct, frozen=True, eq=False):
    """Everything that a row offers; of several items with one name or URI the first, as lists do.

    Resources whose URIs are too long are left out.

    The members are made one by one while somebody reads them: to make those of thousands of tools
    at once would hold up all calls.
    """

    instance: str
    catalog: Catalog
    name_limit: int

    def __iter__(self) -> Iterator[Searchable]:
        catalog, instance, limit = self.catalog, self.instance, self.name_limit
        parts: tuple[tuple[Kind, tuple[Item, ...], Callable[[str], str]], ...] = (
            ("tool", catalog.tools, lambda key: direct_name(instance, key, limit)),
            ("prompt", catalog.prompts, lambda key: direct_name(instance, key, limit)),
            ("resource", catalog.resources, lambda key: shown_uri(instance, key, _NONE)),
            ("resource", catalog.templates, lambda key: shown_template(instance, key, _NONE)),
        )
        for kind, items, shown in parts:
            listed: set[str] = set()
            for item in items:
                is_long = kind == "resource" and len(item.key) > MAX_URI_CHARS
                if item.key not in listed and not is_long:
                    listed.add(item.key)
                    yield Searchable(kind, item.key, shown(item.key), item.raw)


_NONE: Final[frozenset[str]] = frozenset()
