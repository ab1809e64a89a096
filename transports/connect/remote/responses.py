"""Reads single HTTP responses of an upstream, and makes stand-ins that the SDK gets instead.

Imports the HTTP client, so only `sdk.load` loads this module.
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

SHORT_BODY_S: Final = 5.0
SHORT_BODY_BYTES: Final = 64 * 1024
"""Limits for the body of an error or an acknowledgement."""

SESSION_HEADER: Final = "mcp-session-id"

_STUB: Final = b'{"jsonrpc":"2.0","id":0,"result":{}}'
"""Any answer ends a request for the SDK; the real answer goes past it."""


class TooLarge(Exception):
    """A body is longer than its limit."""


class FinishedStream(httpx2.AsyncByteStream):
    """A resumed stream that is finished: the SDK takes a stream error for the end of it."""

    def __aiter__(self) -> FinishedStream:
        return self

    async def __anext__(self) -> bytes:
        raise httpx2.SSEError("done")


class _Error(Struct):
    message: str = ""


# --- Responses of an upstream ---------------------------------------------------------------------


def has_media_type(response: httpx2.Response, media_type: str) -> bool:
    """Return whether the Content-Type is this media type, whatever its parameters."""
    kind = str(response.headers.get("content-type", "")).partition(";")[0]
    return kind.strip().lower() == media_type


def wants_credentials(response: httpx2.Response, method: str) -> bool:
    """Return whether an upstream lets nobody with these credentials in, whatever the request.

    Args:
        response: of the upstream.
        method: of the request. If the token has no scope even for `server/discover`, there is no
            sense in a handshake.
    """
    is_scopeless = "insufficient_scope" in response.headers.get("www-authenticate", "")
    is_shut_out = response.status_code == 403 and is_scopeless and method == "server/discover"
    return response.status_code == 401 or is_shut_out


async def refuse_stacked_encodings(response: httpx2.Response) -> None:
    """Refuse an answer that is compressed more than once, as a hook of the HTTP client.

    Two kilobytes that were compressed twice hold up everything for seconds when they are unpacked,
    although no more than the limit of them is kept.

    Raises:
        httpx2.DecodingError: it is.
    """
    await trio.lowlevel.checkpoint()
    if len(response.headers.get_list("content-encoding", split_commas=True)) > 1:
        raise httpx2.DecodingError("", request=response.request)


def is_within_origin(request: httpx2.Request, onward: httpx2.Request) -> bool:
    """Return whether a redirect keeps method, scheme, host, port and credentials."""
    before, after = request.url, onward.url
    return (
        onward.method == request.method
        and (after.scheme, after.host, after.port) == (before.scheme, before.host, before.port)
        and after.userinfo in (b"", before.userinfo)
    )


async def read_body(response: httpx2.Response, limit_bytes: float) -> bytes:
    """Read the whole body.

    Raises:
        TooLarge: the body is longer than `limit_bytes`.
        httpx2.RequestError: the body broke off.
    """
    body = bytearray()
    async with event_streams.closing_generators(response.aiter_bytes()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > limit_bytes:
                raise TooLarge
    return bytes(body)


async def read_short_body(response: httpx2.Response) -> bytes:
    """Read the body of an error or an acknowledgement; empty if it is too long or too slow."""
    with trio.move_on_after(SHORT_BODY_S):
        await trio.lowlevel.checkpoint()
        try:
            return await read_body(response, SHORT_BODY_BYTES)
        except (httpx2.RequestError, TooLarge):
            pass
    return b""


def error_in(body: bytes) -> ErrorResponse | None:
    """Return the JSON-RPC error in the body of an HTTP error; None if there is none."""
    try:
        frame = json_rpc.decode(body)
        if isinstance(frame, ErrorResponse):
            msgspec.json.decode(frame.error, type=_Error)
            return frame
    except (json_rpc.FrameError, msgspec.DecodeError):
        pass
    return None


# --- Stand-ins for the SDK ------------------------------------------------------------------------


def stub(request: httpx2.Request, response: httpx2.Response | None = None) -> httpx2.Response:
    """Return a response that ends a request for the SDK, with the session id of the real one."""
    headers = {"content-type": "application/json"} | _session_header(response)
    return httpx2.Response(200, headers=headers, content=_STUB, request=request)


def with_stream(response: httpx2.Response, stream: httpx2.AsyncByteStream) -> httpx2.Response:
    """Return the response with another stream of events in it."""
    headers = {"content-type": "text/event-stream"}
    return httpx2.Response(200, headers=headers, stream=stream, request=response.request)


def resumable(response: httpx2.Response, progress: event_streams.Progress) -> httpx2.Response:
    """Return a response whose stream has ended, and which the SDK resumes from `progress`."""
    headers = {"content-type": "text/event-stream"} | _session_header(response)
    event = event_streams.resumption_event(progress.last_id, progress.retry_ms)
    return httpx2.Response(200, headers=headers, content=event, request=response.request)


def _session_header(response: httpx2.Response | None) -> dict[str, str]:
    if response is None or SESSION_HEADER not in response.headers:
        return {}
    return {SESSION_HEADER: response.headers[SESSION_HEADER]}
