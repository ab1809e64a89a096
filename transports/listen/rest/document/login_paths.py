"""Describes the routes of logins for the OpenAPI document. Pure data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transports.listen.rest.document.openapi_schemas import (
    BOOLEAN,
    STRING,
    SUCCESS,
    object_of,
    ref_to,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from transports.listen.rest.document.openapi_schemas import Json


def login_paths(route: Callable[..., Json], name_in_path: Json) -> Json:
    """Return the paths of logins.

    Args:
        route: describes one operation, as `openapi` does.
        name_in_path: describes the name of an instance.
    """
    named = (name_in_path,)
    person: Json = {
        "name": "person",
        "in": "query",
        "schema": STRING,
        "description": "Another one's name, with oauth.per_user; takes admin",
    }
    wait: Json = {
        "name": "wait",
        "in": "query",
        "schema": {"enum": ["over"]},
        "description": "Answer when the login that has begun last is over, or after 25 s",
    }
    begin = route(
        "beginLogin", "Begin to log in to its server", ref_to("BegunLogin"), "404 422 502",
        body="LoginRequest", parameters=named,
    )  # fmt: skip
    begin["requestBody"]["required"] = False
    done = object_of(
        "status instance was_logged_in", status=SUCCESS, instance=STRING, was_logged_in=BOOLEAN
    )
    return {
        "/api/instances/{name}/login": {
            "get": route(
                "getLogin", "How it is with the login; never a token", ref_to("Login"), "404 422",
                parameters=(name_in_path, person, wait),
            ),
            "post": begin,
            "delete": route(
                "removeLogin", "Log out: forget its tokens, and have them revoked", done,
                "404 422 502", parameters=(name_in_path, person),
            ),
        },
        "/api/instances/{name}/login/callback": {
            "post": route(
                "finishLogin", "Finish a login whose browser could not reach the router",
                ref_to("Login"), "404 422 502", body="LoginCallback", parameters=named,
            )
        },
    }  # fmt: skip
