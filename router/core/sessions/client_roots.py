"""Finds out the first root of a client, for instances that depend on it (`${roots.0}`).

A client with a session is asked with `roots/list`. A request of 2026-07-28 is answered with
`input_required`, and carries the roots when it is sent again (MCP 2026-07-28, Input Required). On
a connection the answer is remembered; over HTTP, where two programs may look like one, each request
has to bring it.

Invariant: no path is made of anything but the roots of the client that asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw, Struct

from router.core.names.file_uris import path_of
from router.core.text.raw_json import is_object, raw_of, text_of
from router.messages.effects import ToClient
from router.messages.errors import INVALID_PARAMS, TIMEOUT, RpcError
from router.messages.frames import NO_RAW, ErrorResponse, Request, Response
from router.messages.params import given, object_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.core.state.clients import Client, ClientRequest
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.messages.frames import Outbox, RequestId

ANSWER_WITHIN_S: Final = 10.0
"""Time for the answer to `roots/list`: a program gives it, and no person is asked."""

INPUT_KEY: Final = "mcp-router-roots"
"""The key of the router's own question in `inputRequests`."""

_QUESTION: Final = {"method": "roots/list"}

_MAY_NEED_INPUT: Final = frozenset({"tools/call", "prompts/get", "resources/read"})
"""Methods whose requests may be answered with `input_required` (MCP 2026-07-28)."""


class Question(Struct, frozen=True):
    """The reason why it is not known yet which session serves a request.

    Attributes:
        overdue: the answer to the request if the client does not say what its roots are.
        result: the answer that asks for the roots; None if the client was asked already.
    """

    overdue: RpcError
    result: Raw | None = None


# --- The question ----------------------------------------------------------------------------


def known_root(request: ClientRequest) -> str | None:
    """Return the first root of the client of a request; None if it has to be asked for.

    Raises:
        RpcError: -32602, the request brings roots of which the first is no path.
    """
    client = request.client
    if client.is_stateless:
        members = request.params.members
        responses = object_of(given(members, "inputResponses"), "params.inputResponses")
        if INPUT_KEY in responses:
            path = _first_path(responses[INPUT_KEY])
            if client.connection is not None and client.roots.first is None:
                # Only once: a request that waited may be carried out after the roots have changed.
                client.roots.first = client.connection.roots.first = path
            return path
    return known_root_of(client)


def known_root_of(client: Client) -> str | None:
    """Return the first root of a client, if it is remembered."""
    return (client.connection or client).roots.first


def root_or_question(
    state: RoutingState, request: ClientRequest, instance: Instance
) -> str | Question:
    """Return the path of the client's first root, or ask the client.

    Raises:
        RpcError: -32602, the client has no roots, or its first root is no path.
    """
    client = request.client
    path = known_root(request)
    if path is not None:
        return path
    _check_has_roots(request, instance)
    message = f"The client has not said within {ANSWER_WITHIN_S:g} s what its roots are"
    overdue = RpcError(TIMEOUT, f"{message}; instance '{instance.name}' depends on them")
    if client.is_stateless:
        return Question(overdue, raw_of({"inputRequests": {INPUT_KEY: _QUESTION}}))
    asked_on = client.roots.asked.values()
    if not any(request_id in client.parked for request_id in asked_on):
        # On the stream of this request: not every client listens to one of its own.
        _ask(state, client, request.reply_to, request.id)
    return Question(overdue)


def _check_has_roots(request: ClientRequest, instance: Instance) -> None:
    client = request.client
    name = f"Instance '{instance.name}' depends on the client's roots"
    if client.era == "own":
        raise RpcError(INVALID_PARAMS, f"{name}, so only an MCP client can use it")
    if "roots" not in client.capabilities:
        raise RpcError(INVALID_PARAMS, f"{name}, and this client declares none")
    if client.is_stateless and request.method not in _MAY_NEED_INPUT:
        raise RpcError(INVALID_PARAMS, f"{name}, and {request.method} cannot bring them")


def ask_for_lists(state: RoutingState, client: Client, instance: Instance) -> None:
    """Ask a client with a session for its roots, so that an instance can be started for it."""
    if client.is_for_one_request or "roots" not in client.capabilities:
        return
    client.roots.wanted_by.add(instance.name)
    if not client.roots.asked:
        _ask(state, client, client.outbox, None)


def _ask(state: RoutingState, client: Client, outbox: Outbox, of: RequestId | None) -> None:
    asked = client.roots.asked
    for request_id in [key for key, asked_on in asked.items() if asked_on not in client.parked]:
        del asked[request_id]  # Its stream has ended, or the client does not listen.
    request_id = client.next_server_request_id()
    asked[request_id] = of
    state.effects.append(ToClient(client.id, outbox, Request(request_id, "roots/list")))


def asking_again(rewrite: Callable[[Raw], Raw] | None) -> Callable[[Raw], Raw]:
    """Return the function that adds the router's question to those of a server without sessions.

    The client sends the request again with its answers, and then the request has to bring the
    roots as well, so that it comes to the same server.

    Args:
        rewrite: what is done to the result otherwise; None for nothing.
    """

    def with_question(result: Raw) -> Raw:
        result = result if rewrite is None else rewrite(result)
        if b"input_required" not in bytes(result) or not is_object(result):
            return result
        members = object_of(result)
        try:
            requests = object_of(given(members, "inputRequests"))
            is_asking = text_of(members, "resultType") == "input_required"
        except RpcError:
            return result
        if not is_asking:
            return result
        return raw_of(members | {"inputRequests": requests | {INPUT_KEY: _QUESTION}})

    return with_question


def without_roots(members: dict[str, Any]) -> dict[str, Any]:
    """Return the `params` for a server without the answer that was for the router."""
    responses: Any = members.get("inputResponses")
    if not responses or INPUT_KEY.encode() not in bytes(responses):
        return members
    kept = {key: raw for key, raw in object_of(responses).items() if key != INPUT_KEY}
    sent = {key: raw for key, raw in members.items() if key != "inputResponses"}
    return sent | ({"inputResponses": kept} if kept else {})


# --- The answer ------------------------------------------------------------------------------


def is_answer(client: Client, frame: Response | ErrorResponse) -> bool:
    """Return whether a frame of a client answers the router's question for its roots."""
    return frame.id is not None and frame.id in client.roots.asked


def take_answer(client: Client, frame: Response | ErrorResponse) -> None:
    """Take the answer to the router's question.

    Raises:
        RpcError: -32602, the client refuses, or its first root is no path.
    """
    client.roots.asked.clear()
    if isinstance(frame, ErrorResponse):
        raise RpcError(INVALID_PARAMS, "The client refused to say what its roots are")
    client.roots.first = _first_path(frame.result)


class _Root(Struct):
    uri: str


class _Roots(Struct):
    roots: list[_Root]


_roots: Final = msgspec.json.Decoder(_Roots)


def _first_path(result: Raw) -> str:
    try:
        roots = _roots.decode(result or NO_RAW).roots
    except (msgspec.MsgspecError, RecursionError):
        raise RpcError(INVALID_PARAMS, "The client's answer to roots/list has no roots") from None
    if not roots:
        raise RpcError(INVALID_PARAMS, "The client has no roots; open a folder in it first")
    try:
        return path_of(roots[0].uri)
    except ValueError as problem:
        raise RpcError(INVALID_PARAMS, f"The client's first root {problem}") from None
