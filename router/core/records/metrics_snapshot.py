"""Takes a snapshot of everything that is counted, and of what there is at the moment.

Invariant: whoever sees only some instances gets the numbers of these alone.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from router.core.state.instances import InstanceState
from router.core.state.session_rows import rows_of
from router.messages.observability.metrics import CoreMetrics, InstanceMetrics

if TYPE_CHECKING:
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.messages.commands import Principal


def metrics_for(state: RoutingState, principal: Principal) -> CoreMetrics:
    """Return the numbers that a principal may see."""
    is_limited = principal.instances is not None or principal.profile is not None
    eras = Counter(client.era for client in state.clients.values() if not client.is_for_one_request)
    sessions = {era: eras[era] for era in ("handshake", "either")}
    return CoreMetrics(
        instances=tuple(_of_instance(state, one) for one in state.overseen_by(principal)),
        own={} if is_limited else state.counts.own.snapshot(),
        shed=0 if is_limited else state.counts.own.shed,
        states=tuple(InstanceState),
        client_sessions=sessions,
        lone_requests=len(state.clients) - sum(sessions.values()),
        awaiting_retry=len(state.input_required),
    )


def _of_instance(state: RoutingState, instance: Instance) -> InstanceMetrics:
    counts = state.counts.of(instance.name)
    rows = list(rows_of(instance))
    sessions = [row.session.session for row in rows if row.session is not None]
    # What waits for any replica waits at the instance.
    waited_at = {id(one): one for one in (instance, *rows)}.values()
    waiting_for_turn = sum(len(row.turns) for row in waited_at)
    return InstanceMetrics(
        name=instance.name,
        methods=counts.snapshot(),
        shed=counts.shed,
        retries=counts.retries,
        restarts=counts.restarts,
        ejections=counts.ejections,
        state=instance.state,
        sessions=len(sessions),
        in_flight=sum(len(state.calls.by_session.get(session, ())) for session in sessions),
        waiting_for_start=sum(len(row.waiting) for row in waited_at) - waiting_for_turn,
        waiting_for_turn=waiting_for_turn,
    )
