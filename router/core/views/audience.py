"""Finds the clients that a message of an instance concerns though none of their requests does.

Invariant: nobody hears of an instance that its view does not show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core.state.session_rows import ClientSession
from router.messages.errors import RpcError

if TYPE_CHECKING:
    from router.core.state.clients import Client
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.core.state.views import View


def clients_that_list(state: RoutingState, instance: Instance) -> list[Client]:
    """Return the clients whose lists change with this instance."""
    return [client for client in state.clients.values() if _lists(state, client, instance)]


def _lists(state: RoutingState, client: Client, instance: Instance) -> bool:
    if client.is_for_one_request and client.subscription is None:
        return False  # Nobody could tell it, and there are many of these.
    view = _view_of(state, client)
    if view is None:
        return False
    if view.expose == "router":
        is_own = instance.person in (None, client.principal.name)
        return is_own and client.selection.instance == instance.name
    return _shows(state, view, client, instance)


def hears_of(state: RoutingState, client: Client, instance: Instance) -> bool:
    """Return whether the logs of an instance are for this client.

    They are if the instance is the only one that it sees, or the one that it selected. In a
    `direct` view they are if the client set a level, and so asked for logs. Those of a client's own
    session are for this client alone.
    """
    view = _view_of(state, client)
    if view is None:
        return False
    if isinstance(instance, ClientSession):
        return instance.serves(client) and _shows(state, view, client, instance)
    if view.expose == "router":
        return client.selection.instance == instance.name
    is_asked_for = view.is_transparent or client.log_level is not None
    return is_asked_for and _shows(state, view, client, instance)


def sees(state: RoutingState, client: Client, instance: Instance) -> bool:
    """Return whether the view of a client shows this instance."""
    view = _view_of(state, client)
    return view is not None and _shows(state, view, client, instance)


def sees_only(state: RoutingState, client: Client, instance: Instance) -> bool:
    """Return whether a client sees this instance as if the router were not there."""
    view = _view_of(state, client)
    if view is None or not view.is_transparent or not _shows(state, view, client, instance):
        return False
    return is_served_by(client, instance)


def is_served_by(client: Client, instance: Instance) -> bool:
    """Return whether the session of this row is one that serves the client."""
    return not isinstance(instance, ClientSession) or instance.serves(client)


def _shows(state: RoutingState, view: View, client: Client, instance: Instance) -> bool:
    if instance.person is not None and instance.person != client.principal.name:
        return False
    return instance.name in view.seen_by(state.instances, client.principal).by_name


def _view_of(state: RoutingState, client: Client) -> View | None:
    """Return the view of a client; None if its place is gone."""
    try:
        return state.view_of(client)
    except RpcError:
        return None
