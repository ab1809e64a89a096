"""Keeps which clients are told of updates of which resources, and subscribes upstream for them.

An upstream session has one subscription to a resource, however many clients are told of it. A
server with sessions is subscribed to one URI at a time; a server of 2026-07-28 by one
`subscriptions/listen` for all URIs, which is sent anew when they change (MCP 2026-07-28,
Subscriptions).

Invariants:

- A client is told of the URI that it subscribed to, whatever the server calls the resource.
- A client is told of nothing that its view does not show now.
- A session that is started anew has the subscriptions of the one before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.core.calls import confirmations, forwarding
from router.core.names.resource_uris import is_admitted
from router.core.protocol.bridging import SUBSCRIPTION_KEY, client_envelope, code_of
from router.core.state.session_rows import rows_of
from router.core.state.subscriptions import Confirmation
from router.core.text.raw_json import raw_of, request_id_of, text_of
from router.core.views import audience, resources
from router.messages.effects import ToClient
from router.messages.errors import INVALID_PARAMS, METHOD_NOT_FOUND, OVERLOADED, RpcError
from router.messages.frames import NO_RAW, Notification, Request, Response
from router.messages.params import given, object_of
from router.messages.revisions import LISTEN_METHOD

if TYPE_CHECKING:
    from collections.abc import Iterable

    from msgspec import Raw

    from router.core.state.clients import Client
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.messages.events import SessionUp
    from router.messages.frames import ErrorResponse, RequestId, SessionId

UPDATED: Final = "notifications/resources/updated"
ACKNOWLEDGED: Final = "notifications/subscriptions/acknowledged"

MAX_OF_CLIENT: Final = 1024
"""Resources that one client is told of; a server keeps each of them too."""

MAX_URI_CHARS: Final = 8192
"""Of a URI that is subscribed to: it is kept, and a server of 2026-07-28 gets it many times."""

LISTEN_AGAIN_S: Final = 5.0
"""Pause before a subscription that its server ended is opened again."""


# --- Clients come and go ---------------------------------------------------------------------


def add(state: RoutingState, client: Client, instance: Instance, uri: str, shown: str) -> bool:
    """Have a client told of updates of a resource.

    The caller subscribes upstream if nobody was told before; see `subscribe_upstream`.

    Args:
        uri: the server's own URI.
        shown: the URI that the client used.

    Returns:
        Whether nobody was told of this resource before.

    Raises:
        RpcError: -32015, the client has too many subscriptions; -32602, the URI is too long.
    """
    if max(len(uri), len(shown)) > MAX_URI_CHARS:
        raise RpcError(INVALID_PARAMS, f"params.uri is longer than {MAX_URI_CHARS:,} characters")
    subscribed = instance.address, uri
    if len(client.resources) >= MAX_OF_CLIENT and subscribed not in client.resources:
        raise RpcError(OVERLOADED, "Too many resources are subscribed to by this client")
    of_instance = state.subscribers.setdefault(instance.address, {})
    is_first = uri not in of_instance
    of_instance.setdefault(uri, {})[client.id] = shown
    client.resources.add(subscribed)
    return is_first


def remove(state: RoutingState, client: Client, address: str, uri: str) -> None:
    """Have a client told of a resource no more; after the last client, unsubscribe upstream.

    Args:
        address: of the instance or of the client's session.
        uri: the server's own URI.
    """
    client.resources.discard((address, uri))
    if _take_out(state, client, address, uri):
        _unsubscribe_upstream(state, address, [uri])


def remove_shown(state: RoutingState, client: Client, shown: str) -> None:
    """Have a client told of a resource no more, also of one that is not there any more.

    Args:
        shown: the URI with which the client subscribed; any other changes nothing.
    """
    for address, uri in sorted(client.resources):
        if state.subscribers[address][uri][client.id] == shown:
            remove(state, client, address, uri)


def forget_client(state: RoutingState, client: Client) -> None:
    """Have a client that is gone told of nothing more."""
    if not client.resources:
        return
    unwanted: dict[str, list[str]] = {}
    for address, uri in sorted(client.resources):
        if _take_out(state, client, address, uri):
            unwanted.setdefault(address, []).append(uri)
    client.resources.clear()
    for address, uris in unwanted.items():
        _unsubscribe_upstream(state, address, uris)


def subscribe_upstream(state: RoutingState, instance: Instance, uris: Iterable[str]) -> None:
    """Subscribe to resources that nobody was told of before, in each replica.

    `session_up` does it for a session that is not up.
    """
    for row in rows_of(instance):
        if row.session is not None and row.session.is_stateless:
            _listen(state, row)
        elif row.session is not None:
            for uri in uris:
                _subscribe(state, row, row.session, uri)


def subscribe_others(state: RoutingState, instance: Instance, serving: Instance, uri: str) -> None:
    """Subscribe to a resource in the replicas that do not serve the request of the client."""
    for row in rows_of(instance):
        if row is not serving and row.session is not None:
            _subscribe(state, row, row.session, uri)


def _unsubscribe_upstream(state: RoutingState, address: str, uris: Iterable[str]) -> None:
    instance = state.row_at(address)
    for row in () if instance is None else rows_of(instance):
        if row.session is not None and row.session.is_stateless:
            _listen(state, row)
        elif row.session is not None:
            for uri in uris:
                # Nobody waits for the answer: an id that no call has is dropped when it comes back.
                body = raw_of({"uri": uri})
                frame = Request(state.calls.next_id(), "resources/unsubscribe", body)
                forwarding.send_to_session(state, row.session, frame)


def subscription_failed(state: RoutingState, client: Client, subscribed: tuple[str, str]) -> None:
    """Take back a subscription that the server refused."""
    client.resources.discard(subscribed)
    _take_out(state, client, *subscribed)


def _take_out(state: RoutingState, client: Client, address: str, uri: str) -> bool:
    """Take a client out of the table; return whether it was the last one for this resource."""
    of_instance = state.subscribers.get(address, {})
    told = of_instance.get(uri, {})
    if told.pop(client.id, None) is None or told:
        return False
    del of_instance[uri]
    if not of_instance:
        del state.subscribers[address]
    return True


# --- Sessions come and go --------------------------------------------------------------------


def session_up(state: RoutingState, instance: Instance) -> None:
    """Subscribe a new session to everything that clients are told of."""
    uris = state.subscribers.get(instance.address)
    if uris:
        subscribe_upstream(state, instance, uris)


def session_gone(state: RoutingState, session: SessionId) -> None:
    """Forget the subscription of a session that is gone."""
    state.listens.pop(session, None)
    state.listens_due.disarm(session)
    confirmations.session_gone(state, session)


def _subscribe(state: RoutingState, instance: Instance, session: SessionUp, uri: str) -> None:
    request_id = state.calls.next_id()
    row = Confirmation(instance.address, session.session, frozenset({uri}))
    confirmations.expect(state, request_id, row)
    frame = Request(request_id, "resources/subscribe", raw_of({"uri": uri}))
    forwarding.send_to_session(state, session, frame)


# --- One subscription for all (2026-07-28) ---------------------------------------------------


def _listen(state: RoutingState, instance: Instance) -> None:
    """Open a subscription to all URIs in place of the one that is open."""
    session = instance.session
    assert session is not None, "only a live session is listened to"
    before = state.listens.pop(session.session, None)
    state.listens_due.disarm(session.session)
    uris = list(state.subscribers.get(instance.address, {}))
    if uris:
        request_id = state.listens[session.session] = state.calls.next_id()
        params: dict[str, Any] = {
            "notifications": {"resourceSubscriptions": uris},
            "_meta": client_envelope(NO_RAW, {}, None),
        }
        row = Confirmation(instance.address, session.session, frozenset(uris))
        confirmations.expect(state, request_id, row)
        if before is not None:
            confirmations.replace(state, before, request_id)
        frame = Request(request_id, LISTEN_METHOD, raw_of(params))
        forwarding.send_to_session(state, session, frame)
    if before is not None:
        confirmations.confirmed(state, before)
        # Sent after the new one, so that no update falls between the two.
        members = raw_of({"requestId": before, "reason": "Another subscription takes its place"})
        forwarding.send_to_session(state, session, Notification("notifications/cancelled", members))


def acknowledged(state: RoutingState, session: SessionId, frame: Notification) -> None:
    """Take the acknowledgement of a subscription, after which its server tells of updates.

    Raises:
        RpcError: the notification does not say which subscription it is about.
    """
    request_id = state.listens.get(session)
    if request_id is not None and request_id_of(_meta_of(frame), SUBSCRIPTION_KEY) == request_id:
        confirmations.confirmed(state, request_id)


def _meta_of(frame: Notification) -> dict[str, Raw]:
    members = object_of(frame.params)
    return object_of(given(members, "_meta"), "params._meta")


def answered(state: RoutingState, session: SessionId, frame: Response | ErrorResponse) -> None:
    """Take an answer that belongs to no call; that of `subscriptions/listen` ends it."""
    if not isinstance(frame.id, int):
        return
    row = state.confirmations.get(frame.id)
    if row is not None and row.session == session:
        if isinstance(frame, Response):
            confirmations.confirmed(state, frame.id)
        else:
            _take_back(state, row)
            confirmations.refused(state, frame.id, frame)
    if state.listens.get(session) == frame.id:
        del state.listens[session]
        if isinstance(frame, Response) or code_of(frame.error) != METHOD_NOT_FOUND:
            state.listens_due.arm(session, state.now_s + LISTEN_AGAIN_S)


def _take_back(state: RoutingState, row: Confirmation) -> None:
    """Take back the subscriptions of those who wait for a request that its server refused."""
    calls = [state.calls.by_id[each] for each in row.calls if each in state.calls.by_id]
    listeners = [state.clients[each] for each in row.listeners if each in state.clients]
    for client in (*listeners, *(call.client for call in calls)):
        for uri in row.uris:
            if (row.instance, uri) in client.resources:
                subscription_failed(state, client, (row.instance, uri))


def not_sent(state: RoutingState, session: SessionId, request_id: RequestId | None) -> None:
    """Open a subscription again later if this one did not fit into its session's inbox."""
    if request_id is not None and state.listens.get(session) == request_id:
        del state.listens[session]
        state.listens_due.arm(session, state.now_s + LISTEN_AGAIN_S)


