"""Stops instances that nobody has used for a while; their next use starts them again.

Invariants:

- A session is stopped only while it is up and not in use, so nobody loses anything by it.
- An instance that is stopped for being idle keeps its lists, and has no error.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from router.core.management import reconfigure
from router.core.sessions import idle_times
from router.messages.effects import LogLine, StopSession

if TYPE_CHECKING:
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.messages.core_settings import CoreSettings

_UNUSED: Final = "nobody has used it for a while"


def expire(state: RoutingState) -> None:
    """Stop the instances that nobody has used for long enough, unless the router stops anyway."""
    for name in state.idle_due.due(state.now_s):
        instance = state.instances.by_name.get(name)
        if instance is None or not instance.is_connected or state.draining:
            continue
        if idle_times.is_in_use(state, instance):
            instance.used_s = state.now_s
        at_s = idle_times.idle_at_s(state, instance)
        if at_s is not None and at_s <= state.now_s:
            _stop(state, instance)
        else:
            idle_times.arm(state, instance)


def _stop(state: RoutingState, instance: Instance) -> None:
    if instance.spec.has_replicas:
        reconfigure.retire_replicas(state, instance)
    else:
        reconfigure.end_session(state, instance, _UNUSED)
        state.effects.append(StopSession(instance.name))
        instance.stop_pending = True
    instance.record_idle(state.now_s)
    line = f"{instance.name} is stopped, because {_UNUSED}; its next use starts it"
    state.effects.append(LogLine(logging.INFO, line, instance.name))


def settings_changed(state: RoutingState, before: CoreSettings) -> None:
    """Have the instances run as the settings say now.

    Args:
        before: the settings until now.
    """
    for instance in state.instances:
        reconfigure.apply_run_policy(state, instance, instance.spec, before)
