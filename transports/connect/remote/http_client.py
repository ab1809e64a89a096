"""The HTTP client that the SDK's transports are given.

Job: send exactly our bytes, take messages out of the responses, and turn every failure into an
answer or into the end of the line. Neighbours: the SDK above calls `send`, `line` takes what
comes of it, `responses` reads and makes single ones. Imports the HTTP client: loaded by `sdk.load`
only.

Invariants:

- The SDK never sees an exception or a failed status of a POST: it would end everything for
  everyone, or leave the request without an answer. It sees small answers of ours instead.
- Redirects are followed within the origin only, by the SDK or by the same rule here: everything
  that a request carries was configured for that origin.
- A request of 2026-07-28 names no session, whatever an instance's own headers say. It is done with
  when its response ends, which is never resumed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final

import httpx2
import trio

from router.messages.errors import INTERNAL_ERROR, SESSION_LOST
from router.messages.frames import ErrorResponse
from transports import json_rpc
from transports.connect.remote import event_streams
from transports.connect.remote.connection import (
    Abandoned,
    OutgoingMessage,
    RemoteConnection,
    sending,
)
from transports.connect.remote.endpoint import is_session_gone, suggests_sse
from transports.connect.remote.failures import CONNECT_S, describe, is_unreachable
from transports.connect.remote.request_headers import is_reserved
from transports.connect.remote.responses import (
    SESSION_HEADER,
    Done,
    TooLarge,
    body_of,
    ended,
    error_in,
    explanation,
    is_of,
    is_within_origin,
    streamed,
    stub,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

WRITE_S: Final = 30.0
"""Time for one write of a request that the upstream does not read."""

TELL_S: Final = 30.0
"""Time for the acknowledgement of a message that gets no answer of its own."""

SAY_GOODBYE_S: Final = 2.0
"""Time for the DELETE that ends a session."""

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


class Client(httpx2.AsyncClient, ABC):
    """What streamable HTTP and HTTP+SSE have in common."""

    is_all_one_stream: ClassVar[bool]
    """Does everything come on the stream that belongs to no request?"""

    def __init__(
        self, line: RemoteConnection, headers: Mapping[str, str], nursery: trio.Nursery
    ) -> None:
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
        return await self._post(_as_ours(request, exchange), exchange)

    @abstractmethod
    async def _post(self, request: httpx2.Request, exchange: OutgoingMessage) -> httpx2.Response:
        """Send a message of ours."""

    @abstractmethod
    def _has_session(self, request: httpx2.Request) -> bool:
        """Does this request belong to a session, which the upstream may have forgotten?"""

    async def _open(self, request: httpx2.Request) -> httpx2.Response:
        return await super().send(request, stream=True, follow_redirects=False)

    # --- messages without an answer on their own response ---

    async def _notify(self, request: httpx2.Request, exchange: OutgoingMessage) -> httpx2.Response:
        if exchange.is_initialized:
            await self._tell(request, exchange)
        else:
            await self._telling.acquire()
            self._nursery.start_soon(self._tell_and_release, request, exchange)
        return httpx2.Response(202, request=request)

    async def _tell_and_release(self, request: httpx2.Request, exchange: OutgoingMessage) -> None:
        try:
            await self._tell(request, exchange)
        finally:
            self._telling.release()

    async def _tell(self, request: httpx2.Request, exchange: OutgoingMessage) -> None:
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

    async def _acknowledge(self, response: httpx2.Response, exchange: OutgoingMessage) -> None:
        if response.status_code >= 300:
            await self._refused(response, exchange)
        else:
            # Read to its end, so that the connection can be used again.
            await explanation(response)

    async def _open_within_origin(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._open(request)
        for _ in range(MAX_REDIRECTS):
            onward = response.next_request
            if onward is None or not is_within_origin(request, onward):
                break
            await response.aclose()
            response = await self._open(onward)
        return response

    # --- failures ---

    async def _refused(self, response: httpx2.Response, exchange: OutgoingMessage) -> None:
        """A status that is no success answers `exchange`, or ends the line."""
        status, endpoint = response.status_code, self._line.endpoint
        error, said = error_in(await explanation(response))
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

    async def _broken(self, exc: httpx2.RequestError, exchange: OutgoingMessage) -> None:
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

    async def _get(self, request: httpx2.Request, asked: OutgoingMessage | None) -> httpx2.Response:
        """The stream that belongs to no request, or the rest of one that belongs to `asked`."""
        try:
            response = await self._open(request)
        except httpx2.RequestError as exc:
            if is_unreachable(exc) and not self._line.streams:
                self._line.lose(describe(self._line.endpoint, exc))
            raise
        if response.status_code == 404 and self._has_session(request):
            self._line.lose(self._line.endpoint.session_gone(404))
        if not is_of(response, "text/event-stream") or response.status_code != 200:
            return response
        if asked is not None and asked.request is not None:
            return await self._resume(response, asked)
        background = event_streams.Background(response, self._line, is_all=self.is_all_one_stream)
        return streamed(response, background)

    async def _resume(self, response: httpx2.Response, asked: OutgoingMessage) -> httpx2.Response:
        try:
            seen = await event_streams.follow(response, self._line, asked)
        except httpx2.SSEError as exc:
            await self._line.fail(asked, describe(self._line.endpoint, exc))
            return streamed(response, Done())
        finally:
            await response.aclose()
        if seen.answered:
            return streamed(response, Done())
        return ended(response, seen)

    async def _delete(self, request: httpx2.Request) -> httpx2.Response:
        with trio.move_on_after(SAY_GOODBYE_S):
            return await self._open(request)
        return httpx2.Response(204, request=request)


class HttpClient(Client):
    """Streamable HTTP: the answer to a request comes on the response to its POST."""

    is_all_one_stream = False

    async def _post(self, request: httpx2.Request, exchange: OutgoingMessage) -> httpx2.Response:
        if exchange.request is not None:
            return await self._ask(request, exchange)
        return await self._notify(request, exchange)

    def _has_session(self, request: httpx2.Request) -> bool:
        return SESSION_HEADER in request.headers

    async def _ask(self, request: httpx2.Request, exchange: OutgoingMessage) -> httpx2.Response:
        await trio.lowlevel.checkpoint()
        try:
            response = await exchange.wait(lambda: self._open(request))
        except Abandoned:
            return stub(request)
        except httpx2.RequestError as exc:
            await self._broken(exc, exchange)
            return stub(request)
        if response.next_request is not None:
            return response  # The SDK follows it, or says why not.
        try:
            return await self._answer(response, exchange)
        finally:
            await response.aclose()

    async def _answer(
        self, response: httpx2.Response, exchange: OutgoingMessage
    ) -> httpx2.Response:
        endpoint = self._line.endpoint
        if response.status_code >= 300:
            await self._refused(response, exchange)
        elif is_of(response, "text/event-stream"):
            return await self._follow(response, exchange)
        elif response.status_code == 200 and is_of(response, "application/json"):
            await self._read(response, exchange)
        elif response.status_code == 200:
            kind = response.headers.get("content-type", "")
            await self._line.fail(exchange, endpoint.answered_with(kind))
        else:
            sentence = f"{endpoint.answered(response.status_code)} instead of an answer"
            await self._line.fail(exchange, sentence)
        return stub(response.request, response)

    async def _follow(
        self, response: httpx2.Response, exchange: OutgoingMessage
    ) -> httpx2.Response:
        try:
            seen = await event_streams.follow(response, self._line, exchange)
        except httpx2.SSEError as exc:
            await self._line.fail(exchange, describe(self._line.endpoint, exc))
            return stub(response.request, response)
        if seen.last_id and not seen.answered and not exchange.is_stateless:
            return ended(response, seen)
        if not seen.answered:
            sentence = self._line.endpoint.broke("its answer ended before it was complete")
            await self._line.fail(exchange, sentence, SESSION_LOST)
        return stub(response.request, response)

    async def _read(self, response: httpx2.Response, exchange: OutgoingMessage) -> None:
        """An answer in one piece."""
        await trio.lowlevel.checkpoint()
        endpoint = self._line.endpoint
        try:
            body = await exchange.wait(lambda: body_of(response, event_streams.MAX_MESSAGE_BYTES))
        except Abandoned:
            pass
        except httpx2.RequestError as exc:
            await self._line.fail(exchange, describe(endpoint, exc), SESSION_LOST)
        except TooLarge:
            sentence = f"the answer of {endpoint.shown} is larger than 16 MiB"
            await self._line.fail(exchange, sentence)
        else:
            if not await self._line.read(body, exchange):
                sentence = f"{endpoint.shown} answered with something that is no JSON-RPC answer"
                await self._line.fail(exchange, sentence, INTERNAL_ERROR)


class SseClient(Client):
    """HTTP+SSE: every POST is only acknowledged; answers come on the one event stream."""

    is_all_one_stream = True

    async def _post(self, request: httpx2.Request, exchange: OutgoingMessage) -> httpx2.Response:
        return await self._notify(request, exchange)

    def _has_session(self, request: httpx2.Request) -> bool:
        return request.method == "POST"  # The URL of every POST names it.


def _as_ours(request: httpx2.Request, exchange: OutgoingMessage) -> httpx2.Request:
    """The SDK's request with our message in it."""
    headers = httpx2.Headers(request.headers)
    headers.pop("content-length", None)
    if exchange.headers is not None:
        for name in [name for name in headers if is_reserved(name)]:
            del headers[name]
        headers.update(exchange.headers)
    return httpx2.Request(
        request.method,
        request.url,
        headers=headers,
        content=json_rpc.encode(exchange.frame),
        extensions=request.extensions,
    )
