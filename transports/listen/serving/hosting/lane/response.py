"""Writes the responses of HTTP/1.1, byte for byte as h11 writes them behind Hypercorn.

Pure, but for the time in `Date`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

# For start-up time: Hypercorn has it already, and `email.utils` is ten modules more.
from wsgiref.handlers import format_date_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    Header = tuple[bytes, bytes]

LAST_CHUNK: Final = b"0\r\n\r\n"
"""The end of a chunked body (RFC 9112 section 7.1)."""

_NO_BODY: Final = (204, 304)
"""Statuses of responses without a body (RFC 9110 section 6.4.1)."""

_LENGTH_NAME: Final = b"content-length"


def has_length(status: int, headers: Iterable[Header]) -> bool:
    """Return whether the length of a response's body is known from its head."""
    return status in _NO_BODY or any(name == _LENGTH_NAME for name, _ in headers)


def response_head(status: int, headers: Iterable[Header], *, is_chunked: bool) -> bytes:
    """Return the head of a response, with its empty line."""
    lines = [b"%b: %b\r\n" % header for header in headers]
    end = b"Transfer-Encoding: chunked\r\n\r\n" if is_chunked else b"\r\n"
    return b"HTTP/1.1 %d \r\n%bdate: %b\r\n%b" % (status, b"".join(lines), _date(), end)


def as_chunk(data: bytes) -> bytes:
    """Return a chunk of a body; empty data gives none, because an empty chunk would be the last."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


_dates: dict[int, bytes] = {}
"""The `Date` of the present second, by that second; it costs more than the rest of a head."""


def _date() -> bytes:
    now_s = int(time.time())
    date = _dates.get(now_s)
    if date is None:
        _dates.clear()
        date = _dates[now_s] = format_date_time(now_s).encode()
    return date
