"""Forwards a client's request upstream, and ends it in one of several ways.

Here a call is opened, or its request is parked until the instance is ready; then the call is
answered, failed, cancelled or times out.

Invariant: every request of a client gets exactly one answer, unless the client cancelled it or
is gone; then it gets none, and the channel that waited for the answer is ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.core.calls import ejections, server_params
from router.core.protocol.bridging import answer_as_stateless
from router.core.protocol.own_tools import router_tools
from router.core.protocol.own_tools.router_tools import server_info
from router.core.records import call_records, request_ends
from router.core.sessions import client_roots, client_sessions, lazy_starts
from router.core.sessions.availability import error_for, unavailable_error
from router.core.state.calls import MAX_EXTENSION, MAX_PARKED, MAX_PARKED_OF_CLIENT
from router.core.state.clients import Call, Parked
from router.core.state.instances import Instance
from router.core.text.raw_json import raw_of
from router.messages.effects import CloseReply, ToClient, ToSession
from router.messages.errors import INTERNAL_ERROR, OVERLOADED, UNAVAILABLE, RpcError
from router.messages.frames import NO_RAW, ErrorResponse, Notification, Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from msgspec import Raw

    from router.core.sessions.client_roots import Question
    from router.core.state.clients import Client, ClientRequest
    from router.core.state.routing_state import RoutingState
    from router.messages.events import SessionUp
    from router.messages.frames import Frame, RequestId
    from router.messages.observability.records import Outcome

STOPPING: Final = "The router is stopping"


# --- Answers to requests ---------------------------------------------------------------------


def answer(state: RoutingState, request: ClientRequest, result: Raw) -> None:
    """Answer a request with a result of the router's own."""
    send_answer(state, request, Response(request.id, result))


def answer_in_full(state: RoutingState, request: ClientRequest, result: Raw) -> None:
    """Answer a request with a result that is in the words of its client's revision already."""
    send_answer(state, request, Response(request.id, result), result_type=None)


def refuse(state: RoutingState, request: ClientRequest, error: RpcError) -> None:
    """Answer a request with an error: a tool result if it called one of the router's own tools."""
    send_answer(state, request, _error_answer(request, request.id, error), error=error)


def _error_answer(
    asked: ClientRequest | Call, request_id: RequestId, error: RpcError
) -> Response | ErrorResponse:
    error, is_tool_result = error_for(asked, error)
    if is_tool_result:
        return Response(request_id, router_tools.error_result_of(error))
    return error_frame(request_id, error)


def error_frame(request_id: RequestId, error: RpcError) -> ErrorResponse:
    """Return the wire form of an error (JSON-RPC 2.0 section 5.1)."""
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        body["data"] = error.data
    return ErrorResponse(request_id, raw_of(body))


def send_answer(
    state: RoutingState,
    answered: ClientRequest | Call,
    frame: Response | ErrorResponse,
    *,
    result_type: str | None = "complete",
    call: Call | None = None,
    error: RpcError | None = None,
) -> None:
    """Send a client the answer to a request, in the words of its revision; nothing follows on it.

    Args:
        answered: the request, or the call that was made of it.
        result_type: its `resultType` in 2026-07-28; None if the answer is of that revision already.
        call: the call that a server answered; None for an answer of the router's own.
        error: the router's own error, if it is the answer.
    """
    client = answered.client
    if client.is_stateless:
        if result_type is not None:
            info: Any = server_info(state.settings)
            if call is not None and call.is_transparent:
                info = call.session.server_info
            method = "" if call is None else call.method
            frame = answer_as_stateless(frame, result_type, client.capabilities, info, method)
        client.drop_request_row(state.clients)
    state.effects.append(ToClient(client.id, answered.reply_to, frame))
    request_ends.answered(state, answered, frame, error)


# --- Messages of a call ----------------------------------------------------------------------


def send_to_session(state: RoutingState, session: SessionUp, frame: Frame) -> None:
    """Send a frame upstream."""
    state.effects.append(ToSession(session.session, session.inbox, frame))


def send_to_caller(state: RoutingState, call: Call, frame: Notification | Request) -> None:
    """Send what belongs to a call to the client that waits for it; drop it while none does."""
    if call.input_required is None:
        state.effects.append(ToClient(call.client.id, call.reply_to, frame))


def answer_call(
    state: RoutingState, call: Call, answer: Response | ErrorResponse, error: RpcError | None = None
) -> None:
    """Answer the request behind a closed call, or keep the answer for the client's retry."""
    if call.input_required is None:
        send_answer(state, call, answer, call=call, error=error)
    else:
        call.input_required.outcome, call.input_required.error = answer, error


def fail_call(state: RoutingState, call: Call, error: RpcError) -> None:
    """Answer the request behind a closed call with an error; see `refuse`."""
    answer_call(state, call, _error_answer(call, call.request_id, error), error)


