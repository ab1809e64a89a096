"""Describes the REST API as an OpenAPI document, for generated clients and for people.

A test compares the document with the routes and their answers. Pure data.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

Json: TypeAlias = dict[str, Any]


# --- Schemas ---------------------------------------------------------------------------------


def _object(required: str = "", more: bool = True, **properties: Json) -> Json:
    """Return the schema of an object; `required` are names, separated by spaces."""
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": more,
    }


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _array(items: Json) -> Json:
    return {"type": "array", "items": items}


def _nullable(kind: str) -> Json:
    return {"type": [kind, "null"]}


STRING: Final[Json] = {"type": "string"}
TEXT: Final[Json] = {"type": "string", "minLength": 1}
NAME: Final[Json] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 100,
    "pattern": r"^[^-.\x00-\x20\x7f/\\][^\x00-\x20\x7f/\\]*$",
}
BOOLEAN: Final[Json] = {"type": "boolean"}
INTEGER: Final[Json] = {"type": "integer"}
ANY_OBJECT: Final[Json] = {"type": "object"}
STRINGS: Final[Json] = {"type": "object", "additionalProperties": STRING}
SUCCESS: Final[Json] = {"const": "success"}


def _filter(description: str) -> Json:
    """Return the schema of a filter: an object, or an array of what is allowed."""
    return {"anyOf": [ANY_OBJECT, _array(STRING)], "description": description}


_ENTRY: Final[Json] = {
    "name": {**NAME, "description": "Letters, digits, _, - and CJK letters; unique"},
    "provider": {**NAME, "description": "The folder in data/; the name, if it is missing"},
    "type": {"enum": ["stdio", "sse", "http"]},
    "command": TEXT,
    "args": _array(STRING),
    "env": {**STRINGS, "description": 'A value that is read as {"set": true} is written so too'},
    "cwd": TEXT,
    "url": TEXT,
    "headers": STRINGS,
    "isActive": BOOLEAN,
    "metadata": ANY_OBJECT,
    "check_arguments": {**BOOLEAN, "description": "Overrides security.check_arguments"},
    "tools": _filter("What of its tools clients see: allow, deny, rename, describe, ..."),
    "prompts": _filter("What of its prompts clients see, by name"),
    "resources": _filter("What of its resources and templates clients see, by URI"),
    "catalogue_cache": {**BOOLEAN, "default": True, "description": "Keep its last known lists"},
    "sessions": {"enum": ["shared", "per_client"], "default": "shared"},
    "max_sessions": {**INTEGER, "minimum": 1, "maximum": 1000, "default": 32},
}

_STATE: Final[Json] = {
    "state": {
        "enum": ["disabled", "starting", "ready", "backoff", "failed", "stopping", "idle"],
        "description": "`idle`: each client has a session of its own, and there is none now",
    },
    "in_state_s": {"type": "number"},
    "restarts": INTEGER,
    "last_error": _nullable("string"),
}

_INSTANCE: Final[Json] = _object(
    "name provider display_name active connected transport_type tools_count metadata",
    name=TEXT,
    provider=TEXT,
    display_name=STRING,
    active=BOOLEAN,
    connected=BOOLEAN,
    transport_type=STRING,
    tools_count=INTEGER,
    metadata=ANY_OBJECT,
    summary={**_nullable("string"), "description": "What the server does, in one line"},
    **_STATE,
    sessions={
        **_array(_object("name client state", name=TEXT, client=STRING, **_STATE)),
        "description": "Those of single clients; only if each client has one of its own",
    },
)

_PROFILE: Final[Json] = {
    "expose": {"enum": ["router", "direct", "transparent"]},
    "instances": {**_array(STRING), "description": "Names; * and ? stand for characters"},
    "tools": _object(more=False, allow=_array(STRING), deny=_array(STRING)),
    "instructions": _nullable("string"),
    "title": _nullable("string"),
}

SCHEMAS: Final[Json] = {
    "Instance": _INSTANCE,
    "Status": {
        "allOf": [
            _ref("Instance"),
            _object(
                since_s={"type": "number"},
                calls=INTEGER,
                in_flight=INTEGER,
                retry_in_s=_nullable("number"),
            ),
        ]
    },
    "Tool": _object("name", name=STRING, description=_nullable("string"), inputSchema=ANY_OBJECT),
    "Entry": _object(**_ENTRY),
    "NewInstance": {
        "anyOf": [
            _object("name", **_ENTRY),
            _object("provider_name config", provider_name=NAME, config=_ref("Entry")),
        ]
    },
    "Profile": _object(more=False, **_PROFILE),
    "NamedProfile": _object(" ".join(("name", *_PROFILE)), name=NAME, **_PROFILE),
    "Call": _object(
        "instance tool",
        instance=NAME,
        tool=TEXT,
        params={**ANY_OBJECT, "default": {}},
    ),
    "ToolResult": _object(
        content=_array(ANY_OBJECT),
        isError={**BOOLEAN, "default": False},
        structuredContent={},
        _meta=ANY_OBJECT,
    ),
    "Error": _object("detail", detail=_object("error code", error=STRING, code=STRING)),
    "Refusal": _object("detail", detail=STRING),
    "DoesNotFit": _object(
        "detail",
        detail=_array(_object("loc msg type", loc=_array(STRING), msg=STRING, type=STRING)),
    ),
}

_EXAMPLES: Final[Json] = {
    "NewInstance": {
        "name": "files",
        "type": "stdio",
        "command": "npx",
        "args": ["-y", "@modelcontextprotocol/server-filesystem", "/srv/files"],
    },
    "Entry": {"metadata": {"team": "tools"}},
    "Profile": {"instances": ["files-*"], "tools": {"deny": ["*__delete_*"]}},
    "Call": {"instance": "example", "tool": "add", "params": {"a": 1, "b": 2}},
}
"""Schema of a request body -> an example of one."""

OPEN_STATUSES: Final = ("400", "403", "413", "500", "503")
"""Statuses that the guard in front of a route, or a fault behind it, may give to anybody."""

GENERAL_STATUSES: Final = ("400", "401", "403", "413", "500", "503")
"""The same for routes that need a token."""

_ERROR_DESCRIPTIONS: Final = {
    400: "Not JSON, or the server refused the call",
    401: "No token, or a wrong one",
    403: "Host, Origin or the token's permissions do not allow it",
    404: "There is no such instance, tool or profile",
    409: "There is an instance or a profile of that name already",
    413: "The body is larger than 10 MB",
    422: "A value does not fit; detail.loc says where",
    500: "A fault in the router, or a file that cannot be written",
    503: "The instance or the router cannot take it now",
    504: "The server did not answer in time",
    507: "No space left on the disk; nothing was changed",
}


def _json_body(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _errors(codes: str) -> Json:
    either = {"anyOf": [_ref("Error"), _ref("DoesNotFit"), _ref("Refusal")]}
    return {
        code: {"description": _ERROR_DESCRIPTIONS[int(code)], "content": _json_body(either)}
        for code in codes.split()
    }


def _route(
    name: str,
    summary: str,
    result: Json,
    errors: str = "",
    *,
    body: str = "",
    parameters: tuple[Json, ...] = (),
    status: str = "200",
    is_open: bool = False,
) -> Json:
    """Return one operation; the guard's statuses are added to `errors`."""
    general = " ".join(OPEN_STATUSES if is_open else GENERAL_STATUSES)
    route: Json = {
        "operationId": name,
        "summary": summary,
        "parameters": list(parameters),
        "responses": {
            status: {"description": "Success", "content": _json_body(result)},
            **_errors(" ".join(sorted({*general.split(), *errors.split()}))),
        },
    }
    if body:
        content = {"schema": _ref(body), "example": _EXAMPLES[body]}
        route["requestBody"] = {"required": True, "content": {"application/json": content}}
    if is_open:
        route["security"] = []
    return route


