"""Starts instances when they are needed, and says which of them wait for that.

A lazy instance is started by its first use, and one that was stopped because nobody used it by the
next. An instance of which nothing is known is started once in any case, so that it can be listed.

Invariant: the supervisor is told to start an instance only after it has reported that the session
before it was stopped. So no late report is taken for one about the new session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.core.sessions import replicas
from router.core.state.instances import InstanceState

if TYPE_CHECKING:
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.messages.core_settings import CoreSettings
    from router.messages.events import SessionUp
    from router.messages.instances.instance_spec import InstanceSpec

START_WITHIN_S: Final = 150.0
"""The longest wait for an instance to be ready: two default start timeouts and some more, because
its start may have to wait for its turn."""


def is_lazy(spec: InstanceSpec, settings: CoreSettings) -> bool:
    """Return whether the first use starts an instance."""
    return (spec.run_policy.start or settings.start) == "lazy"


def idle_stop_s(spec: InstanceSpec, settings: CoreSettings) -> float:
    """Return the seconds without a call after which an instance is stopped; 0 for never."""
    own = spec.run_policy.idle_stop_s
    return settings.idle_stop_s if own is None else own


def replica_or_wake(state: RoutingState, instance: Instance) -> SessionUp | None:
    """Return the session of a ready replica, if it has any; start an instance that is `idle`.

    Args:
        instance: needed, and without a session of its own.
    """
    if instance.state is InstanceState.IDLE:
        wake(state, instance)
    replica = replicas.least_busy(state, instance)
    return None if replica is None else replica.session


def wake(state: RoutingState, instance: Instance) -> None:
    """Start an instance that is `idle`, because somebody needs a session of it."""
    instance.record_waking(state.now_s)
    start(state, instance)


def start(state: RoutingState, instance: Instance) -> None:
    """Have the supervisor start an instance, once what ran before under its name has ended."""
    if instance.spec.has_replicas:
        replicas.start_missing(state, instance)
    elif not instance.stop_pending:
        state.effects.append(state.start_of(instance))


def stopped(state: RoutingState, instance: Instance) -> None:
    """Take the report that an instance was stopped; start it if somebody has needed it since."""
    instance.stop_pending = False
    if instance.state is InstanceState.STARTING and instance.is_startable():
        start(state, instance)


def patience_s(state: RoutingState, instance: Instance) -> float:
    """Return the seconds that a call may wait for an instance.

    Where the call itself has started the instance, its timeout counts from when that is ready: a
    server that needs 40 s to start would else fail each first call, and never the second. The end
    of the start, or its failure, comes before this limit in all but the worst case.
    """
    timeout_s = instance.spec.timeout_s or state.settings.timeout_s
    if not instance.is_waking:
        return timeout_s
    return max(START_WITHIN_S, instance.spec.run_policy.start_timeout_s or 0.0) + timeout_s
