"""Takes the answers of clients to the question whether a call of theirs may be carried out.

A client with a session answers a request of the router. One of 2026-07-28 makes its call again,
with the answer and the `requestState` that came with the question (Input Required).

Invariant: a `requestState` is good once, and only for this process, this principal, this place and
this very call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core.approvals import holding, questions
from router.core.protocol.bridging import RETRY_KEYS
from router.core.text.raw_json import text_of
from router.messages.errors import RpcError
from router.messages.params import Params, given, object_of

if TYPE_CHECKING:
    from msgspec import Raw

    from router.core.state.clients import Client, ClientRequest
    from router.core.state.routing_state import RoutingState
    from router.core.state.waiting.approvals import Approval
    from router.messages.frames import ErrorResponse, Response

NO: str = "the user of the client did not agree"


def row_asked(
    state: RoutingState, client: Client, answer: Response | ErrorResponse
) -> Approval | None:
    """Return the row whose question a frame of a client answers; None if it answers none."""
    for held in client.held.values():
        row = state.approvals.by_id[held]
        if row.question is not None and row.question == answer.id:
            return row
    return None


def take(
    state: RoutingState, row: Approval, answer: Response | ErrorResponse
) -> ClientRequest | None:
    """Take the answer of a client with a session.

    Returns:
        The request to carry out; None after a no, which the client was told.
    """
    if questions.is_yes(answer):
        return holding.approve(state, row, row.principal)
    holding.end(state, row, "denied", NO, row.principal)
    return None


def is_refused(state: RoutingState, request: ClientRequest) -> bool:
    """Take the answer in a request of 2026-07-28 that was made again, if it is one to a question.

    Returns:
        True if it is no yes, and the client was told so. Else the request goes on, as it was
        before the question, with the yes if it has one.
    """
    row_id = _unsealed(state, request)
    if row_id is None:
        return False
    row = state.approvals.by_id.get(row_id)
    if row is None or row.request is not None:
        holding.refuse(state, request, "the question has expired, or was answered before")
        return True
    request.instance = row.instance
    if not questions.is_yes_in(_response_in(request)):
        holding.end(state, row, "denied", NO, row.principal)
        holding.note_decision(state, request, row, "denied")
        holding.refuse(state, request, NO)
        return True
    holding.approve(state, row, row.principal)
    holding.note_decision(state, request, row, "approved")
    request.approved = row.subject
    request.params = _as_before(request.params, row)
    return False


def _unsealed(state: RoutingState, request: ClientRequest) -> str | None:
    """Return the id in a `requestState` of a question; None if it is none of this very call."""
    try:
        sealed = text_of(request.params.members, "requestState")
        return state.seal.unseal(sealed, holding.sealing_context(request)).decode()
    except (RpcError, ValueError):
        return None


def _response_in(request: ClientRequest) -> Raw | None:
    try:
        return object_of(given(request.params.members, "inputResponses")).get(holding.INPUT_KEY)
    except RpcError:
        return None


def _as_before(params: Params, row: Approval) -> Params:
    """Return the `params` without the answer, and with what the request brought for its server."""
    kept = {key: raw for key, raw in params.members.items() if key not in RETRY_KEYS}
    before = Params.from_members(kept | row.for_server)
    before.param_headers, before.forwarded = params.param_headers, params.forwarded
    return before
