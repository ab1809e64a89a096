"""Requests and answers of HTTP as bytes, for those who look at every one of them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from urllib.parse import SplitResult

LENGTH_HEADER: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
SESSION_HEADER: Final = re.compile(rb"\r\nmcp-session-id: *([!-~]+)", re.IGNORECASE)
HEAD_END: Final = b"\r\n\r\n"

INITIALIZE: Final = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "load", "version": "1"},
}
NO_SESSION: Final = b"0" * 32
"""The session id sent to a server that gave none, so that all requests have the same size."""


def whole_answer(data: bytes) -> tuple[bytes, bytes] | None:
    """Return the head and the body of the response in `data`; None while some of it is missing.

    Raises:
        ValueError: the response has no Content-Length, or more bytes follow it.
    """
    head, end, body = data.partition(HEAD_END)
    if not end:
        return None
    length = LENGTH_HEADER.search(head)
    if length is None:
        raise ValueError(f"An answer without Content-Length: {head!r}")
    missing = int(length[1]) - len(body)
    if missing < 0:
        raise ValueError(f"More than one answer: {data!r}")
    return None if missing else (head, body)


def request_bytes(
    where: SplitResult,
    session: bytes | None,
    message: dict[str, Any],
    *,
    revision: str = "2025-06-18",
    method: str | None = None,
) -> bytes:
    """Return a POST with the headers that the SDK's clients send.

    Args:
        session: the id of the session; None without one.
        message: the message, without `jsonrpc`.
        revision: the protocol revision.
        method: the `Mcp-Method` header, which 2026-07-28 wants; None for revisions without it.
    """
    body = json.dumps({"jsonrpc": "2.0", **message}, separators=(",", ":")).encode()
    head = (
        f"POST {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\n"
        "Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\n"
        f"MCP-Protocol-Version: {revision}\r\nContent-Length: {len(body)}"
    ).encode()
    if method is not None:
        head += f"\r\nMcp-Method: {method}".encode()
    if session is not None:
        head += b"\r\nMcp-Session-Id: " + session
    return head + HEAD_END + body
