"""Requests of an upstream to a client without a session (MCP 2026-07-28, Input Required).

The client's own request is answered with `input_required`, and its call goes on upstream. When the
client retries the request with its answers, the retry waits for that call.

Invariants:

- A call is retried once for each answer with `input_required`, because each gets another key.
  `requestState` holds that key and its expiry, sealed for this principal and this very request.
  Any other `requestState` is refused in the same words.
- While the client is away its call goes on; if the call ends, its outcome is kept for a while.
- Calls that wait for a retry are bounded in number, for each principal and in all, and in time.
- A request that is not answered in time fails, and its call goes on, whether the client is back or
  not.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from router.core.calls import forwarding, server_params
from router.core.protocol.bridging import RETRY_KEYS
from router.core.protocol.permissions import check_may
from router.core.protocol.questions import InputRequest
from router.core.state.clients import InputRequired
from router.core.text.raw_json import EMPTY_OBJECT, check_key_case, is_object, raw_of, text_of
from router.messages.errors import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    OVERLOADED,
    RpcError,
)
from router.messages.frames import Response
from router.messages.params import given, object_of

if TYPE_CHECKING:
    from msgspec import Raw

    from router.core.state.clients import Call, Client, ClientRequest
    from router.core.state.routing_state import RoutingState
    from router.messages.frames import Request, RequestId
    from router.messages.params import Params

RESUMABLE: Final = frozenset({"tools/call", "prompts/get", "resources/read"})
"""The methods that may need input (MCP 2026-07-28, Input Required)."""

MAX_AWAITING_RETRY: Final = 1024
"""Calls that wait for their client's retry; each keeps its upstream waiting too."""

MAX_AWAITING_RETRY_OF_PRINCIPAL: Final = 128

MAX_INPUT_REQUESTS: Final = 32
"""Unanswered requests of the upstream about one call; people answer them."""

OUTCOME_KEPT_S: Final = 60.0
"""Seconds that a call may be retried after its own time was up, to get its outcome."""


# --- The upstream asks -----------------------------------------------------------------------


def ask(state: RoutingState, call: Call, frame: Request, params: Params) -> None:
    """Have the client answer a request of the upstream, now or when it retries the call.

    Args:
        call: the call that the request belongs to.
        frame: the upstream's request.
        params: those of `frame`.

    Raises:
        RpcError: -32601, a call of this method cannot be retried; -32015, too many wait already.
    """
    if call.method not in RESUMABLE:
        raise RpcError(METHOD_NOT_FOUND, f"The client takes no questions about {call.method}")
    input_request = InputRequest(frame.id, _without_transport_fields(frame, params))
    key, limit_s = str(state.next_key()), state.settings.question_timeout_s
    if call.input_required is None:
        _check_room(state, call.client)
        state.calls.suspend(call, state.now_s, limit_s)
        _require_input(state, call, {key: input_request})
    elif len(call.input_required.requests) < MAX_INPUT_REQUESTS:
        # The client learns of this request when it retries.
        state.calls.suspend(call, state.now_s, limit_s)
        call.input_required.requests[key] = input_request
    else:
        raise RpcError(OVERLOADED, "Too many questions of this call have no answer yet")
    state.questions_due.arm((call.id, key), state.now_s + limit_s)


def _without_transport_fields(frame: Request, params: Params) -> Raw:
    """Return the request as it stands in `inputRequests`: no progress, no task, no id for a URL."""
    dropped = {"_meta", "task", "elicitationId"}
    members = {key: raw for key, raw in params.members.items() if key not in dropped}
    return raw_of({"method": frame.method} | ({"params": members} if frame.params else {}))


def _check_room(state: RoutingState, client: Client) -> None:
    name = client.principal.name
    waiting = state.input_required.values()
    of_principal = sum(one.call.client.principal.name == name for one in waiting)
    if len(waiting) >= MAX_AWAITING_RETRY or of_principal >= MAX_AWAITING_RETRY_OF_PRINCIPAL:
        raise RpcError(OVERLOADED, "Too many calls wait for their clients to come again")


