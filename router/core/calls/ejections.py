"""Holds back calls to a server that refuses them one after the other; see `state.ejection`.

Only remote servers fail so: each of their answers comes over a connection of its own, so the
session goes on. `RoutingState.ejections` has an entry only for a session that has failed since its
last success, so calls to all others cost nothing here.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from router.core.bounded.ejection import Ejection, is_failure
from router.core.state.session_rows import SessionRow, sum_up
from router.messages.effects import LogLine
from router.messages.errors import UNAVAILABLE, RpcError

if TYPE_CHECKING:
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.messages.events import RequestFailed
    from router.messages.frames import SessionId


def check(state: RoutingState, session: SessionId) -> None:
    """Refuse a call while its session is ejected; let one through when that is over, as a trial.

    Raises:
        RpcError: -32013, with the reason and the time of the next try.
    """
    ejection, row = state.ejections.get(session), state.sessions.get(session)
    if ejection is None or row is None:
        return
    if not ejection.lets_through(state.now_s):
        raise _refusal(row, state.now_s)
    row.retry_at_s = ejection.ends_at_s  # Of the next call, should this one get no answer.


def _refusal(row: Instance, now_s: float) -> RpcError:
    retry_in_s = row.retry_in_s(now_s) or 0.0
    data = {"state": row.state, "last_error": row.last_error, "retry_in_s": retry_in_s}
    message = f"Instance '{row.name}' is {row.state}: {row.last_error}"
    return RpcError(UNAVAILABLE, f"{message} (next try in {retry_in_s:.1f} s)", data)


def record_failure(state: RoutingState, row: Instance, event: RequestFailed) -> None:
    """Record that a server failed to answer a request; eject it if that is enough."""
    if not is_failure(event.status):
        record_answer(state, event.session)
        return
    ejection = state.ejections.setdefault(event.session, Ejection())
    if not ejection.record_failure(state.now_s, event.retry_after_s):
        if ejection.ends_at_s is not None:
            row.retry_at_s = ejection.ends_at_s
        return
    assert ejection.ends_at_s is not None, "it was just ejected"
    row.record_degraded(event.error.message, ejection.ends_at_s, state.now_s)
    _sum_up(state, row)
    state.counts.of(row.name).ejections += 1
    retry_in_s = ejection.ends_at_s - state.now_s
    text = f"{row.spec.name} is degraded ({row.last_error}); next try in {retry_in_s:.1f} s"
    state.effects.append(LogLine(logging.WARNING, text, row.spec.name))


def record_answer(state: RoutingState, session: SessionId) -> None:
    """Record that a server answered a request, be it with an error."""
    ejection, row = state.ejections.get(session), state.sessions.get(session)
    if ejection is None or row is None or not ejection.record_success():
        return
    del state.ejections[session]
    if ejection.ends_at_s is not None:
        row.record_recovered(state.now_s)
        _sum_up(state, row)
        name = row.spec.name
        state.effects.append(LogLine(logging.INFO, f"{name} answers again", name))


def _sum_up(state: RoutingState, row: Instance) -> None:
    if isinstance(row, SessionRow):
        sum_up(row.instance, state.now_s)
