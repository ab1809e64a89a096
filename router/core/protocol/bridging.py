"""Decides everything that depends on the protocol revision of a peer.

Clients and servers may each speak a handshake revision (2024-11-05 to 2025-11-25) or the revision
without sessions (2026-07-28). This module bridges the four combinations.

Invariant: no other module of the core compares revisions, so another revision is added here.
"""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec
from msgspec import Raw, Struct

from router.core.text.raw_json import (
    is_object,
    optional_text_of,
    raw_of,
    request_id_of,
    text_of,
)
from router.messages.errors import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    MISSING_CAPABILITY,
    RESOURCE_NOT_FOUND,
    UNSUPPORTED_REVISION,
    URL_ELICITATION_REQUIRED,
    RpcError,
)
from router.messages.frames import NO_RAW, ErrorResponse, Response
from router.messages.params import given, object_of
from router.messages.revisions import (
    HANDSHAKE_REVISIONS,
    KEY_PREFIX,
    LATEST_HANDSHAKE_REVISION,
    REVISION_KEY,
    REVISIONS,
    STATELESS_REVISION,
)

# --- Negotiation -----------------------------------------------------------------------------


def negotiate(requested: str) -> str:
    """Return the revision to answer `initialize` with.

    MCP 2025-11-25, Lifecycle, Version Negotiation: the requested revision if it is supported,
    otherwise the latest that the server supports.
    """
    return requested if requested in HANDSHAKE_REVISIONS else LATEST_HANDSHAKE_REVISION


def is_stateless(revision: str) -> bool:
    """Return whether a revision has no sessions."""
    return revision == STATELESS_REVISION


def has_resource_links(revision: str) -> bool:
    """Return whether a revision knows links to resources in the results of tools."""
    return revision >= "2025-06-18"


def has_tasks(revision: str) -> bool:
    """Return whether a revision knows tasks: 2025-11-25 itself, 2026-07-28 as an extension."""
    return revision in (LATEST_HANDSHAKE_REVISION, STATELESS_REVISION)


def have_same_tasks(client_revision: str, server_revision: str) -> bool:
    """Return whether tasks of a server can be brought to a client: each era has its own form."""
    return client_revision == server_revision and has_tasks(client_revision)


def unsupported_revision(requested: str, supported: tuple[str, ...]) -> RpcError:
    """Return the error from which a client learns the supported revisions."""
    return RpcError(
        UNSUPPORTED_REVISION,
        f"Protocol revision {requested} is not supported here",
        {"supported": list(supported), "requested": requested},
    )


# --- The envelope of 2026-07-28 --------------------------------------------------------------

CAPABILITIES_KEY: Final = f"{KEY_PREFIX}clientCapabilities"
CLIENT_INFO_KEY: Final = f"{KEY_PREFIX}clientInfo"
LOG_LEVEL_KEY: Final = f"{KEY_PREFIX}logLevel"
ENVELOPE_KEYS: Final = frozenset({REVISION_KEY, CAPABILITIES_KEY, CLIENT_INFO_KEY, LOG_LEVEL_KEY})
"""Members of `params._meta` in which a request describes its client, as `initialize` would."""

SERVER_INFO_KEY: Final = f"{KEY_PREFIX}serverInfo"
"""Member of `result._meta` that describes the server."""

SUBSCRIPTION_KEY: Final = f"{KEY_PREFIX}subscriptionId"
"""Member of `_meta` that names the subscription to which a message belongs."""

RETRY_KEYS: Final = frozenset({"inputResponses", "requestState"})
"""Members of `params` with which a client retries a request (MCP 2026-07-28, Input Required)."""

_HANDSHAKE_CAPABILITIES: Final = frozenset({"tasks"})
"""Capabilities of clients that 2026-07-28 has no more; it has an extension in their place."""


def is_enveloped(meta: dict[str, Raw]) -> bool:
    """Return whether a request comes with an envelope, which takes the place of a handshake.

    With a handshake revision under `REVISION_KEY` it does not: `initialize` negotiates those.

    Args:
        meta: the members of `params._meta`.
    """
    requested = meta.get(REVISION_KEY)
    return requested is not None and request_id_of(meta, REVISION_KEY) not in HANDSHAKE_REVISIONS


def check_envelope(meta: dict[str, Raw]) -> None:
    """Check that an envelope is complete and of the revision that is served.

    MCP 2026-07-28, Per-request protocol fields.

    Args:
        meta: the members of `params._meta`.

    Raises:
        RpcError: -32602, a required member is missing; -32022, the revision is another one, with
            `supported` and `requested`.
    """
    missing = [key for key in (REVISION_KEY, CAPABILITIES_KEY) if key not in meta]
    if missing:
        raise RpcError(INVALID_PARAMS, f"params._meta lacks {' and '.join(missing)}")
    requested = text_of(meta, REVISION_KEY, "params._meta")
    if requested != STATELESS_REVISION:
        raise unsupported_revision(requested, REVISIONS)


