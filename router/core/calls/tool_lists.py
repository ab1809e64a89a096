"""Builds `tools/list` for one client and sends `list_changed` when it changes.

A client sees the router's own tools and those of the instance it selected. Another view (every tool
of every instance, one instance alone) would be added beside `tools_for`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.core.protocol import router_tools
from router.core.protocol.bridging import tool_as_handshake, tool_as_stateless
from router.core.protocol.direct_names import direct_name
from router.core.protocol.raw_json import raw_of
from router.core.state.instance_views import tool_view
from router.messages.catalog import Item
from router.messages.effects import ToClient
from router.messages.errors import INVALID_PARAMS, RpcError
from router.messages.frames import Notification
from router.messages.params import given

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from msgspec import Raw

    from router.core.state.clients import Client, ClientRequest
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.messages.core_settings import CoreSettings
    from router.messages.events import SessionUp

TOOLS_LIST_CHANGED: Final = "notifications/tools/list_changed"


# --- The list --------------------------------------------------------------------------------


def tools_for(state: RoutingState, request: ClientRequest) -> list[Raw]:
    """Return the router's own tools, then those of the selected instance; ours win a name.

    Raises:
        RpcError: -32602, another page is asked for, and there is only one.
    """
    client = request.client
    if given(request.params.members, "cursor") is not None:
        raise RpcError(INVALID_PARAMS, "params.cursor is not one of ours: the list has one page")
    own = router_tools.items_for(state.settings, client.spelling(state.settings.tool_names))
    selected = selected_instance(state, client)
    session = None if selected is None else selected.session
    theirs: tuple[Item, ...] = () if session is None else session.catalog.tools
    shown = [item for item in theirs if router_tools.canonical_name(item.key) is None]
    adapt = _adapter(client, session)
    return [*(item.raw for item in own), *(adapt(item.raw) for item in shown)]


def direct_tools_for(state: RoutingState, client: Client, instance: Instance) -> list[Any]:
    """Return the tools of an instance under their direct names, for the answer to `use`.

    Each is an object of name, description and input schema, in the words of the client's revision.
    """
    session, limit = instance.session, state.settings.name_limit
    adapt = _adapter(client, session)
    return [
        tool_view(Item(direct_name(instance.name, item.key, limit), adapt(item.raw)))
        for item in (() if session is None else session.catalog.tools)
    ]


def _adapter(client: Client, session: SessionUp | None) -> Callable[[Raw], Raw]:
    """Return the function that puts a tool of this session into the words of a client's era."""
    if client.is_stateless:
        return tool_as_stateless
    if session is not None and session.is_stateless:
        return tool_as_handshake
    return lambda tool: tool


def selected_instance(state: RoutingState, client: Client) -> Instance | None:
    """Return the instance that this client selected; None if it may not see one of that name."""
    name = client.selection.instance
    return None if name is None else state.instances.seen_by(client.principal).by_name.get(name)


# --- The list has changed --------------------------------------------------------------------


def notify_selection_changed(state: RoutingState, client: Client) -> None:
    """Notify this client, which selected an instance, and all others that share the selection."""
    _notify(state, client)
    for other in state.clients.values():
        shares_selection = other is not client and other.selection is client.selection
        if shares_selection and other.wants_list_changed():
            _notify(state, other)


def notify_instance_changed(state: RoutingState, instance_name: str) -> None:
    """Notify the clients that selected this instance, once until they list again."""
    notify_clients(state, clients_that_selected(state, instance_name))


def clients_that_selected(state: RoutingState, instance_name: str) -> list[Client]:
    """Return the clients whose list of tools changes with this instance."""
    clients = state.clients.values()
    return [client for client in clients if client.selection.instance == instance_name]


def notify_clients(state: RoutingState, clients: Iterable[Client]) -> None:
    """Notify those of these clients that are there and wait for news of their list of tools."""
    for client in clients:
        if client.id in state.clients and client.wants_list_changed():
            _notify(state, client)


def notify_own_tools_changed(state: RoutingState, before: CoreSettings) -> None:
    """Notify the clients whose list of the router's own tools was another with other settings."""

    def own_tools(client: Client, settings: CoreSettings) -> tuple[Item, ...]:
        return router_tools.items_for(settings, client.spelling(settings.tool_names))

    clients = state.clients.values()
    after = state.settings
    notify_clients(state, [c for c in clients if own_tools(c, before) is not own_tools(c, after)])


def _notify(state: RoutingState, client: Client) -> None:
    """Send a client `list_changed`, on its subscription or in its session, if it has either."""
    if client.subscription is not None:
        if client.subscription.to_tools:
            params = raw_of({"_meta": client.subscription.meta})
            frame = Notification(TOOLS_LIST_CHANGED, params)
            state.effects.append(ToClient(client.id, client.subscription.reply_to, frame))
    elif not client.is_for_one_request:
        client.owes_listing = True
        state.effects.append(ToClient(client.id, client.outbox, Notification(TOOLS_LIST_CHANGED)))
