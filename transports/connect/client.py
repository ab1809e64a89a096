"""The HTTP client that the SDK's transports are given.

Job: send exactly our bytes, take messages out of the responses, and turn every failure into an
answer or into the end of the line. Neighbours: the SDK above calls `send`, `line` takes what
comes of it. Imports the HTTP client: loaded by `sdk.load` only.

Invariants:

- The SDK never sees an exception or a failed status of a POST: it would end everything for
  everyone, or leave the request without an answer. It sees small answers of ours instead.
- Redirects are followed within the origin only, by the SDK or by the same rule here: everything
  that a request carries was configured for that origin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import httpx2
import msgspec
import trio
from msgspec import Struct

from router.errors import INTERNAL_ERROR, SESSION_LOST
from router.messages import ErrorResponse
from transports import frames
from transports.connect import events
from transports.connect.endpoint import is_session_gone, suggests_sse
from transports.connect.failures import CONNECT_S, describe, is_unreachable
from transports.connect.line import Abandoned, Exchange, Line, sending

if TYPE_CHECKING:
    from collections.abc import Mapping

WRITE_S: Final = 30.0
"""Time for one write of a request that the upstream does not read."""

TELL_S: Final = 30.0
"""Time for the acknowledgement of a message that gets no answer of its own."""

SAY_GOODBYE_S: Final = 2.0
"""Time for the DELETE that ends a session."""

EXPLAIN_S: Final = 5.0
EXPLAIN_BYTES: Final = 64 * 1024
"""What is read of the body of an error."""

TELLING: Final = 32
"""Messages sent at once; the SDK would wait for the acknowledgement of each."""

MAX_REDIRECTS: Final = 5

_TIMEOUT: Final = httpx2.Timeout(connect=CONNECT_S, read=None, write=WRITE_S, pool=None)
"""Calls are timed by the core, so nothing here limits how long an answer takes."""

_LIMITS: Final = httpx2.Limits(
    # One for each call in flight, and more calls than this at once are no use to anyone.
    max_connections=1000,
    max_keepalive_connections=32,
    # Common servers close after 5 s; a request must not meet that.
    keepalive_expiry=4.0,
)
_SESSION_HEADER: Final = "mcp-session-id"
_STUB: Final = b'{"jsonrpc":"2.0","id":0,"result":{}}'
"""Tells the SDK that a request is done with."""


class _TooLarge(Exception):
    pass


class _Error(Struct):
    message: str = ""


class _Done(httpx2.AsyncByteStream):
    """A resumed stream that needs no more: the SDK takes a stream error as the end of it."""

    def __aiter__(self) -> _Done:
        return self

    async def __anext__(self) -> bytes:
        raise httpx2.SSEError("done")


class Client(httpx2.AsyncClient):
    """What streamable HTTP and HTTP+SSE have in common."""

    is_all_one_stream: ClassVar[bool]
    """Does everything come on the stream that belongs to no request?"""

    def __init__(self, line: Line, headers: Mapping[str, str], nursery: trio.Nursery) -> None:
        """Does file I/O (certificates).

        Args:
            line: what to report to.
            headers: for every request.
            nursery: for messages that the SDK need not wait for; it outlives the SDK's transport.
        """
        super().__init__(headers=dict(headers), timeout=_TIMEOUT, limits=_LIMITS)
        self._line = line
        self._nursery = nursery
        self._telling = trio.Semaphore(TELLING)

    async def send(
        self, request: httpx2.Request, *, stream: bool = False, **options: Any
    ) -> httpx2.Response:
        """One request of the SDK's, and what it shall think of it."""
        if request.method == "GET":
            return await self._get(request, sending.get(None))
        if request.method == "DELETE":
            return await self._delete(request)
        exchange = sending.get()
        return await self._post(_with_body(request, frames.encode(exchange.frame)), exchange)

    async def _post(self, request: httpx2.Request, exchange: Exchange) -> httpx2.Response:
        raise NotImplementedError

    def _has_session(self, request: httpx2.Request) -> bool:
        raise NotImplementedError

    async def _open(self, request: httpx2.Request) -> httpx2.Response:
        return await super().send(request, stream=True, follow_redirects=False)

    # --- messages without an answer on their own response ---

    async def _notify(self, request: httpx2.Request, exchange: Exchange) -> httpx2.Response:
        if exchange.is_initialized:
            await self._tell(request, exchange)
        else:
            await self._telling.acquire()
            self._nursery.start_soon(self._tell_and_release, request, exchange)
        return httpx2.Response(202, request=request)

    async def _tell_and_release(self, request: httpx2.Request, exchange: Exchange) -> None:
        try:
            await self._tell(request, exchange)
        finally:
            self._telling.release()

    async def _tell(self, request: httpx2.Request, exchange: Exchange) -> None:
        # After this time, an answer may still come on the event stream, or the core gives up.
        with trio.move_on_after(TELL_S):
            try:
                response = await self._open_within_origin(request)
                try:
                    await self._acknowledge(response, exchange)
                finally:
                    await response.aclose()
            except httpx2.RequestError as exc:
                await self._broken(exc, exchange)

    async def _acknowledge(self, response: httpx2.Response, exchange: Exchange) -> None:
        if response.status_code >= 300:
            await self._refused(response, exchange)
        else:
            # Read to its end, so that the connection can be used again.
            await _explanation(response)

    async def _open_within_origin(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._open(request)
        for _ in range(MAX_REDIRECTS):
            onward = response.next_request
            if onward is None or not _is_within_origin(request, onward):
                break
            await response.aclose()
            response = await self._open(onward)
        return response

    # --- failures ---

    async def _refused(self, response: httpx2.Response, exchange: Exchange) -> None:
        """A status that is no success answers `exchange`, or ends the line."""
        status, endpoint = response.status_code, self._line.endpoint
        error, said = _error_in(await _explanation(response))
        sentence = endpoint.answered(status, said)
        if status == 401:
            self._line.lose(sentence)
        elif self._has_session(response.request) and is_session_gone(status, said):
            self._line.lose(endpoint.session_gone(status))
        elif exchange.is_initialize and suggests_sse(status):
            self._line.refuse(sentence)
        elif error is None or exchange.request is None or exchange.is_initialize:
            await self._line.fail(exchange, sentence)
        else:
            answer = ErrorResponse(exchange.request.id, error.error)
            await self._line.take(answer, exchange)

    async def _broken(self, exc: httpx2.RequestError, exchange: Exchange) -> None:
        """No response: `exchange` fails. So does everything, if there is nothing there."""
        await trio.lowlevel.checkpoint()
        sentence = describe(self._line.endpoint, exc)
        if not is_unreachable(exc):
            await self._line.fail(exchange, sentence, SESSION_LOST)
        elif self._line.streams:
            await self._line.fail(exchange, sentence)
        else:
            self._line.lose(sentence)

    # --- streams and goodbyes ---

    async def _get(self, request: httpx2.Request, asked: Exchange | None) -> httpx2.Response:
        """The stream that belongs to no request, or the rest of one that belongs to `asked`."""
        try:
            response = await self._open(request)
        except httpx2.RequestError as exc:
            if is_unreachable(exc) and not self._line.streams:
                self._line.lose(describe(self._line.endpoint, exc))
            raise
        if response.status_code == 404 and self._has_session(request):
            self._line.lose(self._line.endpoint.session_gone(404))
        if not _is(response, "text/event-stream") or response.status_code != 200:
            return response
        if asked is not None and asked.request is not None:
            return await self._resume(response, asked)
        background = events.Background(response, self._line, is_all=self.is_all_one_stream)
        return _streamed(response, background)

    async def _resume(self, response: httpx2.Response, asked: Exchange) -> httpx2.Response:
        try:
            seen = await events.follow(response, self._line, asked)
        except httpx2.SSEError as exc:
            await self._line.fail(asked, describe(self._line.endpoint, exc))
            return _streamed(response, _Done())
        finally:
            await response.aclose()
        if seen.answered:
            return _streamed(response, _Done())
        return _ended(response, seen)

    async def _delete(self, request: httpx2.Request) -> httpx2.Response:
        with trio.move_on_after(SAY_GOODBYE_S):
            return await self._open(request)
        return httpx2.Response(204, request=request)


class HttpClient(Client):
    """Streamable HTTP: the answer to a request comes on the response to its POST."""

    is_all_one_stream = False

    async def _post(self, request: httpx2.Request, exchange: Exchange) -> httpx2.Response:
        if exchange.request is not None:
            return await self._ask(request, exchange)
        return await self._notify(request, exchange)

    def _has_session(self, request: httpx2.Request) -> bool:
        return _SESSION_HEADER in request.headers

    async def _ask(self, request: httpx2.Request, exchange: Exchange) -> httpx2.Response:
        await trio.lowlevel.checkpoint()
        try:
            response = await exchange.wait(lambda: self._open(request))
        except Abandoned:
            return _stub(request)
        except httpx2.RequestError as exc:
            await self._broken(exc, exchange)
            return _stub(request)
        if response.next_request is not None:
            return response  # The SDK follows it, or says why not.
        try:
            return await self._answer(response, exchange)
        finally:
            await response.aclose()

    async def _answer(self, response: httpx2.Response, exchange: Exchange) -> httpx2.Response:
        endpoint = self._line.endpoint
        if response.status_code >= 300:
            await self._refused(response, exchange)
        elif _is(response, "text/event-stream"):
            return await self._follow(response, exchange)
        elif response.status_code == 200 and _is(response, "application/json"):
            await self._read(response, exchange)
        elif response.status_code == 200:
            kind = response.headers.get("content-type", "")
            await self._line.fail(exchange, endpoint.answered_with(kind))
        else:
            sentence = f"{endpoint.answered(response.status_code)} instead of an answer"
            await self._line.fail(exchange, sentence)
        return _stub(response.request, response)

    async def _follow(self, response: httpx2.Response, exchange: Exchange) -> httpx2.Response:
        try:
            seen = await events.follow(response, self._line, exchange)
        except httpx2.SSEError as exc:
            await self._line.fail(exchange, describe(self._line.endpoint, exc))
            return _stub(response.request, response)
        if seen.last_id and not seen.answered:
            return _ended(response, seen)
        if not seen.answered:
            sentence = self._line.endpoint.broke("its answer ended before it was complete")
            await self._line.fail(exchange, sentence, SESSION_LOST)
        return _stub(response.request, response)

    async def _read(self, response: httpx2.Response, exchange: Exchange) -> None:
        """An answer in one piece."""
        await trio.lowlevel.checkpoint()
        endpoint = self._line.endpoint
        try:
            body = await exchange.wait(lambda: _body(response, events.MAX_MESSAGE_BYTES))
        except Abandoned:
            pass
        except httpx2.RequestError as exc:
            await self._line.fail(exchange, describe(endpoint, exc), SESSION_LOST)
        except _TooLarge:
            sentence = f"the answer of {endpoint.shown} is larger than 16 MiB"
            await self._line.fail(exchange, sentence)
        else:
            if not await self._line.read(body, exchange):
                sentence = f"{endpoint.shown} answered with something that is no JSON-RPC answer"
                await self._line.fail(exchange, sentence, INTERNAL_ERROR)


class SseClient(Client):
    """HTTP+SSE: every POST is only acknowledged; answers come on the one event stream."""

    is_all_one_stream = True

    async def _post(self, request: httpx2.Request, exchange: Exchange) -> httpx2.Response:
        return await self._notify(request, exchange)

    def _has_session(self, request: httpx2.Request) -> bool:
        return request.method == "POST"  # The URL of every POST names it.


def _with_body(request: httpx2.Request, body: bytes) -> httpx2.Request:
    headers = httpx2.Headers(request.headers)
    headers.pop("content-length", None)
    return httpx2.Request(
        request.method, request.url, headers=headers, content=body, extensions=request.extensions
    )


def _is(response: httpx2.Response, media_type: str) -> bool:
    kind = str(response.headers.get("content-type", "")).partition(";")[0]
    return kind.strip().lower() == media_type


def _is_within_origin(request: httpx2.Request, onward: httpx2.Request) -> bool:
    """Same method, scheme, host and port, and no credentials of its own."""
    before, after = request.url, onward.url
    return (
        onward.method == request.method
        and (after.scheme, after.host, after.port) == (before.scheme, before.host, before.port)
        and after.userinfo in (b"", before.userinfo)
    )


async def _body(response: httpx2.Response, limit_bytes: float) -> bytes:
    body = bytearray()
    async with events.unwinding(response.aiter_bytes()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > limit_bytes:
                raise _TooLarge
    return bytes(body)


async def _explanation(response: httpx2.Response) -> bytes:
    """The body of an error, empty if there is none to be had."""
    with trio.move_on_after(EXPLAIN_S):
        await trio.lowlevel.checkpoint()
        try:
            return await _body(response, EXPLAIN_BYTES)
        except (httpx2.RequestError, _TooLarge):
            pass
    return b""


def _error_in(body: bytes) -> tuple[ErrorResponse | None, str]:
    """The JSON-RPC error in the body of an HTTP error, and its message."""
    try:
        frame = frames.decode(body)
        if isinstance(frame, ErrorResponse):
            return frame, msgspec.json.decode(frame.error, type=_Error).message
    except (frames.FrameError, msgspec.DecodeError):
        pass
    return None, ""


def _stub(request: httpx2.Request, response: httpx2.Response | None = None) -> httpx2.Response:
    """What the SDK gets for a request that is done with."""
    headers = {"content-type": "application/json"}
    if response is not None and _SESSION_HEADER in response.headers:
        headers[_SESSION_HEADER] = response.headers[_SESSION_HEADER]
    return httpx2.Response(200, headers=headers, content=_STUB, request=request)


def _streamed(response: httpx2.Response, stream: httpx2.AsyncByteStream) -> httpx2.Response:
    headers = {"content-type": "text/event-stream"}
    return httpx2.Response(200, headers=headers, stream=stream, request=response.request)


def _ended(response: httpx2.Response, seen: events.Followed) -> httpx2.Response:
    """What the SDK gets for a stream that ended too early, but can be resumed."""
    headers = {"content-type": "text/event-stream"}
    if _SESSION_HEADER in response.headers:
        headers[_SESSION_HEADER] = response.headers[_SESSION_HEADER]
    text = events.progress(seen.last_id, seen.retry_ms)
    return httpx2.Response(200, headers=headers, content=text, request=response.request)