def client_envelope(
    client_info: Raw, capabilities: dict[str, Raw], log_level: str | None
) -> dict[str, Any]:
    """Return the members of `_meta` that describe a client to a server without sessions.

    Args:
        client_info: the client's `clientInfo`; `NO_RAW` if it sent none.
        capabilities: the capabilities that the client declared.
        log_level: the level that the client asked for; None if it asked for none.
    """
    declared = {
        name: raw for name, raw in capabilities.items() if name not in _HANDSHAKE_CAPABILITIES
    }
    members: dict[str, Any] = {REVISION_KEY: STATELESS_REVISION, CAPABILITIES_KEY: declared}
    if client_info:
        members[CLIENT_INFO_KEY] = client_info
    if log_level is not None:
        members[LOG_LEVEL_KEY] = log_level
    return members


# --- Results and tools for clients of 2026-07-28 ---------------------------------------------

NOT_CACHED: Final = {"ttlMs": 0, "cacheScope": "private"}
"""Says of a result that it may be another the next time, and is for this client alone.

Servers with sessions do not say how long a result may be kept, and the lists of a view change with
its servers and with the principal (MCP 2026-07-28, Caching).
"""

CACHEABLE: Final = frozenset(
    {
        "server/discover",
        *("tools/list", "prompts/list", "resources/list", "resources/templates/list"),
        "resources/read",
    }
)
"""The methods whose results say how long they may be kept."""

_URL_ELICITATION_MISSING: Final = raw_of({"requiredCapabilities": {"elicitation": {"url": {}}}})


def answer_as_stateless(
    answer: Response | ErrorResponse,
    result_type: str,
    capabilities: dict[str, Raw],
    server_info: dict[str, str] | Raw,
    method: str = "",
) -> Response | ErrorResponse:
    """Convert an answer of the router, or of a server with sessions, to 2026-07-28.

    Args:
        answer: the answer; its result is a raw object.
        result_type: overwrites a `resultType` in the result: a server with sessions cannot mean
            the one of this revision.
        capabilities: the capabilities that the client declared.
        server_info: describes the router, or the server of a transparent view.
        method: the method of the request, for results that say how long they may be kept.
    """
    if isinstance(answer, ErrorResponse):
        return _error_as_stateless(answer, capabilities, server_info)
    try:
        members = object_of(answer.result, "result")
        meta = object_of(given(members, "_meta"), "result._meta")
    except RpcError as error:
        problem = {"code": INTERNAL_ERROR, "message": f"The server's answer is malformed: {error}"}
        return ErrorResponse(answer.id, raw_of(problem))
    members["resultType"] = raw_of(result_type)
    members["_meta"] = raw_of(meta | {SERVER_INFO_KEY: server_info})
    if method in CACHEABLE and result_type == "complete":
        members = members | {key: raw_of(value) for key, value in NOT_CACHED.items()}
    return Response(answer.id, raw_of(members))


def _error_as_stateless(
    answer: ErrorResponse, capabilities: dict[str, Raw], server_info: dict[str, str] | Raw
) -> Response | ErrorResponse:
    error = _decode_error(answer.error)
    if error.code == RESOURCE_NOT_FOUND:
        members = object_of(answer.error) | {"code": raw_of(INVALID_PARAMS)}
        return ErrorResponse(answer.id, raw_of(members))
    if error.code != URL_ELICITATION_REQUIRED or answer.id is None:
        return answer
    wanted = url_elicitations(answer.error)
    if wanted and _answers_urls(capabilities.get("elicitation", NO_RAW)):
        requests = {str(number): _url_request(one) for number, one in enumerate(wanted, 1)}
        result = Response(answer.id, raw_of({"inputRequests": requests}))
        return answer_as_stateless(result, "input_required", capabilities, server_info)
    problem = {
        "code": MISSING_CAPABILITY,
        "message": error.message,
        "data": _URL_ELICITATION_MISSING,
    }
    return ErrorResponse(answer.id, raw_of(problem))


def _answers_urls(declared: Raw) -> bool:
    """Return whether `capabilities.elicitation`, which may be anything, has the URL mode."""
    return is_object(declared) and "url" in object_of(declared)


def _url_request(elicitation: dict[str, Raw]) -> dict[str, Any]:
    params = {key: raw for key, raw in elicitation.items() if key != "elicitationId"}
    return {"method": "elicitation/create", "params": params}


