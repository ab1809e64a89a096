"""Lets clients that subscribe to a resource wait until its server has confirmed that.

A client that was answered may change the resource at once, and must be told of that change. A
server confirms with its answer to `resources/subscribe`; at 2026-07-28, with the acknowledgement of
`subscriptions/listen` (MCP 2026-07-28, Subscriptions).

Invariant: nobody waits for ever. Whoever waits goes on after the last confirmation, after the end
of the session, and at the latest after `CONFIRM_LIMIT_S`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.core.calls import forwarding
from router.core.state.session_rows import rows_of
from router.core.text.raw_json import EMPTY_OBJECT, raw_of
from router.messages.effects import ToClient
from router.messages.frames import ErrorResponse, Notification, Response

if TYPE_CHECKING:
    from router.core.state.clients import Call, Client, ClientRequest
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.core.state.subscriptions import Confirmation, Subscription
    from router.messages.events import SessionUp
    from router.messages.frames import SessionId

CONFIRM_LIMIT_S: Final = 10.0
"""For a server to confirm; a client whose server does not is better told late than never."""


# --- Waiting ---------------------------------------------------------------------------------


def expect(state: RoutingState, request_id: int, row: Confirmation) -> None:
    """Remember a request that was sent to subscribe."""
    state.confirmations[request_id] = row
    state.confirmations_due.arm(request_id, state.now_s + CONFIRM_LIMIT_S)


def replace(state: RoutingState, before: int, after: int) -> None:
    """Have those who wait for one request wait for the one that takes its place."""
    row = _take(state, before)
    if row is None:
        return
    successor = state.confirmations[after]
    successor.calls += row.calls
    for subscription, client in _listeners(state, row):
        subscription.unconfirmed.discard(before)
        _wait(subscription, client, after, successor)


def listener_waits(state: RoutingState, client: Client, instance: Instance, uris: set[str]) -> None:
    """Have the acknowledgement of a client's subscription wait for its server, if need be."""
    assert client.subscription is not None, "only a listener waits"
    for request_id, row in _unconfirmed(state, instance, uris):
        _wait(client.subscription, client, request_id, row)


def _wait(subscription: Subscription, client: Client, request_id: int, row: Confirmation) -> None:
    if request_id not in subscription.unconfirmed:
        subscription.unconfirmed.add(request_id)
        row.listeners.append(client.id)


def answer_when_confirmed(
    state: RoutingState, request: ClientRequest, instance: Instance, session: SessionUp, uri: str
) -> None:
    """Answer `resources/subscribe` of a handshake client whose server is of 2026-07-28.

    Args:
        instance: the row whose sessions have to confirm.
        session: the one that serves the request, which fails with it.
    """
    waiting_for = _unconfirmed(state, instance, {uri})
    if not waiting_for:
        forwarding.answer(state, request, EMPTY_OBJECT)
        return
    call = forwarding.open_call(state, request, instance, session)
    call.subscribes = instance.address, uri
    if call.draft is not None:
        call.draft.target = uri
    for _, row in waiting_for:
        row.calls.append(call.id)


def _listeners(state: RoutingState, row: Confirmation) -> list[tuple[Subscription, Client]]:
    """Return those of the listeners that are still there."""
    clients = [state.clients[each] for each in row.listeners if each in state.clients]
    return [(each.subscription, each) for each in clients if each.subscription is not None]


def _unconfirmed(
    state: RoutingState, instance: Instance, uris: set[str]
) -> list[tuple[int, Confirmation]]:
    """Return what subscribes to any of these URIs; one walk, as there may be many of either."""
    sessions = {one.session.session for one in rows_of(instance) if one.session is not None}
    rows = state.confirmations.items()
    of_sessions = ((key, row) for key, row in rows if row.session in sessions)
    return [(key, row) for key, row in of_sessions if not uris.isdisjoint(row.uris)]


# --- Going on --------------------------------------------------------------------------------


def confirmed(state: RoutingState, request_id: int) -> None:
    """Have those who wait for a request wait for it no more: it was confirmed."""
    _go_on(state, request_id, Response(request_id, EMPTY_OBJECT))


def refused(state: RoutingState, request_id: int, error: ErrorResponse) -> None:
    """Have those who wait for a request wait for it no more: the server refused it."""
    _go_on(state, request_id, error)


def _go_on(state: RoutingState, request_id: int, answer: Response | ErrorResponse) -> None:
    row = _take(state, request_id)
    if row is None:
        return
    for subscription, client in _listeners(state, row):
        subscription.unconfirmed.discard(request_id)
        acknowledge_if_confirmed(state, client)
    for call_id in row.calls:
        call = state.calls.by_id.get(call_id)
        if call is not None:
            _answer(state, call, answer)


def _answer(state: RoutingState, call: Call, answer: Response | ErrorResponse) -> None:
    forwarding.close_call(state, call)
    if isinstance(answer, Response):
        forwarding.answer_call(state, call, Response(call.request_id, answer.result))
    else:
        forwarding.answer_call(state, call, ErrorResponse(call.request_id, answer.error))


def acknowledge_if_confirmed(state: RoutingState, client: Client) -> None:
    """Acknowledge a subscription unless it waits for a server."""
    subscription = client.subscription
    if subscription is not None and not subscription.unconfirmed:
        acknowledge(state, client)


def acknowledge(state: RoutingState, client: Client) -> None:
    """Acknowledge a subscription with what is honoured, once, and send what was held back."""
    subscription = client.subscription
    if subscription is None or subscription.is_acknowledged:
        return
    # Only what is honoured is acknowledged, so that a client does not wait for other notices.
    uris = [uri for uri, key in subscription.resources.items() if key in client.resources]
    notifications: dict[str, Any] = dict(subscription.honoured)
    if uris:
        notifications["resourceSubscriptions"] = uris
    params = raw_of({"_meta": subscription.meta, "notifications": notifications})
    acknowledged = Notification("notifications/subscriptions/acknowledged", params)
    for frame in (acknowledged, *subscription.take_held()):
        state.effects.append(ToClient(client.id, subscription.reply_to, frame))


# --- Ends ------------------------------------------------------------------------------------


def session_gone(state: RoutingState, session: SessionId) -> None:
    """Have nobody wait for a session that is gone; the next one is subscribed anew."""
    for request_id, row in list(state.confirmations.items()):
        if row.session == session:
            confirmed(state, request_id)


def expire(state: RoutingState) -> None:
    """Have nobody wait for servers that do not confirm in time."""
    for request_id in state.confirmations_due.due(state.now_s):
        confirmed(state, request_id)


def _take(state: RoutingState, request_id: int) -> Confirmation | None:
    state.confirmations_due.disarm(request_id)
    return state.confirmations.pop(request_id, None)
