"""Describes the routes of pinned tools. Pure data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transports.listen.rest.document.openapi_schemas import (
    STRING,
    SUCCESS,
    array_of,
    object_of,
    ref_to,
)

if TYPE_CHECKING:
    from transports.listen.rest.document.approval_paths import Route
    from transports.listen.rest.document.openapi_schemas import Json


def pin_paths(route: Route, name_in_path: Json) -> Json:
    """Return the paths of these routes."""
    approved = object_of("status instance approved", status=SUCCESS, approved=array_of(STRING))
    summary = "Tools that differ from the approved ones"
    return {
        "/api/pins": {"get": route("getPins", summary, ref_to("Pins"))},
        "/api/instances/{name}/tools/approve": {
            "post": route(
                "approveTools",
                "Approve tools as they were shown",
                approved,
                "404 409 422 507",
                body="ToolApproval",
                parameters=(name_in_path,),
            )
        },
    }