_HEADER_KEYWORD: Final = "x-mcp-header"
"""Schema keyword by which a server has clients repeat an argument in an HTTP header."""


def tool_as_stateless(tool: Raw) -> Raw:
    """Return a tool whose schema asks for no headers, for views that do not compare them."""
    if _HEADER_KEYWORD.encode() not in bytes(tool):
        return tool
    members = object_of(tool, "tool")
    try:
        schema = msgspec.json.decode(members.get("inputSchema", NO_RAW))
        plain = raw_of(_without_header_keyword(schema))
    except (msgspec.MsgspecError, RecursionError):
        return tool  # One schema that nests too deeply must not take the whole list with it.
    return raw_of(members | {"inputSchema": plain})


def _without_header_keyword(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_header_keyword(item) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    members = cast("dict[str, Any]", node)
    return {
        key: _without_header_keyword(value)
        for key, value in members.items()
        if key != _HEADER_KEYWORD
    }


# --- Results and tools for clients of handshake revisions ------------------------------------

_ADDED_TO_RESULTS: Final = frozenset({"resultType", "ttlMs", "cacheScope"})
"""Members of results that 2026-07-28 brought."""


def structured_content(value: Any, revision: str) -> dict[str, Any]:
    """Return the `structuredContent` member of a tool result; empty before 2025-06-18.

    Before 2026-07-28 it has to be an object, so any other value is put under `result` in it.
    """
    if revision < "2025-06-18":
        return {}
    may_be_bare = revision >= STATELESS_REVISION or isinstance(value, dict)
    return {"structuredContent": value if may_be_bare else {"result": value}}


def result_type_of(members: dict[str, Raw]) -> str | None:
    """Return the `resultType` of a result; "complete" if it is absent, None if it is no string."""
    if given(members, "resultType") is None:
        return "complete"
    return optional_text_of(members, "resultType")


def result_as_handshake(members: dict[str, Raw], revision: str) -> Raw:
    """Convert a complete result of a server without sessions to a handshake revision."""
    kept = {key: raw for key, raw in members.items() if key not in _ADDED_TO_RESULTS}
    structure = kept.get("structuredContent")
    if structure is not None and not is_object(structure):
        del kept["structuredContent"]
        kept |= structured_content(structure, revision)
    return raw_of(kept)


def error_as_handshake(answer: ErrorResponse, method: str) -> ErrorResponse:
    """Convert an error of a server without sessions to the handshake revisions.

    Of a URI that was a string, `resources/read` finds nothing wrong but that there is no such
    resource, for which the handshake revisions have a code of its own.
    """
    if method != "resources/read" or code_of(answer.error) != INVALID_PARAMS:
        return answer
    members = object_of(answer.error) | {"code": raw_of(RESOURCE_NOT_FOUND)}
    return ErrorResponse(answer.id, raw_of(members))


def tool_as_handshake(tool: Raw) -> Raw:
    """Return a tool without an `outputSchema` that describes no object.

    Handshake clients refuse the whole list for such a schema.
    """
    members = object_of(tool, "tool")
    if "outputSchema" not in members:
        return tool
    schema = members.pop("outputSchema")
    describes_objects = (
        is_object(schema) and optional_text_of(object_of(schema), "type") == "object"
    )
    return tool if describes_objects else raw_of(members)


# --- Errors --------------------------------------------------------------------------------


class _Error(Struct):
    code: int = 0
    message: str = ""
    data: Raw = NO_RAW


class _Elicitations(Struct):
    elicitations: list[dict[str, Raw]]


_error: Final = msgspec.json.Decoder(_Error)
_elicitations: Final = msgspec.json.Decoder(_Elicitations)


def url_elicitations(error: Raw) -> list[dict[str, Raw]]:
    """Return the URLs that somebody has to visit before the call; empty for any other error.

    MCP 2025-11-25, Elicitation, URL Elicitation Required Error: a server answers a call with this
    error in place of asking a question.
    """
    found = _decode_error(error)
    if found.code != URL_ELICITATION_REQUIRED:
        return []
    try:
        return _elicitations.decode(found.data).elicitations
    except (msgspec.MsgspecError, RecursionError):
        return []


def code_of(error: Raw) -> int:
    """Return the code of a raw error; 0 if there is none."""
    return _decode_error(error).code


def _decode_error(error: Raw) -> _Error:
    try:
        return _error.decode(error)
    except (msgspec.MsgspecError, RecursionError):
        # The error of an upstream may be anything; one that makes no sense is passed on as it is.
        return _Error()
