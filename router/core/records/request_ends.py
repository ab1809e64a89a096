"""Counts each request as it ends, and has its record written if there is to be one.

Invariant: a request is counted where its answer is sent or its channel ended, so once. One that
asks for the router alone, such as `ping` or `tools/list`, is not counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.core.protocol.own_tools import router_tools
from router.core.records import call_records
from router.core.state.clients import ClientRequest
from router.messages.errors import OVERLOADED
from router.messages.frames import ErrorResponse, Response

if TYPE_CHECKING:
    from router.core.state.clients import Call
    from router.core.state.routing_state import RoutingState
    from router.messages.errors import RpcError
    from router.messages.observability.records import Outcome

ROUTER_TOOL: Final = "router"
"""The kind of a call of one of the router's own tools, but for those that call another tool."""

_FORWARDING: Final = frozenset({router_tools.CALL, router_tools.CALL_TOOL})

OTHER: Final = "other"
"""The kind of what a transparent view forwards besides."""

KINDS: Final = {
    method: "tasks" if method.startswith("tasks/") else method for method in call_records.CALLS
}
"""Method -> the kind that its requests are counted as."""


def _kind_of(ended: ClientRequest | Call) -> str | None:
    """Return the kind of a request; None if it is not counted."""
    kind = KINDS.get(ended.method)
    if kind is None:
        return OTHER if call_records.is_call(ended) else None
    if ended.is_own_tool and isinstance(ended, ClientRequest):
        return kind if call_records.own_tool(ended) in _FORWARDING else ROUTER_TOOL
    return kind


def answered(
    state: RoutingState,
    ended: ClientRequest | Call,
    frame: Response | ErrorResponse,
    error: RpcError | None,
) -> None:
    """Count a request that is answered.

    Args:
        ended: the request, or the call that was made of it.
        frame: the answer.
        error: the router's own error, if it is the answer; it may be in the words of a tool result.
    """
    kind = _kind_of(ended)
    if kind is None:
        return
    outcome: Outcome = "ok"
    code = 0
    if error is not None:
        outcome, code = "error", error.code
    elif isinstance(frame, ErrorResponse):
        outcome, code = "error", call_records.code_of(frame)
    counts = state.counts.of("" if kind is ROUTER_TOOL else ended.instance)
    counts.answered(kind, outcome, code, state.now_s - ended.began_s)
    # A token that is beyond its own limits is no overload.
    if code == OVERLOADED and error is not None and "limit" not in (error.data or ()):
        counts.shed += 1
    if ended.draft is not None:
        call_records.answered(state, ended, frame, outcome, code)


def unanswered(state: RoutingState, ended: ClientRequest | Call, outcome: Outcome) -> None:
    """Count a request that gets no answer.

    Args:
        outcome: "cancelled" by its client, or the client is "gone".
    """
    kind = _kind_of(ended)
    if kind is None:
        return
    state.counts.of("" if kind is ROUTER_TOOL else ended.instance).unanswered(kind, outcome)
    if ended.draft is not None:
        call_records.unanswered(state, ended, outcome)
