"""Brings each message of an upstream to the one client it belongs to.

An upstream answers calls, sends requests of its own, and notifies of progress and logs.

Invariants:

- A request of an upstream goes to the client whose call it belongs to, or to the only client that
  its session serves. If that is not certain, the request is refused; no client is guessed.
- Whatever id an upstream names, it reaches nothing but the calls of its own session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from router.core.calls import (
    ejections,
    forwarding,
    input_required,
    input_rounds,
    resource_subscriptions,
    server_params,
)
from router.core.protocol.bridging import url_elicitations
from router.core.protocol.questions import check_may_ask, is_question
from router.core.protocol.severities import DEFAULT_LOG_LEVEL
from router.core.state.clients import ServerRequest
from router.core.state.session_rows import ClientSession
from router.core.tasks import from_servers, listening
from router.core.text.raw_json import (
    check_key_case,
    optional_text_of,
    raw_of,
    request_id_of,
    text_of,
)
from router.core.views import audience
from router.messages.effects import ToClient
from router.messages.errors import AMBIGUOUS_CLIENT, OVERLOADED, RpcError
from router.messages.frames import NO_RAW, ErrorResponse, Notification, Request, Response
from router.messages.params import Params, object_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from msgspec import Raw

    from router.core.state.clients import Call, Client
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.messages.events import FromSession, SessionUp
    from router.messages.frames import RequestId, SessionId


def handle(state: RoutingState, event: FromSession) -> None:
    """Decide about one frame of an upstream; a dead incarnation is ignored."""
    instance = state.sessions.get(event.session)
    if instance is None or instance.session is None:
        return
    frame = event.frame
    if isinstance(frame, (Response, ErrorResponse)):
        if state.ejections:
            ejections.record_answer(state, event.session)
        handle_answer(state, event.session, frame)
    elif isinstance(frame, Request):
        _requested(state, instance, instance.session, frame, event.related)
    else:
        _notification(state, instance, instance.session, event, frame)


# --- Answers ---------------------------------------------------------------------------------


def handle_answer(state: RoutingState, session: SessionId, frame: Response | ErrorResponse) -> None:
    """End the call, or whatever else, that an answer belongs to; drop it if that has ended."""
    call = state.calls.find(frame.id, session)
    if call is None:
        resource_subscriptions.answered(state, session, frame)
        listening.answered(state, session, frame)
        return
    if call.rewrite is not None and isinstance(frame, Response):
        frame = _rewritten(frame, call.rewrite)
    if call.session.is_stateless:
        input_rounds.server_answered(state, call, frame)
        return
    forwarding.close_call(state, call)
    if isinstance(frame, Response):
        forwarding.answer_call(state, call, Response(call.request_id, frame.result))
        return
    if call.subscribes is not None:
        resource_subscriptions.subscription_failed(state, call.client, call.subscribes)
    for elicitation in url_elicitations(frame.error):
        elicitation_id = optional_text_of(elicitation, "elicitationId")
        _remember_elicitation(state, call.client, call.session, elicitation_id)
    forwarding.answer_call(state, call, ErrorResponse(call.request_id, frame.error))


def _rewritten(frame: Response, rewrite: Callable[[Raw], Raw]) -> Response | ErrorResponse:
    try:
        return msgspec.structs.replace(frame, result=rewrite(frame.result))
    except RpcError as error:
        return forwarding.error_frame(frame.id, error)


# --- Requests to a client --------------------------------------------------------------------


def _requested(
    state: RoutingState,
    instance: Instance,
    session: SessionUp,
    frame: Request,
    related: RequestId | None,
) -> None:
    params = Params(frame.params)
    try:
        members = params.members
        task = from_servers.task_of_request(state, session, params)
        if task is None:
            call = _call_of_server_request(state, session, related)
            client = _only_client(state, instance) if call is None else call.client
        else:
            call = from_servers.waiting_call(state, session, task)
            client = from_servers.client_of_task(state, task) if call is None else call.client
            params = from_servers.for_client(params, task)
        # Over a lone request of a handshake revision no answer could come.
        can_answer = client.is_stateless or not client.one_shot
        capabilities = client.capabilities if can_answer else {}
        if is_question(frame.method) or not _may_ask_anything(state, client, instance):
            check_may_ask(frame.method, members, client.revision, capabilities)
        if call is not None and client.is_stateless:
            input_required.ask(state, call, frame, params)
        else:
            server_request = ServerRequest(session, call, frame.id, None, task=task)
            _forward(state, client, server_request, frame, params)
    except RpcError as error:
        forwarding.send_to_session(state, session, forwarding.error_frame(frame.id, error))


def _may_ask_anything(state: RoutingState, client: Client, instance: Instance) -> bool:
    """Return whether a server may send a client requests that the router does not know.

    Only where the router is as if it were not there; the client itself refuses what it does not
    know. A request without a session has no place for them.
    """
    return not client.is_for_one_request and audience.sees_only(state, client, instance)


def _call_of_server_request(
    state: RoutingState, session: SessionUp, related: RequestId | None
) -> Call | None:
    """Return the call a request belongs to: by its stream, else the calls of the only client there.

    Returns:
        None if no call is in flight.

    Raises:
        RpcError: -32017, there are calls of several clients.
    """
    call = state.calls.find(related, session.session)
    if call is not None:
        return call
    calls = state.calls.of_session(session.session)
    if not calls:
        return None
    if any(call.client.peer != calls[0].client.peer for call in calls):
        raise RpcError(
            AMBIGUOUS_CLIENT,
            f"Several clients have calls in flight on instance '{calls[0].instance}'; let one "
            'client at a time use it, or give each a session of its own with "sessions": '
            '"per_client"',
        )
    return next((call for call in reversed(calls) if call.input_required is None), calls[-1])


MAX_UNANSWERED: Final = 128
"""Unanswered requests to one client that belong to one call, or to none: people answer them."""


def _only_client(state: RoutingState, instance: Instance) -> Client:
    """Return the only client that a session serves, for a request that belongs to no call.

    Raises:
        RpcError: -32017, the session is for several clients, or for none that can be asked now.
    """
    if isinstance(instance, ClientSession) and len(instance.clients) == 1:
        client = state.clients.get(next(iter(instance.clients)))
        if client is not None and audience.hears_of(state, client, instance):
            return client
    raise RpcError(AMBIGUOUS_CLIENT, "No client has a call in flight that this belongs to")


def _forward(
    state: RoutingState,
    client: Client,
    server_request: ServerRequest,
    frame: Request,
    params: Params,
) -> None:
    """Forward a request under an id of ours, which is its progress token there as well.

    Raises:
        RpcError: -32015, the client has too many unanswered already that belong to this call.
    """
    call = server_request.call
    if call is None:
        unanswered = sum(sent.call is None for sent in client.server_requests.values())
    else:
        unanswered = call.unanswered
    if unanswered >= MAX_UNANSWERED:
        raise RpcError(OVERLOADED, "Too many questions to this client have no answer yet")
    # The router declares no tasks for its clients, so `task` is ignored (MCP 2025-11-25, Tasks).
    members = {key: raw for key, raw in params.members.items() if key != "task"}
    request_id = client.next_server_request_id()
    server_params.check_meta(params)
    token = request_id_of(params.meta, "progressToken")
    if "_meta" in members:
        meta = params.meta if token is None else params.meta | {"progressToken": raw_of(request_id)}
        members = members | {"_meta": raw_of(meta)}
    state.add_question(client, request_id, replace(server_request, progress_token=token))
    elicitation_id = optional_text_of(members, "elicitationId")
    _remember_elicitation(state, client, server_request.session, elicitation_id)
    forwarded = Request(request_id, frame.method, raw_of(members) if frame.params else NO_RAW)
    if call is None:
        state.effects.append(ToClient(client.id, client.outbox, forwarded))
    else:
        forwarding.send_to_caller(state, call, forwarded)


# --- Notifications ---------------------------------------------------------------------------

_ELICITATION_COMPLETE: Final = "notifications/elicitation/complete"


def _notification(
    state: RoutingState,
    instance: Instance,
    session: SessionUp,
    event: FromSession,
    frame: Notification,
) -> None:
    """Notifications have no answer, so one that makes no sense is dropped."""
    try:
        if from_servers.notified(state, instance, session, frame):
            return
        if frame.method == "notifications/progress":
            _progress(state, event.session, frame)
        elif frame.method == "notifications/message":
            _log(state, instance, session, event.related, frame)
        elif frame.method == "notifications/cancelled":
            _cancelled(state, session, frame)
        elif frame.method == resource_subscriptions.ACKNOWLEDGED:
            resource_subscriptions.acknowledged(state, event.session, frame)
        elif frame.method == resource_subscriptions.UPDATED:
            resource_subscriptions.updated(state, instance, frame)
        elif frame.method == _ELICITATION_COMPLETE:
            _elicitation_completed(state, event.session, frame)
        else:
            _unknown(state, instance, event, frame)
    except RpcError:
        return


_PROGRESS_KEYS: Final = frozenset({"progressToken"})


def _progress(state: RoutingState, session: SessionId, frame: Notification) -> None:
    members = check_key_case(object_of(frame.params), _PROGRESS_KEYS)
    call = state.calls.find(request_id_of(members, "progressToken"), session)
    if call is None:
        from_servers.progressed(state, session, members)
        return
    if call.progress_token is None:
        return
    state.calls.extend(call, state.now_s)
    forwarded = raw_of(members | {"progressToken": call.progress_token})
    forwarding.send_to_caller(state, call, Notification(frame.method, forwarded))


def _log(
    state: RoutingState,
    instance: Instance,
    session: SessionUp,
    related: RequestId | None,
    frame: Notification,
) -> None:
    """A log message goes to the call it came with, else to the clients that it may concern.

    While no client has set a level, the server logs from a level of its own choice, and a client
    gets all that belongs to its calls, as it would without the router.
    """
    members = object_of(frame.params)
    level = text_of(members, "level")
    frame = Notification(frame.method, raw_of(members))
    of_calls = None if state.log_level is None else DEFAULT_LOG_LEVEL
    call = state.calls.find(related, session.session)
    if call is not None:
        if call.client.wants_log(level, of_calls):
            forwarding.send_to_caller(state, call, frame)
        return
    calls = state.calls.of_session(session.session)
    calling = {call.client.id: call for call in calls}
    for client in state.clients.values():
        if not client.hears_beside_requests:
            continue
        call = calling.get(client.id)
        default = DEFAULT_LOG_LEVEL if call is None else of_calls
        concerned = call is not None or audience.hears_of(state, client, instance)
        if not concerned or not client.wants_log(level, default):
            continue
        if call is None:
            state.effects.append(ToClient(client.id, client.outbox, frame))
        else:
            # On the stream of the call it comes before the answer, and comes at all: a client need
            # not open a stream for what belongs to no request.
            forwarding.send_to_caller(state, call, frame)
    # A lone request has no stream but its answer's: only a call that is alone is surely meant.
    if len(calls) == 1 and _hears_on_answer(calls[0].client, level):
        forwarding.send_to_caller(state, calls[0], frame)


def _hears_on_answer(client: Client, level: str) -> bool:
    """Return whether a lone request wants such a log message on the stream of its answer."""
    return (client.is_stateless or client.era == "own") and client.wants_log(level)


def _cancelled(state: RoutingState, session: SessionUp, frame: Notification) -> None:
    """The upstream wants no answer to its request any more."""
    upstream_id = request_id_of(object_of(frame.params), "requestId")
    for call in state.calls.of_session(session.session):
        input_required.cancel_input_request(state, call, upstream_id)
        for request_id, sent in list(call.client.server_requests.items()):
            if sent.call is call and sent.upstream_id == upstream_id and sent.input_key is None:
                reason = "Cancelled by the server"
                forwarding.cancel_server_request(state, call.client, request_id, reason)
                state.calls.resume(call, state.now_s)
    for client, request_id, sent in from_servers.requests_without_call(state, session.session):
        if sent.upstream_id == upstream_id:
            reason = "Cancelled by the server"
            forwarding.cancel_server_request(state, client, request_id, reason)


def _unknown(
    state: RoutingState, instance: Instance, event: FromSession, frame: Notification
) -> None:
    """Pass on a notification that the router does not know, where the view is transparent."""
    call = state.calls.find(event.related, event.session)
    if call is not None:
        if call.is_transparent:
            forwarding.send_to_caller(state, call, frame)
        return
    for client in state.clients.values():
        if client.hears_beside_requests and audience.sees_only(state, client, instance):
            state.effects.append(ToClient(client.id, client.outbox, frame))


# --- Elicitations by URL ---------------------------------------------------------------------

MAX_REMEMBERED: Final = 1024
"""Elicitations that are remembered, the newest: servers may never report that one is complete."""


def _remember_elicitation(
    state: RoutingState, client: Client, session: SessionUp, elicitation_id: str | None
) -> None:
    """Remember the client that an upstream sent to a URL, to notify it when that is done."""
    if elicitation_id is None or client.is_for_one_request:
        return
    state.elicited[session.session, elicitation_id] = client.id
    if len(state.elicited) > MAX_REMEMBERED:
        del state.elicited[next(iter(state.elicited))]


def forget_elicitations(state: RoutingState, client: Client) -> None:
    """Forget to which URLs a client that is gone was sent."""
    if client.is_for_one_request:
        return
    for key in [key for key, sent in state.elicited.items() if sent == client.id]:
        del state.elicited[key]


def _elicitation_completed(state: RoutingState, session: SessionId, frame: Notification) -> None:
    """Notify the client that was sent to the URL.

    Raises:
        RpcError: the notification does not say which elicitation it is about.
    """
    elicitation_id = text_of(object_of(frame.params), "elicitationId")
    client = state.clients.get(state.elicited.pop((session, elicitation_id), ""))
    if client is not None:
        state.effects.append(ToClient(client.id, client.outbox, frame))
