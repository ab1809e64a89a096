"""The routes of approvers: the calls that wait for a yes, and the decisions about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.messages.commands import ListApprovals
from transports.listen.rest.bodies import read_decision
from transports.listen.rest.responses import request_body

if TYPE_CHECKING:
    from quart import Response
    from quart_trio import QuartTrio

    from transports.listen.rest.responses import RequestActor


def add_approval_routes(app: QuartTrio, actor: RequestActor) -> None:
    """Add the routes."""

    @app.get("/api/approvals")
    async def approvals() -> Response:
        return await actor.respond(ListApprovals())

    @app.post("/api/approvals/<approval_id>")
    async def decide(approval_id: str) -> Response:
        return await actor.respond(read_decision(approval_id, await request_body()))