# --- Forwarding ------------------------------------------------------------------------------


def forward_call(
    state: RoutingState,
    request: ClientRequest,
    instance: Instance,
    session: SessionUp,
    members: dict[str, Raw],
    *,
    rewrite: Callable[[Raw], Raw] | None = None,
    is_transparent: bool = False,
) -> Call:
    """Send a request upstream and wait for its answer.

    Args:
        members: the `params` to send. Their `_meta` is taken from the request, with a progress
            token of the router's own.
        rewrite, is_transparent: see `Call`.

    Raises:
        RpcError: -32013, its server is spared for a while; -32015, too many calls are in flight.
    """
    if state.ejections:
        ejections.check(state, session.session)
    to_stateless = session.is_stateless
    call_id = state.calls.next_id()
    sent: dict[str, Any] = members
    progress_token = None
    # Before the call is open: whatever is wrong with the request is its one answer.
    if to_stateless or server_params.has_meta(request, members):
        progress_token = server_params.progress_token_of(request.params)
        token = call_id if progress_token else None
        sent = server_params.params_for(state, session, request, members, token)
    call = open_call(state, request, instance, session, call_id)
    call.progress_token = progress_token
    call.rewrite, call.is_transparent = rewrite, is_transparent
    if to_stateless and not request.client.is_stateless:
        call.sent = sent  # A server of 2026-07-28 may ask for input, and then gets the call again.
    elif to_stateless and instance.is_per_client and instance.spec.needs_roots:
        call.rewrite = client_roots.asking_again(rewrite)
    if call.draft is not None:
        call_records.note_sent(call.draft, members, state.now_s)
    params = raw_of(sent) if sent or request.params.raw else NO_RAW
    if instance.spec.run_policy.retry_safe_calls:
        state.calls.keep_to_repeat(call, request, members)
    frame = Request(call_id, request.method, params)
    if instance.spec.forward_headers:
        frame = server_params.with_headers(frame, call, request, instance)
    state.effects.append(ToSession(session.session, session.inbox, frame))
    return call


def open_call(
    state: RoutingState,
    request: ClientRequest,
    instance: Instance,
    session: SessionUp,
    call_id: int | None = None,
) -> Call:
    """Have a request wait for a session, to which the caller sends something.

    Args:
        call_id: its id upstream, if that was taken before.

    Raises:
        RpcError: -32015, too many calls are in flight.
    """
    calls, now_s = state.calls, state.now_s
    calls.check_room(request.client)
    timeout_s = instance.spec.timeout_s or state.settings.timeout_s
    call = Call(
        id=calls.next_id() if call_id is None else call_id,
        client=request.client,
        reply_to=request.reply_to,
        request_id=request.id,
        method=request.method,
        session=session,
        instance=instance.name,
        is_own_tool=request.is_own_tool,
        timeout_s=timeout_s,
        ends_at_s=now_s + timeout_s * MAX_EXTENSION,
        began_s=request.began_s,
        draft=request.draft,
        usage=request.usage,
    )
    request.instance = instance.name
    instance.listed_as.call_count += 1
    calls.open(call, now_s + timeout_s)
    if request.waits_since_s is not None:
        calls.count_wait(call, request, now_s)
    return call


# --- Parking ---------------------------------------------------------------------------------


def session_or_park(
    state: RoutingState,
    request: ClientRequest,
    instance: Instance,
    *,
    patience_s: float | None = None,
) -> SessionUp | None:
    """Return the instance's session; None if the request was parked until there is one.

    Args:
        patience_s: how long it may be parked, if not for the time of a call.

    Raises:
        RpcError: -32013, it will not be ready soon, or the router is stopping; -32015, too many
            requests are parked, or sessions of clients open; -32602, it depends on the client's
            roots, and there are none.
    """
    request.instance = instance.name
    check_not_draining(state)
    if instance.is_per_client:
        found = client_sessions.row_for(state, request, instance)
        if not isinstance(found, Instance):
            _wait_for_roots(state, request, instance, found)
            return None
        instance = found
    if session := instance.session or lazy_starts.replica_or_wake(state, instance):
        return session
    if not instance.may_become_ready():
        raise unavailable_error(instance, state.now_s)
    park(state, Parked(request, instance), patience_s or lazy_starts.patience_s(state, instance))
    return None


def _wait_for_roots(
    state: RoutingState, request: ClientRequest, instance: Instance, question: Question
) -> None:
    """Keep a request until its client has said which roots it has, or have it send it again."""
    if question.result is not None:
        frame = Response(request.id, question.result)
        send_answer(state, request, frame, result_type="input_required")
        return
    park(state, Parked(request, instance, question.overdue), client_roots.ANSWER_WITHIN_S)


