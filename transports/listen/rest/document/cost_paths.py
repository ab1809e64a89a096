"""Describes the routes about what tools cost. Pure data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from transports.listen.rest.document.openapi_schemas import (
    INTEGER,
    NAME,
    STRING,
    array_of,
    nullable,
    object_of,
)

if TYPE_CHECKING:
    from transports.listen.rest.document.approval_paths import Route
    from transports.listen.rest.document.openapi_schemas import Json

_TOKENS: Final[Json] = {**INTEGER, "description": "An estimate, about a tenth off at most"}
_PLACE: Final[Json] = {
    **nullable("string"),
    "description": "The name of a profile; null for the default view",
}

_COSTS: Final = object_of(
    "total_tokens limit_tokens instances dearest views",
    total_tokens=_TOKENS,
    limit_tokens={**INTEGER, "description": "server.auto_limit_tokens"},
    tools={
        "type": "object",
        "additionalProperties": _TOKENS,
        "description": "Of one instance: every tool, the dearest first",
    },
    instances={
        **array_of(object_of("name tools tokens", name=NAME, tools=INTEGER, tokens=_TOKENS)),
        "description": "The dearest first",
    },
    dearest={
        **array_of(
            object_of(
                "instance tool tokens share deny_saves describe_saves",
                instance=NAME,
                tool=STRING,
                tokens=_TOKENS,
                share={"type": "number", "description": "Of total_tokens, 0 to 1"},
                deny_saves={**INTEGER, "description": "Tokens that denying the tool saves"},
                describe_saves={
                    **INTEGER,
                    "description": "Tokens that its description takes after its first sentence",
                },
            )
        ),
        "description": "The ten dearest tools",
    },
    views=array_of(
        object_of(
            "place kind tools tokens listed_tokens reason",
            place=_PLACE,
            kind=STRING,
            tools={**INTEGER, "description": "That it shows"},
            tokens={**INTEGER, "description": "Of all of these"},
            listed_tokens={**INTEGER, "description": "Of what an unknown client is listed"},
            reason={**nullable("string"), "description": "In an auto view: the list, and why"},
        )
    ),
)

_CHOICE: Final = object_of(
    "place client kind reason sessions",
    place=_PLACE,
    client={**STRING, "description": "Name and version of the program, as it says"},
    kind={"enum": ["direct", "search"]},
    reason=STRING,
    sessions={**INTEGER, "description": "That have this; 0 for a client without sessions"},
)


def cost_paths(route: Route, name_in_path: Json) -> Json:
    """Return the paths of these routes."""
    summary = "What tools cost a model, in tokens: by instance, by view, and the ten dearest"
    return {
        "/api/costs": {"get": route("getCosts", summary, _COSTS)},
        "/api/costs/{name}": {
            "get": route(
                "getCostsOfInstance",
                "What the tools of one instance cost a model",
                _COSTS,
                "404 422",
                parameters=(name_in_path,),
            )
        },
        "/api/views": {
            "get": route(
                "getViews", "What clients of `auto` views are listed, and why", array_of(_CHOICE)
            )
        },
    }
