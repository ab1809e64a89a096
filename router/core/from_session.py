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

from router.core import elicited, forward, held, inputs
from router.core.calls import Ask
from router.core.params import known, object_of, raw_of, request_id_of, text_of
from router.core.revisions import check_may_ask
from router.errors import AMBIGUOUS_CLIENT, RpcError
from router.messages import NO_RAW, ErrorResponse, Notification, Request, Response, ToClient

if TYPE_CHECKING:
    from msgspec import Raw

    from router.core.calls import Call
    from router.core.instances import Instance
    from router.core.state import State
    from router.messages import FromSession, RequestId, SessionId, SessionUp


def handle(state: State, event: FromSession) -> None:
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


def _answered(state: State, session: SessionId, frame: Response | ErrorResponse) -> None:
    call = state.calls.find(frame.id, session)
    if call is None:
        return
    if call.session.is_stateless:
        inputs.settle(state, call, frame)
        return
    forward.finish(state, call)
    if isinstance(frame, ErrorResponse):
        elicited.required(state, call, frame)
    forward.settle(state, call, msgspec.structs.replace(frame, id=call.request_id))


# --- The upstream asks the client ------------------------------------------------------------


def _asked(state: State, session: SessionUp, frame: Request, related: RequestId | None) -> None:
    try:
        members = object_of(frame.params)
        call = _whose(state, session, related)
        client = call.client
        # Over a lone request of a handshake revision no answer could come.
        can_answer = client.is_stateless or not client.one_shot
        capabilities = client.capabilities if can_answer else {}
        check_may_ask(frame.method, members, client.revision, capabilities)
        if client.is_stateless:
            held.ask(state, call, frame, members)
        else:
            _ask(state, call, frame, members)
    except RpcError as error:
        forward.to_session(state, session, forward.error_frame(frame.id, error))


def _whose(state: State, session: SessionUp, related: RequestId | None) -> Call:
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


def _ask(state: State, call: Call, frame: Request, members: dict[str, Raw]) -> None:
    """Forward a question under an id of ours, which is its progress token there as well."""
    client = call.client
    ask_id = client.next_ask_id()
    meta = forward.meta_of(members)
    token = request_id_of(meta, "progressToken")
    if "_meta" in members:
        members["_meta"] = raw_of(meta if token is None else meta | {"progressToken": ask_id})
    client.asks[ask_id] = Ask(call, frame.id, token)
    state.calls.suspend(call)
    question = Request(ask_id, frame.method, raw_of(members) if frame.params else NO_RAW)
    elicited.asked(state, call, members)
    forward.tell(state, call, question)


# --- Notifications ---------------------------------------------------------------------------


def _notification(
    state: State, instance: Instance, session: SessionUp, event: FromSession, frame: Notification
) -> None:
    """Notifications have no answer, so one that makes no sense is dropped."""
    try:
        if frame.method == "notifications/progress":
            _progress(state, event.session, frame)
        elif frame.method == "notifications/message":
            _log(state, instance, session, event.related, frame)
        elif frame.method == "notifications/cancelled":
            _cancelled(state, session, frame)
        elif frame.method == elicited.COMPLETE:
            elicited.complete(state, event.session, frame)
    except RpcError:
        return


_PROGRESS_KEYS: Final = frozenset({"progressToken"})


def _progress(state: State, session: SessionId, frame: Notification) -> None:
    members = known(object_of(frame.params), _PROGRESS_KEYS)
    call = state.calls.find(request_id_of(members, "progressToken"), session)
    if call is None or call.progress_token is None:
        return
    state.calls.extend(call, state.now_s)
    forwarded = raw_of(members | {"progressToken": call.progress_token})
    forward.tell(state, call, Notification(frame.method, forwarded))


def _log(
    state: State,
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
            forward.tell(state, call, frame)
        return
    calls = state.calls.of_session(session.session)
    calling = {call.client.id for call in calls}
    for client in state.clients.values():
        concerned = client.selection.instance == instance.name or client.id in calling
        if concerned and not client.is_for_one_request and client.wants_log(level):
            state.effects.append(ToClient(client.id, client.outbox, frame))
    if len(calls) == 1 and calls[0].client.is_stateless and calls[0].client.wants_log(level):
        forward.tell(state, calls[0], frame)


def _cancelled(state: State, session: SessionUp, frame: Notification) -> None:
    """The upstream wants no answer to its question any more."""
    request_id = request_id_of(object_of(frame.params), "requestId")
    for call in state.calls.of_session(session.session):
        if held.withdraw(call, request_id):
            state.calls.resume(call, state.now_s)
        for ask_id, ask in list(call.client.asks.items()):
            if ask.call is call and ask.upstream_id == request_id and ask.input_key is None:
                forward.withdraw(state, call.client, ask_id, "Cancelled by the server")
                state.calls.resume(call, state.now_s)
