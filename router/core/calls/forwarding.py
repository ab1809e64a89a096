"""Forwarding a request upstream, and every way in which it ends.

Job: open a call, park a request until its instance is ready, answer, fail, cancel, expire.
Neighbours: `from_client` and `from_session` decide that; this does the bookkeeping. Pure.

Invariant: every request of a client gets exactly one answer, unless the client cancelled it or
is gone; then it gets none, and the channel that waited for it is ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.core.protocol import router_tools
from router.core.protocol.bridging import RETRY_KEYS, answer_as_stateless, client_envelope
from router.core.protocol.raw_json import check_key_case, given, id_of, object_of, printable, raw_of
from router.core.protocol.router_tools import server_info
from router.core.state.calls import MAX_CALLS, MAX_EXTENSION
from router.core.state.clients import Call
from router.core.state.instances import Parked
from router.messages.effects import CloseReply, ToClient, ToSession
from router.messages.errors import INTERNAL_ERROR, OVERLOADED, SESSION_LOST, UNAVAILABLE, RpcError
from router.messages.frames import NO_RAW, ErrorResponse, Notification, Request, Response

if TYPE_CHECKING:
    from msgspec import Raw

    from router.core.state.clients import Client
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.messages.events import FromClient, SessionUp
    from router.messages.frames import Frame, Outbox, RequestId

MAX_PARKED: Final = 10_000
"""Requests that may wait for instances to start; beyond it they are shed (-32015)."""

STOPPING: Final = "The router is stopping"


# --- Answers ---------------------------------------------------------------------------------


def answer(state: RoutingState, event: FromClient, request: Request, result: Raw) -> None:
    """Answer a request that the router itself can answer."""
    respond(state, state.clients[event.client], event.reply_to, Response(request.id, result))


def respond(
    state: RoutingState,
    client: Client,
    reply_to: Outbox,
    frame: Response | ErrorResponse,
    *,
    result_type: str | None = "complete",
) -> None:
    """Answer a request in the words of its revision; nothing follows on it.

    Args:
        result_type: of 2026-07-28; None for an answer that is one of that revision already.
    """
    if client.is_stateless:
        if result_type is not None:
            info = server_info(state.settings)
            frame = answer_as_stateless(frame, result_type, client.capabilities, info)
        client.drop_request_row(state.clients)
    state.effects.append(ToClient(client.id, reply_to, frame))


def tell(state: RoutingState, call: Call, frame: Notification | Request) -> None:
    """Send what belongs to a call to whoever waits for it, if anybody is there."""
    if call.held is None:
        state.effects.append(ToClient(call.client.id, call.reply_to, frame))


def answer_call(state: RoutingState, call: Call, answer: Response | ErrorResponse) -> None:
    """Bring a call that was closed its answer; for a held one it is kept."""
    if call.held is None:
        respond(state, call.client, call.reply_to, answer)
    else:
        call.held.outcome = answer


def refuse(state: RoutingState, event: FromClient, request: Request, error: RpcError) -> None:
    """Answer a request with a JSON-RPC error."""
    frame = error_frame(request.id, error)
    respond(state, state.clients[event.client], event.reply_to, frame)


def refuse_in_kind(
    state: RoutingState, event: FromClient, request: Request, error: RpcError, *, is_tool: bool
) -> None:
    """Answer with an error: as a tool result when the request called one of our tools."""
    if is_tool:
        answer(state, event, request, router_tools.error_result_of(error))
    else:
        refuse(state, event, request, error)


def error_frame(request_id: RequestId, error: RpcError) -> ErrorResponse:
    """The wire form of an error (JSON-RPC 2.0 section 5.1)."""
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        body["data"] = error.data
    return ErrorResponse(request_id, raw_of(body))


def fail_call(state: RoutingState, call: Call, error: RpcError) -> None:
    """Answer a call that was already closed: as a tool result, or as a JSON-RPC error."""
    if call.is_tool:
        answer_call(state, call, Response(call.request_id, router_tools.error_result_of(error)))
    else:
        answer_call(state, call, error_frame(call.request_id, error))


# --- Forwarding ------------------------------------------------------------------------------


def forward(
    state: RoutingState,
    event: FromClient,
    request: Request,
    instance: Instance,
    session: SessionUp,
    members: dict[str, Raw],
    *,
    is_tool: bool,
) -> None:
    """Send a request upstream and wait for its answer.

    Args:
        members: its `params`; the progress token in `_meta` is replaced by one of ours.
        is_tool: see `Call.is_tool`.

    Raises:
        RpcError: -32602, `_meta` is no object; -32015, too many calls are in flight.
    """
    if len(state.calls.by_id) >= MAX_CALLS:
        raise RpcError(OVERLOADED, "Too many calls are in flight; try again later")
    client = state.clients[event.client]
    call_id = state.calls.next_id()
    members, token = _with_own_token(members, call_id)
    members = _for_session(members, client, session)
    timeout_s = instance.spec.timeout_s or state.settings.timeout_s
    call = Call(
        id=call_id,
        client=client,
        reply_to=event.reply_to,
        request_id=request.id,
        session=session,
        instance=instance.name,
        progress_token=token,
        is_tool=is_tool,
        timeout_s=timeout_s,
        ends_at_s=state.now_s + timeout_s * MAX_EXTENSION,
    )
    if session.is_stateless and not client.is_stateless:
        call.sent = members
    instance.call_count += 1
    state.calls.open(call, state.now_s)
    to_session(state, session, Request(call_id, request.method, raw_of(members)))


def _for_session(members: dict[str, Raw], client: Client, session: SessionUp) -> dict[str, Raw]:
    """The `params` as a server of this session's revision knows them."""
    if session.is_stateless:
        said = client_envelope(client.info, client.capabilities, client.log_level)
        return members | {"_meta": raw_of(object_of(members.get("_meta")) | said)}
    if client.is_stateless and not members.keys().isdisjoint(RETRY_KEYS):
        return {key: raw for key, raw in members.items() if key not in RETRY_KEYS}
    return members


