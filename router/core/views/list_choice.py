"""Chooses which list of tools a client of a view with direct names gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from router.core.state.clients import Client
    from router.core.state.routing_state import RoutingState
    from router.core.state.views import View
    from router.messages.instances.exposure import Expose


def listed_as(state: RoutingState, client: Client, view: View) -> Expose:
    """Return the kind of list of tools: "direct", "search" or "code".

    Args:
        view: the client's; it is direct (`View.is_direct`).
    """
    if view.expose == "code" and not state.settings.can_run_code:
        return "search"
    return "direct" if view.expose == "auto" else view.expose
