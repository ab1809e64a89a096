"""The tools that a client is listed, and how it learns that they are others now.

Job: `tools/list` and `list_changed`. Neighbours: `from_client` and `stateless` answer with it;
`tools`, `configuring` and `core` say what changed. Pure.

Another way to be seen by a client (every tool of every instance, one instance alone) adds a view
beside `listed_to`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core.protocol import router_tools
from router.core.protocol.bridging import tool_as_handshake, tool_as_stateless
from router.core.protocol.raw_json import given, raw_of
from router.messages.effects import ToClient
from router.messages.errors import INVALID_PARAMS, RpcError
from router.messages.frames import Notification

if TYPE_CHECKING:
    from msgspec import Raw

    from router.core.state.clients import Client, Members
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.messages.catalog import Item

LIST_CHANGED = "notifications/tools/list_changed"


def listed_to(state: RoutingState, client: Client, members: Members) -> list[Raw]:
    """The router's own tools, then those of the selected instance; ours win a name.

    Raises:
        RpcError: -32602, another page is asked for, and there is one only.
    """
    if given(members, "cursor") is not None:
        raise RpcError(INVALID_PARAMS, "params.cursor is not one of ours: the list has one page")
    own = router_tools.items_for(state.settings)
    selected = selected_by(state, client)
    session = None if selected is None else selected.session
    theirs: tuple[Item, ...] = () if session is None else session.catalog.tools
    shown = [item.raw for item in theirs if router_tools.canonical_name(item.key) is None]
    if client.is_stateless:
        shown = [tool_as_stateless(tool) for tool in shown]
    elif session is not None and session.is_stateless:
        shown = [tool_as_handshake(tool) for tool in shown]
    return [*(item.raw for item in own), *shown]


def selected_by(state: RoutingState, client: Client) -> Instance | None:
    """The instance this client has selected, as long as there is one of that name for it."""
    name = client.selection.instance
    return None if name is None else state.instances.seen_by(client.principal).by_name.get(name)


def tell_list_changed(state: RoutingState, client: Client) -> None:
    """Notify a client that its list of tools is another one now, if it is there to be told."""
    if client.listening is not None:
        if client.listening.to_tools:
            params = raw_of({"_meta": client.listening.meta})
            frame = Notification(LIST_CHANGED, params)
            state.effects.append(ToClient(client.id, client.listening.reply_to, frame))
    elif not client.is_for_one_request:
        client.owes_listing = True
        state.effects.append(ToClient(client.id, client.outbox, Notification(LIST_CHANGED)))


def tell_selected(state: RoutingState, client: Client) -> None:
    """This client selected an instance: tell it, and who else goes by the same selection."""
    tell_list_changed(state, client)
    for other in state.clients.values():
        if (
            other is not client
            and other.selection is client.selection
            and other.wants_list_changed()
        ):
            tell_list_changed(state, other)


def tell_users(state: RoutingState, instance_name: str) -> None:
    """Who selected this instance gets `list_changed`, once until it lists again."""
    for client in state.clients.values():
        if client.selection.instance == instance_name and client.wants_list_changed():
            tell_list_changed(state, client)


def tell_everybody(state: RoutingState) -> None:
    """Our own tools are others now."""
    for client in state.clients.values():
        if client.wants_list_changed():
            tell_list_changed(state, client)
