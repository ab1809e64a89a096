"""Decides about each message of a client: a request, a notification or an answer.

A request is answered by the router or forwarded (see `methods`). An answer belongs to a request
that an upstream sent to the client.

Invariant: every way out of a request answers, forwards or parks it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from router.core.calls import forwarding, input_required, input_rounds, resource_subscriptions
from router.core.peers import stateless_requests, transparent_requests
from router.core.peers.methods import method_of
from router.core.records import call_records, session_records
from router.core.sessions import client_roots, client_sessions
from router.core.state.clients import ClientRequest
from router.core.tasks import from_servers, listening
from router.core.text.raw_json import optional_text_of, raw_of, request_id_of
from router.messages.effects import CloseReply
from router.messages.errors import INVALID_REQUEST, RpcError
from router.messages.frames import ErrorResponse, Notification, Request, Response
from router.messages.params import Params, object_of

if TYPE_CHECKING:
    from router.core.state.clients import Client, Members, ServerRequest
    from router.core.state.routing_state import RoutingState
    from router.messages.events import FromClient
    from router.messages.frames import RequestId


def handle(state: RoutingState, event: FromClient) -> None:
    """Decide about one frame of a client."""
    client = state.clients.get(event.client)
    frame = event.frame
    if client is None:
        _from_unknown_client(state, event)
        return
    if event.principal is not None and event.principal is not client.principal:
        client.principal, client.sight = event.principal, None
    if isinstance(frame, Request):
        params = event.params or Params(frame.params)
        request = ClientRequest(client, frame.id, frame.method, params, event.reply_to, state.now_s)
        if state.settings.records:
            _note_begin(state, request)
        try:
            if client.waits_for(request.id):
                raise RpcError(INVALID_REQUEST, f"Request id {request.id!r} is already in use")
            if stateless_requests.is_stateless(request):
                stateless_requests.admit(state, request)
            method_of(state, request)(state, request)
        except RpcError as error:
            forwarding.refuse(state, request, error)
    elif isinstance(frame, Notification):
        _notification(state, client, frame)
    else:
        _answered(state, client, frame)


def _from_unknown_client(state: RoutingState, event: FromClient) -> None:
    """End the reply of a request whose client was closed while it was on its way."""
    if isinstance(event.frame, Request):
        state.effects.append(CloseReply(event.reply_to))


# --- Requests --------------------------------------------------------------------------------


def _note_begin(state: RoutingState, request: ClientRequest) -> None:
    """Note what the records of a request and of its session need."""
    call_records.begin(state, request)
    if not request.client.is_recorded:
        session_records.begin(state, request)


def carry_out(state: RoutingState, request: ClientRequest) -> None:
    """Carry out a request that needs no admission: it was parked, or is the router's own."""
    try:
        method_of(state, request)(state, request)
    except RpcError as error:
        forwarding.refuse(state, request, error)


# --- Notifications ---------------------------------------------------------------------------


_FOR_THE_ROUTER: Final = frozenset({"notifications/initialized"})
"""Notifications about a session of the client, which its upstreams do not share."""

_ROOTS_CHANGED: Final = "notifications/roots/list_changed"


def _notification(state: RoutingState, client: Client, frame: Notification) -> None:
    """Notifications have no answer, so one that makes no sense is dropped."""
    try:
        if frame.method == "notifications/cancelled":
            _cancelled(state, client, object_of(frame.params))
        elif frame.method == "notifications/progress":
            _progress(state, client, object_of(frame.params))
        elif frame.method == _ROOTS_CHANGED:
            _roots_changed(state, client, frame)
        elif frame.method not in _FOR_THE_ROUTER:
            transparent_requests.notify(state, client, frame)
    except RpcError:
        return


def _cancelled(state: RoutingState, client: Client, members: Members) -> None:
    """The client wants no answer to its request any more."""
    request_id = request_id_of(members, "requestId")
    if request_id is not None:
        # A request of 2026-07-28 has a row of its own beside its connection's.
        client = client.requests.get(request_id, client)
        reason = optional_text_of(members, "reason")
        if client.subscription is not None:
            resource_subscriptions.forget_client(state, client)
            listening.forget_client(state, client)
        if request_id in client.held:
            from router.core.approvals import holding  # For start-up time: few clients have any.

            holding.cancel(state, client, request_id)
        forwarding.cancel_request(state, client, request_id, reason)


