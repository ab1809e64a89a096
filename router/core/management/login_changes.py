"""Starts the sessions of an instance anew after a login at its server, or a logout.

Invariant: an instance of which nothing runs stays `idle`; its next use finds the login.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.core.management import reconfigure
from router.core.state.instances import InstanceState

if TYPE_CHECKING:
    from router.core.state.clients import ClientRequest
    from router.core.state.routing_state import RoutingState
    from router.messages.events import LoginChanged

_AT_REST: Final = frozenset({InstanceState.IDLE, InstanceState.DISABLED, InstanceState.STOPPING})


def login_changed(state: RoutingState, event: LoginChanged) -> list[ClientRequest]:
    """Start what needed the login, and what ran with the one before; its calls in flight fail.

    Returns:
        The requests that waited for it; the caller carries them out.
    """
    instance = state.instances.by_name.get(event.instance)
    if instance is None or not instance.may_run or instance.state in _AT_REST or state.draining:
        return []
    return reconfigure.restart(state, instance, "there was a login or a logout")
