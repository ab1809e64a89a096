"""Writes server-sent events: their bytes, the headers of a stream, and keep-alive comments.

Invariant: an event carries one line of data, so no payload can end an event or begin another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from transports.listen.serving.exchange import NOSNIFF

if TYPE_CHECKING:
    from transports.listen.serving.exchange import Headers

EVENT_HEADERS: Final[Headers] = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    # nginx would otherwise hold events back until its buffer is full.
    (b"x-accel-buffering", b"no"),
    NOSNIFF,
)

KEEP_ALIVE_S: Final = 15.0
"""Silence on a stream before a comment is sent; proxies cut at 30 s or later."""

KEEP_ALIVE: Final = b": keep-alive\n"
"""A comment is one line. No blank line follows, in which some clients would see an empty event."""


def encode_event(data: bytes, kind: bytes = b"message", event_id: bytes = b"") -> bytes:
    """Return one event (WHATWG HTML, Server-sent events).

    Args:
        data: one line, with or without its newline.
        kind: the event's type.
        event_id: lets a client resume after this event; empty for none.
    """
    head = (
        b"event: %b\nid: %b\ndata: " % (kind, event_id) if event_id else b"event: %b\ndata: " % kind
    )
    # Joined, because each `+` would copy the data, which may be megabytes.
    return b"".join((head, data, b"\n" if data.endswith(b"\n") else b"\n\n"))
