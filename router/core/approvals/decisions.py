"""Shows approvers the calls that wait for them, and takes their decisions.

Invariants:

- An approver sees only calls to instances that its principal sees; others do not exist for it.
- Nobody approves a call of their own principal, but for the user who runs the router, on its
  machine: a model that holds a token must not agree with itself.
- A yes names the digest of the arguments that were shown. The first decision is the only one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from router.core.approvals import holding
from router.messages.commands import LOCAL_USER
from router.messages.errors import APPROVAL_CONFLICT, APPROVAL_NOT_FOUND, NOT_ALLOWED, RpcError

if TYPE_CHECKING:
    from router.core.state.clients import ClientRequest
    from router.core.state.routing_state import RoutingState
    from router.core.state.waiting.approvals import Approval
    from router.messages.commands import DecideApproval, Principal


def shown_to(state: RoutingState, principal: Principal) -> list[dict[str, Any]]:
    """Return the calls that wait for an approver, oldest first; see `ListApprovals`."""
    seen = state.shown_to(principal).by_name
    rows = state.approvals.by_id.values()
    return [_shown(state, row) for row in rows if row.asked == "approver" and row.instance in seen]


def _shown(state: RoutingState, row: Approval) -> dict[str, Any]:
    return {
        "id": row.id,
        "principal": row.principal,
        "client": row.client,
        "instance": row.instance,
        "tool": row.tool,
        "arguments": row.arguments,
        "arguments_sha256": row.sha256,
        "waiting_s": round(state.now_s - row.since_s, 1),
        "expires_in_s": round(max(0.0, row.expires_at_s - state.now_s), 1),
    }


def decide(
    state: RoutingState, principal: Principal, what: DecideApproval
) -> tuple[dict[str, Any], ClientRequest | None]:
    """Take a decision.

    Returns:
        The answer to the approver, and the request to carry out; None if it is refused.

    Raises:
        RpcError: -32007, there is no such call; -32006, it was decided about already, or its
            arguments are others; -32016, it is the approver's own.
    """
    row = _row(state, principal, what.id)
    if what.arguments_sha256 not in (row.sha256, *(() if what.approve else (None,))):
        problem = f"The arguments of call {row.id} are not those of this arguments_sha256"
        raise RpcError(APPROVAL_CONFLICT, f"{problem}; look at it again: mcp-router approvals")
    answer = {
        "id": row.id,
        "instance": row.instance,
        "tool": row.tool,
        "approved": what.approve,
    }
    if not what.approve:
        holding.end(state, row, "denied", "the approver said no", principal.name)
        return answer, None
    if principal.name == row.principal and principal.name != LOCAL_USER:
        raise RpcError(
            NOT_ALLOWED,
            f"'{principal.name}' made this call itself, and nobody approves their own; use another "
            "token with the permission 'approve', or mcp-router approve on the machine of the "
            "router, as its user",
        )
    return answer, holding.approve(state, row, principal.name)


def _row(state: RoutingState, principal: Principal, approval_id: str) -> Approval:
    seen = state.shown_to(principal).by_name
    row = state.approvals.by_id.get(approval_id)
    if row is not None and row.asked == "approver" and row.instance in seen:
        return row
    instance, outcome = state.approvals.decided.get(approval_id, ("", ""))
    if instance in seen:
        raise RpcError(APPROVAL_CONFLICT, f"Call {approval_id} waits no more: {outcome}")
    raise RpcError(APPROVAL_NOT_FOUND, f"No call with the id {approval_id} waits for approval")
