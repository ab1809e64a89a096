"""Ends the sessions of single clients: when the client goes, or when nobody has used it for long.

Invariant: a session that has ended is stopped, and its row is nowhere any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core.calls import call_ends
from router.core.management import reconfigure
from router.core.sessions import idle_times
from router.core.state.instances import InstanceState
from router.core.state.session_rows import ClientSession, sum_up
from router.messages.effects import StopSession

if TYPE_CHECKING:
    from router.core.state.clients import Client
    from router.core.state.routing_state import RoutingState


def forget_client(state: RoutingState, client: Client) -> None:
    """End the sessions that a client had for itself; those it shared may become idle now."""
    for row in state.client_sessions.of_client(client.id):
        state.client_sessions.leave(client.id, row)
        row.used_s = state.now_s
        if row.ends_with_its_client:
            _end(state, row, "its client is gone")


def expire(state: RoutingState) -> None:
    """End the sessions that nobody needed for a while."""
    due = state.client_sessions.idle_due
    for name in due.due(state.now_s):
        row = state.client_sessions.by_name[name]
        if idle_times.is_client_session_in_use(state, row):
            row.used_s = state.now_s
        idle_at_s = idle_times.client_session_idle_at_s(state, row)
        if idle_at_s is not None and idle_at_s <= state.now_s:
            _end(state, row, "nobody has used it for a while")
        else:
            idle_times.arm_client_session(state, row)


def _end(state: RoutingState, row: ClientSession, reason: str) -> None:
    state.client_sessions.remove(row)
    reconfigure.end_session(state, row, reason)
    row.enter(InstanceState.STOPPING, state.now_s)
    call_ends.fail_waiting(state, row)
    state.effects.append(StopSession(row.spec.name))
    sum_up(row.instance, state.now_s)