def _require_input(state: RoutingState, call: Call, requests: dict[str, InputRequest]) -> None:
    """Answer the request that waits for this call with `input_required`; the call goes on."""
    key = state.next_key()
    expires_at_s = call.ends_at_s + OUTCOME_KEPT_S
    sealed = state.seal.seal(
        msgspec.json.encode((key, expires_at_s)), sealing_context(call.client.the_request)
    )
    state.calls.detach(call)
    target = "" if call.draft is None else call.draft.target
    call.input_required = state.input_required[key] = InputRequired(call, requests, target)
    state.input_required_due.arm(key, expires_at_s)
    result = {
        "inputRequests": {name: input_request.raw for name, input_request in requests.items()},
        "requestState": sealed,
    }
    frame = Response(call.request_id, raw_of(result))
    forwarding.send_answer(state, call, frame, result_type="input_required")


def cancel_input_request(state: RoutingState, call: Call, upstream_id: RequestId | None) -> None:
    """Drop a request that its upstream has cancelled, if it is one of this call."""
    requests = {} if call.input_required is None else call.input_required.requests
    for key, input_request in requests.items():
        if input_request.upstream_id == upstream_id:
            _take_request(state, call, requests, key)
            state.calls.resume(call, state.now_s)
            return


def _take_request(
    state: RoutingState, call: Call, requests: dict[str, InputRequest], key: str
) -> InputRequest:
    """Have a request wait for its answer no more."""
    state.questions_due.disarm((call.id, key))
    return requests.pop(key)


# --- The client retries ----------------------------------------------------------------------

_KEYS: Final = frozenset({"name", "uri", "arguments", "_meta", *RETRY_KEYS})
_EMPTY: Final = EMPTY_OBJECT
_CHANGING: Final = frozenset({"_meta", *RETRY_KEYS})
"""Members of `params` in which a retry differs from the request before it."""


def retry(state: RoutingState, request: ClientRequest) -> bool:
    """Go on with the call that `requestState` stands for; return False if the router has no such.

    What the upstream asked for and the retry does not answer is asked for again.

    Raises:
        RpcError: -32602, the `requestState` has expired, or an answer is no object; -32016, this
            principal may not call (any more). The call may still be retried then.
    """
    check_may(request.client.principal, "call")
    check_key_case(request.params.members, _KEYS)
    secret = _unseal(state, request)
    if secret is None:
        return False
    responses = _responses_in(request.params)
    waiting = _take(state, request.client, *secret)
    call = waiting.call
    request.instance = call.instance
    if request.draft is not None:
        request.draft.target = waiting.target
    # Also if the call has ended: the upstream may have asked about another call of this client.
    unanswered = _answer_upstream(state, waiting, responses)
    if waiting.outcome is not None:
        _fail_input_requests(state, call, unanswered)
        outcome = msgspec.structs.replace(waiting.outcome, id=request.id)
        forwarding.send_answer(state, request, outcome, call=call, error=waiting.error)
        return True
    call.input_required = None
    state.calls.attach(call, request)
    if call.progress_token is not None:
        call.progress_token = server_params.progress_token_of(request.params)
    if unanswered:
        _require_input(state, call, unanswered)
    return True


_secret: Final = msgspec.json.Decoder(tuple[int, float])


def _unseal(state: RoutingState, request: ClientRequest) -> tuple[int, float] | None:
    """Return key and expiry in a `requestState`; None if not made here, or for another request."""
    try:
        sealed = text_of(request.params.members, "requestState")
        return _secret.decode(state.seal.unseal(sealed, sealing_context(request)))
    except (RpcError, ValueError):
        return None


