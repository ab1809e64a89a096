"""Makes the lines of the audit log: one JSON object for each record.

Invariants: pure. A line holds no arguments, no results and no secrets. Its members depend on its
event alone, but for the digest and the trace of a call. Long values are cut, so that a client
cannot make lines of megabytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.logs.record_text import one_line
from router.logs.utc_time import utc_time
from router.messages.observability.records import (
    ApprovalRecord,
    CallRecord,
    ChangeRecord,
    RefusalRecord,
    SessionRecord,
    ToolRecord,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.messages.observability.records import Record

VALUE_LIMIT: Final = 1000
"""Characters of a value that are kept: a client may send megabytes as the URI of a resource."""


def line_of(record: Record, wall_s: float, mask: Callable[[str], str]) -> str:
    """Return the line of a record, with its end.

    Args:
        record: the record.
        wall_s: the moment that the line names, in seconds since 1970.
        mask: returns a text without the secrets that are known.
    """
    event, members = _event_of(record)
    shown = {
        name: _shown(value, mask) if isinstance(value, str) else value
        for name, value in members.items()
    }
    return _encode(event, wall_s, shown)


def dropped_line(count: int, reason: str, wall_s: float) -> str:
    """Return the line, without its end, that stands for records which could not be written."""
    return _encode("dropped", wall_s, {"count": count, "reason": reason}).removesuffix("\n")


def size_of(record: Record) -> int:
    """Return about how many characters a record holds."""
    if isinstance(record, CallRecord):
        request_id = record.request_id
        id_size = len(request_id) if isinstance(request_id, str) else 0
        return 400 + len(record.target) + len(record.method) + id_size
    if isinstance(record, RefusalRecord):
        return 200 + len(record.path) + len(record.reason)
    if isinstance(record, SessionRecord):
        return 200 + len(record.client_info) + len(record.reason)
    if isinstance(record, ToolRecord):
        return 400 + len(record.tool)
    return 200 + len(record.name) + len(record.problem)


def _event_of(record: Record) -> tuple[str, dict[str, Any]]:
    if isinstance(record, CallRecord):
        return "call", _call(record)
    if isinstance(record, ChangeRecord):
        return "change", _change(record)
    if isinstance(record, SessionRecord):
        return ("session_opened" if record.is_open else "session_closed"), _session(record)
    if isinstance(record, ToolRecord):
        return "tool_changed", _tool(record)
    return "refused", _refusal(record)


def _call(record: CallRecord) -> dict[str, Any]:
    members: dict[str, Any] = {
        "principal": record.principal,
        "address": record.address,
        "client": record.client,
        "request_id": record.request_id,
        "method": record.method,
        "instance": record.instance,
        "target": record.target,
        "outcome": record.outcome,
        "code": record.code,
        "duration_ms": round(record.duration_s * 1000, 3),
        "request_bytes": record.request_bytes,
        "response_bytes": record.response_bytes,
        "revision": record.revision,
    }
    if record.arguments_sha256:
        members["arguments_sha256"] = record.arguments_sha256
    if record.trace is not None:
        members["trace_id"] = record.trace.trace_id
    if record.approval is not None:
        members |= _approval(record.approval)
    return members


def _approval(record: ApprovalRecord) -> dict[str, Any]:
    return {
        "approval_asked": record.asked,
        "approval": record.decision,
        "approval_by": record.by,
        "approval_after_ms": round(record.after_s * 1000, 3),
    }


def _change(record: ChangeRecord) -> dict[str, Any]:
    return {
        "principal": record.principal,
        "address": record.address,
        "action": record.action,
        "name": record.name,
        "outcome": "error" if record.problem else "ok",
        "problem": record.problem,
    }


def _session(record: SessionRecord) -> dict[str, Any]:
    members = {
        "principal": record.principal,
        "address": record.address,
        "client": record.client,
        "client_info": record.client_info,
    }
    return members if record.is_open else members | {"reason": record.reason}


def _refusal(record: RefusalRecord) -> dict[str, Any]:
    return {
        "address": record.address,
        "status": record.status,
        "path": record.path,
        "reason": record.reason,
        "count": record.count,
    }


def _tool(record: ToolRecord) -> dict[str, Any]:
    return {
        "instance": record.instance,
        "tool": record.tool,
        "before_sha256": record.before_sha256,
        "after_sha256": record.after_sha256,
        "quarantined": record.is_quarantined,
    }


def _shown(text: str, mask: Callable[[str], str]) -> str:
    """Return a value as it is written: masked, cut and printable."""
    text = mask(text)
    if len(text) > VALUE_LIMIT:
        text = f"{text[:VALUE_LIMIT]}... ({len(text) - VALUE_LIMIT} more characters)"
    # UTF-8 has no lone surrogates.
    return one_line(text).encode("utf-8", "backslashreplace").decode()


def _encode(event: str, wall_s: float, members: dict[str, Any]) -> str:
    return msgspec.json.encode({"time": utc_time(wall_s), "event": event} | members).decode() + "\n"
