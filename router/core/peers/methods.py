"""Finds the function for each method that a client may call, by the era of its requests.

A client of a handshake revision has a session; its own methods stand here. One of 2026-07-28 has
none; its methods stand in `stateless_requests`. A stand-in (era `own`) makes a request for somebody
who sent a command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.core.calls import forwarding, log_levels, tool_lists
from router.core.management import saving
from router.core.peers import stateless_requests, tool_calls
from router.core.protocol import router_tools
from router.core.protocol.bridging import negotiate
from router.core.protocol.raw_json import EMPTY_OBJECT, raw_of, text_of
from router.messages.errors import METHOD_NOT_FOUND, RpcError
from router.messages.frames import NO_RAW
from router.messages.params import given, object_of
from router.messages.revisions import LISTEN_METHOD

if TYPE_CHECKING:
    from router.core.state.clients import ClientRequest
    from router.core.state.routing_state import Method, RoutingState
    from router.messages.revisions import Era


def method_of(request: ClientRequest) -> Method:
    """Return the function that carries this request out.

    Raises:
        RpcError: -32601, clients of this era have no such method.
    """
    method = _METHODS[request.client.era].get(request.method)
    if method is None:
        raise RpcError(METHOD_NOT_FOUND, f"Method not found: {request.method}")
    return method


def _initialize(state: RoutingState, request: ClientRequest) -> None:
    client, members = request.client, request.params.members
    requested = text_of(members, "protocolVersion")
    declared = given(members, "capabilities")
    capabilities = {} if declared is None else object_of(declared, "params.capabilities")
    client.revision, client.capabilities = negotiate(requested), capabilities
    client.info = given(members, "clientInfo") or NO_RAW
    result = {
        "protocolVersion": client.revision,
        "capabilities": router_tools.CAPABILITIES,
        "serverInfo": router_tools.server_info(state.settings),
        "instructions": router_tools.instructions(client.spelling(state.settings.tool_names)),
    }
    forwarding.answer(state, request, raw_of(result))


def _ping(state: RoutingState, request: ClientRequest) -> None:
    forwarding.answer(state, request, EMPTY_OBJECT)


def _set_level(state: RoutingState, request: ClientRequest) -> None:
    level = log_levels.read_log_level(request.params.members, "level")
    # A lone request is over with its answer: no log message could reach it.
    if not request.client.one_shot:
        request.client.log_level = level
        log_levels.broadcast_log_level(state)
    forwarding.answer(state, request, EMPTY_OBJECT)


def _list_tools(state: RoutingState, request: ClientRequest) -> None:
    tools = tool_lists.tools_for(state, request)
    request.client.owes_listing = False
    forwarding.answer(state, request, raw_of({"tools": tools}))


_HANDSHAKE: Final[dict[str, Method]] = {
    "initialize": _initialize,
    "ping": _ping,
    "logging/setLevel": _set_level,
    "tools/list": _list_tools,
    "tools/call": tool_calls.call,
}

_METHODS: Final[dict[Era, dict[str, Method]]] = {
    "handshake": _HANDSHAKE,
    "either": _HANDSHAKE,
    "stateless": {
        "server/discover": stateless_requests.discover,
        "tools/list": stateless_requests.list_tools,
        "tools/call": stateless_requests.call_tool,
        LISTEN_METHOD: stateless_requests.listen,
    },
    "own": {
        "tools/call": tool_calls.call_selected,
        saving.READY_METHOD: saving.when_ready,
    },
}
"""Era -> method -> the function that carries it out. In the era `either` a connection itself speaks
the handshake revisions; its requests of 2026-07-28 have rows of their own."""