def expire(state: RoutingState) -> None:
    """Open the subscriptions again that their servers ended, and wait for others no longer."""
    confirmations.expire(state)
    for session in state.listens_due.due(state.now_s):
        instance = state.sessions.get(session)
        if instance is not None and instance.session is not None:
            _listen(state, instance)


# --- Updates ---------------------------------------------------------------------------------


def updated(state: RoutingState, instance: Instance, frame: Notification) -> None:
    """Tell the clients that subscribed to a resource, or to the one that it is a part of.

    Raises:
        RpcError: the notification does not say which resource it is about.
    """
    members = object_of(frame.params)
    uri = text_of(members, "uri")
    if not is_admitted(instance.spec.exposure.resources, uri):
        return
    for subscribed, told in state.subscribers.get(instance.address, {}).items():
        if not _is_part_of(uri, subscribed):
            continue
        for client_id, shown in told.items():
            client = state.clients[client_id]
            if not audience.sees(state, client, instance):
                continue  # Its view has changed since.
            seen = shown if uri == subscribed else _shown(state, client, instance, uri)
            _tell(state, client, members | {"uri": raw_of(seen)})


def _is_part_of(uri: str, subscribed: str) -> bool:
    # MCP 2025-11-25, Resources: the URI of an update may be that of a sub-resource.
    return uri == subscribed or uri.startswith(f"{subscribed.rstrip('/')}/")


def _shown(state: RoutingState, client: Client, instance: Instance, uri: str) -> str:
    view = state.view_of(client)
    if view.is_transparent:
        return uri
    index = resources.index_of(view.seen_by(state.instances, client.principal))
    return resources.shown_link(index, instance.name, uri)


def _tell(state: RoutingState, client: Client, members: dict[str, Any]) -> None:
    subscription = client.subscription
    outbox = client.outbox if subscription is None else subscription.reply_to
    meta = object_of(given(members, "_meta"), "params._meta")
    meta.pop(SUBSCRIPTION_KEY, None)
    if subscription is not None:
        meta |= {key: raw_of(value) for key, value in subscription.meta.items()}
    if meta or "_meta" in members:
        members = members | {"_meta": raw_of(meta)}
    frame = Notification(UPDATED, raw_of(members))
    if subscription is None or not subscription.hold(frame):
        state.effects.append(ToClient(client.id, outbox, frame))
