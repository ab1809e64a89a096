"""The routes that tell what tools cost a model, and what clients are listed therefore."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.messages.commands import ShowCosts, ShowViewCost, ShowViews
from transports.listen.rest.bodies import check_name
from transports.listen.rest.responses import json_response

if TYPE_CHECKING:
    from quart import Response
    from quart_trio import QuartTrio

    from transports.listen.rest.responses import RequestActor


def add_cost_routes(app: QuartTrio, actor: RequestActor) -> None:
    """Add the routes."""

    @app.get("/api/costs")
    async def costs() -> Response:
        return await _costs(actor, None)

    @app.get("/api/costs/<name>")
    async def costs_of(name: str) -> Response:
        return await _costs(actor, check_name(name))

    @app.get("/api/views")
    async def views() -> Response:
        return await actor.respond(ShowViews())


async def _costs(actor: RequestActor, instance: str | None) -> Response:
    """Answer with the costs of all tools or of one instance, and with those of all views."""
    await actor.count_tools()
    costs = await actor.ask(ShowCosts(instance))
    places = costs.pop("places")
    # One command each, so that no call waits for the costs of many views.
    return json_response(
        {**costs, "views": [await actor.ask(ShowViewCost(place)) for place in places]}
    )
