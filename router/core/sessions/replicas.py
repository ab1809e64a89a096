"""Runs several processes of one instance, and chooses one of them for each request.

Each replica has a row of its own, which the supervisor knows as `{instance}#{number}`: it starts,
fails and is restarted alone. What belongs to a session stays with it: a call and its questions, a
task, a call that waits for input.

Invariant: a request goes to a replica that is ready, if any is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from msgspec.structs import replace

from router.core.state.instances import InstanceState
from router.core.state.session_rows import Replica, replicas_of, sum_up

if TYPE_CHECKING:
    from router.core.state.clients import Call
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.messages.instances.instance_spec import InstanceSpec

# --- Choice ----------------------------------------------------------------------------------


def least_busy(state: RoutingState, instance: Instance) -> Instance | None:
    """Return the ready replica with the fewest calls in flight; None if none is ready.

    Of several, the one that comes after the last choice: else one of them would get all calls that
    come one at a time.
    """
    by_session = state.calls.by_session
    best, fewest = None, 0
    for row in instance.replicas:
        if row.session is not None:
            in_flight = len(by_session.get(row.session.session, ()))
            if best is None or in_flight < fewest:
                best, fewest = row, in_flight
    if best is not None:
        instance.replicas.remove(best)
        instance.replicas.append(best)
    return best


def take_unsent(state: RoutingState, call: Call) -> Instance | None:
    """Give a call that its replica did not get to another one; None if no other is ready.

    The caller sends it there.
    """
    row = state.sessions.get(call.session.session)
    if not isinstance(row, Replica):
        return None
    others = [
        one
        for one in row.instance.replicas
        if one.session is not None
        and one.session.session != call.session.session
        # One whose tools wait for approval might list this very one otherwise.
        and not one.offers.withheld
    ]
    other = min(others, key=lambda one: _in_flight(state, one), default=None)
    if other is None or other.session is None:
        return None
    state.calls.close(call)
    call.session = other.session
    state.calls.open(call, min(state.now_s + call.timeout_s, call.ends_at_s))
    return other


def _in_flight(state: RoutingState, row: Instance) -> int:
    return 0 if row.session is None else len(state.calls.of_session(row.session.session))


# --- Starts and ends -------------------------------------------------------------------------


def start_missing(state: RoutingState, instance: Instance) -> None:
    """Start as many replicas as its configuration wants and it does not have."""
    for _ in range(instance.spec.run_policy.replicas - len(instance.replicas)):
        name = state.client_sessions.next_name(instance.name)
        spec = _spec_of(instance, name)
        row = Replica(spec, InstanceState.STARTING, state.now_s, instance=instance)
        state.replicas[name] = row
        instance.replicas.append(row)
        state.effects.append(state.start_of(row))
    sum_up(instance, state.now_s)


def take_out(state: RoutingState, instance: Instance, number: int) -> list[Replica]:
    """Take out and return the rows of so many replicas, first of those that are not ready.

    They get no more requests; the caller has them stopped.
    """
    newest_first = reversed(replicas_of(instance))
    rows = sorted(newest_first, key=lambda row: row.session is not None)[:number]
    for row in rows:
        instance.replicas.remove(row)
        del state.replicas[row.spec.name]
    return rows


def take_spec(instance: Instance) -> None:
    """Have the replicas of an instance show what its configuration says now."""
    for row in instance.replicas:
        row.record_spec(_spec_of(instance, row.spec.name))


def _spec_of(instance: Instance, name: str) -> InstanceSpec:
    spec = instance.spec
    return attrs.evolve(spec, name=name, run_policy=replace(spec.run_policy, replicas=1))
