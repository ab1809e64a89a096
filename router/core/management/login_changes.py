"""Starts the sessions of an instance anew after a login at its server, or a logout.

Invariant: an instance of which nothing runs stays `idle`; its next use finds the login.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.core.calls import forwarding
from router.core.management import reconfigure
from router.core.sessions import client_sessions
from router.core.state.instances import InstanceState
from router.core.views import list_changes

if TYPE_CHECKING:
    from router.core.state.clients import ClientRequest
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.messages.events import LoginChanged

_CHANGED: Final = "there was a login or a logout"
_AT_REST: Final = frozenset({InstanceState.IDLE, InstanceState.DISABLED, InstanceState.STOPPING})


def login_changed(state: RoutingState, event: LoginChanged) -> list[ClientRequest]:
    """Start what needed the login, and what ran with the one before; its calls in flight fail.

    Returns:
        The requests that waited for it; the caller carries them out.
    """
    instance = state.instances.by_name.get(event.instance)
    if instance is None or not instance.may_run or instance.state in _AT_REST or state.draining:
        return []
    if event.person is not None:
        return _start_sessions_of(state, instance, event.person)
    return reconfigure.restart(state, instance, _CHANGED)


def _start_sessions_of(state: RoutingState, instance: Instance, person: str) -> list[ClientRequest]:
    """Start the sessions of one person anew; those of others go on."""
    waiting: list[ClientRequest] = []
    for row in state.client_sessions.of_instance(instance):
        if row.person == person:
            with list_changes.noticing(state, row):
                reconfigure.end_session(state, row, _CHANGED)
                waiting += forwarding.take_waiting(state, row)
                client_sessions.start_anew(state, row)
    return waiting
