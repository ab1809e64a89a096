"""Loads the parts that serve people of identity providers.

For start-up time, nothing of them is imported before there is such a provider.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.access.admission import AdmissionRules
    from router.oauth.resource_server.resource_server import ResourceServer
    from transports.listen.serving.admitting.open_routes import OpenRoutes
    from transports.listen.serving.exchange import Answer, HttpRequest


def new_resource_server() -> ResourceServer:
    """Return what knows the tokens of issuers; for a worker thread, or the start."""
    from router.oauth.resource_server.resource_server import ResourceServer
    from transports.outbound.fetching import fetch

    return ResourceServer(fetch)


def load_open_routes(rules: Callable[[], AdmissionRules]) -> OpenRoutes:
    """Return the routes that tell where to log in.

    Args:
        rules: returns the rules in force for clients of MCP.
    """
    from router.access.challenges import WELL_KNOWN
    from router.messages.errors import HttpRefusal
    from transports.listen.serving.admitting.open_routes import OpenRoutes

    async def describe(request: HttpRequest) -> Answer:
        await trio.lowlevel.checkpoint()
        if not rules().issuers:
            raise HttpRefusal(404, "Not found")
        from router.oauth.resource_server.documents import answer

        return answer(request, rules())

    return OpenRoutes(for_every_page={WELL_KNOWN: describe})
