"""Lets no more calls into a session than its `max_in_flight`; a few more wait for their turn.

A call that waits for its turn is parked at an instance that is ready, and has the same ends as one
that is parked while the instance starts. As many may wait as may be in flight.

Invariants:

- While calls wait for a session that is up, it has `max_in_flight` calls.
- The next turn is that of the client with the fewest calls in flight at this session; of several,
  of the one that was longest without a turn. So no client waits for all calls of another one.
- A client is a program as far as can be told: see `state.calls.program_of`.
- If all places are taken, a client with few waiting calls gets the place of one with many.
- Requests about lists, subscriptions and tasks never wait. Some of them are how a client ends what
  the others wait for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core.calls import forwarding
from router.core.limits import rates
from router.core.state.calls import program_of
from router.core.state.clients import Parked
from router.core.state.session_rows import Replica
from router.messages.errors import OVERLOADED, TIMEOUT, RpcError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from router.core.state.clients import ClientRequest
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.messages.events import SessionUp


def session_for_call(
    state: RoutingState, request: ClientRequest, instance: Instance
) -> SessionUp | None:
    """Return the session that takes a call now; None if the request waits for it or for its turn.

    Raises:
        RpcError: see `forwarding.session_or_park`; -32015 also if too many wait for their turn, or
            its token has reached a limit.
    """
    request.instance = instance.name  # Now, so that a refusal is recorded with it.
    if state.settings.rates:
        rates.count(state, request)
    session = instance.session  # Most instances are ready, and there is nothing to wait for.
    if session is None or state.draining:
        session = forwarding.session_or_park(state, request, instance)
    if session is None or instance.spec.run_policy.max_in_flight is None:
        return session
    row = state.sessions[session.session]
    if _has_room(state, row):
        return session
    _wait(state, request, row)
    return None


def _has_room(state: RoutingState, row: Instance) -> bool:
    """Return whether the session of a row, if it has one, takes another call now.

    A call that waits at a replica goes to any other one that has room sooner.
    """
    if isinstance(row, Replica):
        return any(_has_room_itself(state, each) for each in (row, *row.instance.replicas))
    return _has_room_itself(state, row)


def _has_room_itself(state: RoutingState, row: Instance) -> bool:
    limit = row.spec.run_policy.max_in_flight
    return row.session is not None and (
        limit is None or len(state.calls.by_session.get(row.session.session, ())) < limit
    )


# --- Waiting ---------------------------------------------------------------------------------


def _wait(state: RoutingState, request: ClientRequest, row: Instance) -> None:
    """Have a request wait for its turn.

    Raises:
        RpcError: -32015, no place is left.
    """
    name, limit = row.name, row.spec.run_policy.max_in_flight or 0
    client, dropped = program_of(request.client), None
    if len(row.turns) >= limit:
        dropped = row.turns.key_to_drop_for(client)
        if dropped is None:
            raise _full(state, row, limit, "try again later, or raise its max_in_flight")
    timeout_s = row.spec.timeout_s or state.settings.timeout_s
    if request.waits_since_s is None:
        request.waits_since_s = state.now_s
    overdue = RpcError(
        TIMEOUT,
        f"Timeout exceeded: {timeout_s:g}s; the call waited for its turn all the time, because "
        f"instance '{name}' takes {limit} at a time (max_in_flight)",
    )
    parked = Parked(request, row, overdue, client)
    forwarding.park(state, parked, request.waits_since_s + timeout_s - state.now_s)
    row.turns.add(client, (request.client.id, request.id))
    state.queues[row.turns] = row
    if dropped is not None:
        greedy = state.clients[dropped[0]].parked[dropped[1]]
        forwarding.unpark(state, greedy)
        why = "the place of this call went to a client with fewer of them"
        forwarding.refuse(state, greedy.request, _full(state, row, limit, why))


def _full(state: RoutingState, row: Instance, limit: int, then: str) -> RpcError:
    # After the limit was lowered, both numbers may be greater than it for a while.
    in_flight = 0 if row.session is None else len(state.calls.of_session(row.session.session))
    message = (
        f"Instance '{row.name}' is overloaded: {in_flight} of {limit} calls are in flight and "
        f"{len(row.turns)} of {limit} wait for their turn; {then}"
    )
    return RpcError(OVERLOADED, message, {"max_in_flight": limit})


# --- Turns -----------------------------------------------------------------------------------


def take_turns(state: RoutingState) -> Iterator[ClientRequest]:
    """Yield the requests that wait no more; the caller carries each out before the next one."""
    for queue, row in list(state.queues.items()):
        leaving = state.leaving.get(row.spec.name)
        if leaving is not None and leaving.row is row:
            # A session that leaves takes no new calls: they are for the one that comes after it.
            for request in forwarding.take_waiting(state, row):
                request.waits_since_s = None
                yield request
        for _ in range(len(queue)):
            if not _has_room(state, row):
                break
            client_id, request_id = queue.next_key(_loads(state, row))
            parked = state.clients[client_id].parked[request_id]
            forwarding.unpark(state, parked)
            yield parked.request
        if not queue:
            state.queues.pop(queue, None)


def _loads(state: RoutingState, row: Instance) -> Mapping[Hashable, int]:
    """Return how many calls of each client are in flight at the session of a row."""
    if row.session is None or not row.turns.has_several_clients:
        return {}
    return state.calls.loads_of(row.session.session)
