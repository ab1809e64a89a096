"""The requests about a session itself, and about what the router is: handshake, `ping`, log level.

A client of a `router` or `direct` view hears of the router here; one of a transparent view hears of
its server, in `transparent_requests`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from router.core.calls import forwarding, log_levels
from router.core.protocol import server_features
from router.core.protocol.bridging import NOT_CACHED, SERVER_INFO_KEY, negotiate
from router.core.text.raw_json import EMPTY_OBJECT, raw_of, text_of
from router.core.views.instance_views import instructions
from router.core.views.list_choice import listed_as, may_search_later
from router.messages.frames import NO_RAW
from router.messages.params import given, object_of
from router.messages.revisions import REVISIONS

if TYPE_CHECKING:
    from router.core.state.clients import Client, ClientRequest
    from router.core.state.routing_state import RoutingState


def initialize(state: RoutingState, request: ClientRequest) -> None:
    """Answer `initialize` for the router."""
    take_handshake(request)
    client = request.client
    profile = state.view_of(client).profile
    result = {
        "protocolVersion": client.revision,
        "capabilities": server_features.capabilities(profile, client.revision),
        "serverInfo": server_features.server_info(state.settings, profile),
        "instructions": _instructions(state, client),
    }
    forwarding.answer(state, request, raw_of(result))


def take_handshake(request: ClientRequest) -> None:
    """Note what a client says of itself in `initialize`.

    Raises:
        RpcError: -32602, its revision or its capabilities are malformed.
    """
    client, members = request.client, request.params.members
    requested = text_of(members, "protocolVersion")
    declared = given(members, "capabilities")
    capabilities = {} if declared is None else object_of(declared, "params.capabilities")
    client.revision, client.capabilities = negotiate(requested), capabilities
    client.info = given(members, "clientInfo") or NO_RAW
    client.has_initialized = True


def discover(state: RoutingState, request: ClientRequest) -> None:
    """Answer `server/discover` for the router (MCP 2026-07-28, Discovery)."""
    profile = state.view_of(request.client).profile
    result: dict[str, Any] = {
        "supportedVersions": REVISIONS,
        "capabilities": server_features.capabilities(profile, request.client.revision),
        "instructions": _instructions(state, request.client),
        "resultType": "complete",
        "_meta": {SERVER_INFO_KEY: server_features.server_info(state.settings, profile)},
    }
    forwarding.answer_in_full(state, request, raw_of(result | NOT_CACHED))


def _instructions(state: RoutingState, client: Client) -> str:
    seen, view = state.seen_by(client), state.view_of(client)
    said = ((row.name, instructions(row)) for row in seen if row.known is not None)
    spelling = client.spelling(state.settings.tool_names)
    listed = listed_as(state, client, view) if view.is_direct else None
    if listed == "direct" and may_search_later(state, client, view):
        listed = "auto"
    return server_features.instructions(view.profile, said, spelling, listed)


def ping(state: RoutingState, request: ClientRequest) -> None:
    """Answer `ping`."""
    forwarding.answer(state, request, EMPTY_OBJECT)


def set_level(state: RoutingState, request: ClientRequest) -> None:
    """Have this client told of log messages from a level upwards."""
    level = log_levels.read_log_level(request.params.members, "level")
    # A lone request is over with its answer: no log message could reach it.
    if not request.client.one_shot:
        request.client.log_level = level
        log_levels.broadcast_log_level(state)
    forwarding.answer(state, request, EMPTY_OBJECT)
