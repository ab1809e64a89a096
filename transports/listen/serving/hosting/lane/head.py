"""Reads the head of a plain POST, DELETE, or GET of an event stream; all else is left to others.

Pure: bytes in, a `PlainHead` out.

Invariants:

- A head is plain only if no two readers of HTTP could take it for different requests: HTTP/1.1, one
  `Host`, for POST one `Content-Length` and else none, no other framing, every line ends in CR LF,
  no folded lines.
- llhttp parses it, so nothing is plain that llhttp refuses.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

import httptools
from msgspec import Struct

from router.messages.errors import HttpRefusal
from transports.listen.serving.exchange import headers_of

_METHOD_STARTS: Final = (b"POST ", b"GET ", b"DELETE ")

HEAD_END: Final = b"\r\n\r\n"

_REQUEST_LINE: Final = re.compile(
    rb"(POST|GET|DELETE) (/[!$&-;=@-Z_a-z~%]*)(?:\?([!$&-;=@-Z_a-z~%/?]*))? HTTP/1\.1\r\n"
)
"""A path and a query of printable ASCII characters (RFC 9112 section 3). llhttp takes more spaces,
and other protocols."""

_LENGTH: Final = re.compile(r"0|[1-9][0-9]{0,9}")

_UNUSUAL: Final = frozenset(
    {b"transfer-encoding", b"upgrade", b"expect", b"te", b"trailer", b"http2-settings"}
)
"""Headers that change what follows the head, or how the connection goes on."""

_LINE_START_SPACE: Final = re.compile(rb"\n[ \t]")

_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class PlainHead(Struct, frozen=True, gc=False):
    """The head of a plain request.

    Attributes:
        method: `POST`, `GET` or `DELETE`.
        path: decoded, as ASGI has it.
        query: everything behind the `?`, still encoded.
        headers: names in lower case. Repeated ones are joined as `exchange.headers_of` does.
        content_bytes: the length of the body.
        raw_headers: names in lower case and values, as they came.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    content_bytes: int
    raw_headers: list[tuple[bytes, bytes]]


def read_head(data: bytes) -> PlainHead | None:
    """Return the head of a request if it is plain.

    Args:
        data: the whole head, with `HEAD_END`.
    """
    request_line = _REQUEST_LINE.match(data)
    if request_line is None or not _has_plain_lines(data):
        return None
    reader = _Reader()
    parser = httptools.HttpRequestParser(reader)
    try:
        parser.feed_data(data)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    if not reader.is_complete or not parser.should_keep_alive():
        return None
    headers = reader.plain_headers()
    method, path, query = request_line.groups(b"")
    if headers is None or not _IS_PLAIN[method](headers):
        return None
    return PlainHead(
        method.decode("ascii"),
        unquote(path.decode("ascii")),
        query.decode("ascii"),
        headers,
        int(headers.get("content-length", 0)),
        reader.raw_headers,
    )


def starts_plainly(data: bytes) -> bool:
    """Return whether this may be the start of a plain request, as far as it has come."""
    return any(data.startswith(start[: len(data)]) for start in _METHOD_STARTS)


def ends_lines_plainly(data: bytes) -> bool:
    """Return whether every line feed of a head, or of a part of it, follows a carriage return."""
    return data.count(b"\n") == data.count(b"\r\n")


def _has_plain_lines(data: bytes) -> bool:
    if not ends_lines_plainly(data) or data.count(b"\r") != data.count(b"\n"):
        return False
    return _LINE_START_SPACE.search(data) is None and _CONTROL.search(data) is None


class _Reader:
    """Takes the parts of a head from the parser, which calls these methods by name."""

    __slots__ = ("is_complete", "raw_headers")

    def __init__(self) -> None:
        self.raw_headers: list[tuple[bytes, bytes]] = []
        self.is_complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.raw_headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.is_complete = True

    def plain_headers(self) -> dict[str, str] | None:
        """Return the headers if they are plain, whatever the method is."""
        if not all(_is_plain(name, value) for name, value in self.raw_headers):
            return None
        try:
            headers = headers_of(self.raw_headers)
        except HttpRefusal:
            return None
        if "host" not in headers:
            return None
        if headers.get("connection", "keep-alive").lower() != "keep-alive":
            return None
        return headers


def _is_plain(name: bytes, value: bytes) -> bool:
    return name not in _UNUSUAL and value == value.strip(b" \t")


def _has_length(headers: dict[str, str]) -> bool:
    return bool(_LENGTH.fullmatch(headers.get("content-length", "")))


def _asks_events(headers: dict[str, str]) -> bool:
    """Return whether a GET asks for an event stream; other GETs are too rare to matter."""
    return "text/event-stream" in headers.get("accept", "") and _has_no_length(headers)


def _has_no_length(headers: dict[str, str]) -> bool:
    return "content-length" not in headers


_IS_PLAIN: Final = {b"POST": _has_length, b"GET": _asks_events, b"DELETE": _has_no_length}
"""What the headers of a plain request must say besides, by its method."""
