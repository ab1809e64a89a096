"""Protocol revisions: which one a peer gets, and what differs between them.

Job: every decision that depends on a revision stands here, so that another one is added in this
module. Neighbours: `core` and `toolbox`. Pure.

Either side may speak the handshake revisions (2024-11-05 to 2025-11-25) or the one without sessions
(2026-07-28).
"""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec
from msgspec import Raw, Struct

from router.core.protocol.raw_json import (
    given,
    is_object,
    object_of,
    optional_text_of,
    raw_of,
    request_id_of,
    text_of,
)
from router.messages.errors import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    MISSING_CAPABILITY,
    UNSUPPORTED_REVISION,
    RpcError,
)
from router.messages.frames import NO_RAW, ErrorResponse, Response
from router.messages.revisions import (
    HANDSHAKE_REVISIONS,
    KEY_PREFIX,
    LATEST_HANDSHAKE_REVISION,
    REVISIONS,
    STATELESS_REVISION,
)
from router.messages.revisions import REVISION_KEY as REVISION_KEY

CAPABILITIES_KEY: Final = f"{KEY_PREFIX}clientCapabilities"
CLIENT_INFO_KEY: Final = f"{KEY_PREFIX}clientInfo"
LOG_LEVEL_KEY: Final = f"{KEY_PREFIX}logLevel"
ENVELOPE_KEYS: Final = frozenset({REVISION_KEY, CAPABILITIES_KEY, CLIENT_INFO_KEY, LOG_LEVEL_KEY})
"""Members of `params._meta` in which a request of MCP 2026-07-28 speaks for its client."""

SERVER_INFO_KEY: Final = f"{KEY_PREFIX}serverInfo"
SUBSCRIPTION_KEY: Final = f"{KEY_PREFIX}subscriptionId"

RESOURCE_NOT_FOUND: Final = -32002
URL_ELICITATION_REQUIRED: Final = -32042
"""Error codes of handshake revisions that MCP 2026-07-28 says in another way."""


def negotiate(requested: str) -> str:
    """The revision to answer `initialize` with.

    MCP 2025-11-25, Lifecycle, Version Negotiation: the requested one if it is supported,
    otherwise the latest the server supports.
    """
    return requested if requested in HANDSHAKE_REVISIONS else LATEST_HANDSHAKE_REVISION


def structured_content(value: Any, revision: str) -> dict[str, Any]:
    """The member of a tool result that holds a value as it is, where this revision has one.

    There is `structuredContent` since 2025-06-18. Before 2026-07-28 it is an object, so that a
    value that is none stands under `result` in it.
    """
    if revision < "2025-06-18":
        return {}
    is_free = revision >= STATELESS_REVISION or isinstance(value, dict)
    return {"structuredContent": value if is_free else {"result": value}}


# --- Without sessions ------------------------------------------------------------------------


def is_enveloped(meta: dict[str, Raw]) -> bool:
    """Does this request say of itself what a handshake would have?

    A handshake revision there is no envelope: those are negotiated with `initialize`.

    Args:
        meta: the members of `params._meta`.
    """
    requested = meta.get(REVISION_KEY)
    return requested is not None and request_id_of(meta, REVISION_KEY) not in HANDSHAKE_REVISIONS


def check_envelope(meta: dict[str, Raw]) -> None:
    """Is this the envelope of a request that is served here?

    MCP 2026-07-28, Per-request protocol fields.

    Raises:
        RpcError: -32602, what it needs is missing; -32022, its revision is another one, with
            `supported` and `requested`.
    """
    missing = [key for key in (REVISION_KEY, CAPABILITIES_KEY) if key not in meta]
    if missing:
        raise RpcError(INVALID_PARAMS, f"params._meta lacks {' and '.join(missing)}")
    requested = text_of(meta, REVISION_KEY, "params._meta")
    if requested != STATELESS_REVISION:
        raise unsupported_revision(requested, REVISIONS)


def unsupported_revision(requested: str, supported: tuple[str, ...]) -> RpcError:
    """The error on which a client chooses among what is supported."""
    return RpcError(
        UNSUPPORTED_REVISION,
        f"Protocol revision {requested} is not supported here",
        {"supported": list(supported), "requested": requested},
    )


class _Error(Struct):
    code: int = 0
    message: str = ""
    data: Raw = NO_RAW


