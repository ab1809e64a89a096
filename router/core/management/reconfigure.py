"""From one set of configured instances to the next: what starts, what stops, what finishes first.

Job: replace the rows of instances that changed, and have their sessions replaced once the calls
in flight on them have ended. Neighbours: `core` says when; `instances` holds the rows. Pure.

Invariants:

- What did not change keeps its session. What changed is in force at once, for everything that is
  asked from then on; only the old session *leaves* later, and takes no new calls.
- The supervisor runs one session for each name, so its next one waits until the old one has left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.core.calls import forwarding, tool_lists
from router.core.state.instances import InstanceState, Leaving, new_instance
from router.messages.effects import StartSession, StopSession

if TYPE_CHECKING:
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.messages.instance_spec import InstanceSpec

LEAVE_WITHIN_S: Final = 30.0
"""How long calls in flight may go on after a change; as long as when the router stops."""

_CHANGED: Final = "its configuration changed"


def configure(state: RoutingState, specs: tuple[InstanceSpec, ...]) -> None:
    """Make these the instances there are."""
    present = state.instances.by_name
    wanted = {spec.name: spec for spec in specs}
    for name in [name for name in present if name not in wanted]:
        _stop(state, present.pop(name))
    # Rebuilt so that the order of listing is always the order of configuration.
    state.instances.by_name = {
        name: _configured(state, present.get(name), spec) for name, spec in wanted.items()
    }


def _configured(state: RoutingState, instance: Instance | None, spec: InstanceSpec) -> Instance:
    if instance is not None and instance.spec.starts_like(spec):
        instance.spec = spec
        return instance
    fresh = new_instance(spec, state.now_s)
    if fresh.state is InstanceState.STARTING:
        _replace(state, spec.name, instance, StartSession(spec))
    elif instance is not None:
        _stop(state, instance)
    return fresh


def _stop(state: RoutingState, instance: Instance) -> None:
    """Have it stopped if it runs or may be about to run."""
    then = StopSession(instance.name) if instance.is_startable() else None
    _replace(state, instance.name, instance, then)


def _replace(
    state: RoutingState,
    name: str,
    instance: Instance | None,
    then: StartSession | StopSession | None,
) -> None:
    """Let go of a row, and have the supervisor do the next thing, now or when the old has left."""
    if instance is not None and then is not None and _has_calls(state, instance):
        state.leaving[name] = Leaving(instance, then)
        state.leaving_due.arm(name, state.now_s + LEAVE_WITHIN_S)
        tool_lists.tell_users(state, name)
        return
    if instance is not None:
        end_session(state, instance, _CHANGED)
        instance.enter(InstanceState.STOPPING, state.now_s)
        forwarding.fail_waiting(state, instance)
    if then is not None and name in state.leaving:
        state.leaving[name].then = then
    elif then is not None:
        state.effects.append(then)


def _has_calls(state: RoutingState, instance: Instance) -> bool:
    return instance.session is not None and instance.session.session in state.calls.by_session


def end_session(state: RoutingState, instance: Instance, reason: str) -> None:
    """Let go of an instance's session, if it has one; its calls in flight fail.

    The caller says what state the instance is in now.
    """
    if instance.session is not None:
        session, instance.session = instance.session.session, None
        del state.sessions[session]
        forwarding.fail_session(state, session, instance, reason)
        tool_lists.tell_users(state, instance.name)


# --- Sessions that leave ---------------------------------------------------------------------


def see_off(state: RoutingState) -> None:
    """Have the supervisor go on where the last call on a session that leaves has ended."""
    for name, leaving in list(state.leaving.items()):
        if not _has_calls(state, leaving.row):
            del state.leaving[name]
            state.leaving_due.disarm(name)
            _forget(state, leaving.row)
            state.effects.append(leaving.then)


def _forget(state: RoutingState, row: Instance) -> None:
    if row.session is not None:
        del state.sessions[row.session.session]
        row.session = None


def fail_leaving_calls(state: RoutingState, name: str, reason: str) -> bool:
    """Fail what is in flight on the session of this name that leaves; False if there is none."""
    leaving = state.leaving.get(name)
    if leaving is not None:
        end_session(state, leaving.row, reason)
    return leaving is not None


def expire(state: RoutingState) -> None:
    """Fail what is in flight on sessions that should have left by now."""
    for name in state.leaving_due.due(state.now_s):
        fail_leaving_calls(state, name, _CHANGED)
