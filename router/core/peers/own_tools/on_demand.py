"""Leads to the own tools that few clients call; each module is imported when it is first needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from router.core.state.clients import ClientRequest
    from router.core.state.routing_state import RoutingState
    from router.messages.own_tools.code_runs import CodeEnded
    from router.messages.own_tools.search import ToolsFound


def search(state: RoutingState, request: ClientRequest) -> None:
    """See `searching.search`."""
    from router.core.peers.own_tools import searching

    searching.search(state, request)


def tools_found(state: RoutingState, event: ToolsFound) -> None:
    """See `searching.tools_found`."""
    from router.core.peers.own_tools import searching

    searching.tools_found(state, event)


def describe(state: RoutingState, request: ClientRequest) -> None:
    """See `describing.describe`."""
    from router.core.peers.own_tools import describing

    describing.describe(state, request)


def run_code(state: RoutingState, request: ClientRequest) -> None:
    """See `running.run`."""
    from router.core.peers.own_tools import running

    running.run(state, request)


def code_ended(state: RoutingState, event: CodeEnded) -> None:
    """See `running.code_ended`."""
    from router.core.peers.own_tools import running

    running.code_ended(state, event)


def end_forgotten_runs(state: RoutingState) -> None:
    """See `running.end_forgotten`."""
    from router.core.peers.own_tools import running

    running.end_forgotten(state)


def end_all_runs(state: RoutingState) -> None:
    """See `running.end_all`."""
    from router.core.peers.own_tools import running

    running.end_all(state)
