"""Describes the REST API as an OpenAPI document, for generated clients and for people.

A test compares the document with the routes and their answers. Pure data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from transports.listen.rest.document.approval_paths import approval_paths
from transports.listen.rest.document.cost_paths import cost_paths
from transports.listen.rest.document.login_paths import login_paths
from transports.listen.rest.document.openapi_schemas import (
    ANY_OBJECT,
    BOOLEAN,
    NAME,
    SCHEMAS,
    STRING,
    STRINGS,
    SUCCESS,
    array_of,
    object_of,
    ref_to,
)
from transports.listen.rest.document.pin_paths import pin_paths

if TYPE_CHECKING:
    from transports.listen.rest.document.openapi_schemas import Json

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
    "Reading": {"uri": "example://greeting/Ada"},
    "Decision": {
        "approve": True,
        "arguments_sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    },
    "LoginRequest": {"redirect_uri": "http://127.0.0.1:8765/oauth/callback"},
    "LoginCallback": {"url": "http://127.0.0.1:3000/oauth/callback?code=…&state=…"},
    "PromptRequest": {"name": "summarize", "arguments": {"text": "A long text"}},
    "ToolApproval": {"tools": {"add": "0" * 64}},
}
"""Schema of a request body -> an example of one."""

OPEN_STATUSES: Final = ("400", "403", "413", "500", "503")
"""Statuses that the guard in front of a route, or a fault behind it, may give to anybody."""

GENERAL_STATUSES: Final = ("400", "401", "403", "413", "429", "500", "503")
"""The same for routes that need a token."""

_ERROR_DESCRIPTIONS: Final = {
    400: "Not JSON, or the server refused the call",
    401: "No token, or a wrong one",
    403: "Host, Origin, the token's permissions or an approver do not allow it",
    404: "There is no such instance, tool, resource, prompt, profile or call that waits",
    409: "The name is taken, the tool has changed meanwhile, or a call is decided about",
    413: "The body is larger than 10 MB",
    422: "A value does not fit; detail.loc says where",
    429: "The token has reached a limit of its calls, or too many wrong tokens came from here",
    500: "A fault in the router, or a file that cannot be written",
    502: "The remote server refused the call, or did not answer as MCP or OAuth want",
    503: "The instance or the router cannot take it now",
    504: "The server did not answer in time",
    507: "No space left on the disk; nothing was changed",
}


def _json_body(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _errors(codes: str) -> Json:
    either = {"anyOf": [ref_to("Error"), ref_to("DoesNotFit"), ref_to("Refusal")]}
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
        content = {"schema": ref_to(body), "example": _EXAMPLES[body]}
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
    changed = object_of("status instance_name", status=SUCCESS, instance_name=STRING)
    switched = object_of("status instance active", status=SUCCESS, instance=STRING, active=BOOLEAN)
    removed = object_of("status removed", status=SUCCESS, removed=STRING)
    named = (_NAME_IN_PATH,)
    waiting = (_NAME_IN_PATH, _WAIT)
    return {
        "/api/instances": {
            "get": _route("listInstances", "All instances", array_of(ref_to("Instance"))),
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
                "getInstance", "One instance", ref_to("Instance"), "404 422", parameters=named
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
        "/api/instances/{name}/details": {
            "get": _route(
                "getDetails", "One instance, its server and its entry", ref_to("Details"),
                "404 422", parameters=named,
            )
        },
        "/api/instances/{name}/restart": {
            "post": _route(
                "restartInstance", "End its sessions and start them anew, also after a failure",
                object_of("status instance", status=SUCCESS, instance=STRING), "404 422",
                parameters=waiting,
            )
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
    tools = array_of(ref_to("Tool"))
    config = object_of(
        "instances current_instance",
        instances=array_of(ref_to("Instance")),
        current_instance={"type": "null"},
        settings=ANY_OBJECT,
        problems=array_of(STRING),
    )
    running = object_of(
        "name version status", name=STRING, version=STRING, status=STRING, endpoints=STRINGS
    )
    return {
        "/": {"get": _route("getRoot", "What this is", running, is_open=True)},
        "/health": {
            "get": _route(
                "getHealth", "Is it alive? 503 once it is to stop", object_of(status=STRING), "503",
                is_open=True,
            )
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
        "/api/status": {
            "get": _route("getStatus", "The state of all instances", array_of(ref_to("Status")))
        },
        "/api/config": {
            "get": _route("getConfig", "The configuration, with secrets masked", config)
        },
        "/metrics": {"get": _metrics_route()},
    }  # fmt: skip


def _metrics_route() -> Json:
    """Return the route for Prometheus, which answers with text."""
    route = _route("getMetrics", "Numbers for Prometheus, as text or OpenMetrics", {})
    content = {kind: {"schema": STRING} for kind in ("text/plain", "application/openmetrics-text")}
    found = {"description": "Success", "content": content}
    return {**route, "responses": {**route["responses"], "200": found}}


def _call_paths() -> Json:
    named, listed = (_NAME_IN_PATH,), ref_to("Resources")
    prompts = array_of(ref_to("Prompt"))
    return {
        "/api/call": {"post": _call_route()},
        "/api/resources": {
            "get": _route(
                "listResources", "All resources and templates by instance",
                {"type": "object", "additionalProperties": listed},
            )
        },
        "/api/resources/{name}": {
            "get": _route(
                "getResources", "The resources and templates of one instance", listed, "404 422",
                parameters=named,
            )
        },
        "/api/resources/{name}/read": {
            "post": _route(
                "readResource", "Read a resource by its server's own URI", ref_to("Contents"),
                "404 422 502 504", body="Reading", parameters=named,
            )
        },
        "/api/prompts": {
            "get": _route(
                "listPrompts", "All prompts by instance",
                {"type": "object", "additionalProperties": prompts},
            )
        },
        "/api/prompts/{name}": {
            "get": _route(
                "getPrompts", "The prompts of one instance", prompts, "404 422", parameters=named
            )
        },
        "/api/prompts/{name}/get": {
            "post": _route(
                "getPrompt", "Get a prompt, filled in", ref_to("Messages"), "404 422 502 504",
                body="PromptRequest", parameters=named,
            )
        },
    }  # fmt: skip


def _call_route() -> Json:
    """Return the route of a call, which answers with JSON or with an event stream."""
    route = _route(
        "callTool",
        "Call a tool; a tool that fails answers 200 with isError: true",
        ref_to("ToolResult"),
        "404 422 502 504",
        body="Call",
    )
    summary = "With Accept: text/event-stream, events: progress, log, and at last result or error"
    content = {**_json_body(ref_to("ToolResult")), "text/event-stream": {"schema": STRING}}
    success = {"description": f"Success. {summary}", "content": content}
    return {**route, "responses": {**route["responses"], "200": success}}


def _profile_paths() -> Json:
    done = object_of("status profile", status=SUCCESS, profile=STRING)
    removed = object_of("status removed", status=SUCCESS, removed=STRING)
    named = ({**_NAME_IN_PATH, "description": "The name of a profile"},)
    put = _route(
        "putProfile", "Add a profile or replace it as a whole, on disk and at once", done,
        "409 422 507", body="Profile", parameters=named,
    )  # fmt: skip
    put["responses"]["201"] = {**put["responses"]["200"], "description": "It is new"}
    row = ref_to("NamedProfile")
    get = _route("getProfile", "One profile", row, "404 422", parameters=named)
    delete = _route(
        "removeProfile", "Remove a profile that nothing refers to", removed, "404 422 507",
        parameters=named,
    )  # fmt: skip
    return {
        "/api/profiles": {"get": _route("listProfiles", "All profiles", array_of(row))},
        "/api/profiles/{name}": {"get": get, "put": put, "delete": delete},
        "/api/profiles/{name}/tools": {
            "get": _route(
                "getProfileTools",
                "The tools that its clients are listed, with a token estimate",
                ref_to("ProfileTools"),
                "404 422",
                parameters=named,
            )
        },
    }


def _log_paths() -> Json:
    ticket = object_of("ticket expires_in_s", ticket=STRING, expires_in_s={"type": "number"})
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
    paths = _other_paths() | _call_paths() | _instance_paths() | _profile_paths()
    paths |= pin_paths(_route, _NAME_IN_PATH)
    paths |= approval_paths(_route)
    paths |= cost_paths(_route, _NAME_IN_PATH)
    paths |= login_paths(_route, _NAME_IN_PATH)
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