_NAME_IN_PATH: Final[Json] = {
    "name": "name",
    "in": "path",
    "required": True,
    "schema": NAME,
    "description": "The name of an instance, or of a provider that has only one",
}
_WAIT: Final[Json] = {
    "name": "wait",
    "in": "query",
    "schema": {"enum": ["ready"]},
    "description": "Answer when the instance is ready, or 503 when it has failed, with the reason",
}


_LEVEL: Final[Json] = {
    "name": "level",
    "in": "query",
    "schema": {"enum": ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]},
    "description": "Leave out records below this level",
}
_TICKET: Final[Json] = {
    "name": "ticket",
    "in": "query",
    "schema": STRING,
    "description": "In place of the token, which a page cannot send here",
}


def _instance_paths() -> Json:
    changed = _object("status instance_name", status=SUCCESS, instance_name=STRING)
    switched = _object("status instance active", status=SUCCESS, instance=STRING, active=BOOLEAN)
    removed = _object("status removed", status=SUCCESS, removed=STRING)
    named = (_NAME_IN_PATH,)
    waiting = (_NAME_IN_PATH, _WAIT)
    return {
        "/api/instances": {
            "get": _route("listInstances", "All instances", _array(_ref("Instance"))),
            "post": _route(
                "addInstance",
                "Add an instance; it is on disk when this answers",
                changed,
                "409 422 507",
                body="NewInstance",
                parameters=(_WAIT,),
                status="201",
            ),
        },
        "/api/instances/{name}": {
            "get": _route(
                "getInstance", "One instance", _ref("Instance"), "404 422", parameters=named
            ),
            "patch": _route(
                "updateInstance",
                "Change the given keys of an instance, all of them or none; null removes one",
                changed,
                "404 409 422 507",
                body="Entry",
                parameters=waiting,
            ),
            "delete": _route(
                "removeInstance", "Remove an instance", removed, "404 422 507", parameters=named
            ),
        },
        "/api/instances/{name}/enable": {
            "post": _route(
                "enableInstance", "Start it, now and always", switched, "404 422 507",
                parameters=waiting,
            )
        },
        "/api/instances/{name}/disable": {
            "post": _route(
                "disableInstance", "Stop it, now and for good", switched, "404 422 507",
                parameters=named,
            )
        },
    }  # fmt: skip


