"""What a client sends: each method and notification, and what is decided about it.

Job: answer what the router answers itself, forward the rest. Neighbours: `stateless` does it for
requests without a session, `tools` and `listed` for both; `forward` does the bookkeeping of calls.
Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from router.core.calls import forwarding, input_rounds
from router.core.peers import stateless_requests
from router.core.peers.methods import method_of
from router.core.protocol.raw_json import (
    object_of,
    optional_text_of,
    raw_of,
    request_id_of,
)
from router.messages.effects import CloseReply
from router.messages.errors import INVALID_REQUEST, RpcError
from router.messages.frames import ErrorResponse, Notification, Request, Response

if TYPE_CHECKING:
    from router.core.state.clients import Client, Members
    from router.core.state.routing_state import RoutingState
    from router.messages.events import FromClient


def handle(state: RoutingState, event: FromClient) -> None:
    """Decide about one frame of a client."""
    client = state.clients.get(event.client)
    frame = event.frame
    if client is None:
        _unknown(state, event)
    elif isinstance(frame, Request):
        request(state, client, event, frame)
    elif isinstance(frame, Notification):
        _notification(state, client, frame)
    else:
        _answered(state, client, frame)


def _unknown(state: RoutingState, event: FromClient) -> None:
    """The client was closed while this was on its way: nothing more is done for it."""
    if isinstance(event.frame, Request):
        state.effects.append(CloseReply(event.reply_to))


def request(state: RoutingState, client: Client, event: FromClient, frame: Request) -> None:
    """Answer or forward one request; every way out of here answers, forwards or parks it."""
    try:
        if client.waits_for(frame.id):
            raise RpcError(INVALID_REQUEST, f"Request id {frame.id!r} is already in use")
        members = object_of(frame.params)
        if stateless_requests.is_meant(client, frame, members):
            client, event = stateless_requests.client_for_request(state, client, event, frame)
            members = stateless_requests.read_envelope(state, client, members)
        method_of(client, frame.method)(state, client, event, frame, members)
    except RpcError as error:
        forwarding.refuse(state, event, frame, error)


# --- Notifications and answers ---------------------------------------------------------------


def _notification(state: RoutingState, client: Client, frame: Notification) -> None:
    """Notifications have no answer, so one that makes no sense is dropped."""
    try:
        if frame.method == "notifications/cancelled":
            _cancelled(state, client, object_of(frame.params))
        elif frame.method == "notifications/progress":
            _progress(state, client, object_of(frame.params))
    except RpcError:
        return


def _cancelled(state: RoutingState, client: Client, members: Members) -> None:
    request_id = request_id_of(members, "requestId")
    if request_id is not None:
        client = client.requests.get(request_id, client)
        reason = optional_text_of(members, "reason")
        forwarding.cancelled_by_client(state, client, request_id, reason)


def _progress(state: RoutingState, client: Client, members: Members) -> None:
    """Progress of something an upstream asked this client to do."""
    ask = client.asks.get(request_id_of(members, "progressToken") or 0)
    if ask is not None and ask.progress_token is not None:
        params = raw_of(members | {"progressToken": raw_of(ask.progress_token)})
        frame = Notification("notifications/progress", params)
        forwarding.to_session(state, ask.call.session, frame)


def _answered(state: RoutingState, client: Client, frame: Response | ErrorResponse) -> None:
    """A client answers a request of an upstream; an answer to no question is dropped."""
    ask = client.asks.pop(frame.id or 0, None)
    if ask is None:
        return
    if ask.input_key is not None:
        input_rounds.client_answered(state, ask.call, ask.input_key, frame)
        return
    answer = msgspec.structs.replace(frame, id=ask.upstream_id)
    forwarding.to_session(state, ask.call.session, answer)
    state.calls.resume(ask.call, state.now_s)
