"""The HTTP responses of the floors."""

from __future__ import annotations

from typing import Final

ACCEPTED: Final = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


def content_type(*, events: bool) -> bytes:
    """Return the type of a response with a message."""
    return b"text/event-stream" if events else b"application/json"


def body_of(line: bytes, *, events: bool) -> bytes:
    """Return a message as JSON, or as an event stream of one event."""
    return b"event: message\r\ndata: %b\r\n\r\n" % line if events else line


def response(line: bytes, *, events: bool) -> bytes:
    """Return a whole response with a message."""
    body = body_of(line, events=events)
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        content_type(events=events),
        len(body),
        body,
    )
