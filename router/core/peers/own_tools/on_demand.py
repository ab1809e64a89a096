"""Carries out those of the router's own tools that few clients use.

Invariant: the modules that do so are imported at their first use, for start-up time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from router.core.state.clients import ClientRequest
    from router.core.state.routing_state import RoutingState
    from router.messages.code_runs import CodeEnded


def search(state: RoutingState, request: ClientRequest) -> None:
    """See `searching.search`."""
    from router.core.peers.own_tools import searching

    searching.search(state, request)


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
