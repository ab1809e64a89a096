"""Describes the routes of approvers. Pure data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from transports.listen.rest.document.openapi_schemas import STRING, array_of, ref_to

if TYPE_CHECKING:
    from transports.listen.rest.document.openapi_schemas import Json


class Route(Protocol):
    """Makes one operation; see `openapi`."""

    def __call__(
        self,
        name: str,
        summary: str,
        result: Json,
        errors: str = "",
        *,
        body: str = "",
        parameters: tuple[Json, ...] = (),
    ) -> Json: ...


_ID_IN_PATH: Final[Json] = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": STRING,
    "description": "The id of a call that waits",
}


def approval_paths(route: Route) -> Json:
    """Return the paths of these routes."""
    return {
        "/api/approvals": {
            "get": route(
                "listApprovals",
                "The calls that wait for an approver, oldest first",
                array_of(ref_to("Approval")),
            )
        },
        "/api/approvals/{id}": {
            "post": route(
                "decideApproval",
                "Have a call carried out, once, or refuse it; 409 if it was decided about already, "
                "or its arguments are others",
                ref_to("Decided"),
                "404 409 422",
                body="Decision",
                parameters=(_ID_IN_PATH,),
            )
        },
    }
