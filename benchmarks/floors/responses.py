"""The HTTP responses of the floors."""

from __future__ import annotations

from typing import Final

ACCEPTED: Final = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


def response(line: bytes, *, events: bool) -> bytes:
    """Return a whole response with a message, as JSON or as an event stream of one event."""
    if events:
        line = b"event: message\r\ndata: " + line + b"\r\n\r\n"
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: "
    else:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
    return b"%b%d\r\n\r\n%b" % (head, len(line), line)
