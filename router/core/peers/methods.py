"""The methods that a client may call, by the era it speaks, and those of the handshake revisions.

A client of a handshake revision has a session; one of 2026-07-28 has none, and its methods stand in
`stateless_requests`. A stand-in (era `own`) makes a request for somebody who sent a command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.core.calls import forwarding, log_levels, tool_lists
from router.core.management import saving
from router.core.peers import stateless_requests, tool_calls
from router.core.protocol import router_tools
from router.core.protocol.bridging import negotiate
from router.core.protocol.raw_json import EMPTY_OBJECT, given, object_of, raw_of, text_of
from router.messages.errors import METHOD_NOT_FOUND, RpcError
from router.messages.frames import NO_RAW
from router.messages.revisions import LISTEN_METHOD

if TYPE_CHECKING:
    from router.core.state.clients import Client, Members
    from router.core.state.routing_state import Method, RoutingState
    from router.messages.events import FromClient
    from router.messages.frames import Request
    from router.messages.revisions import Era


def method_of(client: Client, name: str) -> Method:
    """Return what is done about a request with this method.

    Raises:
        RpcError: -32601, clients of this era have no such method.
    """
    method = _METHODS[client.era].get(name)
    if method is None:
        raise RpcError(METHOD_NOT_FOUND, f"Method not found: {name}")
    return method


def _initialize(
    state: RoutingState, client: Client, event: FromClient, frame: Request, members: Members
) -> None:
    requested = text_of(members, "protocolVersion")
    declared = given(members, "capabilities")
    capabilities = {} if declared is None else object_of(declared, "params.capabilities")
    client.revision, client.capabilities = negotiate(requested), capabilities
    client.info = given(members, "clientInfo") or NO_RAW
    result = {
        "protocolVersion": client.revision,
        "capabilities": router_tools.CAPABILITIES,
        "serverInfo": router_tools.server_info(state.settings),
        "instructions": router_tools.INSTRUCTIONS,
    }
    forwarding.answer(state, event, frame, raw_of(result))


def _ping(state: RoutingState, _: Client, event: FromClient, frame: Request, __: Members) -> None:
    forwarding.answer(state, event, frame, EMPTY_OBJECT)


def _set_level(
    state: RoutingState, client: Client, event: FromClient, frame: Request, members: Members
) -> None:
    level = log_levels.level_of(members, "level")
    if not client.one_shot:
        client.log_level = level
        log_levels.broadcast_log_level(state)
    forwarding.answer(state, event, frame, EMPTY_OBJECT)


def _list_tools(
    state: RoutingState, client: Client, event: FromClient, frame: Request, members: Members
) -> None:
    found = tool_lists.listed_to(state, client, members)
    client.owes_listing = False
    forwarding.answer(state, event, frame, raw_of({"tools": found}))


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
