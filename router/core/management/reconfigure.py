"""Replaces the rows of instances whose configuration changed, and then their sessions.

Invariants:

- An instance that did not change keeps its session. A change is in force at once for all requests
  that come later; the old session *leaves*: it takes no new calls, and ends after its last one.
- The supervisor runs one session for each name, so the next one waits until the old one has left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.core.calls import call_ends, forwarding, resource_subscriptions
from router.core.sessions import client_sessions, idle_times, lazy_starts, replicas
from router.core.sessions.availability import unavailable_error
from router.core.state.instance_table import Instances, new_instance, part_of
from router.core.state.instances import InstanceState
from router.core.state.session_rows import ClientSession, Leaving
from router.core.tasks import listening
from router.core.views import audience, list_changes
from router.messages.catalog import Catalog
from router.messages.effects import SaveCatalogue, StartSession, StopSession

if TYPE_CHECKING:
    from router.core.state.clients import ClientRequest
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.messages.core_settings import CoreSettings
    from router.messages.instances.instance_spec import InstanceSpec

LEAVE_WITHIN_S: Final = 30.0
"""How long calls in flight may go on after a change: the default of `server.drain_s`."""

NO_CATALOG: Final = Catalog()

_CHANGED: Final = "its configuration changed"
_RESTARTED: Final = "it was restarted on command"


def configure(state: RoutingState, specs: tuple[InstanceSpec, ...]) -> None:
    """Make these the only instances, and notify the clients whose lists are others now."""
    before = state.instances
    wanted = {spec.name: spec for spec in specs}
    shown_before = {row.name: row.offers.catalog for row in before}
    of_persons = [
        (row.name, person, part.offers.catalog)
        for row in before
        for person, part in row.persons.items()
    ]
    for name in [name for name in before.by_name if name not in wanted]:
        row = before.by_name[name]
        # While it is still there, so that it is known who was listed it.
        with list_changes.noticing(state, row):
            _retire_client_sessions(state, row, None)
            retire_replicas(state, row)
            _stop(state, row)
            row.hide()
        for part in row.persons.values():
            with list_changes.noticing(state, part):
                part.hide()
    # Rebuilt so that the order of listing is always the order of configuration.
    state.instances = Instances(
        {name: _configured(state, before.by_name.get(name), spec) for name, spec in wanted.items()}
    )
    state.are_instances_known = True
    state.known.clear()
    state.counts.configure(wanted)
    state.forget_sights()
    for row in state.instances:
        _notify_of_lists(state, row, shown_before.get(row.name, NO_CATALOG))
    list_changes.notify_of_servers(state)
    for name, person, lists in of_persons:
        row = state.instances.by_name.get(name)
        if row is not None and row.spec.is_per_person:
            _notify_of_lists(state, part_of(row, person), lists)


def _notify_of_lists(state: RoutingState, row: Instance, before: Catalog) -> None:
    """Notify the clients of an instance if its lists are others than before."""
    differing = list_changes.kinds_that_differ(before, row.offers.catalog)
    if differing:
        clients = audience.clients_that_list(state, row)
        list_changes.notify_clients(state, clients, differing)


def restart(
    state: RoutingState, instance: Instance, reason: str = _RESTARTED
) -> list[ClientRequest]:
    """Have all sessions of an instance end and start anew, at once; their calls in flight fail.

    Args:
        instance: the instance.
        reason: is told to those whose calls fail.

    Returns:
        The requests that waited for it; the caller carries them out.

    Raises:
        RpcError: -32013, it is switched off or cannot be started as it is configured.
    """
    if not instance.may_run:
        raise unavailable_error(instance, state.now_s)
    name, before = instance.name, instance.offers.catalog
    waiting: list[ClientRequest] = []
    fail_leaving_calls(state, name, reason)
    for row in (instance, *instance.client_sessions.values(), *instance.replicas):
        end_session(state, row, reason)
        waiting += forwarding.take_waiting(state, row)
    pins = state.pins_of(name)
    fresh = new_instance(instance.spec, state.now_s, instance.known, pins=pins)
    fresh.call_count = instance.call_count
    for person, part in instance.persons.items():
        if part.known is not None:
            part_of(fresh, person).record_known(part.known)
    _retire_client_sessions(state, instance, fresh)
    retire_replicas(state, instance)
    _run_fresh(state, instance, fresh)
    state.instances = Instances(state.instances.by_name | {name: fresh})
    state.forget_sights()
    _notify_of_lists(state, fresh, before)
    return waiting


def _configured(state: RoutingState, instance: Instance | None, spec: InstanceSpec) -> Instance:
    serves_both = instance is not None and instance.spec.starts_like(spec)
    if instance is not None and serves_both and instance.spec.has_replicas == spec.has_replicas:
        former = instance.spec
        is_cached_now = spec.catalogue_cache and not former.catalogue_cache
        instance.record_spec(spec)
        client_sessions.take_spec(instance)
        if is_cached_now:
            save_catalogue(state, instance)
        apply_run_policy(state, instance, former, state.settings)
        return instance
    is_lazy = lazy_starts.is_lazy(spec, state.settings)
    known = state.known.get(spec.name)
    if known is None and instance is not None and serves_both:
        known = instance.known
    pins = state.pins_of(spec.name)
    fresh = new_instance(spec, state.now_s, known, is_lazy=is_lazy, pins=pins)
    if instance is not None:
        _retire_client_sessions(state, instance, fresh)
        retire_replicas(state, instance)
    _run_fresh(state, instance, fresh)
    return fresh


def _run_fresh(state: RoutingState, instance: Instance | None, fresh: Instance) -> None:
    """Retire the former row of an instance, and start the new one unless its first use does that.

    Args:
        instance: the former row; None for a new instance.
        fresh: the new one.
    """
    name = fresh.name
    is_ending = instance is not None and instance.stop_pending and name not in state.leaving
    if fresh.is_startable() and is_ending:
        fresh.stop_pending = True
        _replace(state, name, instance, None)
    elif fresh.is_startable() and fresh.state is InstanceState.STARTING:
        _replace(state, name, instance, state.start_of(fresh))
    elif instance is not None:
        # Kept even where nothing is to run under the name itself: a later change may want that.
        fresh.stop_pending = is_ending or instance.is_startable() or name in state.leaving
        _stop(state, instance)
    if fresh.spec.has_replicas and fresh.state is InstanceState.STARTING:
        replicas.start_missing(state, fresh)


def apply_run_policy(
    state: RoutingState, instance: Instance, former: InstanceSpec, before: CoreSettings
) -> None:
    """Have an instance that stays run as its configuration and the settings say now.

    Args:
        instance: the instance.
        former: its configuration until now.
        before: the settings until now.
    """
    is_eager_now = not lazy_starts.is_lazy(instance.spec, state.settings)
    was_lazy = lazy_starts.is_lazy(former, before)
    if instance.replicas:
        _adjust_replicas(state, instance)
    if instance.is_per_client:
        for row in state.client_sessions.of_instance(instance):
            idle_times.arm_client_session(state, row)
    elif instance.state is InstanceState.IDLE and is_eager_now and was_lazy:
        lazy_starts.wake(state, instance)
        instance.used_s = None  # Nobody has used it: its configuration starts it.
    else:
        idle_times.arm(state, instance)


def save_catalogue(state: RoutingState, instance: Instance) -> None:
    """Have the lists of a live session kept for the next start."""
    spec = instance.spec
    # What one person is listed is on no disk, from which it would be shown to everybody.
    if spec.is_per_person or not spec.catalogue_cache:
        return
    if instance.is_connected and instance.known is not None:
        state.effects.append(SaveCatalogue(instance.spec, instance.known))


def _stop(state: RoutingState, instance: Instance) -> None:
    """Have an instance stopped if it runs or may be about to run."""
    then = StopSession(instance.name) if instance.is_startable() else None
    _replace(state, instance.name, instance, then)


def _replace(
    state: RoutingState,
    name: str,
    instance: Instance | None,
    then: StartSession | StopSession | None,
) -> None:
    """Retire a row, then have the supervisor do the next thing.

    Args:
        name: of the instance.
        instance: the row to retire; None for a new instance.
        then: is done at once, or when the old session has left; None for nothing.
    """
    if instance is not None and then is not None and _has_calls(state, instance):
        state.leaving[name] = Leaving(instance, then)
        state.leaving_due.arm(name, state.now_s + LEAVE_WITHIN_S)
        return
    if instance is not None:
        end_session(state, instance, _CHANGED)
        instance.enter(InstanceState.STOPPING, state.now_s)
        call_ends.fail_waiting(state, instance)
    if then is not None and name in state.leaving:
        state.leaving[name].then = then
    elif then is not None:
        state.effects.append(then)


def _retire_client_sessions(
    state: RoutingState, instance: Instance, fresh: Instance | None
) -> None:
    """Retire the rows of its clients' sessions; those that clients rely on are started anew.

    Args:
        instance: the row that has no clients from now on.
        fresh: takes its place; None if it was removed.
    """
    for row in list(instance.client_sessions.values()):
        assert isinstance(row, ClientSession), "rows of clients are of this kind"
        clients = list(row.clients)
        state.client_sessions.remove(row)
        _replace(state, row.spec.name, row, StopSession(row.spec.name))
        if fresh is not None and row.address in state.subscribers:
            client_sessions.start_again(state, fresh, row, clients)


def retire_replicas(state: RoutingState, instance: Instance, number: int | None = None) -> None:
    """Have so many replicas of an instance stopped, or all; each after its last call."""
    count = len(instance.replicas) if number is None else number
    for row in replicas.take_out(state, instance, count):
        _replace(state, row.spec.name, row, StopSession(row.spec.name))


def _adjust_replicas(state: RoutingState, instance: Instance) -> None:
    """Have the replicas of an instance be as many, and as its configuration says now."""
    surplus = len(instance.replicas) - instance.spec.run_policy.replicas
    with list_changes.noticing(state, instance):
        retire_replicas(state, instance, max(surplus, 0))
        replicas.take_spec(instance)
        replicas.start_missing(state, instance)
    if not instance.may_become_ready() and not instance.is_connected:
        call_ends.fail_waiting(state, instance)


def _has_calls(state: RoutingState, instance: Instance) -> bool:
    return instance.session is not None and instance.session.session in state.calls.by_session


def end_session(state: RoutingState, instance: Instance, reason: str) -> None:
    """Drop an instance's session, if it has one; its calls in flight fail.

    The caller sets the instance's next state.
    """
    if instance.session is not None:
        session, instance.session = instance.session.session, None
        del state.sessions[session]
        state.ejections.pop(session, None)
        call_ends.fail_session(state, session, instance, reason)
        resource_subscriptions.session_gone(state, session)
        listening.session_gone(state, session)


# --- Sessions that leave ---------------------------------------------------------------------


def complete_replacements(state: RoutingState) -> None:
    """Send the supervisor its next command for each leaving session that has no calls any more."""
    for name, leaving in list(state.leaving.items()):
        row = leaving.row
        if _has_calls(state, row):
            continue
        del state.leaving[name]
        state.leaving_due.disarm(name)
        if row.session is not None:
            resource_subscriptions.session_gone(state, row.session.session)
            listening.session_gone(state, row.session.session)
            del state.sessions[row.session.session]
            state.ejections.pop(row.session.session, None)
            row.session = None
        state.effects.append(leaving.then)


def fail_leaving_calls(state: RoutingState, name: str, reason: str) -> bool:
    """Fail the calls on the session of this name that leaves; return False if none does."""
    leaving = state.leaving.get(name)
    if leaving is not None:
        end_session(state, leaving.row, reason)
    return leaving is not None


def expire(state: RoutingState) -> None:
    """Fail the calls on sessions that should have left by now."""
    for name in state.leaving_due.due(state.now_s):
        fail_leaving_calls(state, name, _CHANGED)