def _progress(state: RoutingState, client: Client, members: Members) -> None:
    """The client reports progress of a request that an upstream sent to it."""
    request_id = request_id_of(members, "progressToken") or 0
    server_request = client.server_requests.get(request_id)
    if server_request is not None and server_request.progress_token is not None:
        token = raw_of(server_request.progress_token)
        params = raw_of(members | {"progressToken": token})
        frame = Notification("notifications/progress", params)
        forwarding.send_to_session(state, server_request.session, frame)


def _roots_changed(state: RoutingState, client: Client, frame: Notification) -> None:
    """Tell the servers that serve this client alone; the router asks again when it has to know."""
    client.roots.first = None
    for row in state.client_sessions.of_client(client.id):
        is_told_of_it = row.spec.client is not None
        if is_told_of_it and row.session is not None and not row.session.is_stateless:
            forwarding.send_to_session(state, row.session, frame)


# --- Answers ---------------------------------------------------------------------------------


def _answered(state: RoutingState, client: Client, frame: Response | ErrorResponse) -> None:
    """A client answers a request of an upstream; an answer to no such request is dropped."""
    if client_roots.is_answer(client, frame):
        _roots_answered(state, client, frame)
        return
    if client.held and _approved(state, client, frame):
        return
    server_request = state.take_question(client, frame.id or 0)
    if server_request is None:
        return
    call = server_request.call
    if call is not None and server_request.input_key is not None:
        input_rounds.client_answered(state, call, server_request.input_key, frame)
        return
    answer = msgspec.structs.replace(frame, id=server_request.upstream_id)
    if isinstance(answer, Response):
        try:
            answer = from_servers.answer_for_server(server_request.task, answer)
        except RpcError as error:
            answer = forwarding.error_frame(server_request.upstream_id, error)
    forwarding.send_to_session(state, server_request.session, answer)
    if call is not None:
        state.calls.resume(call, state.now_s)


def _approved(state: RoutingState, client: Client, frame: Response | ErrorResponse) -> bool:
    """Take the answer to whether a call may be carried out; return False if it is to none such."""
    from router.core.approvals import answers  # For start-up time, as above.

    asked = answers.row_asked(state, client, frame)
    if asked is None:
        return False
    approved = answers.take(state, asked, frame)
    if approved is not None:
        carry_out(state, approved)
    return True


def expire_questions(state: RoutingState) -> None:
    """Fail the requests of upstreams that clients have not answered in time; their calls go on."""
    for asked_of, request_id in state.questions_due.due(state.now_s):
        if isinstance(asked_of, int):
            input_required.expire_question(state, asked_of, str(request_id))
            continue
        client = state.clients[asked_of]
        server_request = client.server_requests.get(request_id)
        if server_request is not None:
            _question_overdue(state, client, request_id, server_request)


def _question_overdue(
    state: RoutingState, client: Client, request_id: RequestId, server_request: ServerRequest
) -> None:
    error, call = state.unanswered_error(), server_request.call
    forwarding.cancel_server_request(state, client, request_id, error.message)
    if call is not None and server_request.input_key is not None:
        input_rounds.fail(state, call, error)  # Its server has answered, and waits for nothing.
        return
    frame = forwarding.error_frame(server_request.upstream_id, error)
    forwarding.send_to_session(state, server_request.session, frame)
    if call is not None:
        state.calls.resume(call, state.now_s)


def _roots_answered(state: RoutingState, client: Client, frame: Response | ErrorResponse) -> None:
    """Carry out what waits for the roots of a client, or refuse it if it has none."""
    waiting = [parked for parked in client.parked.values() if parked.instance.is_per_client]
    for parked in waiting:
        forwarding.unpark(state, parked)
    wanted_by, client.roots.wanted_by = client.roots.wanted_by, set()
    try:
        client_roots.take_answer(client, frame)
    except RpcError as error:
        for parked in waiting:
            forwarding.refuse(state, parked.request, error)
        return
    for parked in waiting:
        carry_out(state, parked.request)
    with suppress(RpcError):
        for instance in state.seen_by(client):
            if instance.name in wanted_by:
                client_sessions.start_for_lists(state, client, instance)
