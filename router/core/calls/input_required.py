"""Questions of an upstream to a client without a session (MCP 2026-07-28, Input Required).

Job: end the client's request with `input_required`, hold the call meanwhile, and go on with it when
the client comes again with the answers. Neighbours: `from_session` brings the questions,
`stateless` the retries; `forward` does the bookkeeping of calls. Pure.

Invariants:

- A held call is taken up once: every time it is held it gets another key. That key, and until when
  it is good, are all that `requestState` holds, sealed for this principal and this very request.
  Whatever else a client sends there is refused in the same words.
- While nobody is there the call goes on; if it ends, its outcome is kept for a while.
- Held calls are bounded in number, for each principal and in all, and in time.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from router.core.calls import forwarding
from router.core.protocol.raw_json import (
    EMPTY_OBJECT,
    check_key_case,
    given,
    is_object,
    object_of,
    optional_text_of,
    raw_of,
    text_of,
)
from router.core.state.clients import Held, Question
from router.core.state.permissions import check_may
from router.messages.errors import INTERNAL_ERROR, INVALID_PARAMS, OVERLOADED, RpcError
from router.messages.frames import Response

if TYPE_CHECKING:
    from msgspec import Raw

    from router.core.state.clients import Call, Client, Members
    from router.core.state.routing_state import RoutingState
    from router.messages.events import FromClient
    from router.messages.frames import Request, RequestId

MAX_HELD: Final = 1024
"""Calls that wait for their client; each keeps its upstream waiting too."""

MAX_HELD_OF_PRINCIPAL: Final = 128

MAX_QUESTIONS: Final = 32
"""Of one call at the same time; people answer them."""

_secret: Final = msgspec.json.Decoder(tuple[int, float])

KEPT_S: Final = 60.0
"""How long the outcome of a held call is kept after the call's own time was up."""


# --- Asking ----------------------------------------------------------------------------------


def ask(state: RoutingState, call: Call, frame: Request, members: Members) -> None:
    """Put a question of an upstream about this call to the client, now or when it comes again.

    Raises:
        RpcError: -32015, too many wait already.
    """
    question = Question(frame.id, _input_request(frame, members))
    key = str(state.next_key())
    if call.held is None:
        _check_room(state, call.client)
        state.calls.suspend(call)
        _hold(state, call, {key: question})
    elif len(call.held.questions) < MAX_QUESTIONS:
        state.calls.suspend(call)
        call.held.questions[key] = question
    else:
        raise RpcError(OVERLOADED, "Too many questions of this call have no answer yet")


def _input_request(frame: Request, members: Members) -> Raw:
    """The question without what its own transport needs: progress, tasks, an id for a URL."""
    dropped = {"_meta", "task", "elicitationId"}
    params = {key: raw for key, raw in members.items() if key not in dropped}
    return raw_of({"method": frame.method} | ({"params": params} if frame.params else {}))


def _check_room(state: RoutingState, client: Client) -> None:
    name = client.principal.name
    of_principal = sum(held.call.client.principal.name == name for held in state.held.values())
    if len(state.held) >= MAX_HELD or of_principal >= MAX_HELD_OF_PRINCIPAL:
        raise RpcError(OVERLOADED, "Too many calls wait for their clients to come again")


def _hold(state: RoutingState, call: Call, questions: dict[str, Question]) -> None:
    """End the request that waits for this call with `input_required`; the call goes on."""
    key = state.next_key()
    good_until_s = call.ends_at_s + KEPT_S
    state.calls.detach(call)
    call.held = state.held[key] = Held(call, questions)
    state.held_due.arm(key, good_until_s)
    secret = msgspec.json.encode((key, good_until_s))
    sealed = state.seal.seal(secret, _context_of(call.client))
    result = {
        "inputRequests": {name: question.raw for name, question in questions.items()},
        "requestState": sealed,
    }
    frame = Response(call.request_id, raw_of(result))
    forwarding.respond(state, call.client, call.reply_to, frame, result_type="input_required")


def withdraw(call: Call, upstream_id: RequestId | None) -> bool:
    """The upstream wants no answer to this question any more; False if it is none of this call."""
    questions = {} if call.held is None else call.held.questions
    for key, question in questions.items():
        if question.upstream_id == upstream_id:
            del questions[key]
            return True
    return False


def forget(state: RoutingState, connection: Client, reason: str) -> None:
    """Nobody will come again on this connection for what is held for it."""
    for key, held in list(state.held.items()):
        if held.call.client.connection is connection:
            _drop(state, key, held)
            if held.outcome is None:
                forwarding.finish(state, held.call)
                forwarding.cancel_upstream(state, held.call, reason)


