"""Finds the function for each method that a client may call, by the era of its requests.

A client of a handshake revision has a session; its own methods stand here. One of 2026-07-28 has
none; its methods stand in `stateless_requests`. A stand-in (era `own`) makes a request for somebody
who sent a command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.core.limits.large_results import readable
from router.core.management import saving
from router.core.peers import (
    feature_requests,
    session_requests,
    stateless_requests,
    task_requests,
    tool_calls,
    transparent_requests,
)
from router.core.peers.stateless_requests import resumable
from router.messages.errors import METHOD_NOT_FOUND, RpcError
from router.messages.revisions import LISTEN_METHOD

if TYPE_CHECKING:
    from router.core.state.clients import ClientRequest
    from router.core.state.routing_state import Method, RoutingState
    from router.messages.revisions import Era


def method_of(state: RoutingState, request: ClientRequest) -> Method:
    """Return the function that carries this request out.

    Raises:
        RpcError: -32601, clients of this era have no such method; -32010, its view is gone.
    """
    client = request.client
    era = client.era
    if era != "own" and state.sight_of(client).view.is_transparent:
        method = _TRANSPARENT[era].get(request.method)
        if method is None and request.method not in _OF_SESSIONS:
            method = transparent_requests.forward
    else:
        method = _METHODS[era].get(request.method)
    if method is None:
        raise RpcError(METHOD_NOT_FOUND, f"Method not found: {request.method}")
    return method


# --- Views of several instances --------------------------------------------------------------

_HANDSHAKE: Final[dict[str, Method]] = {
    "initialize": session_requests.initialize,
    "ping": session_requests.ping,
    "logging/setLevel": session_requests.set_level,
    "tools/call": tool_calls.call,
    "resources/subscribe": feature_requests.subscribe,
    "resources/unsubscribe": feature_requests.unsubscribe,
    **feature_requests.METHODS,
    "resources/read": readable(feature_requests.read_resource),
    **task_requests.HANDSHAKE,
}

_STATELESS: Final[dict[str, Method]] = {
    "server/discover": session_requests.discover,
    LISTEN_METHOD: stateless_requests.listen,
    **feature_requests.METHODS,
    **task_requests.STATELESS,
    "tools/call": resumable(tool_calls.call),
    "prompts/get": resumable(feature_requests.get_prompt),
    "resources/read": readable(resumable(feature_requests.read_resource)),
}

_METHODS: Final[dict[Era, dict[str, Method]]] = {
    "handshake": _HANDSHAKE,
    "either": _HANDSHAKE,
    "stateless": _STATELESS,
    "own": {
        "tools/call": tool_calls.call_selected,
        "prompts/get": feature_requests.get_selected_prompt,
        "resources/read": readable(feature_requests.read_selected_resource),
        saving.READY_METHOD: saving.when_ready,
    },
}
"""Era -> method -> the function that carries it out. In the era `either` a connection itself speaks
the handshake revisions; its requests of 2026-07-28 have rows of their own."""


# --- Views of one instance -------------------------------------------------------------------

_LISTS: Final[dict[str, Method]] = dict.fromkeys(
    transparent_requests.LISTS, transparent_requests.answer_list
)

_TRANSPARENT_HANDSHAKE: Final[dict[str, Method]] = {
    "initialize": transparent_requests.initialize,
    "ping": session_requests.ping,
    "logging/setLevel": session_requests.set_level,
    "tools/call": tool_calls.call_transparent,
    "resources/read": readable(transparent_requests.forward),
    "resources/subscribe": feature_requests.subscribe,
    "resources/unsubscribe": feature_requests.unsubscribe,
    **_LISTS,
    **task_requests.TRANSPARENT_HANDSHAKE,
}

_TRANSPARENT_STATELESS: Final[dict[str, Method]] = {
    "server/discover": transparent_requests.discover,
    LISTEN_METHOD: stateless_requests.listen,
    "tools/call": resumable(tool_calls.call_transparent),
    "prompts/get": resumable(transparent_requests.forward),
    "resources/read": readable(resumable(transparent_requests.forward)),
    **_LISTS,
    **task_requests.TRANSPARENT_STATELESS,
}

_TRANSPARENT: Final[dict[Era, dict[str, Method]]] = {
    "handshake": _TRANSPARENT_HANDSHAKE,
    "either": _TRANSPARENT_HANDSHAKE,
    "stateless": _TRANSPARENT_STATELESS,
}
"""Era -> method -> the function that carries it out; every other method is forwarded."""

_OF_SESSIONS: Final = frozenset({*_TRANSPARENT_HANDSHAKE, "server/discover", LISTEN_METHOD})
"""Methods that are never forwarded in the other era: they are about the session, or the lack of
one, and the session with the server is the router's. An `initialize` there would end it."""
