"""Answers of upstreams without sessions, and the input that they ask for (MCP 2026-07-28).

An answer is brought to a client of either era. If it asks for input and the client has a session,
the client is asked with real requests, and the call is sent again with the client's responses.
`input_required` is the other direction.

Invariants:

- A client of 2026-07-28 gets the answer as it is, its `requestState` included.
- No client is asked for anything that it did not declare.
- A call is sent again only when its server answered `input_required`, so it cannot run twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.core.calls import forwarding
from router.core.protocol.bridging import (
    error_as_handshake,
    result_as_handshake,
    result_type_of,
)
from router.core.protocol.questions import InputRound, check_may_ask
from router.core.state.clients import ServerRequest
from router.core.text.raw_json import is_object, raw_of, text_of
from router.messages.errors import INTERNAL_ERROR, RpcError
from router.messages.frames import NO_RAW, ErrorResponse, Request, RequestWithHeaders, Response
from router.messages.params import given, object_of

if TYPE_CHECKING:
    from msgspec import Raw

    from router.core.state.clients import Call, Members
    from router.core.state.routing_state import RoutingState

MAX_ROUNDS: Final = 16
"""How often one call may ask for input; people answer it, and each round is a call of its own."""


# --- The server answers ----------------------------------------------------------------------


def server_answered(state: RoutingState, call: Call, frame: Response | ErrorResponse) -> None:
    """End a call with the server's answer, or start the round of input that the answer asks for."""
    if call.client.is_stateless:
        _end(state, call, frame, result_type=None)
    elif isinstance(frame, ErrorResponse):
        _end(state, call, error_as_handshake(frame, call.method))
    elif not is_object(frame.result):
        _end(state, call, frame)
    else:
        _result_for_session(state, call, frame.result)


def _result_for_session(state: RoutingState, call: Call, raw: Raw) -> None:
    """Bring a client with a session this result, or ask the client for what the result lacks."""
    try:
        result = object_of(raw, "the result of the server")
        kind = result_type_of(result)
        if kind == "input_required":
            _start_round(state, call, result)
        elif kind == "complete":
            shown = result_as_handshake(result, call.client.revision)
            _end(state, call, Response(call.request_id, shown))
        else:
            raise RpcError(INTERNAL_ERROR, f"The server answered with a result of type {kind}")
    except RpcError as error:
        fail(state, call, error)


def _end(
    state: RoutingState,
    call: Call,
    frame: Response | ErrorResponse,
    *,
    result_type: str | None = "complete",
) -> None:
    forwarding.close_call(state, call)
    answer = msgspec.structs.replace(frame, id=call.request_id)
    forwarding.send_answer(state, call, answer, result_type=result_type)


def fail(state: RoutingState, call: Call, error: RpcError) -> None:
    """End a call that cannot go on without input."""
    forwarding.close_call(state, call)
    forwarding.fail_call(state, call, error)


# --- The client is asked ---------------------------------------------------------------------


def _start_round(state: RoutingState, call: Call, result: Members) -> None:
    """Ask the client for all input, or send the call again at once if there is nothing to ask for.

    Raises:
        RpcError: -32603, the client cannot be asked this, or has been asked too often.
    """
    number = 1 if call.input_round is None else call.input_round.number + 1
    if number > MAX_ROUNDS:
        raise RpcError(INTERNAL_ERROR, f"The server asked for input {MAX_ROUNDS} times and more")
    wanted = object_of(given(result, "inputRequests"), "result.inputRequests")
    # All are checked before the first is sent: a call that fails has asked the client nothing.
    requests = {key: _input_request(call, raw) for key, raw in wanted.items()}
    request_state = given(result, "requestState") or NO_RAW
    call.input_round = InputRound(request_state, set(requests), number)
    for key, (method, params) in requests.items():
        _ask(state, call, key, method, params)
    if not requests:
        _send_again(state, call, call.input_round)


def _input_request(call: Call, raw: Raw) -> tuple[str, Members]:
    """Return method and params of one of `inputRequests`.

    Raises:
        RpcError: it is malformed, or the client did not declare that it answers this.
    """
    members = object_of(raw, "an input request")
    method = text_of(members, "method", "an input request")
    params = object_of(given(members, "params"), "the params of an input request")
    capabilities = {} if call.client.one_shot else call.client.capabilities
    try:
        check_may_ask(method, params, call.client.revision, capabilities)
    except RpcError as error:
        raise RpcError(INTERNAL_ERROR, f"The server needs input: {error.message}") from None
    return method, params


_URL_MODE: Final = raw_of("url")


def _ask(state: RoutingState, call: Call, key: str, method: str, params: Members) -> None:
    client = call.client
    request_id = client.next_server_request_id()
    if method == "elicitation/create" and given(params, "mode") == _URL_MODE:
        # Handshake clients tell elicitations apart by this id, and 2026-07-28 has none.
        params = params | {"elicitationId": raw_of(f"input-{request_id}")}
    asked = ServerRequest(call.session, call, key, None, input_key=key)
    state.add_question(client, request_id, asked)
    forwarding.send_to_caller(state, call, Request(request_id, method, raw_of(params)))


# --- The client answers ----------------------------------------------------------------------


def client_answered(
    state: RoutingState, call: Call, key: str, frame: Response | ErrorResponse
) -> None:
    """Take a client's answer to one of `inputRequests`; the last one sends the call again."""
    current = call.input_round
    assert current is not None, "it was asked for input"
    state.calls.resume(call, state.now_s)
    if isinstance(frame, Response) and is_object(frame.result):
        current.responses[key] = frame.result
        current.unanswered.discard(key)
        if not current.unanswered:
            _send_again(state, call, current)
    else:
        fail(state, call, RpcError(INTERNAL_ERROR, "The client refused what the server asked for"))


def _send_again(state: RoutingState, call: Call, current: InputRound) -> None:
    """Send the call once more as it was, with the client's responses and the server's own state."""
    assert call.sent is not None, "a call that may be sent again keeps its params"
    state.calls.reopen(call, state.now_s)
    params: dict[str, Any] = dict(call.sent)
    if call.progress_token is not None:
        params["_meta"] = params["_meta"] | {"progressToken": call.id}
    if current.responses:
        params["inputResponses"] = current.responses
    if current.request_state:
        params["requestState"] = current.request_state
    frame = Request(call.id, call.method, raw_of(params))
    if call.headers is not None:
        frame = RequestWithHeaders(frame.id, frame.method, frame.params, call.headers)
    forwarding.send_to_session(state, call.session, frame)