def _drop(state: RoutingState, key: int, held: Held) -> None:
    del state.held[key]
    state.held_due.disarm(key)


def expire(state: RoutingState) -> None:
    """Forget what nobody came for."""
    for key in state.held_due.due(state.now_s):
        held = state.held.pop(key)
        _give_up(state, held.call, held.questions)


def _give_up(state: RoutingState, call: Call, questions: dict[str, Question]) -> None:
    """Tell the upstream of a call that has ended that these will not be answered."""
    error = RpcError(INTERNAL_ERROR, "The client has not answered")
    for question in questions.values():
        forwarding.to_session(
            state, call.session, forwarding.error_frame(question.upstream_id, error)
        )


# --- Going on --------------------------------------------------------------------------------

_KEYS: Final = frozenset({"name", "arguments", "_meta", "inputResponses", "requestState"})


def resume(
    state: RoutingState, client: Client, event: FromClient, frame: Request, members: Members
) -> bool:
    """Go on with the call that the request's `requestState` stands for; False if that is not ours.

    Questions it brings no answers to are asked again.

    Raises:
        RpcError: -32602, the state is no good any more, or an answer is no object; -32016, this
            principal may not call (any more). The call is still held then.
    """
    check_may(client.principal, "call")
    secret = _unsealed(state, client, check_key_case(members, _KEYS))
    if secret is None:
        return False
    answers = _answers_of(members)
    key, held = _find(state, client, *secret)
    _drop(state, key, held)
    call = held.call
    # Also where the call has ended: a question may have been about another one of this client.
    unanswered = _answer(state, held, answers)
    if held.outcome is not None:
        _give_up(state, call, unanswered)
        outcome = msgspec.structs.replace(held.outcome, id=frame.id)
        forwarding.respond(state, client, event.reply_to, outcome)
        return True
    call.held = None
    state.calls.attach(call, client, frame, event.reply_to)
    if call.progress_token is not None:
        call.progress_token = forwarding.progress_token_of(members)
    if unanswered:
        _hold(state, call, unanswered)
    return True


def _answers_of(members: Members) -> dict[str, Raw]:
    answers = object_of(given(members, "inputResponses"), "params.inputResponses")
    for key, answer in answers.items():
        if not is_object(answer):
            raise RpcError(INVALID_PARAMS, f"params.inputResponses.{key} must be an object")
    return answers


def _answer(state: RoutingState, held: Held, answers: dict[str, Raw]) -> dict[str, Question]:
    """Bring the upstream what it asked for; returns what is still unanswered."""
    unanswered: dict[str, Question] = {}
    for key, question in held.questions.items():
        if key in answers:
            answer = Response(question.upstream_id, answers[key])
            forwarding.to_session(state, held.call.session, answer)
            if held.outcome is None:
                state.calls.resume(held.call, state.now_s)
        else:
            unanswered[key] = question
    return unanswered


def _unsealed(state: RoutingState, client: Client, members: Members) -> tuple[int, float] | None:
    """What a `requestState` says, if it was made here and for this very request."""
    try:
        sealed = text_of(members, "requestState")
        return _secret.decode(state.seal.unseal(sealed, _context_of(client)))
    except (RpcError, ValueError):
        return None


def _find(state: RoutingState, client: Client, key: int, good_until_s: float) -> tuple[int, Held]:
    """The held call, if this client may go on with it now."""
    held = state.held.get(key)
    if held is None or state.now_s > good_until_s or not _may_see(client, held.call.instance):
        raise no_good()
    return key, held


def _may_see(client: Client, instance: str) -> bool:
    return client.principal.instances is None or instance in client.principal.instances


def no_good() -> RpcError:
    """The same in every case: who made it up learns nothing."""
    data = {"reason": "invalid_request_state"}
    return RpcError(INVALID_PARAMS, "Invalid or expired requestState", data)


def _context_of(client: Client) -> bytes:
    """What a `requestState` is good for: this principal and this very call."""
    frame = client.the_request
    members = object_of(frame.params)
    arguments = bytes(members.get("arguments", EMPTY_OBJECT))
    # Clients may write the same arguments in another order the next time; numbers beyond what a
    # float holds have to be written as they were.
    with suppress(msgspec.MsgspecError, RecursionError):
        arguments = msgspec.json.encode(msgspec.json.decode(arguments), order="sorted")
    digest = hashlib.sha256(arguments).hexdigest()
    name = optional_text_of(members, "name")
    return bytes(raw_of([client.principal.name, frame.method, name, digest]))
