"""Reads the `params` of requests, and makes those that a server gets, in its revision's words.

Also the headers of clients that a server gets with a request (`forward_headers`).

Invariant: nothing of the router's envelope with the client gets to the server, and nothing that the
client's view does not pass on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.core.measures.trace_context import with_trace_context
from router.core.protocol.bridging import ENVELOPE_KEYS, RETRY_KEYS, client_envelope
from router.core.protocol.extensions import declared_by_client
from router.core.protocol.task_messages import RELATED_KEY
from router.core.sessions import client_roots
from router.core.tasks import handles
from router.core.text.raw_json import check_key_case, id_of, is_object, raw_of
from router.messages.frames import NO_RAW, Request, RequestWithHeaders
from router.messages.params import object_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from msgspec import Raw

    from router.core.state.clients import Call, ClientRequest
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.messages.events import SessionUp
    from router.messages.params import Params


def has_meta(request: ClientRequest, members: dict[str, Raw]) -> bool:
    """Return whether the `params` for any server have a `_meta`: the client's, or of a trace."""
    return "_meta" in members or (request.draft is not None and request.draft.trace is not None)


def params_for(
    state: RoutingState,
    session: SessionUp,
    request: ClientRequest,
    members: dict[str, Raw],
    token: int | None,
) -> dict[str, Any]:
    """Return the `params` as a server of this session's revision knows them.

    Args:
        token: the progress token for the server; None if the client wants no progress.
    """
    client = request.client
    sent: dict[str, Any] = members
    if client.is_stateless and not session.is_stateless:
        sent = {key: raw for key, raw in members.items() if key not in RETRY_KEYS}
    trace = None if request.draft is None else request.draft.trace
    if trace is not None or "_meta" in members:
        meta = _meta_for_server(request, token) if "_meta" in members else {}
        if trace is not None:
            meta = with_trace_context(meta, trace)
        if RELATED_KEY in meta:
            meta = handles.with_own_related(state, client, state.task_scope(session), meta)
        sent = sent | {"_meta": meta}
    if session.is_stateless:
        sent = client_roots.without_roots(sent)
        capabilities = client.capabilities
        if "extensions" in capabilities:
            expose = state.view_of(client).expose
            capabilities = declared_by_client(capabilities, expose, is_same_era=client.is_stateless)
        said = client_envelope(client.info, capabilities, client.log_level)
        sent = sent | {"_meta": sent.get("_meta", {}) | said}
    return sent


def _meta_for_server(request: ClientRequest, token: int | None) -> dict[str, Any]:
    meta: dict[str, Any] = dict(request.params.meta)
    if token is None:
        meta.pop("progressToken", None)
    else:
        meta["progressToken"] = token
    if request.client.is_stateless:
        # A client with a session has no envelope; what it writes there is for its server.
        return {key: value for key, value in meta.items() if key not in ENVELOPE_KEYS}
    return meta


def progress_token_of(params: Params) -> Raw | None:
    """Return the progress token in these `params`, raw; None if there is none that is valid."""
    token = params.meta.get("progressToken", NO_RAW)
    return None if id_of(token) is None else token


_META_KEYS: Final = frozenset({"progressToken"})


def check_meta(params: Params) -> None:
    """Check the `_meta` of a message, once, before anything of it is used.

    Raises:
        RpcError: -32602, it is no object, or holds a key like one that is read here.
    """
    check_key_case(params.meta, _META_KEYS, "params._meta")


# --- Headers ---------------------------------------------------------------------------------


def with_headers(frame: Request, call: Call, request: ClientRequest, instance: Instance) -> Request:
    """Return a request to a server that gets headers of its clients, with those of this client.

    What the server answers may depend on them, so it is kept for this client alone.
    """
    if request.client.is_stateless and call.session.is_stateless:
        call.rewrite = _as_private(call.rewrite)
    sent = request.params.forwarded or {}
    headers = {name: sent[name] for name in instance.spec.forward_headers if name in sent}
    if not headers:
        return frame
    call.headers = headers
    return RequestWithHeaders(frame.id, frame.method, frame.params, headers)


def _as_private(rewrite: Callable[[Raw], Raw] | None) -> Callable[[Raw], Raw]:
    """Return a function that says of a result that no cache may give it to others.

    MCP 2026-07-28, Caching.
    """

    def as_private(result: Raw) -> Raw:
        result = result if rewrite is None else rewrite(result)
        if b"cacheScope" not in bytes(result) or not is_object(result):
            return result
        return raw_of(object_of(result) | {"cacheScope": "private"})

    return as_private
