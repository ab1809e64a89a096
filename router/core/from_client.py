"""What a client sends: each method and notification, and what is decided about it.

Job: answer what the router answers itself, forward the rest. Neighbours: `stateless` does it for
requests without a session, `tools` and `listed` for both; `forward` does the bookkeeping of calls.
Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from router.core import forward, inputs, levels, listed, stateless, toolbox, tools
from router.core.params import (
    EMPTY_OBJECT,
    given,
    object_of,
    optional_text_of,
    raw_of,
    request_id_of,
    text_of,
)
from router.core.revisions import negotiate
from router.errors import INVALID_REQUEST, METHOD_NOT_FOUND, RpcError
from router.messages import NO_RAW, CloseReply, ErrorResponse, Notification, Request, Response

if TYPE_CHECKING:
    from router.core.clients import Client, Members, Method
    from router.core.state import State
    from router.messages import FromClient


def handle(state: State, event: FromClient) -> None:
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


def _unknown(state: State, event: FromClient) -> None:
    """The client was closed while this was on its way: nothing more is done for it."""
    if isinstance(event.frame, Request):
        state.effects.append(CloseReply(event.reply_to))


def request(state: State, client: Client, event: FromClient, frame: Request) -> None:
    """Answer or forward one request; every way out of here answers, forwards or parks it."""
    try:
        if client.waits_for(frame.id):
            raise RpcError(INVALID_REQUEST, f"Request id {frame.id!r} is already in use")
        members = object_of(frame.params)
        if stateless.is_meant(client, frame, members):
            client, event = stateless.begun(state, client, event, frame)
            members = stateless.told(state, client, members)
        method = client.methods.get(frame.method)
        if method is None:
            raise RpcError(METHOD_NOT_FOUND, f"Method not found: {frame.method}")
        method(state, client, event, frame, members)
    except RpcError as error:
        forward.refuse(state, event, frame, error)


# --- With a session --------------------------------------------------------------------------


def _initialize(
    state: State, client: Client, event: FromClient, frame: Request, members: Members
) -> None:
    requested = text_of(members, "protocolVersion")
    declared = given(members, "capabilities")
    capabilities = {} if declared is None else object_of(declared, "params.capabilities")
    client.revision, client.capabilities = negotiate(requested), capabilities
    client.info = given(members, "clientInfo") or NO_RAW
    result = {
        "protocolVersion": client.revision,
        "capabilities": toolbox.CAPABILITIES,
        "serverInfo": toolbox.server_info(state.settings),
        "instructions": toolbox.INSTRUCTIONS,
    }
    forward.answer(state, event, frame, raw_of(result))


def _ping(state: State, _: Client, event: FromClient, frame: Request, __: Members) -> None:
    forward.answer(state, event, frame, EMPTY_OBJECT)


def _set_level(
    state: State, client: Client, event: FromClient, frame: Request, members: Members
) -> None:
    level = levels.level_of(members, "level")
    if not client.one_shot:
        client.log_level = level
        levels.spread(state)
    forward.answer(state, event, frame, EMPTY_OBJECT)


def _list_tools(
    state: State, client: Client, event: FromClient, frame: Request, members: Members
) -> None:
    found = listed.listed_to(state, client, members)
    client.owes_listing = False
    forward.answer(state, event, frame, raw_of({"tools": found}))


# --- Notifications and answers ---------------------------------------------------------------


def _notification(state: State, client: Client, frame: Notification) -> None:
    """Notifications have no answer, so one that makes no sense is dropped."""
    try:
        if frame.method == "notifications/cancelled":
            _cancelled(state, client, object_of(frame.params))
        elif frame.method == "notifications/progress":
            _progress(state, client, object_of(frame.params))
    except RpcError:
        return


def _cancelled(state: State, client: Client, members: Members) -> None:
    request_id = request_id_of(members, "requestId")
    if request_id is not None:
        client = client.requests.get(request_id, client)
        reason = optional_text_of(members, "reason")
        forward.cancelled_by_client(state, client, request_id, reason)


def _progress(state: State, client: Client, members: Members) -> None:
    """Progress of something an upstream asked this client to do."""
    ask = client.asks.get(request_id_of(members, "progressToken") or 0)
    if ask is not None and ask.progress_token is not None:
        params = raw_of(members | {"progressToken": raw_of(ask.progress_token)})
        frame = Notification("notifications/progress", params)
        forward.to_session(state, ask.call.session, frame)


def _answered(state: State, client: Client, frame: Response | ErrorResponse) -> None:
    """A client answers a request of an upstream; an answer to no question is dropped."""
    ask = client.asks.pop(frame.id or 0, None)
    if ask is None:
        return
    if ask.input_key is not None:
        inputs.answered(state, ask.call, ask.input_key, frame)
        return
    answer = msgspec.structs.replace(frame, id=ask.upstream_id)
    forward.to_session(state, ask.call.session, answer)
    state.calls.resume(ask.call, state.now_s)


REQUESTS: Final[dict[str, Method]] = {
    "initialize": _initialize,
    "ping": _ping,
    "logging/setLevel": _set_level,
    "tools/list": _list_tools,
    "tools/call": tools.call,
}
