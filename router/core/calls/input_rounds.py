"""Answers of upstreams without sessions, and the input that they ask for (MCP 2026-07-28).

Job: bring an answer to a client of either era; where it asks for input and the client has a
session, ask that with real requests, and send the call again with what it answered. Neighbours:
`from_session` brings the answers, `from_client` what clients answer; `held` is the other direction.
Pure.

Invariants:

- A client of 2026-07-28 gets the answer as it is, its `requestState` included.
- No client is asked what it did not declare.
- A call is sent again only because its upstream asked for input, which it had then not done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.core.calls import forwarding
from router.core.protocol.bridging import check_may_ask, result_as_handshake, result_type_of
from router.core.protocol.raw_json import given, is_object, object_of, raw_of, text_of
from router.core.state.clients import Ask, Inputs
from router.messages.errors import INTERNAL_ERROR, RpcError
from router.messages.frames import NO_RAW, ErrorResponse, Request, Response

if TYPE_CHECKING:
    from msgspec import Raw

    from router.core.state.clients import Call, Members
    from router.core.state.routing_state import RoutingState

MAX_ROUNDS: Final = 16
"""How often one call may ask for input; people answer it, and each round is a call of its own."""


def server_answered(state: RoutingState, call: Call, frame: Response | ErrorResponse) -> None:
    """End a call with the upstream's answer, or go on with what that asks for."""
    if call.client.is_stateless:
        _end(state, call, frame, result_type=None)
    elif isinstance(frame, ErrorResponse) or not is_object(frame.result):
        _end(state, call, frame)
    else:
        _settle_session(state, call, object_of(frame.result))


def _settle_session(state: RoutingState, call: Call, members: Members) -> None:
    """The same for a client with a session."""
    kind = result_type_of(members)
    try:
        if kind == "input_required":
            _ask_all(state, call, members)
        elif kind == "complete":
            result = result_as_handshake(members, call.client.revision)
            _end(state, call, Response(call.request_id, result))
        else:
            raise RpcError(INTERNAL_ERROR, f"The server answered with a result of type {kind}")
    except RpcError as error:
        _fail(state, call, error)


def _end(
    state: RoutingState,
    call: Call,
    frame: Response | ErrorResponse,
    *,
    result_type: str | None = "complete",
) -> None:
    forwarding.finish(state, call)
    answer = msgspec.structs.replace(frame, id=call.request_id)
    forwarding.respond(state, call.client, call.reply_to, answer, result_type=result_type)


def _fail(state: RoutingState, call: Call, error: RpcError) -> None:
    forwarding.finish(state, call)
    forwarding.fail_call(state, call, error)


# --- Asking ----------------------------------------------------------------------------------


def _ask_all(state: RoutingState, call: Call, members: Members) -> None:
    """Ask the client everything, or send the call again at once where there is nothing to ask.

    Raises:
        RpcError: the client cannot be asked this, or has been asked too often.
    """
    rounds = 1 if call.inputs is None else call.inputs.rounds + 1
    if rounds > MAX_ROUNDS:
        raise RpcError(INTERNAL_ERROR, f"The server asked for input {MAX_ROUNDS} times and more")
    wanted = object_of(given(members, "inputRequests"), "result.inputRequests")
    questions = {key: _question(call, raw) for key, raw in wanted.items()}
    state_of_it = given(members, "requestState") or NO_RAW
    call.inputs = Inputs(state_of_it, set(questions), rounds)
    for key, (method, params) in questions.items():
        _ask(state, call, key, method, params)
    if not questions:
        _again(state, call, call.inputs)


def _question(call: Call, raw: Raw) -> tuple[str, Members]:
    """Method and params of one of `inputRequests`.

    Raises:
        RpcError: it is none, or the client did not declare that it answers it.
    """
    question = object_of(raw, "an input request")
    method = text_of(question, "method", "an input request")
    params = object_of(given(question, "params"), "the params of an input request")
    capabilities = {} if call.client.one_shot else call.client.capabilities
    try:
        check_may_ask(method, params, call.client.revision, capabilities)
    except RpcError as error:
        raise RpcError(INTERNAL_ERROR, f"The server needs input: {error.message}") from None
    return method, params


def _ask(state: RoutingState, call: Call, key: str, method: str, params: Members) -> None:
    client = call.client
    ask_id = client.next_ask_id()
    if method == "elicitation/create" and given(params, "mode") == _URL:
        # Handshake clients tell elicitations by it, and 2026-07-28 has none.
        params = params | {"elicitationId": raw_of(f"input-{ask_id}")}
    client.asks[ask_id] = Ask(call, key, None, input_key=key)
    state.calls.suspend(call)
    forwarding.tell(state, call, Request(ask_id, method, raw_of(params)))


_URL: Final = raw_of("url")


# --- Going on --------------------------------------------------------------------------------


def client_answered(
    state: RoutingState, call: Call, key: str, frame: Response | ErrorResponse
) -> None:
    """The client answered something that a call needs; the last of it sends the call again."""
    inputs = call.inputs
    assert inputs is not None, "it was asked for input"
    state.calls.resume(call, state.now_s)
    if isinstance(frame, Response) and is_object(frame.result):
        inputs.answers[key] = frame.result
        inputs.wanted.discard(key)
        if not inputs.wanted:
            _again(state, call, inputs)
    else:
        _fail(state, call, RpcError(INTERNAL_ERROR, "The client refused what the server asked for"))


def _again(state: RoutingState, call: Call, inputs: Inputs) -> None:
    """Send the call once more, with the input and the server's own state, exactly as it was."""
    state.calls.reopen(call, state.now_s)
    meta = object_of((call.sent or {}).get("_meta"))
    if call.progress_token is not None:
        meta["progressToken"] = raw_of(call.id)
    params: dict[str, Any] = (call.sent or {}) | {"_meta": raw_of(meta)}
    if inputs.answers:
        params["inputResponses"] = inputs.answers
    if inputs.state:
        params["requestState"] = inputs.state
    forwarding.to_session(state, call.session, Request(call.id, "tools/call", raw_of(params)))