class _Elicitations(Struct):
    elicitations: list[dict[str, Raw]]


_error: Final = msgspec.json.Decoder(_Error)
_elicitations: Final = msgspec.json.Decoder(_Elicitations)


def answer_as_stateless(
    answer: Response | ErrorResponse,
    result_type: str,
    capabilities: dict[str, Raw],
    server_info: dict[str, str],
) -> Response | ErrorResponse:
    """An answer of ours or of a server with sessions, as MCP 2026-07-28 has it.

    Args:
        result_type: what it is, whatever the server says: that cannot mean this revision's.
        capabilities: what the client declared.
        server_info: of this server.
    """
    if isinstance(answer, ErrorResponse):
        return _error_as_stateless(answer, capabilities, server_info)
    try:
        members = object_of(answer.result, "result")
        meta = object_of(given(members, "_meta"), "result._meta")
    except RpcError as error:
        told = {"code": INTERNAL_ERROR, "message": f"The server's answer is malformed: {error}"}
        return ErrorResponse(answer.id, raw_of(told))
    members["resultType"] = raw_of(result_type)
    members["_meta"] = raw_of(meta | {SERVER_INFO_KEY: server_info})
    return Response(answer.id, raw_of(members))


def _error_as_stateless(
    answer: ErrorResponse, capabilities: dict[str, Raw], server_info: dict[str, str]
) -> Response | ErrorResponse:
    error = _error_in(answer.error)
    if error.code == RESOURCE_NOT_FOUND:
        members = object_of(answer.error) | {"code": raw_of(INVALID_PARAMS)}
        return ErrorResponse(answer.id, raw_of(members))
    if error.code != URL_ELICITATION_REQUIRED or answer.id is None:
        return answer
    wanted = url_elicitations(answer.error)
    if wanted and "url" in object_of(capabilities.get("elicitation"), "elicitation"):
        asked = {str(number): _url_request(one) for number, one in enumerate(wanted, 1)}
        result = Response(answer.id, raw_of({"inputRequests": asked}))
        return answer_as_stateless(result, "input_required", capabilities, server_info)
    told = {"code": MISSING_CAPABILITY, "message": error.message, "data": _NEEDS_URLS}
    return ErrorResponse(answer.id, raw_of(told))


_NEEDS_URLS: Final = raw_of({"requiredCapabilities": {"elicitation": {"url": {}}}})


def _url_request(elicitation: dict[str, Raw]) -> dict[str, Any]:
    params = {key: raw for key, raw in elicitation.items() if key != "elicitationId"}
    return {"method": "elicitation/create", "params": params}


def url_elicitations(error: Raw) -> list[dict[str, Raw]]:
    """What a server wants to be visited before it is asked again, if that is what the error says.

    MCP 2025-11-25, Elicitation, URL Elicitation Required Error.
    """
    found = _error_in(error)
    if found.code != URL_ELICITATION_REQUIRED:
        return []
    try:
        return _elicitations.decode(found.data).elicitations
    except msgspec.MsgspecError:
        return []


def _error_in(error: Raw) -> _Error:
    try:
        return _error.decode(error)
    except msgspec.MsgspecError:
        return _Error()


_ROUTED: Final = "x-mcp-header"


def tool_as_stateless(tool: Raw) -> Raw:
    """A tool whose schema asks for no headers: these would be for its own server, not for us."""
    if _ROUTED.encode() not in bytes(tool):
        return tool
    members = object_of(tool, "tool")
    try:
        schema = msgspec.json.decode(members.get("inputSchema", NO_RAW))
    except (msgspec.MsgspecError, RecursionError):
        return tool
    return raw_of(members | {"inputSchema": raw_of(_unrouted(schema))})


