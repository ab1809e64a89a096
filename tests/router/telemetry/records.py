"""Records for tests."""

from typing import Any

from router.messages.observability.records import CallRecord, SessionRecord, TraceContext

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
CLIENT_SPAN = "00f067aa0ba902b7"
ROUTER_SPAN = "b7ad6b7169203331"

TRACE = TraceContext(TRACE_ID, ROUTER_SPAN, CLIENT_SPAN)


def call(**changes: Any) -> CallRecord:
    """Return the record of a call that took a quarter of a second, and waited 0.1 s of it."""
    usual: dict[str, Any] = {
        "principal": "team",
        "address": "10.0.0.7",
        "client": "a session",
        "request_id": 7,
        "method": "tools/call",
        "instance": "git",
        "target": "log",
        "outcome": "ok",
        "code": 0,
        "began_s": 1000.0,
        "duration_s": 0.25,
        "request_bytes": 10,
        "response_bytes": 20,
        "revision": "2025-11-25",
        "sent_after_s": 0.1,
        "trace": TRACE,
    }
    return CallRecord(**usual | changes)


def session(name: str, *, is_open: bool) -> SessionRecord:
    """Return the record of the begin or end of a session."""
    return SessionRecord("stdio", "", name, is_open)
