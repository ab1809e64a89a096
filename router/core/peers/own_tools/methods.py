"""Finds the function for each of the router's own tools that calls no tool of a server.

Those that do are in `tool_calls`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.core.management import saving
from router.core.peers.own_tools import on_demand, showing
from router.core.protocol.own_tools import router_tools
from router.core.text.raw_json import text_of
from router.messages.params import given

if TYPE_CHECKING:
    from router.core.state.clients import ClientRequest
    from router.core.state.routing_state import Method, RoutingState
    from router.messages.commands import Permission


def change(state: RoutingState, request: ClientRequest) -> None:
    """Carry out one of the tools that change instances.

    Raises:
        RpcError: -32602, an argument is wrong; see also `saving.begin`.
    """
    members = request.params.members
    own = router_tools.canonical_name(text_of(members, "name")) or ""
    saving.begin(state, request, router_tools.change_of(own, given(members, "arguments")))


METHODS: Final[dict[str, tuple[tuple[Permission, ...], Method]]] = {
    # A client that may call tools must be able to find out which there are.
    router_tools.USE: (("read", "call"), showing.select),
    router_tools.LIST: (("read", "call"), showing.list_instances),
    router_tools.HELP: (("read", "call"), showing.show_tools),
    router_tools.SEARCH: (("read", "call"), on_demand.search),
    router_tools.DESCRIBE: (("read", "call"), on_demand.describe),
    router_tools.RUN: (("call",), on_demand.run_code),
    **dict.fromkeys(router_tools.MANAGEMENT, (("admin",), change)),
}
"""Tool -> the permissions, of which any one suffices, and the function that runs the tool."""
