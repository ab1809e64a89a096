"""Writes the responses of HTTP/1.1, byte for byte as h11 writes them behind Hypercorn.

Pure, but for the time in `Date`.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Final

# For start-up time: Hypercorn has it already, and `email.utils` is ten modules more.
from wsgiref.handlers import format_date_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from transports.listen.serving.exchange import Answer, Headers

    Header = tuple[bytes, bytes]

LAST_CHUNK: Final = b"0\r\n\r\n"
"""The end of a chunked body (RFC 9112 section 7.1)."""

_NO_CONTENT: Final = 204
"""A response with this status has no length (RFC 9110 section 8.6)."""


def answer_head(answer: Answer, *more: Header) -> bytes:
    """Return the head of an answer, with its empty line; `more` headers come last."""
    start = _start(answer.status, answer.headers)
    end = b"".join([b"%b: %b\r\n" % header for header in more])
    if answer.status == _NO_CONTENT:
        return b"%b%bdate: %b\r\n\r\n" % (start, end, _date())
    return b"%bcontent-length: %d\r\n%bdate: %b\r\n\r\n" % (start, len(answer.body), end, _date())


def stream_head(headers: Iterable[Header]) -> bytes:
    """Return the head of a response whose body is chunked, with its empty line."""
    start = _start(200, tuple(headers))
    return b"%bdate: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % (start, _date())


@lru_cache(maxsize=1024)  # the answers to one session have the same headers
def _start(status: int, headers: Headers) -> bytes:
    lines = [b"%b: %b\r\n" % header for header in headers]
    return b"HTTP/1.1 %d \r\n%b" % (status, b"".join(lines))


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
