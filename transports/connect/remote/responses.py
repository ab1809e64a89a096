"""HTTP responses: what is in those of an upstream, and those of ours that the SDK gets instead.

Job: functions on single responses, without state. Neighbours: `client` uses them. Imports the HTTP
client: loaded by `sdk.load` only.
"""

from __future__ import annotations

from typing import Final

import httpx2
import msgspec
import trio
from msgspec import Struct

from router.messages.frames import ErrorResponse
from transports import json_rpc
from transports.connect.remote import event_streams

EXPLAIN_S: Final = 5.0
EXPLAIN_BYTES: Final = 64 * 1024
"""What is read of the body of an error."""

SESSION_HEADER: Final = "mcp-session-id"

_STUB: Final = b'{"jsonrpc":"2.0","id":0,"result":{}}'
"""Tells the SDK that a request is done with."""


class TooLarge(Exception):
    """A body is longer than its limit."""


class Done(httpx2.AsyncByteStream):
    """A resumed stream that needs no more: the SDK takes a stream error as the end of it."""

    def __aiter__(self) -> Done:
        return self

    async def __anext__(self) -> bytes:
        raise httpx2.SSEError("done")


class _Error(Struct):
    message: str = ""


# --- what an upstream says ---


def is_of(response: httpx2.Response, media_type: str) -> bool:
    """Does it say that it is of this type?"""
    kind = str(response.headers.get("content-type", "")).partition(";")[0]
    return kind.strip().lower() == media_type


def is_within_origin(request: httpx2.Request, onward: httpx2.Request) -> bool:
    """Same method, scheme, host and port, and no credentials of its own."""
    before, after = request.url, onward.url
    return (
        onward.method == request.method
        and (after.scheme, after.host, after.port) == (before.scheme, before.host, before.port)
        and after.userinfo in (b"", before.userinfo)
    )


async def body_of(response: httpx2.Response, limit_bytes: float) -> bytes:
    """The whole body.

    Raises:
        TooLarge: it is longer than that.
        httpx2.RequestError: it broke off.
    """
    body = bytearray()
    async with event_streams.unwinding(response.aiter_bytes()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > limit_bytes:
                raise TooLarge
    return bytes(body)


async def explanation(response: httpx2.Response) -> bytes:
    """The body of an error, empty if there is none to be had."""
    with trio.move_on_after(EXPLAIN_S):
        await trio.lowlevel.checkpoint()
        try:
            return await body_of(response, EXPLAIN_BYTES)
        except (httpx2.RequestError, TooLarge):
            pass
    return b""


def error_in(body: bytes) -> tuple[ErrorResponse | None, str]:
    """The JSON-RPC error in the body of an HTTP error, and its message."""
    try:
        frame = json_rpc.decode(body)
        if isinstance(frame, ErrorResponse):
            return frame, msgspec.json.decode(frame.error, type=_Error).message
    except (json_rpc.FrameError, msgspec.DecodeError):
        pass
    return None, ""


# --- what the SDK gets ---


def stub(request: httpx2.Request, response: httpx2.Response | None = None) -> httpx2.Response:
    """What the SDK gets for a request that is done with."""
    headers = {"content-type": "application/json"}
    if response is not None and SESSION_HEADER in response.headers:
        headers[SESSION_HEADER] = response.headers[SESSION_HEADER]
    return httpx2.Response(200, headers=headers, content=_STUB, request=request)


def streamed(response: httpx2.Response, stream: httpx2.AsyncByteStream) -> httpx2.Response:
    """The same response with another stream of events in it."""
    headers = {"content-type": "text/event-stream"}
    return httpx2.Response(200, headers=headers, stream=stream, request=response.request)


def ended(response: httpx2.Response, seen: event_streams.Followed) -> httpx2.Response:
    """What the SDK gets for a stream that ended too early, but can be resumed."""
    headers = {"content-type": "text/event-stream"}
    if SESSION_HEADER in response.headers:
        headers[SESSION_HEADER] = response.headers[SESSION_HEADER]
    text = event_streams.progress(seen.last_id, seen.retry_ms)
    return httpx2.Response(200, headers=headers, content=text, request=response.request)
