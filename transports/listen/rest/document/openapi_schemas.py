"""Describes the bodies of the REST API as JSON Schemas (2020-12, as OpenAPI 3.1 uses them).

Pure data.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

Json: TypeAlias = dict[str, Any]


def object_of(required: str = "", more: bool = True, **properties: Json) -> Json:
    """Return the schema of an object; `required` are names, separated by spaces."""
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": more,
    }


def ref_to(name: str) -> Json:
    """Return a reference to one of `SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


def array_of(items: Json) -> Json:
    """Return the schema of an array of these."""
    return {"type": "array", "items": items}


def nullable(kind: str) -> Json:
    """Return the schema of a value of this type, or null."""
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
    return {"anyOf": [ANY_OBJECT, array_of(STRING)], "description": description}


_SECONDS: Final[Json] = {"type": "number", "minimum": 0}

_ENTRY: Final[Json] = {
    "name": {**NAME, "description": "Letters, digits, _, - and CJK letters; unique"},
    "provider": {**NAME, "description": "The folder in data/; the name, if it is missing"},
    "type": {"enum": ["stdio", "sse", "http"]},
    "command": TEXT,
    "args": array_of(STRING),
    "env": {**STRINGS, "description": 'A value that is read as {"set": true} is written so too'},
    "cwd": TEXT,
    "url": TEXT,
    "headers": STRINGS,
    "oauth": {
        "anyOf": [ANY_OBJECT, BOOLEAN],
        "description": "How the router logs in to it; false: it does not",
    },
    "forward_headers": {
        **array_of(STRING),
        "description": "Headers of clients that are passed on to it",
    },
    "isActive": BOOLEAN,
    "metadata": ANY_OBJECT,
    "check_arguments": {**BOOLEAN, "description": "Overrides security.check_arguments"},
    "tools": _filter("What of its tools clients see, and which need a yes: allow, approve, ..."),
    "prompts": _filter("What of its prompts clients see, by name"),
    "resources": _filter("What of its resources and templates clients see, by URI"),
    "catalogue_cache": {**BOOLEAN, "default": True, "description": "Keep its last known lists"},
    "sessions": {"enum": ["shared", "per_client"], "default": "shared"},
    "max_sessions": {**INTEGER, "minimum": 1, "maximum": 1000, "default": 32},
    "start": {"enum": ["eager", "lazy"], "description": "With the router, or by its first call"},
    "idle_stop_s": {**_SECONDS, "description": "Stop it after so long without a call; 0: never"},
    "start_timeout_s": _SECONDS,
    "ping_interval_s": {**_SECONDS, "description": "Ask it after so long a silence; 0: never"},
    "replicas": {
        **INTEGER,
        "minimum": 1,
        "maximum": 32,
        "default": 1,
        "description": "The number of processes that share its calls",
    },
    "max_in_flight": {**INTEGER, "minimum": 1, "description": "Further calls wait, then -32015"},
    "max_result_bytes": {**INTEGER, "minimum": 1024, "description": "Cut longer text results"},
    "retry_safe_calls": {**BOOLEAN, "default": False},
    "allow_private": {
        **BOOLEAN,
        "description": "Whether its host may have a private address; false is written for a new "
        "url unless this says true",
    },
}

_STATE: Final[Json] = {
    "state": {
        "enum": [
            *("disabled", "starting", "ready", "degraded"),
            *("backoff", "failed", "needs_login", "stopping", "idle"),
        ],
        "description": "`degraded`: its server refuses calls, and gets none for a while; `idle`: "
        "nothing runs for it now, and the next call starts it; `needs_login`: its server asks for "
        "a login, and nothing starts it before that",
    },
    "in_state_s": {"type": "number"},
    "restarts": INTEGER,
    "last_error": nullable("string"),
    "doing": {**STRING, "description": "Why its start takes long, if it does"},
    "retry_in_s": {**nullable("number"), "description": "Time until the next try to start it"},
}

_INSTANCE: Final[Json] = object_of(
    "name provider display_name active connected transport_type tools_count metadata",
    name=TEXT,
    provider=TEXT,
    display_name=STRING,
    active=BOOLEAN,
    connected=BOOLEAN,
    transport_type=STRING,
    tools_count=INTEGER,
    metadata=ANY_OBJECT,
    summary={**nullable("string"), "description": "What the server does, in one line"},
    **_STATE,
    sessions={
        **array_of(object_of("name client state", name=TEXT, client=STRING, **_STATE)),
        "description": "Those of single clients; only if each client has one of its own",
    },
    replicas={
        **array_of(object_of("name state", name=TEXT, **_STATE)),
        "description": "The processes that share its calls; only if there are several",
    },
    stale={**BOOLEAN, "description": "Its lists are the last known ones"},
    unapproved={
        **array_of(STRING),
        "description": "Tools that are not as they were approved; only if tools are pinned",
    },
    warnings={
        **array_of(STRING),
        "description": "Probable misspellings in its entry, lists that were cut, and names in its "
        "filters that it does not offer",
    },
)

_PROFILE: Final[Json] = {
    "expose": {"enum": ["router", "direct", "transparent", "search", "auto", "code"]},
    "instances": {**array_of(STRING), "description": "Names; * and ? stand for characters"},
    "tools": object_of(
        more=False,
        allow=array_of(STRING),
        deny=array_of(STRING),
        approve={**array_of(STRING), "description": "Calls of these wait for a yes"},
    ),
    "pinned": {
        **array_of(STRING),
        "description": "Tools that are always listed",
    },
    "instructions": nullable("string"),
    "title": nullable("string"),
}

_COUNTS: Final[Json] = object_of(
    tools=INTEGER, prompts=INTEGER, resources=INTEGER, templates=INTEGER
)

_APPROVAL: Final[Json] = object_of(
    id={**STRING, "description": "For the decision"},
    principal={**STRING, "description": "The name of the token that made the call"},
    client={**STRING, "description": "Name and version of the program that did, as it says"},
    instance=STRING,
    tool={**STRING, "description": "The server's own name"},
    arguments={**ANY_OBJECT, "description": "The very arguments that will be sent"},
    arguments_sha256={**STRING, "description": "Of the arguments, byte for byte as they are here"},
    waiting_s={"type": "number"},
    expires_in_s={"type": "number", "description": "Then it is refused"},
)

_UNIX_TIME: Final[Json] = {**nullable("number"), "description": "Unix time in seconds"}

_LOGIN: Final[Json] = object_of(
    "instance logged_in scopes issuer",
    instance=NAME,
    logged_in=BOOLEAN,
    since_s=_UNIX_TIME,
    expires_at_s={**_UNIX_TIME, "description": "Unix time at which its token expires"},
    renewed={**BOOLEAN, "description": "A new token is had without a person"},
    scopes=array_of(STRING),
    issuer={**STRING, "description": "Of the authorization server"},
    problem={**STRING, "description": "Why there is none, or why it could not be renewed"},
    person={**nullable("string"), "description": "Whose it is; null: everybody's"},
    redirect_uri={**nullable("string"), "description": "Where the router takes browsers back"},
    attempt={
        "anyOf": [object_of("over problem", over=BOOLEAN, problem=STRING), {"type": "null"}],
        "description": "The login that has begun last",
    },
)

_BEGUN_LOGIN: Final[Json] = object_of(
    "url expires_in_s",
    url={**STRING, "description": "To be opened in a browser"},
    expires_in_s={"type": "number"},
    redirect_uri=STRING,
    state={**STRING, "description": "Comes back in the callback"},
    user_code={**STRING, "description": "On another device: to be typed in at the URL"},
    url_with_code={**STRING, "description": "The same with the code in it; may be empty"},
)

SCHEMAS: Final[Json] = {
    "Approval": _APPROVAL,
    "Decision": object_of(
        "approve",
        approve=BOOLEAN,
        arguments_sha256={**STRING, "description": "As it was shown; a yes needs it"},
    ),
    "Decided": object_of(id=STRING, instance=STRING, tool=STRING, approved=BOOLEAN),
    "Instance": _INSTANCE,
    "Status": {
        "allOf": [
            ref_to("Instance"),
            object_of(
                since_s={"type": "number"},
                calls=INTEGER,
                in_flight=INTEGER,
                waiting=INTEGER,
                tokens={
                    **nullable("integer"),
                    "description": "An estimate of what its tools cost a model",
                },
            ),
        ]
    },
    "Details": {
        "allOf": [
            ref_to("Status"),
            object_of(
                "server protocol capabilities instructions counts hidden",
                server={**nullable("object"), "description": "What it says of itself"},
                protocol=nullable("string"),
                capabilities=nullable("object"),
                instructions=nullable("string"),
                counts=_COUNTS,
                hidden={**_COUNTS, "description": "What filters leave out"},
                entry={
                    **nullable("object"),
                    "description": "Its configuration, with secrets masked; for tokens without "
                    "limits only",
                },
            ),
        ]
    },
    "Resources": object_of(
        "resources templates", resources=array_of(ANY_OBJECT), templates=array_of(ANY_OBJECT)
    ),
    "Prompt": object_of("name", name=STRING),
    "Reading": object_of("uri", uri=TEXT),
    "PromptRequest": object_of("name", name=TEXT, arguments={**ANY_OBJECT, "default": {}}),
    "Contents": object_of(contents=array_of(ANY_OBJECT)),
    "Messages": object_of(messages=array_of(ANY_OBJECT)),
    "Tool": object_of("name", name=STRING, description=nullable("string"), inputSchema=ANY_OBJECT),
    "Entry": object_of(**_ENTRY),
    "NewInstance": {
        "anyOf": [
            object_of("name", **_ENTRY),
            object_of("provider_name config", provider_name=NAME, config=ref_to("Entry")),
        ]
    },
    "Pins": object_of(
        "pinning problem tools flags",
        pinning={"enum": ["off", "warn", "block"]},
        problem={**nullable("string"), "description": "Why the approved tools are not known"},
        tools=array_of(
            object_of(
                "instance tool change quarantined approved_sha256 sha256 diff",
                instance={**STRING, "description": "NAME, or NAME#person:PERSON of another person"},
                tool=STRING,
                change={"enum": ["changed", "new", "removed"]},
                quarantined={**BOOLEAN, "description": "It is neither listed nor called"},
                approved_sha256=nullable("string"),
                sha256={**nullable("string"), "description": "To be sent with the approval"},
                diff={**STRING, "description": "A unified diff of both forms as JSON"},
            )
        ),
        flags=array_of(
            object_of(
                "instance tool kind text",
                instance=NAME,
                tool=STRING,
                kind={"enum": ["hidden_text", "lookalike", "shadowing"]},
                text=STRING,
            )
        ),
    ),
    "ToolApproval": object_of(
        "tools",
        tools={
            "type": "object",
            "additionalProperties": nullable("string"),
            "minProperties": 1,
            "description": "Name -> its sha256 in /api/pins; null for one that was removed",
        },
    ),
    "Login": _LOGIN,
    "BegunLogin": _BEGUN_LOGIN,
    "LoginRequest": object_of(
        redirect_uri={**STRING, "description": "On the machine of the browser"},
        person={**STRING, "description": "Another one's name; takes admin"},
        device={**BOOLEAN, "default": False, "description": "Log in on another device"},
    ),
    "LoginCallback": object_of(
        "url", url={**TEXT, "description": "The URL that the browser was sent back to"}
    ),
    "Profile": object_of(more=False, **_PROFILE),
    "NamedProfile": object_of(" ".join(("name", *_PROFILE)), name=NAME, **_PROFILE),
    "ProfileTools": object_of(
        "tools total_tokens",
        tools=array_of(
            {
                "allOf": [
                    ref_to("Tool"),
                    object_of("instance tokens", instance=nullable("string"), tokens=INTEGER),
                ]
            }
        ),
        total_tokens={**INTEGER, "description": "An estimate of what it costs a model"},
    ),
    "Call": object_of(
        "instance tool",
        instance=NAME,
        tool=TEXT,
        params={**ANY_OBJECT, "default": {}},
    ),
    "ToolResult": object_of(
        content=array_of(ANY_OBJECT),
        isError={**BOOLEAN, "default": False},
        structuredContent={},
        _meta=ANY_OBJECT,
    ),
    "Error": object_of("detail", detail=object_of("error code", error=STRING, code=STRING)),
    "Refusal": object_of("detail", detail=STRING),
    "DoesNotFit": object_of(
        "detail",
        detail=array_of(object_of("loc msg type", loc=array_of(STRING), msg=STRING, type=STRING)),
    ),
}
