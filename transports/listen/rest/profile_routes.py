"""The routes of profiles.

Invariant: they are for principals only that may change all instances (`rest_admission`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quart import Response, request

from router.messages.commands import ShowProfileTools
from transports.listen.rest.bodies import check_name, read_profile
from transports.listen.rest.responses import (
    json_response,
    principal_of,
    request_body,
    sync_route,
)
from transports.listen.rest.rest_admission import check_may_change_profiles

if TYPE_CHECKING:
    from quart_trio import QuartTrio

    from transports.listen.rest.actor_client import ActorClient
    from transports.listen.rest.backend import Profiles


def add_profile_routes(app: QuartTrio, profiles: Profiles, actor: ActorClient) -> None:
    """Add the routes."""

    @app.get("/api/profiles")
    @sync_route
    def all_profiles() -> Response:
        check_may_change_profiles(principal_of(request.scope))
        return json_response(profiles.rows())

    @app.get("/api/profiles/<name>")
    @sync_route
    def profile(name: str) -> Response:
        check_may_change_profiles(principal_of(request.scope))
        return json_response(profiles.row(check_name(name)))

    @app.get("/api/profiles/<name>/tools")
    async def profile_tools(name: str) -> Response:
        principal = principal_of(request.scope)
        check_may_change_profiles(principal)
        return json_response(await actor.ask(principal, ShowProfileTools(check_name(name))))

    @app.put("/api/profiles/<name>")
    async def put_profile(name: str) -> Response:
        check_may_change_profiles(principal_of(request.scope))
        profile = read_profile(await request_body())
        is_new = await profiles.put(check_name(name), profile)
        return json_response({"status": "success", "profile": name}, 201 if is_new else 200)

    @app.delete("/api/profiles/<name>")
    async def remove_profile(name: str) -> Response:
        check_may_change_profiles(principal_of(request.scope))
        await profiles.remove(check_name(name))
        return json_response({"status": "success", "removed": name})
