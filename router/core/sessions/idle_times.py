"""Says whether a session is in use, and when one that is not is to be stopped.

A call costs nothing here but the note of its end. A deadline is set when a session is up; when that
has passed, it is found out whether the session is in use, and if so the next deadline is set.

Invariant: a session is in use as long as anybody may still get something from it: the answer of a
call, also of one that waits for its client's input, a question, the result of a task, or updates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.core.sessions.lazy_starts import idle_stop_s, is_lazy
from router.core.state.session_rows import IDLE_EXPIRY_S, rows_of
from router.core.tasks import from_servers

if TYPE_CHECKING:
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.core.state.session_rows import ClientSession

UNUSED_LAZY_STOP_S: Final = 30.0
"""Seconds after which a lazy instance is stopped that was started to be listed, and that nobody has
used; long enough for the first call of a client that has just got the lists."""

TASK_KEPT_S: Final = 3600.0
"""Seconds after the last request about a task during which its server is not stopped for being
idle, unless the result was fetched: a client may forget a task, and never says so."""


# --- Use -------------------------------------------------------------------------------------


def is_in_use(state: RoutingState, row: Instance) -> bool:
    """Return whether anybody needs the sessions of a row, or waits for one."""
    if row.waiting or row.address in state.subscribers:
        return True
    sessions = [one.session.session for one in rows_of(row) if one.session is not None]
    return any(_is_session_in_use(state, session) for session in sessions)


def _is_session_in_use(state: RoutingState, session: int) -> bool:
    return (
        session in state.calls.by_session
        or session in state.tasks.listens
        or bool(from_servers.requests_without_call(state, session))
        or state.tasks.are_awaited(session, state.now_s - TASK_KEPT_S)
    )


# --- Deadlines of shared sessions ------------------------------------------------------------


def arm(state: RoutingState, instance: Instance) -> None:
    """Set the deadline of an instance whose session is up, or take it away."""
    at_s = idle_at_s(state, instance)
    if at_s is None or not instance.is_connected:
        state.idle_due.disarm(instance.name)
    else:
        state.idle_due.arm(instance.name, at_s)


def idle_at_s(state: RoutingState, instance: Instance) -> float | None:
    """Return the second at which an instance is to be stopped if it is not used; None for never.

    A lazy instance without `idle_stop_s` runs on once it was used, as its 0 says. One that was
    started only to be listed does not, or a hundred of them would all run.
    """
    limit_s = idle_stop_s(instance.spec, state.settings)
    used = [row.used_s for row in (instance, *rows_of(instance)) if row.used_s is not None]
    if not used and is_lazy(instance.spec, state.settings):
        limit_s = min(limit_s or UNUSED_LAZY_STOP_S, UNUSED_LAZY_STOP_S)
    if not limit_s:
        return None
    return max(used, default=instance.since_s) + limit_s


# --- Deadlines of clients' sessions ----------------------------------------------------------


def arm_client_session(state: RoutingState, row: ClientSession) -> None:
    """Set the deadline of a client's session, or take it away."""
    at_s = client_session_idle_at_s(state, row)
    if at_s is None:
        state.client_sessions.idle_due.disarm(row.spec.name)
    else:
        state.client_sessions.idle_due.arm(row.spec.name, at_s)


def client_session_idle_at_s(state: RoutingState, row: ClientSession) -> float | None:
    """Return the second at which a client's session ends if it is not used; None for never.

    Without `idle_stop_s`, a session that ends with its client has no other end.
    """
    limit_s = idle_stop_s(row.spec, state.settings)
    if not limit_s:
        if row.ends_with_its_client:
            return None
        limit_s = IDLE_EXPIRY_S
    return (row.used_s or 0.0) + limit_s


def is_client_session_in_use(state: RoutingState, row: ClientSession) -> bool:
    """Return whether a client's session must not end now.

    Without `idle_stop_s` it is also kept for clients that are there and do nothing.
    """
    keeps_for_clients = not idle_stop_s(row.spec, state.settings)
    return (keeps_for_clients and bool(row.clients)) or is_in_use(state, row)
