"""Ends calls and parked requests that get no answer: their time is up, or their server is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core.calls.forwarding import (
    cancel_server_request,
    cancel_upstream,
    close_call,
    fail_call,
    refuse,
    take_waiting,
    unpark,
)
from router.core.sessions.availability import unavailable_error
from router.core.tasks import from_servers
from router.core.text.raw_json import printable
from router.messages.errors import SESSION_LOST, RpcError

if TYPE_CHECKING:
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState


def expire(state: RoutingState) -> None:
    """End every call and every parked request whose time is up."""
    for call_id in state.calls.deadlines.due(state.now_s):
        call = state.calls.by_id[call_id]
        error = call.timeout_error()
        close_call(state, call)
        cancel_upstream(state, call, error.message)
        fail_call(state, call, error)
    for client_id, request_id in state.parked.due(state.now_s):
        parked = state.clients[client_id].parked[request_id]
        unpark(state, parked)
        error = parked.overdue or unavailable_error(parked.instance, state.now_s)
        refuse(state, parked.request, error)


def fail_session(state: RoutingState, session: int, instance: Instance, reason: str) -> None:
    """Fail everything in flight on a session that is gone; nothing is retried by itself."""
    message = f"Instance '{instance.name}' was lost during the call: {printable(reason)}"
    for call in state.calls.of_session(session):
        close_call(state, call)
        fail_call(state, call, RpcError(SESSION_LOST, message))
    for client, asked_id, _ in from_servers.requests_without_call(state, session):
        cancel_server_request(state, client, asked_id, message)


def fail_waiting(state: RoutingState, instance: Instance, error: RpcError | None = None) -> None:
    """Fail everything that waits for an instance that will not be ready soon."""
    for request in take_waiting(state, instance):
        refuse(state, request, error or unavailable_error(instance, state.now_s))