def check_not_draining(state: RoutingState) -> None:
    """Refuse new calls while the router stops.

    Raises:
        RpcError: -32013, it is stopping.
    """
    if state.draining:
        raise RpcError(UNAVAILABLE, STOPPING)


def park(state: RoutingState, parked: Parked, timeout_s: float) -> None:
    """Keep a request until its instance is ready; `SessionUp` has it carried out then.

    One that is carried out again after a loss is not kept beyond its own end.
    """
    request, instance = parked.request, parked.instance
    if request.ends_at_s is not None:
        timeout_s = min(timeout_s, request.ends_at_s - state.now_s)
    owner = request.client.connection or request.client
    if len(state.parked) >= MAX_PARKED or owner.parked_count >= MAX_PARKED_OF_CLIENT:
        raise RpcError(OVERLOADED, f"Too many calls wait for instances, as for '{instance.name}'")
    owner.parked_count += 1
    if request.usage is not None:
        request.usage.in_flight += 1
    key = (request.client.id, request.id)
    request.client.parked[request.id] = parked
    instance.waiting[key] = None
    state.parked.arm(key, state.now_s + timeout_s)


def unpark(state: RoutingState, parked: Parked) -> None:
    """Have a parked request wait no more."""
    request = parked.request
    key = (request.client.id, request.id)
    del request.client.parked[request.id]
    (request.client.connection or request.client).parked_count -= 1
    if request.usage is not None:
        request.usage.in_flight -= 1
    del parked.instance.waiting[key]
    parked.instance.turns.discard(parked.queued_for, key)
    state.parked.disarm(key)


def take_waiting(state: RoutingState, instance: Instance) -> list[ClientRequest]:
    """Return all requests that wait for this instance, oldest first; they wait no more."""
    waiting = [state.clients[client].parked[request_id] for client, request_id in instance.waiting]
    for parked in waiting:
        unpark(state, parked)
    return [parked.request for parked in waiting]


# --- The ends of a call ----------------------------------------------------------------------


def close_call(state: RoutingState, call: Call) -> None:
    """Close a call for whatever reason; the client need not answer its server's requests now."""
    state.calls.close(call)
    if (row := state.sessions.get(call.session.session)) is not None:
        row.used_s = state.now_s
    if call.unanswered:
        for request_id, server_request in list(call.client.server_requests.items()):
            if server_request.call is call:
                reason = "The call it belongs to has ended"
                cancel_server_request(state, call.client, request_id, reason)


def cancel_server_request(
    state: RoutingState, client: Client, request_id: RequestId, reason: str
) -> None:
    """Tell a client that an upstream's request needs no answer any more."""
    server_request = state.take_question(client, request_id)
    assert server_request is not None, "it is not answered yet"
    members = raw_of({"requestId": request_id, "reason": reason})
    frame = Notification("notifications/cancelled", members)
    call = server_request.call
    outbox = client.outbox if call is None else call.reply_to
    state.effects.append(ToClient(client.id, outbox, frame))


def fail_server_request(
    state: RoutingState, client: Client, request_id: RequestId, reason: str
) -> None:
    """Tell an upstream that its request to a client will not be answered."""
    server_request = state.take_question(client, request_id)
    if server_request is None or server_request.input_key is not None:
        return  # It asked by an answer, and waits for nothing.
    frame = error_frame(server_request.upstream_id, RpcError(INTERNAL_ERROR, reason))
    send_to_session(state, server_request.session, frame)


def cancel_upstream(state: RoutingState, call: Call, reason: str | None) -> None:
    """Tell the upstream that nobody waits any more (MCP 2025-11-25, Cancellation)."""
    members: dict[str, Any] = {"requestId": call.id}
    members |= {} if reason is None else {"reason": reason}
    frame = Notification("notifications/cancelled", raw_of(members))
    send_to_session(state, call.session, frame)


def cancel_request(
    state: RoutingState, client: Client, request_id: RequestId, reason: str | None
) -> None:
    """Cancel a request as its client asked: tell the upstream, end the channel that waited."""
    parked = client.parked.get(request_id)
    call = client.calls.get(request_id)
    if parked is not None:
        unpark(state, parked)
        end_reply(state, parked.request, "cancelled")
    elif call is not None:
        close_call(state, call)
        cancel_upstream(state, call, reason)
        end_reply(state, call, "cancelled")
    elif request_id in client.awaited:
        # A change itself goes on: it may be on disk already.
        end_reply(state, client.awaited.pop(request_id).request, "cancelled")
    client.drop_request_row(state.clients)


def end_reply(state: RoutingState, ended: ClientRequest | Call, outcome: Outcome) -> None:
    """End a request that gets no answer, and its channel if that is there for the answer alone."""
    if ended.reply_to is not ended.client.outbox:
        state.effects.append(CloseReply(ended.reply_to))
    request_ends.unanswered(state, ended, outcome)