def sealing_context(request: ClientRequest) -> bytes:
    """Return what a `requestState` is bound to: this principal and this very call."""
    members = request.params.members
    # Empty arguments may be left out.
    same = {key: raw for key, raw in members.items() if key not in _CHANGING and raw != _EMPTY}
    data = msgspec.json.encode(same)
    # Clients may write the same arguments in another order the next time; numbers beyond what a
    # float holds have to be written as they were.
    with suppress(msgspec.MsgspecError, RecursionError):
        data = msgspec.json.encode(msgspec.json.decode(data), order="sorted")
    digest = hashlib.sha256(data).hexdigest()
    client = request.client
    return bytes(raw_of([client.principal.name, client.place, request.method, digest]))


def _responses_in(params: Params) -> dict[str, Raw]:
    responses = object_of(given(params.members, "inputResponses"), "params.inputResponses")
    for key, response in responses.items():
        if not is_object(response):
            raise RpcError(INVALID_PARAMS, f"params.inputResponses.{key} must be an object")
    return responses


def _take(state: RoutingState, client: Client, key: int, expires_at_s: float) -> InputRequired:
    """Return what waits for a retry under this key, if this client may retry it; it waits no more.

    Raises:
        RpcError: -32602, it may not.
    """
    waiting = state.input_required.get(key)
    if waiting is None or state.now_s > expires_at_s:
        raise invalid_request_state()
    seen = client.principal.instances
    if seen is not None and waiting.call.instance not in seen:
        raise invalid_request_state()
    _drop(state, key)
    return waiting


def invalid_request_state() -> RpcError:
    """Return the one error for every bad `requestState`: nobody learns anything by guessing."""
    data = {"reason": "invalid_request_state"}
    return RpcError(INVALID_PARAMS, "Invalid or expired requestState", data)


def _answer_upstream(
    state: RoutingState, waiting: InputRequired, responses: dict[str, Raw]
) -> dict[str, InputRequest]:
    """Bring the upstream its answers; return its requests that are still unanswered."""
    for key in [key for key in waiting.requests if key in responses]:
        input_request = _take_request(state, waiting.call, waiting.requests, key)
        answer = Response(input_request.upstream_id, responses[key])
        forwarding.send_to_session(state, waiting.call.session, answer)
        if waiting.outcome is None:
            state.calls.resume(waiting.call, state.now_s)
    return waiting.requests


# --- Nobody retries --------------------------------------------------------------------------


def forget_connection(state: RoutingState, connection: Client, reason: str) -> None:
    """End the calls that wait for a retry on a connection that is gone."""
    for key, waiting in list(state.input_required.items()):
        if waiting.call.client.connection is connection:
            _drop(state, key)
            for name in list(waiting.requests):
                _take_request(state, waiting.call, waiting.requests, name)
            if waiting.outcome is None:
                forwarding.close_call(state, waiting.call)
                forwarding.cancel_upstream(state, waiting.call, reason)


def expire(state: RoutingState) -> None:
    """Forget the calls that were not retried in time."""
    for key in state.input_required_due.due(state.now_s):
        waiting = state.input_required.pop(key)
        _fail_input_requests(state, waiting.call, waiting.requests)


def expire_question(state: RoutingState, call_id: int, key: str) -> None:
    """Fail a request that the client has not answered in time, if its call goes on."""
    call = state.calls.by_id.get(call_id)
    waiting = None if call is None else call.input_required
    if call is not None and waiting is not None and key in waiting.requests:
        error = state.unanswered_error()
        input_request = _take_request(state, call, waiting.requests, key)
        frame = forwarding.error_frame(input_request.upstream_id, error)
        forwarding.send_to_session(state, call.session, frame)
        state.calls.resume(call, state.now_s)


def _drop(state: RoutingState, key: int) -> None:
    del state.input_required[key]
    state.input_required_due.disarm(key)


def _fail_input_requests(
    state: RoutingState, call: Call, requests: dict[str, InputRequest]
) -> None:
    """Tell the upstream of a call that has ended that these will not be answered."""
    error = RpcError(INTERNAL_ERROR, "The client has not answered")
    for key in list(requests):
        input_request = _take_request(state, call, requests, key)
        frame = forwarding.error_frame(input_request.upstream_id, error)
        forwarding.send_to_session(state, call.session, frame)
