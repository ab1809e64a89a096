"""Names and attributes of spans and metrics for a record, by the MCP semantic conventions.

OpenTelemetry, "Semantic conventions for Model Context Protocol (MCP)", status Development, so the
names stand here instead of being those of a package. What they have no name for begins with
`mcp_router.`.

Invariant: no arguments, no results, no text of an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

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

LONGEST: Final = 1024
"""Characters of a value that a client may choose."""

_STDIO: Final = "stdio"
"""The principal of the client that started the router."""


def span_name(record: CallRecord) -> str:
    """Return `{mcp.method.name} {target}`, without a target that may be anything, such as a URI."""
    if record.method in _NAMED and _has_known_target(record):
        return f"{record.method} {record.target}"
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
    if record.method in _NAMED and _has_known_target(record):
        attributes[_NAMED[record.method]] = record.target
    if record.method == "tools/call":
        attributes["gen_ai.operation.name"] = "execute_tool"
    if record.instance:
        attributes["mcp_router.instance"] = record.instance
    if record.code:
        attributes["rpc.response.status_code"] = str(record.code)
    failure = error_type(record)
    if failure is not None:
        attributes["error.type"] = failure
    return attributes


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

    They are the method, name or URI of the request, where it may be anything.
    """
    if record.method not in _METHODS:
        return {"mcp.method.name": record.method[:LONGEST]}
    if not record.target:
        return {}
    if record.method.startswith("resources/"):
        return {"mcp.resource.uri": record.target[:LONGEST]}
    if record.method in _NAMED and not _has_known_target(record):
        return {_NAMED[record.method]: record.target[:LONGEST]}
    return {}
