"""Tells clients that a list of theirs has changed (`notifications/…/list_changed`).

Invariants:

- A client is told of a kind of list once until it lists that kind again.
- Nobody is told of an instance that its view does not show.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from router.core.text.raw_json import raw_of
from router.core.views import audience, listings
from router.messages.effects import ToClient
from router.messages.errors import RpcError
from router.messages.frames import Notification

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from router.core.state.clients import Client
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.messages.catalog import Catalog
    from router.messages.core_settings import CoreSettings


# --- What has changed ------------------------------------------------------------------------


def kinds_that_differ(before: Catalog, after: Catalog) -> frozenset[str]:
    """Return the kinds of lists in which two catalogs differ."""
    kinds = {
        "tools": before.tools != after.tools,
        "prompts": before.prompts != after.prompts,
        "resources": (before.resources, before.templates) != (after.resources, after.templates),
    }
    return frozenset(kind for kind, differs in kinds.items() if differs)


@contextmanager
def noticing(state: RoutingState, instance: Instance) -> Generator[None]:
    """Notify clients of the lists of an instance that are others when the block ends."""
    listed = instance.listed_as
    before = listed.offers.catalog
    yield
    differing = kinds_that_differ(before, listed.offers.catalog)
    notify_clients(state, audience.clients_that_list(state, instance), differing)


def notify_settings_changed(state: RoutingState, settings: CoreSettings) -> None:
    """Put other settings into force, and notify the clients whose lists are others now."""
    clients = [client for client in state.clients.values() if client.wants_any_list_changed()]
    before = [_lists_of(state, client) for client in clients]
    state.settings = settings
    state.forget_sights()
    for client, lists in zip(clients, before, strict=True):
        now = _lists_of(state, client)
        changed = frozenset(kind for kind in lists if lists[kind] != now[kind])
        notify_clients(state, [client], changed)


def _lists_of(state: RoutingState, client: Client) -> dict[str, tuple[bytes, ...]]:
    """Return everything that a client is listed, by kind."""
    try:
        parts = {part: bytes(listings.result_for(state, client, part)) for part in listings.METHODS}
    except RpcError:
        return {"tools": (), "prompts": (), "resources": ()}  # Its place is gone.
    return {
        "tools": (parts["tools"],),
        "prompts": (parts["prompts"],),
        "resources": (parts["resources"], parts["templates"]),
    }


# --- Notifications ---------------------------------------------------------------------------


def notify_selection_changed(state: RoutingState, client: Client) -> None:
    """Notify this client, which selected an instance, and all others that share the selection.

    A client that searches for tools is listed the same as before.
    """
    if listings.searched_tools(state, client) is not None:
        return
    _notify(state, client, "tools")
    for other in state.clients.values():
        shares_selection = other is not client and other.selection is client.selection
        if shares_selection and other.wants_list_changed("tools"):
            _notify(state, other, "tools")


def notify_clients(state: RoutingState, clients: Iterable[Client], kinds: frozenset[str]) -> None:
    """Notify those of these clients that are there and wait for news of these kinds of lists."""
    for client in clients:
        if client.id in state.clients:
            for kind in sorted(_kinds_for(state, client, kinds)):
                if client.wants_list_changed(kind):
                    _notify(state, client, kind)


def notify_of_servers(state: RoutingState) -> None:
    """Notify clients that search for tools if other servers are named to them now."""
    # `_kinds_for` adds "tools" for each of these whose list differs.
    notify_clients(state, list(state.clients.values()), frozenset())


def _kinds_for(state: RoutingState, client: Client, kinds: frozenset[str]) -> frozenset[str]:
    """Return the kinds of lists of a client that are others now.

    A client that searches for tools is listed few of them, and a line about each server instead.
    """
    if not client.wants_list_changed("tools"):
        return kinds
    try:
        listed = listings.searched_tools(state, client)
    except RpcError:
        return kinds  # Its place is gone.
    if listed is None:
        return kinds
    if listed == client.listed_tools:
        return kinds - {"tools"}
    if client.subscription is not None:
        client.listed_tools = listed  # Else it lists anew before it is told again.
    return kinds | {"tools"}


def _notify(state: RoutingState, client: Client, kind: str) -> None:
    """Send a client `list_changed`, on its subscription or in its session, if it has either."""
    method = f"notifications/{kind}/list_changed"
    if client.subscription is not None:
        if kind in client.subscription.kinds:
            params = raw_of({"_meta": client.subscription.meta})
            frame = Notification(method, params)
            if not client.subscription.hold(frame):
                state.effects.append(ToClient(client.id, client.subscription.reply_to, frame))
    elif not client.is_for_one_request:
        client.owes_listing.add(kind)
        state.effects.append(ToClient(client.id, client.outbox, Notification(method)))
