"""Takes the requests that a server failed to answer, although its session goes on.

A remote server may refuse a request with an HTTP status, or its answer may break off. Whatever the
transport and the way in, the caller gets the same kind of error: -32012 if the request may have
been carried out, -32009 otherwise, each with the cause.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core.calls import ejections, forwarding, resource_subscriptions, retries
from router.core.peers import client_requests, server_messages
from router.messages.errors import SESSION_LOST, RpcError

if TYPE_CHECKING:
    from router.core.state.clients import Call
    from router.core.state.routing_state import RoutingState
    from router.messages.events import RequestFailed


def handle(state: RoutingState, event: RequestFailed) -> None:
    """Fail the call, if one waits, and judge the server by it; a dead incarnation is ignored."""
    row = state.sessions.get(event.session)
    if row is None:
        return
    if not _is_cut_subscription(state, event):
        ejections.record_failure(state, row, event)
    call = state.calls.find(event.request, event.session)
    if call is not None and event.answer is None:
        _fail(state, call, event.error)
        return
    # The server's own error, or the end of something that no client waits for.
    frame = event.answer or forwarding.error_frame(event.request, event.error)
    server_messages.handle_answer(state, event.session, frame)


def _is_cut_subscription(state: RoutingState, event: RequestFailed) -> bool:
    """Return whether a stream broke that says nothing for hours: proxies cut such streams."""
    listens = (state.listens.get(event.session), state.tasks.listens.get(event.session))
    return event.status is None and event.request in listens


def _fail(state: RoutingState, call: Call, error: RpcError) -> None:
    request = retries.take_repeatable(state, call) if error.code == SESSION_LOST else None
    if request is not None:
        client_requests.carry_out(state, request)
        return
    forwarding.close_call(state, call)
    if call.subscribes is not None:
        resource_subscriptions.subscription_failed(state, call.client, call.subscribes)
    message = f"Instance '{call.instance}' failed during the call: {error.message}"
    forwarding.fail_call(state, call, RpcError(error.code, message, error.data))