def _with_own_token(members: dict[str, Raw], call_id: int) -> tuple[dict[str, Raw], Raw | None]:
    if "_meta" not in members:
        return members, None
    meta = meta_of(members)
    token = _token_of(meta)
    if token is None:
        meta.pop("progressToken", None)
    else:
        meta["progressToken"] = raw_of(call_id)
    return members | {"_meta": raw_of(meta)}, token


def progress_token_of(members: dict[str, Raw]) -> Raw | None:
    """The progress token in these `params`, raw; None where there is none, or something else."""
    return _token_of(meta_of(members))


def _token_of(meta: dict[str, Raw]) -> Raw | None:
    token = meta.get("progressToken", NO_RAW)
    return None if id_of(token) is None else token


_META_KEYS: Final = frozenset({"progressToken"})


def meta_of(members: dict[str, Raw]) -> dict[str, Raw]:
    """The members of `_meta` of these `params`.

    Raises:
        RpcError: -32602, it is no object, or holds a key like one that is read here.
    """
    meta = given(members, "_meta")
    return (
        {}
        if meta is None
        else check_key_case(object_of(meta, "params._meta"), _META_KEYS, "params._meta")
    )


def to_session(state: RoutingState, session: SessionUp, frame: Frame) -> None:
    """Send a frame upstream."""
    state.effects.append(ToSession(session.session, session.inbox, frame))


# --- Parking ---------------------------------------------------------------------------------


def session_or_park(
    state: RoutingState,
    event: FromClient,
    request: Request,
    instance: Instance,
    *,
    is_tool: bool,
    patience_s: float | None = None,
) -> SessionUp | None:
    """The instance's session; None when the request was parked until there is one.

    Args:
        is_tool: see `Call.is_tool`.
        patience_s: how long it may be parked, if not for the time of a call.

    Raises:
        RpcError: -32013, it will not be ready soon, or the router is stopping.
    """
    check_not_draining(state)
    if instance.session is not None:
        return instance.session
    if not instance.may_become_ready():
        raise instance.unavailable_error(state.now_s)
    timeout_s = instance.spec.timeout_s or state.settings.timeout_s
    park(state, Parked(event, request, instance, is_tool), patience_s or timeout_s)
    return None


def park(state: RoutingState, parked: Parked, timeout_s: float) -> None:
    """Keep a request until its instance is ready; `SessionUp` has it handled again.

    Raises:
        RpcError: too many are waiting already.
    """
    instance, request_id, client_id = parked.instance, parked.request.id, parked.event.client
    if len(state.parked) >= MAX_PARKED:
        raise RpcError(OVERLOADED, f"Too many calls wait for instances; '{instance.name}' starts")
    key = (client_id, request_id)
    instance.waiting[key] = state.clients[client_id].parked[request_id] = parked
    state.parked.arm(key, state.now_s + timeout_s)


def unpark(state: RoutingState, parked: Parked) -> None:
    """Have a parked request wait no more."""
    key = (parked.event.client, parked.request.id)
    del state.clients[parked.event.client].parked[parked.request.id]
    del parked.instance.waiting[key]
    state.parked.disarm(key)


