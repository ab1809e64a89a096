"""The error codes, and the errors that are answered to a peer or reported to the user.

Two families of codes exist, and `STRING_CODES` maps the first to the second:

- JSON-RPC integer codes, for answers on the MCP endpoints (JSON-RPC 2.0 section 5.1). MCP
  reserves -32020..-32099, so the router's own are -32009..-32019.
- String codes, for the results of the router's own tools and the REST API.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603

RESOURCE_NOT_FOUND: Final = -32002
"""Handshake revisions: there is no resource of this URI; 2026-07-28 has -32602 for it."""

TRANSPORT_ERROR: Final = -32009
"""A server failed to answer a request that it cannot have carried out, as with a 503."""

INSTANCE_NOT_FOUND: Final = -32010
TIMEOUT: Final = -32011
SESSION_LOST: Final = -32012
UNAVAILABLE: Final = -32013
TOOL_NOT_FOUND: Final = -32014
OVERLOADED: Final = -32015
NOT_ALLOWED: Final = -32016
AMBIGUOUS_CLIENT: Final = -32017
ALREADY_EXISTS: Final = -32018
NOT_SAVED: Final = -32019
"""A change could not be written to disk; `data` may say `{"errno": "ENOSPC"}`."""

HEADER_MISMATCH: Final = -32020
"""MCP 2026-07-28: an HTTP header contradicts the message that it came with."""

MISSING_CAPABILITY: Final = -32021
"""MCP 2026-07-28: the request needs a capability that its client did not declare."""

UNSUPPORTED_REVISION: Final = -32022
"""MCP 2026-07-28: the peer asks for a protocol revision that is not supported here."""

URL_ELICITATION_REQUIRED: Final = -32042
"""MCP 2025-11-25: somebody has to visit a page before the request can be carried out."""

STRING_CODES: Final[dict[int, str]] = {
    PARSE_ERROR: "VALIDATION_ERROR",
    INVALID_REQUEST: "VALIDATION_ERROR",
    METHOD_NOT_FOUND: "VALIDATION_ERROR",
    INVALID_PARAMS: "VALIDATION_ERROR",
    INTERNAL_ERROR: "INTERNAL_ERROR",
    TRANSPORT_ERROR: "TRANSPORT_ERROR",
    INSTANCE_NOT_FOUND: "INSTANCE_NOT_FOUND",
    TIMEOUT: "TIMEOUT",
    SESSION_LOST: "SESSION_LOST",
    UNAVAILABLE: "UNAVAILABLE",
    TOOL_NOT_FOUND: "TOOL_NOT_FOUND",
    OVERLOADED: "OVERLOADED",
    NOT_ALLOWED: "SECURITY_ERROR",
    AMBIGUOUS_CLIENT: "TRANSPORT_ERROR",
    ALREADY_EXISTS: "CONFIG_ERROR",
    NOT_SAVED: "CONFIG_ERROR",
}
"""JSON-RPC code -> the string code of tool results and REST answers."""


@attrs.frozen
class RpcError(Exception):
    """An error that is answered to the peer whose message caused it.

    Attributes:
        code: a JSON-RPC error code.
        message: one sentence for a person.
        data: anything JSON can hold, or None for no `data` member.
    """

    code: int
    message: str
    data: Any = None

    def __str__(self) -> str:
        return self.message

    @property
    def string_code(self) -> str:
        """The code of this error in tool results and REST answers."""
        return STRING_CODES.get(self.code, "TRANSPORT_ERROR")


class ConfigError(Exception):
    """A mistake in a file or argument of the user's; it ends the program or one instance.

    Attributes:
        place: the file and the path in it, such as `config.json: api.port`.
        problem: the mistake and the way out, for a person.
    """

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(place, problem)
        self.place = place
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}"


class HttpRefusal(Exception):
    """The refusal of an HTTP request, which a listener answers as it stands.

    Attributes:
        status: 400, 401, 403, 404, 413, 421, 429 or 503.
        detail: one sentence for a person; the body is `{"detail": detail}`.
        headers: extra response headers, such as `WWW-Authenticate`.
    """

    def __init__(self, status: int, detail: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(status, detail, headers)
        self.status = status
        self.detail = detail
        self.headers = headers

    def __str__(self) -> str:
        return f"{self.status} {self.detail}"
