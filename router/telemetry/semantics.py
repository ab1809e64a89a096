"""Names and attributes of spans and metrics for a record, by the MCP semantic conventions.

OpenTelemetry, "Semantic conventions for Model Context Protocol (MCP)", status Development, so the
names stand here instead of being those of a package. What they have no name for begins with
`mcp_router.`.

Invariant: no arguments, no results, no text of an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from router.messages import errors
from router.messages.revisions import STATELESS_REVISION

if TYPE_CHECKING:
    from router.messages.observability.records import CallRecord

Attributes: TypeAlias = dict[str, str | int]

SERVER_DURATION: Final = "mcp.server.operation.duration"
CLIENT_DURATION: Final = "mcp.client.operation.duration"
SESSION_DURATION: Final = "mcp.server.session.duration"

DURATION_BOUNDARIES_S: Final = (
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0),
)
"""Buckets of all three, as the conventions have them."""

_NAMED: Final = {"tools/call": "gen_ai.tool.name", "prompts/get": "gen_ai.prompt.name"}
"""Method -> the attribute for its target; these targets are few, so they stand in span names."""

_METHODS: Final = frozenset(
    {
        *("tools/call", "tools/list", "prompts/get", "prompts/list", "completion/complete"),
        *("resources/read", "resources/list", "resources/templates/list"),
        *("resources/subscribe", "resources/unsubscribe", "subscriptions/listen"),
        *("tasks/get", "tasks/result", "tasks/update", "tasks/cancel", "tasks/list"),
    }
)

OTHER: Final = "_OTHER"
"""Any method that is not of MCP, where clients must not make up as many as they like."""

_CODES: Final = frozenset(
    {
        *errors.STRING_CODES,
        errors.RESOURCE_NOT_FOUND,
        errors.HEADER_MISMATCH,
        errors.MISSING_CAPABILITY,
        errors.UNSUPPORTED_REVISION,
    }
)
"""The codes of errors that metrics tell apart: servers may send any number."""

MAX_TARGETS: Final = 2000
"""Tools and prompts that metrics tell apart, each with some series of about 1 kB."""

LONGEST: Final = 1024
"""Characters of a value that a client may choose."""

_STDIO: Final = "stdio"
"""The principal of the client that started the router."""


def span_name(record: CallRecord) -> str:
    """Return `{mcp.method.name} {target}`, without a target that may be anything, such as a URI."""
    if record.method in _NAMED and _has_known_target(record):
        return f"{record.method} {record.target[:LONGEST]}"
    return _known_method(record)


def _known_method(record: CallRecord) -> str:
    return record.method if record.method in _METHODS else OTHER


def _has_known_target(record: CallRecord) -> bool:
    """Return whether the target is a name that a server or the router has.

    Any other was thought up by the client, which may think up as many as it likes.
    """
    return bool(record.target) and (record.sent_after_s is not None or record.outcome == "ok")


def error_type(record: CallRecord) -> str | None:
    """Return `error.type`; None if the call did not fail, as when its client wanted no answer."""
    if record.code:
        return str(record.code)
    return record.outcome if record.outcome in ("tool_error", "error") else None


def metric_attributes(record: CallRecord) -> Attributes:
    """Return the attributes of a call that have few values; spans have them, too."""
    attributes: Attributes = {"mcp.method.name": _known_method(record)}
    is_known_code = not record.code or record.code in _CODES
    if record.method in _NAMED and _has_known_target(record):
        attributes[_NAMED[record.method]] = record.target[:LONGEST]
    if record.method == "tools/call":
        attributes["gen_ai.operation.name"] = "execute_tool"
    if record.instance:
        attributes["mcp_router.instance"] = record.instance
    if record.code:
        attributes["rpc.response.status_code"] = str(record.code) if is_known_code else OTHER
    failure = error_type(record) if is_known_code else OTHER
    if failure is not None:
        attributes["error.type"] = failure
    return attributes


class KnownTargets:
    """The tools and prompts that metrics tell apart.

    A server may take any name: the view of an instance passes calls on as they are. A name that a
    call has reached with success is taken for one of the server's, up to `MAX_TARGETS` of them.
    """

    def __init__(self) -> None:
        self._known: set[tuple[str, str, str]] = set()

    def without_others(self, record: CallRecord, attributes: Attributes) -> Attributes:
        """Return the attributes of a call, without a name that is not known to be the server's."""
        name = _NAMED.get(record.method)
        if name not in attributes or self._is_known(record):
            return attributes
        return {key: value for key, value in attributes.items() if key != name}

    def _is_known(self, record: CallRecord) -> bool:
        key = (record.method, record.instance, record.target)
        if key in self._known:
            return True
        is_new = record.outcome == "ok" and len(record.target) <= LONGEST
        if is_new and len(self._known) < MAX_TARGETS:
            self._known.add(key)
            return True
        return False


def transport_attributes(principal: str, revision: str = "") -> Attributes:
    """Return how a client is connected ("Recording MCP transport")."""
    attributes: Attributes = {"mcp.protocol.version": revision} if revision else {}
    if principal == _STDIO:
        return attributes | {"network.transport": "pipe"}
    return attributes | {"network.transport": "tcp", "network.protocol.name": "http"}


def server_attributes(record: CallRecord) -> Attributes:
    """Return the other attributes of the span of a client's request."""
    transport = transport_attributes(record.principal, record.revision)
    attributes = client_attributes(record) | transport
    attributes["jsonrpc.request.id"] = str(record.request_id)[:LONGEST]
    if record.client and record.revision != STATELESS_REVISION:
        attributes["mcp.session.id"] = record.client
    if record.address:
        attributes["client.address"] = record.address
    if record.principal:
        attributes["mcp_router.principal"] = record.principal
    attributes["mcp_router.request.size"] = record.request_bytes
    attributes["mcp_router.response.size"] = record.response_bytes
    if record.outcome in ("cancelled", "gone"):
        attributes["mcp_router.outcome"] = record.outcome
    return attributes


def client_attributes(record: CallRecord) -> Attributes:
    """Return the other attributes of the span of the request to a server.

    They are the method, name or URI of the request, and the code of its error, where it may be
    anything.
    """
    attributes = _free_text(record)
    if record.code and record.code not in _CODES:
        attributes["rpc.response.status_code"] = attributes["error.type"] = str(record.code)
    return attributes


def _free_text(record: CallRecord) -> Attributes:
    if record.method not in _METHODS:
        return {"mcp.method.name": record.method[:LONGEST]}
    if not record.target:
        return {}
    if record.method.startswith("resources/"):
        return {"mcp.resource.uri": record.target[:LONGEST]}
    if record.method in _NAMED and not _has_known_target(record):
        return {_NAMED[record.method]: record.target[:LONGEST]}
    return {}
