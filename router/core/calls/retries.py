"""Sends a call once more whose session was lost, where its instance and its tool allow that.

An instance allows it by `retry_safe_calls`, a tool by its annotations: it changes nothing
(`readOnlyHint`), or a second call changes nothing more (`idempotentHint`; MCP 2025-11-25, Tools,
ToolAnnotations). These are hints of the server's own, so nothing is sent again without the consent
of the instance's owner.

Invariants: a call is sent at most twice, and the second time within the deadline of the first. Of
calls to instances that do not allow it, nothing is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from router.core.calls import forwarding
from router.core.state.calls import MAX_EXTENSION
from router.core.state.clients import Parked
from router.core.text.raw_json import printable
from router.messages.errors import SESSION_LOST, RpcError

if TYPE_CHECKING:
    from msgspec import Raw

    from router.core.state.clients import Call, ClientRequest
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.messages.events import SessionUp


class _Annotations(Struct):
    readOnlyHint: Any = None  # MCP's names
    idempotentHint: Any = None


class _Tool(Struct):
    annotations: _Annotations | None = None


def park_safe_calls(state: RoutingState, row: Instance, session: SessionUp, reason: str) -> None:
    """Park the calls in flight on a lost session that may be sent again to the next one.

    Args:
        row: the row of the session; it is about to be in back-off.
        session: the session that was lost.
        reason: why it was lost.
    """
    is_current = state.row_named(row.spec.name) is row
    if not (row.spec.run_policy.retry_safe_calls and is_current):
        return
    for call in state.calls.of_session(session.session):
        request = take_repeatable(state, call)
        if request is None:
            continue
        message = f"Instance '{row.name}' was lost during the call: {printable(reason)}"
        parked = Parked(request, row, RpcError(SESSION_LOST, message))
        assert request.ends_at_s is not None, "it is a repetition"
        try:
            forwarding.park(state, parked, request.ends_at_s - state.now_s)
        except RpcError as error:
            forwarding.refuse(state, request, error)


def take_repeatable(state: RoutingState, call: Call) -> ClientRequest | None:
    """Close a call and return its request if that may be carried out again; None if it may not."""
    if state.draining or call.to_repeat is None:
        return None
    if call.unanswered or call.input_required or call.input_round:
        return None
    request, name = call.to_repeat
    began_at_s = call.ends_at_s - call.timeout_s * MAX_EXTENSION
    ends_at_s = began_at_s + call.timeout_s
    if ends_at_s <= state.now_s or not _is_safe(call.session, name):
        return None
    forwarding.close_call(state, call)
    request.ends_at_s = ends_at_s
    state.counts.of(call.instance).retries += 1
    return request


def _is_safe(session: SessionUp, raw_name: Raw) -> bool:
    """Return whether the server says of a tool that it may be called twice."""
    try:
        name = msgspec.json.decode(raw_name, type=str)
        found = next((tool.raw for tool in session.catalog.tools if tool.key == name), None)
        declared = None if found is None else msgspec.json.decode(found, type=_Tool).annotations
    except msgspec.MsgspecError:
        return False
    return declared is not None and (
        declared.readOnlyHint is True or declared.idempotentHint is True
    )
