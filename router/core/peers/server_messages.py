"""What an upstream sends: answers, progress, its own questions, logs.

Job: bring each frame to the one client it belongs to. Neighbours: `forward` closes calls. Pure.

Invariants:

- A question of an upstream goes to the client whose call it belongs to, and never to a guess
  (protocol: "Whose question is it?").
- Whatever id an upstream names, it reaches nothing but the calls of its own session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from router.core.calls import forwarding, input_required, input_rounds
from router.core.protocol.bridging import check_may_ask, url_elicitations
from router.core.protocol.raw_json import (
    check_key_case,
    object_of,
    optional_text_of,
    raw_of,
    request_id_of,
    text_of,
)
from router.core.state.clients import Ask, Members
from router.messages.effects import ToClient
from router.messages.errors import AMBIGUOUS_CLIENT, RpcError
from router.messages.frames import NO_RAW, ErrorResponse, Notification, Request, Response

if TYPE_CHECKING:
    from msgspec import Raw

    from router.core.state.clients import Call
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
        _answered(state, event.session, frame)
    elif isinstance(frame, Request):
        _asked(state, instance.session, frame, event.related)
    else:
        _notification(state, instance, instance.session, event, frame)


def _answered(state: RoutingState, session: SessionId, frame: Response | ErrorResponse) -> None:
    call = state.calls.find(frame.id, session)
    if call is None:
        return
    if call.session.is_stateless:
        input_rounds.server_answered(state, call, frame)
        return
    forwarding.finish(state, call)
    if isinstance(frame, ErrorResponse):
        remember_required(state, call, frame)
    forwarding.answer_call(state, call, msgspec.structs.replace(frame, id=call.request_id))


# --- The upstream asks the client ------------------------------------------------------------


def _asked(
    state: RoutingState, session: SessionUp, frame: Request, related: RequestId | None
) -> None:
    try:
        members = object_of(frame.params)
        call = _whose(state, session, related)
        client = call.client
        # Over a lone request of a handshake revision no answer could come.
        can_answer = client.is_stateless or not client.one_shot
        capabilities = client.capabilities if can_answer else {}
        check_may_ask(frame.method, members, client.revision, capabilities)
        if client.is_stateless:
            input_required.ask(state, call, frame, members)
        else:
            _ask(state, call, frame, members)
    except RpcError as error:
        forwarding.to_session(state, session, forwarding.error_frame(frame.id, error))


def _whose(state: RoutingState, session: SessionUp, related: RequestId | None) -> Call:
    """The call a question belongs to: by its stream, else the calls of the only client there.

    Raises:
        RpcError: -32017, there is no telling.
    """
    call = state.calls.find(related, session.session)
    if call is not None:
        return call
    calls = state.calls.of_session(session.session)
    if not calls:
        raise RpcError(AMBIGUOUS_CLIENT, "No client has a call in flight that this belongs to")
    if any(call.client.selection is not calls[0].client.selection for call in calls):
        raise RpcError(
            AMBIGUOUS_CLIENT,
            f'Several clients have calls in flight; set "sessions": "per_client" for instance '
            f"'{calls[0].instance}' so that each has a session of its own",
        )
    return next((call for call in reversed(calls) if call.held is None), calls[-1])


def _ask(state: RoutingState, call: Call, frame: Request, members: dict[str, Raw]) -> None:
    """Forward a question under an id of ours, which is its progress token there as well."""
    client = call.client
    ask_id = client.next_ask_id()
    meta = forwarding.meta_of(members)
    token = request_id_of(meta, "progressToken")
    if "_meta" in members:
        members["_meta"] = raw_of(meta if token is None else meta | {"progressToken": ask_id})
    client.asks[ask_id] = Ask(call, frame.id, token)
    state.calls.suspend(call)
    question = Request(ask_id, frame.method, raw_of(members) if frame.params else NO_RAW)
    remember_elicitation(state, call, members)
    forwarding.tell(state, call, question)


# --- Notifications ---------------------------------------------------------------------------


def _notification(
    state: RoutingState,
    instance: Instance,
    session: SessionUp,
    event: FromSession,
    frame: Notification,
) -> None:
    """Notifications have no answer, so one that makes no sense is dropped."""
    try:
        if frame.method == "notifications/progress":
            _progress(state, event.session, frame)
        elif frame.method == "notifications/message":
            _log(state, instance, session, event.related, frame)
        elif frame.method == "notifications/cancelled":
            _cancelled(state, session, frame)
        elif frame.method == ELICITATION_COMPLETE:
            elicitation_completed(state, event.session, frame)
    except RpcError:
        return


_PROGRESS_KEYS: Final = frozenset({"progressToken"})


def _progress(state: RoutingState, session: SessionId, frame: Notification) -> None:
    members = check_key_case(object_of(frame.params), _PROGRESS_KEYS)
    call = state.calls.find(request_id_of(members, "progressToken"), session)
    if call is None or call.progress_token is None:
        return
    state.calls.extend(call, state.now_s)
    forwarded = raw_of(members | {"progressToken": call.progress_token})
    forwarding.tell(state, call, Notification(frame.method, forwarded))


def _log(
    state: RoutingState,
    instance: Instance,
    session: SessionUp,
    related: RequestId | None,
    frame: Notification,
) -> None:
    """A log message goes to the call it came with, else to who uses this instance now."""
    members = object_of(frame.params)
    level = text_of(members, "level")
    frame = Notification(frame.method, raw_of(members))
    call = state.calls.find(related, session.session)
    if call is not None:
        if call.client.wants_log(level):
            forwarding.tell(state, call, frame)
        return
    calls = state.calls.of_session(session.session)
    calling = {call.client.id for call in calls}
    for client in state.clients.values():
        concerned = client.selection.instance == instance.name or client.id in calling
        if concerned and not client.is_for_one_request and client.wants_log(level):
            state.effects.append(ToClient(client.id, client.outbox, frame))
    if len(calls) == 1 and calls[0].client.is_stateless and calls[0].client.wants_log(level):
        forwarding.tell(state, calls[0], frame)


def _cancelled(state: RoutingState, session: SessionUp, frame: Notification) -> None:
    """The upstream wants no answer to its question any more."""
    request_id = request_id_of(object_of(frame.params), "requestId")
    for call in state.calls.of_session(session.session):
        if input_required.withdraw(call, request_id):
            state.calls.resume(call, state.now_s)
        for ask_id, ask in list(call.client.asks.items()):
            if ask.call is call and ask.upstream_id == request_id and ask.input_key is None:
                forwarding.withdraw(state, call.client, ask_id, "Cancelled by the server")
                state.calls.resume(call, state.now_s)


ELICITATION_COMPLETE: Final = "notifications/elicitation/complete"


MAX_REMEMBERED: Final = 1024
"""The newest; people take minutes to come back from a web page, and servers may never say so."""


def remember_elicitation(state: RoutingState, call: Call, members: Members) -> None:
    """A client was asked something about this call."""
    _remember(state, call, optional_text_of(members, "elicitationId"))


def remember_required(state: RoutingState, call: Call, error: ErrorResponse) -> None:
    """A client was told that it has to visit something first, if that is what this error says."""
    for one in url_elicitations(error.error):
        _remember(state, call, optional_text_of(one, "elicitationId"))


def _remember(state: RoutingState, call: Call, elicitation_id: str | None) -> None:
    if elicitation_id is None or call.client.is_for_one_request:
        return
    state.elicited[call.session.session, elicitation_id] = call.client.id
    if len(state.elicited) > MAX_REMEMBERED:
        del state.elicited[next(iter(state.elicited))]


def elicitation_completed(state: RoutingState, session: SessionId, frame: Notification) -> None:
    """The server says that somebody has been there.

    Raises:
        RpcError: it does not say who.
    """
    elicitation_id = text_of(object_of(frame.params), "elicitationId")
    client = state.clients.get(state.elicited.pop((session, elicitation_id), ""))
    if client is not None:
        state.effects.append(ToClient(client.id, client.outbox, frame))
