"""Reads and writes the trace context in `params._meta` (W3C Trace Context; MCP, SEP-414).

Its keys have no prefix: `traceparent`, `tracestate`, and `baggage`, which is never looked at.

Invariant: a `traceparent` that cannot be read counts as absent, and its `tracestate` with it, as
section 3.3 of W3C Trace Context wants it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from router.core.text.raw_json import optional_text_of
from router.messages.observability.records import TraceContext

if TYPE_CHECKING:
    from msgspec import Raw

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"

_VERSION: Final = "00"
_FORMAT: Final = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})"
    r"-(?!0{16})(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?",
    re.ASCII,
)
"""Section 3.2.2; a later version may have more fields at the end (section 3.2.4)."""

_SAMPLED: Final = 0b01
_RANDOM: Final = 0b10

STATE_LIMIT: Final = 512
"""Characters of a `tracestate` that is kept for the span (section 3.3.1.5); one that is longer
still goes to the server."""


def read_trace_context(meta: dict[str, Raw]) -> TraceContext | None:
    """Return the client's place in a trace; None if it names none, or none that can be read."""
    text = optional_text_of(meta, TRACEPARENT)
    found = None if text is None else _FORMAT.fullmatch(text)
    if found is None or (found["version"] == _VERSION and found["more"]):
        return None
    flags = int(found["flags"], 16)
    state = optional_text_of(meta, TRACESTATE) or ""
    return TraceContext(
        found["trace"],
        found["span"],
        is_sampled=bool(flags & _SAMPLED),
        is_random=bool(flags & _RANDOM),
        state=state if len(state) <= STATE_LIMIT else "",
    )


def traceparent_of(context: TraceContext) -> str:
    """Return the `traceparent` for whoever is called from this place."""
    flags = context.is_sampled * _SAMPLED | context.is_random * _RANDOM
    return f"{_VERSION}-{context.trace_id}-{context.span_id}-{flags:02x}"


def with_trace_context(meta: dict[str, Any], context: TraceContext) -> dict[str, Any]:
    """Return these members of `_meta` for a server that is called from this place.

    Where the trace begins here, a `tracestate` belongs to none.
    """
    changed = {**meta, TRACEPARENT: traceparent_of(context)}
    if not context.parent_id:
        changed.pop(TRACESTATE, None)
    return changed
