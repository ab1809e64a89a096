"""Words the errors for tools that there are not, with the names that are nearest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core.text.nearest_names import did_you_mean
from router.core.views import listings
from router.messages.errors import INVALID_PARAMS, TOOL_NOT_FOUND, RpcError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.core.state.clients import Client
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState


def unknown_tool(state: RoutingState, client: Client, name: str) -> RpcError:
    """Return the error for a tool that there is not (MCP 2025-11-25, Tools, Error Handling)."""
    names = _direct_names(state, client)
    return RpcError(INVALID_PARAMS, f"Unknown tool: {name}" + did_you_mean(name, names))


def _direct_names(state: RoutingState, client: Client) -> Iterable[str]:
    """Return the direct names of all tools that this client may call now."""
    limit, admitted = state.settings.name_limit, state.view_of(client).profile.tools
    seen = state.seen_by(client)
    names = (name for instance in seen for name in instance.direct_names(limit))
    return names if admitted.admits_all else filter(admitted.admits, names)


def not_found_in(state: RoutingState, client: Client, instance: Instance, tool: str) -> RpcError:
    """Return the error for a tool that an instance does not show to a client."""
    message = f"Tool '{tool}' not found in instance '{instance.name}'"
    names = listings.admitted_names(state, state.view_of(client), instance)
    return RpcError(TOOL_NOT_FOUND, message + did_you_mean(tool, sorted(names)))
