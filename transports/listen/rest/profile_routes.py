"""The routes of profiles.

Invariants:

- They are for principals only that may change all instances (`rest_admission`).
- Each change that is asked for gets one record, whether it was made or refused.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from quart import Response, request

from router.messages.commands import ShowProfileTools
from router.messages.observability.records import ChangeRecord
from transports.listen.rest.bodies import check_name, read_profile
from transports.listen.rest.responses import (
    json_response,
    principal_of,
    request_body,
    sync_route,
)
from transports.listen.rest.rest_admission import check_may_change_profiles
from transports.listen.serving.asgi import address_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from quart_trio import QuartTrio

    from router.messages.observability.records import Record
    from transports.listen.rest.backend import RestBackend
    from transports.listen.rest.responses import RequestActor

NOT_AWAITED: Final = "Its sender did not wait for the answer; it may have been made"


def add_profile_routes(app: QuartTrio, backend: RestBackend, actor: RequestActor) -> None:
    """Add the routes."""
    profiles, write_record = backend.profiles, backend.write_record

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
        check_may_change_profiles(principal_of(request.scope))
        command = ShowProfileTools(check_name(name))
        await actor.count_tools()
        return json_response(await actor.ask(command))

    @app.put("/api/profiles/<name>")
    async def put_profile(name: str) -> Response:
        with _recorded(write_record, request.scope, "put_profile", name):
            check_may_change_profiles(principal_of(request.scope))
            profile = read_profile(await request_body())
            is_new = await profiles.put(check_name(name), profile)
        return json_response({"status": "success", "profile": name}, 201 if is_new else 200)

    @app.delete("/api/profiles/<name>")
    async def remove_profile(name: str) -> Response:
        with _recorded(write_record, request.scope, "remove_profile", name):
            check_may_change_profiles(principal_of(request.scope))
            await profiles.remove(check_name(name))
        return json_response({"status": "success", "removed": name})


@contextmanager
def _recorded(
    write_record: Callable[[Record], None], scope: Any, action: str, name: str
) -> Generator[None]:
    """Have it recorded how the change ends that is made inside."""
    problem = NOT_AWAITED
    try:
        yield
        problem = ""
    except Exception as error:
        problem = str(error)
        raise
    finally:
        principal = principal_of(scope)
        write_record(ChangeRecord(principal.name, address_of(scope), action, name[:200], problem))
