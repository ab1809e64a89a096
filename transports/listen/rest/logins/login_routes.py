"""The routes of logins to remote servers.

Invariant: an instance that its asker does not see is not found, whatever the asker may do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from quart import Response, request

from router.messages.commands import Asker, ShowInstance
from transports.listen.rest.bodies import (
    check_name,
    read_callback,
    read_finished_wait,
    read_login,
)
from transports.listen.rest.responses import json_response, principal_of, request_body
from transports.listen.serving.asgi import address_of

if TYPE_CHECKING:
    from quart_trio import QuartTrio

    from transports.listen.rest.actor_client import ActorClient
    from transports.listen.rest.backend import RestBackend


def add_login_routes(app: QuartTrio, backend: RestBackend, actor: ActorClient) -> None:
    """Add the routes."""
    logins = backend.logins

    async def seen(name: str) -> tuple[Asker, str]:
        """Return who asks, and the name of the instance."""
        scope: Any = request.scope
        asker = Asker(principal_of(scope), address_of(scope))
        # A person logs in with the permission to call, and looks at nothing here but the name.
        looking = replace(asker.principal, permissions=frozenset({"read"}))
        row = await actor.ask(looking, ShowInstance(check_name(name)), asker.address)
        return asker, row["name"]

    @app.post("/api/instances/<name>/login")
    async def begin(name: str) -> Response:
        # No content type is asked for where there is no body.
        wanted = read_login(await request_body() if request.content_length else b"")
        asker, name = await seen(name)
        if wanted.device:
            return json_response(await logins.begin_device(asker, name, person=wanted.person))
        begun = await logins.begin(
            asker, name, redirect_uri=wanted.redirect_uri, person=wanted.person
        )
        return json_response(begun)

    @app.get("/api/instances/<name>/login")
    async def state(name: str) -> Response:
        wait = read_finished_wait(request.args.get("wait"))
        asker, name = await seen(name)
        person = request.args.get("person", "")
        return json_response(await logins.state(asker, name, person=person, wait=wait))

    @app.post("/api/instances/<name>/login/callback")
    async def finish(name: str) -> Response:
        callback = read_callback(await request_body())
        asker, name = await seen(name)
        return json_response(await logins.finish(asker, name, callback))

    @app.delete("/api/instances/<name>/login")
    async def log_out(name: str) -> Response:
        asker, name = await seen(name)
        was_there = await logins.log_out(asker, name, person=request.args.get("person", ""))
        return json_response({"status": "success", "instance": name, "was_logged_in": was_there})