def _unrouted(node: Any) -> Any:
    if isinstance(node, list):
        return [_unrouted(one) for one in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    members = cast("dict[str, Any]", node)
    return {key: _unrouted(value) for key, value in members.items() if key != _ROUTED}


# --- Servers without sessions ----------------------------------------------------------------

_KNOWN_CAPABILITIES: Final = frozenset(
    {"elicitation", "experimental", "extensions", "roots", "sampling"}
)
"""What a client may declare in 2026-07-28; there are no tasks of clients, for one."""


def client_envelope(
    client_info: Raw, capabilities: dict[str, Raw], log_level: str | None
) -> dict[str, Any]:
    """What a request to a server without sessions says of the client it is for.

    Args:
        client_info: raw, or `NO_RAW` where the client did not say.
        capabilities: what it declared.
        log_level: None where it wants no logs, or never said which.
    """
    declared = {name: raw for name, raw in capabilities.items() if name in _KNOWN_CAPABILITIES}
    said: dict[str, Any] = {REVISION_KEY: STATELESS_REVISION, CAPABILITIES_KEY: declared}
    if client_info:
        said[CLIENT_INFO_KEY] = client_info
    if log_level is not None:
        said[LOG_LEVEL_KEY] = log_level
    return said


RETRY_KEYS: Final = frozenset({"inputResponses", "requestState"})
"""Members of `params` with which a client comes again (MCP 2026-07-28, Input Required)."""

_ADDED_TO_RESULTS: Final = frozenset({"resultType", "ttlMs", "cacheScope"})


def result_type_of(members: dict[str, Raw]) -> str | None:
    """What kind of result of 2026-07-28 this is; by default "complete", None for nonsense."""
    if given(members, "resultType") is None:
        return "complete"
    return optional_text_of(members, "resultType")


def result_as_handshake(members: dict[str, Raw], revision: str) -> Raw:
    """A complete result of a server without sessions, as a handshake revision has it."""
    kept = {key: raw for key, raw in members.items() if key not in _ADDED_TO_RESULTS}
    structure = kept.get("structuredContent")
    if structure is not None and not is_object(structure):
        del kept["structuredContent"]
        kept |= structured_content(structure, revision)
    return raw_of(kept)


def tool_as_handshake(tool: Raw) -> Raw:
    """A tool without an `outputSchema` that is for no object: clients refuse the list for it."""
    members = object_of(tool, "tool")
    if "outputSchema" not in members:
        return tool
    schema = members.pop("outputSchema")
    describes_objects = (
        is_object(schema) and optional_text_of(object_of(schema), "type") == "object"
    )
    return tool if describes_objects else raw_of(members)


# --- What a client may be asked --------------------------------------------------------------


def check_may_ask(
    method: str, params: dict[str, Raw], revision: str, capabilities: dict[str, Raw]
) -> None:
    """May an upstream's request go to a client of this revision that declared this?

    Args:
        method: of the request.
        params: its members.
        revision: the client's.
        capabilities: the client's, by name.

    Raises:
        RpcError: -32601, it does not know the method; -32602, it knows it but not in this form.
            Both are what the client itself would have to answer.
    """
    known = _QUESTIONS.get(method)
    if known is None:
        raise RpcError(METHOD_NOT_FOUND, f"Method not found: {method}")
    capability, since = known
    if revision < since or capability not in capabilities:
        raise RpcError(METHOD_NOT_FOUND, f"The client does not support {method}")
    lacking = _lacking(method, params, revision, object_of(capabilities[capability], capability))
    if lacking is not None:
        raise RpcError(INVALID_PARAMS, f"The client does not support {lacking}")


_QUESTIONS: Final = {
    "roots/list": ("roots", "2024-11-05"),
    "sampling/createMessage": ("sampling", "2024-11-05"),
    "elicitation/create": ("elicitation", "2025-06-18"),
}
"""Requests of servers -> the capability that covers them, and the revision that brought them."""

_FORMS_SINCE: Final = "2025-11-25"
"""Brought URL mode to elicitation and tools to sampling, and capabilities for each."""


def _lacking(
    method: str, params: dict[str, Raw], revision: str, declared: dict[str, Raw]
) -> str | None:
    """The form of the method that this request needs and the client did not declare."""
    declared = declared if revision >= _FORMS_SINCE else {}
    if method == "elicitation/create":
        mode = "form" if given(params, "mode") is None else text_of(params, "mode")
        # No mode declared means form mode (MCP 2025-11-25, Elicitation, Capabilities).
        modes = {"form", "url"} & declared.keys() or {"form"}
        return None if mode in modes else f"elicitation in {mode} mode"
    if method == "sampling/createMessage" and "tools" not in declared:
        wants = given(params, "tools") is not None or given(params, "toolChoice") is not None
        return "sampling with tools" if wants else None
    return None