def take_waiting(state: RoutingState, instance: Instance) -> list[Parked]:
    """Everything that waits for this instance, oldest first; it waits no more."""
    waiting = list(instance.waiting.values())
    for parked in waiting:
        unpark(state, parked)
    return waiting


# --- The ends of a call ----------------------------------------------------------------------


def finish(state: RoutingState, call: Call) -> None:
    """Close a call for whatever reason; what its upstream still asks the client is withdrawn."""
    state.calls.close(call)
    if call.asked:
        for ask_id, ask in list(call.client.asks.items()):
            if ask.call is call:
                withdraw(state, call.client, ask_id, "The call it belongs to has ended")


def withdraw(state: RoutingState, client: Client, ask_id: RequestId, reason: str) -> None:
    """Tell a client that an upstream's request needs no answer any more."""
    ask = client.asks.pop(ask_id)
    params = raw_of({"requestId": ask_id, "reason": reason})
    frame = Notification("notifications/cancelled", params)
    state.effects.append(ToClient(client.id, ask.call.reply_to, frame))


def fail_ask(state: RoutingState, client: Client, ask_id: RequestId, reason: str) -> None:
    """Tell an upstream that its request to a client will not be answered."""
    ask = client.asks.pop(ask_id)
    if ask.input_key is not None:
        return  # It asked by an answer, and waits for nothing.
    frame = error_frame(ask.upstream_id, RpcError(INTERNAL_ERROR, reason))
    to_session(state, ask.call.session, frame)


def cancel_upstream(state: RoutingState, call: Call, reason: str | None) -> None:
    """Tell the upstream that nobody waits any more (MCP 2025-11-25, Cancellation)."""
    members: dict[str, Any] = {"requestId": call.id}
    if reason is not None:
        members["reason"] = reason
    to_session(state, call.session, Notification("notifications/cancelled", raw_of(members)))


def cancelled_by_client(
    state: RoutingState, client: Client, request_id: RequestId, reason: str | None
) -> None:
    """The client wants no answer: tell the upstream, end the channel that waited for it."""
    parked = client.parked.get(request_id)
    call = client.calls.get(request_id)
    if parked is not None:
        unpark(state, parked)
        end_reply(state, client, parked.event.reply_to)
    elif call is not None:
        finish(state, call)
        cancel_upstream(state, call, reason)
        end_reply(state, client, call.reply_to)
    elif request_id in client.saving:
        # The change itself goes on: it may be on disk already.
        end_reply(state, client, client.saving.pop(request_id).event.reply_to)
    client.drop_request_row(state.clients)


def end_reply(state: RoutingState, client: Client, reply_to: Outbox) -> None:
    """No answer will come: end the channel that waits for it, if it is there for that alone."""
    if reply_to is not client.outbox:
        state.effects.append(CloseReply(reply_to))


def expire(state: RoutingState) -> None:
    """End every call and every parked request whose time is up."""
    for call_id in state.calls.deadlines.due(state.now_s):
        call = state.calls.by_id[call_id]
        error = call.timeout_error()
        finish(state, call)
        cancel_upstream(state, call, error.message)
        fail_call(state, call, error)
    for client_id, request_id in state.parked.due(state.now_s):
        parked = state.clients[client_id].parked[request_id]
        unpark(state, parked)
        error = parked.instance.unavailable_error(state.now_s)
        refuse_in_kind(state, parked.event, parked.request, error, is_tool=parked.is_tool)


def fail_session(state: RoutingState, session: int, instance: Instance, reason: str) -> None:
    """Fail everything in flight on a session that is gone; nothing is retried by itself."""
    message = f"Instance '{instance.name}' was lost during the call: {printable(reason)}"
    for call in state.calls.of_session(session):
        finish(state, call)
        fail_call(state, call, RpcError(SESSION_LOST, message))


def fail_waiting(state: RoutingState, instance: Instance, error: RpcError | None = None) -> None:
    """Fail everything that waits for an instance that will not be ready soon."""
    for parked in take_waiting(state, instance):
        why = error or instance.unavailable_error(state.now_s)
        refuse_in_kind(state, parked.event, parked.request, why, is_tool=parked.is_tool)


# --- Stopping --------------------------------------------------------------------------------


def check_not_draining(state: RoutingState) -> None:
    """New calls are refused while the router stops.

    Raises:
        RpcError: -32013, it is stopping.
    """
    if state.draining:
        raise RpcError(UNAVAILABLE, STOPPING)