def _other_paths() -> Json:
    tools = _array(_ref("Tool"))
    config = _object(
        "instances current_instance",
        instances=_array(_ref("Instance")),
        current_instance={"type": "null"},
        settings=ANY_OBJECT,
        problems=_array(STRING),
    )
    running = _object(
        "name version status", name=STRING, version=STRING, status=STRING, endpoints=STRINGS
    )
    return {
        "/": {"get": _route("getRoot", "What this is", running, is_open=True)},
        "/health": {
            "get": _route("getHealth", "Is it alive?", _object(status=STRING), is_open=True)
        },
        "/api/tools": {
            "get": _route(
                "listTools", "All tools by instance",
                {"type": "object", "additionalProperties": tools},
            )
        },
        "/api/tools/{name}": {
            "get": _route(
                "getTools", "The tools of one instance", tools, "404 422 503",
                parameters=(_NAME_IN_PATH,),
            )
        },
        "/api/call": {
            "post": _route(
                "callTool",
                "Call a tool; a tool that fails answers 200 with isError: true",
                _ref("ToolResult"),
                "404 422 504",
                body="Call",
            )
        },
        "/api/status": {
            "get": _route("getStatus", "The state of all instances", _array(_ref("Status")))
        },
        "/api/config": {
            "get": _route("getConfig", "The configuration, with secrets masked", config)
        },
    }  # fmt: skip


def _profile_paths() -> Json:
    done = _object("status profile", status=SUCCESS, profile=STRING)
    removed = _object("status removed", status=SUCCESS, removed=STRING)
    named = ({**_NAME_IN_PATH, "description": "The name of a profile"},)
    put = _route(
        "putProfile", "Add a profile or replace it as a whole, on disk and at once", done,
        "409 422 507", body="Profile", parameters=named,
    )  # fmt: skip
    put["responses"]["201"] = {**put["responses"]["200"], "description": "It is new"}
    row = _ref("NamedProfile")
    get = _route("getProfile", "One profile", row, "404 422", parameters=named)
    delete = _route(
        "removeProfile", "Remove a profile that nothing refers to", removed, "404 422 507",
        parameters=named,
    )  # fmt: skip
    return {
        "/api/profiles": {"get": _route("listProfiles", "All profiles", _array(row))},
        "/api/profiles/{name}": {"get": get, "put": put, "delete": delete},
    }


def _log_paths() -> Json:
    ticket = _object("ticket expires_in_s", ticket=STRING, expires_in_s={"type": "number"})
    summary = "A ticket to open the WebSocket /ws?ticket=… with, once; for browsers"
    made = _route("makeTicket", summary, ticket)
    return {"/api/ws-ticket": {"post": made}, "/ws": {"get": _follow_route()}}


def _follow_route() -> Json:
    """Return the handshake of the WebSocket; OpenAPI cannot describe its frames."""
    route = _route(
        "followLog",
        "The log, over a WebSocket: a greeting, then one record a text frame",
        {},
        "422",
        parameters=(_LEVEL, _TICKET),
    )
    errors = {status: one for status, one in route["responses"].items() if status != "200"}
    return {**route, "responses": {"101": {"description": "Frames follow"}, **errors}}


def openapi_document(version: str, *, has_logs: bool) -> Json:
    """Return the OpenAPI 3.1 document.

    Args:
        version: of the router.
        has_logs: the log may be followed, so its routes exist.
    """
    paths = {**_other_paths(), **_instance_paths(), **_profile_paths()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "MCP Router API",
            "version": version,
            "description": "Every answer has nosniff, frame and content policies; errors are JSON.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": {**paths, **(_log_paths() if has_logs else {})},
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"bearer": []}, {}],
    }
