"""The HTTP clients that the SDK's transports are given.

They send exactly the router's bytes, take the messages out of the responses, and turn every failure
into an answer or into the end of the connection. Imports the HTTP client, so only `sdk.load` loads
this module.

Invariants:

- The SDK never sees an exception or a failed status of a POST: it would end everything for
  everyone, or leave the request without an answer. It sees small stand-ins instead.
- Redirects are followed within the origin only, by the SDK or by the same rule here: everything
  that a request carries was configured for that origin.
- Where private addresses are not allowed, each connection is guarded: the first one, that of a
  redirect, and that to the URL which a server of HTTP+SSE names.
- A request of 2026-07-28 names no session, whatever the headers of the instance say. The end of its
  response ends it, and its response is never resumed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final

import httpx2
import trio

from router.messages.errors import SESSION_LOST, TRANSPORT_ERROR, RpcError
from router.messages.frames import ErrorResponse
from transports.connect.credentials import LoginNeeded
from transports.connect.remote.connection import (
    OutgoingMessage,
    RemoteConnection,
    RequestAbandoned,
    message_being_sent,
)
from transports.connect.remote.endpoint import explanation_in, is_session_gone, suggests_sse
from transports.connect.remote.event_streams import (
    MAX_MESSAGE_BYTES,
    StandaloneStream,
    read_response_stream,
)
from transports.connect.remote.failures import (
    CONNECT_S,
    Sending,
    describe,
    is_unreachable,
    retry_after_s,
    was_reset,
)
from transports.connect.remote.request_headers import open_with, refuse, with_message
from transports.connect.remote.responses import (
    SESSION_HEADER,
    FinishedStream,
    TooLarge,
    error_in,
    has_media_type,
    is_within_origin,
    read_body,
    read_short_body,
    refuse_stacked_encodings,
    resumable,
    stub,
    wants_credentials,
    with_stream,
)
from transports.connect.wire import Failure
from transports.outbound.network import GuardedTransport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transports.connect.credentials import Credentials

WRITE_S: Final = 30.0
"""Time for one write of a request that the upstream does not read."""

ACKNOWLEDGE_S: Final = 30.0
"""Time for the acknowledgement of a message that gets no answer of its own."""

DELETE_S: Final = 2.0
"""Time for the DELETE that ends a session."""

MAX_BACKGROUND_POSTS: Final = 32
"""Messages that wait for their acknowledgement at once. The SDK would wait for each in turn."""

MAX_REDIRECTS: Final = 5

_TIMEOUT: Final = httpx2.Timeout(connect=CONNECT_S, read=None, write=WRITE_S, pool=None)
"""The core times calls, so nothing here limits the time for an answer."""

_LIMITS: Final = httpx2.Limits(
    # A connection for each call in flight. More calls than this at once are no use to anyone.
    max_connections=1000,
    max_keepalive_connections=32,
    # Common servers close idle connections after 5 s. A request must not run into that.
    keepalive_expiry=4.0,
)


class HttpxClient(httpx2.AsyncClient, ABC):
    """The common part of the HTTP clients for streamable HTTP and for HTTP+SSE.

    Attributes:
        is_only_stream: True if all messages come on the stream that belongs to no request.
    """

    is_only_stream: ClassVar[bool]

    def __init__(
        self,
        connection: RemoteConnection,
        headers: Mapping[str, str],
        credentials: Credentials | None,
        nursery: trio.Nursery,
    ) -> None:
        """Create a client. Blocks, since it reads the certificates.

        Args:
            connection: learns of messages and failures.
            headers: go with every request.
            credentials: are asked for more headers at each request; None for none.
            nursery: runs requests that the SDK need not wait for. It outlives the SDK's transport.
        """
        # With a transport of its own, a client uses no proxy of the environment: see `network`.
        guard = None if connection.endpoint.allow_private else GuardedTransport(_LIMITS)
        super().__init__(
            headers=dict(headers),
            timeout=_TIMEOUT,
            limits=_LIMITS,
            transport=guard,
            event_hooks={"response": [refuse_stacked_encodings]},
        )
        self._connection = connection
        self._credentials = credentials
        self._nursery = nursery
        self._background_posts = trio.Semaphore(MAX_BACKGROUND_POSTS)

    async def send(
        self, request: httpx2.Request, *, stream: bool = False, **options: Any
    ) -> httpx2.Response:
        """Send a request of the SDK, and return the response that the SDK is to see."""
        if request.method == "GET":
            return await self._get(request, message_being_sent.get(None))
        if request.method == "DELETE":
            return await self._delete(request)
        message = message_being_sent.get()
        return await self._post(with_message(request, message), message)

    @abstractmethod
    async def _post(self, request: httpx2.Request, message: OutgoingMessage) -> httpx2.Response:
        """Send a POST with a message of the router's."""

    @abstractmethod
    def _has_session(self, request: httpx2.Request) -> bool:
        """Return whether a request names a session, which the upstream may have forgotten."""

    async def _open(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; the connection ends, and this is cancelled, if a login is needed.

        What a client asked for, and only further scopes would get, is refused alone.
        """
        if self._credentials is None:
            return await self._open_as_it_is(request)
        try:
            return await open_with(self._credentials, request, self._open_as_it_is)
        except LoginNeeded as needed:
            message = message_being_sent.get(None)
            if needed.is_for_one_request and message is not None and message.is_of_client:
                return await refuse(needed, request)
            await self._connection.lose_to_login(needed, message)

    async def _open_as_it_is(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; once more if its connection was reset before anything of it was sent."""
        # A server may close an idle connection at the very moment at which it is used again.
        sending = Sending()
        request.extensions["trace"] = sending.note
        try:
            return await super().send(request, stream=True, follow_redirects=False)
        except httpx2.RequestError as exc:
            if not (sending.failed_at_once or (is_unreachable(exc) and was_reset(exc))):
                raise
        request.extensions.pop("trace")
        return await super().send(request, stream=True, follow_redirects=False)

    # --- Messages without an answer on their own response ------------------------------------

    async def _post_for_acknowledgement(
        self, request: httpx2.Request, message: OutgoingMessage
    ) -> httpx2.Response:
        """Send a message in the background, since the SDK sends nothing else meanwhile."""
        if message.is_initialized:  # must arrive before everything else
            await self._await_acknowledgement(request, message)
        else:
            await self._background_posts.acquire()
            self._nursery.start_soon(self._post_in_background, request, message)
        return httpx2.Response(202, request=request)

    async def _post_in_background(self, request: httpx2.Request, message: OutgoingMessage) -> None:
        try:
            await self._await_acknowledgement(request, message)
        finally:
            self._background_posts.release()

    async def _await_acknowledgement(
        self, request: httpx2.Request, message: OutgoingMessage
    ) -> None:
        # After this time, an answer may still come on the event stream, or the core gives up.
        with trio.move_on_after(ACKNOWLEDGE_S):
            try:
                response = await self._open_within_origin(request)
                try:
                    if response.status_code >= 300:
                        await self._fail_by_status(response, message)
                    else:
                        # Only a response that is read to its end frees its HTTP connection.
                        await read_short_body(response)
                finally:
                    await response.aclose()
            except httpx2.RequestError as exc:
                await self._fail_by_exception(exc, message)

    async def _open_within_origin(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._open(request)
        for _ in range(MAX_REDIRECTS):
            onward = response.next_request
            if onward is None or not is_within_origin(request, onward):
                break
            await response.aclose()
            response = await self._open(onward)
        return response

    # --- Failures ----------------------------------------------------------------------------

    async def _fail_by_status(self, response: httpx2.Response, message: OutgoingMessage) -> None:
        """Answer `message` with the failed status of its response, or end the connection."""
        status, endpoint = response.status_code, self._connection.endpoint
        body = await read_short_body(response)
        error, explanation = error_in(body), explanation_in(body, status)
        retry_in_s = retry_after_s(response)
        sentence = endpoint.answered(status, explanation, retry_in_s)
        # 1. The upstream wants credentials: no request would succeed.
        if wants_credentials(response, message.request.method if message.request else ""):
            self._connection.lose(sentence)
        # 2. The upstream has forgotten the session.
        elif self._has_session(response.request) and is_session_gone(status, explanation):
            self._connection.lose(endpoint.session_gone(status))
        # 3. The upstream may speak the other transport.
        elif message.is_initialize and suggests_sse(status):
            self._connection.refuse(sentence)
        # 4. The status is all that is known, or there is no request that the error could answer.
        elif error is None or message.request is None or message.is_initialize:
            await self._connection.fail(message, sentence, status=status, retry_after_s=retry_in_s)
        # 5. The upstream has answered with a JSON-RPC error of its own. With a status below 500
        # that is no sign of trouble: MCP 2026-07-28 wants it so (Transports, Streamable HTTP).
        else:
            answer = ErrorResponse(message.request.id, error.error)
            failed = Failure(RpcError(TRANSPORT_ERROR, sentence), status, retry_in_s, True)
            is_in_trouble = status >= 500 or retry_in_s is not None
            await self._connection.receive_frame(answer, message, failed if is_in_trouble else None)

    async def _fail_by_exception(self, exc: httpx2.RequestError, message: OutgoingMessage) -> None:
        """Answer `message` with an error, or end the connection if there is no server."""
        await trio.lowlevel.checkpoint()
        sentence = describe(self._connection.endpoint, exc)
        if not is_unreachable(exc):
            await self._connection.fail(message, sentence, code=SESSION_LOST)
        elif self._connection.open_streams:
            await self._connection.fail(message, sentence)
        else:
            self._connection.lose(sentence)

    # --- GET and DELETE ----------------------------------------------------------------------

    async def _get(
        self, request: httpx2.Request, message: OutgoingMessage | None
    ) -> httpx2.Response:
        """Open the standalone stream, or resume the response stream of `message`."""
        try:
            response = await self._open(request)
        except httpx2.RequestError as exc:
            if is_unreachable(exc) and not self._connection.open_streams:
                self._connection.lose(describe(self._connection.endpoint, exc))
            raise
        if response.status_code == 404 and self._has_session(request):
            self._connection.lose(self._connection.endpoint.session_gone(404))
        if not has_media_type(response, "text/event-stream") or response.status_code != 200:
            return response
        if message is not None and message.request is not None:
            return await self._resume(response, message)
        stream = StandaloneStream(response, self._connection, is_only_stream=self.is_only_stream)
        return with_stream(response, stream)

    async def _resume(self, response: httpx2.Response, message: OutgoingMessage) -> httpx2.Response:
        try:
            progress = await read_response_stream(response, self._connection, message)
        except httpx2.SSEError as exc:
            await self._connection.fail(message, describe(self._connection.endpoint, exc))
            return with_stream(response, FinishedStream())
        finally:
            await response.aclose()
        if progress.is_done:
            return with_stream(response, FinishedStream())
        return resumable(response, progress)

    async def _delete(self, request: httpx2.Request) -> httpx2.Response:
        with trio.move_on_after(DELETE_S):
            return await self._open(request)
        return httpx2.Response(204, request=request)


class StreamableHttpxClient(HttpxClient):
    """The HTTP client for streamable HTTP: a request is answered on the response to its POST."""

    is_only_stream = False

    def _has_session(self, request: httpx2.Request) -> bool:
        return SESSION_HEADER in request.headers

    async def _post(self, request: httpx2.Request, message: OutgoingMessage) -> httpx2.Response:
        if message.request is None:
            return await self._post_for_acknowledgement(request, message)
        await trio.lowlevel.checkpoint()
        try:
            response = await message.wait_unless_abandoned(lambda: self._open(request))
        except RequestAbandoned:
            return stub(request)
        except httpx2.RequestError as exc:
            await self._fail_by_exception(exc, message)
            return stub(request)
        if response.next_request is not None:
            return response  # the SDK follows the redirect, or says why not
        try:
            return await self._read_response(response, message)
        finally:
            await response.aclose()

    async def _read_response(
        self, response: httpx2.Response, message: OutgoingMessage
    ) -> httpx2.Response:
        endpoint = self._connection.endpoint
        if response.status_code >= 300:
            await self._fail_by_status(response, message)
        elif has_media_type(response, "text/event-stream"):
            return await self._read_stream(response, message)
        elif response.status_code == 200 and has_media_type(response, "application/json"):
            await self._read_json(response, message)
        elif response.status_code == 200:
            kind = response.headers.get("content-type", "")
            await self._connection.fail(message, endpoint.answered_with(kind), status=200)
        else:
            sentence = f"{endpoint.answered(response.status_code)} instead of an answer"
            await self._connection.fail(message, sentence, status=response.status_code)
        return stub(response.request, response)

    async def _read_stream(
        self, response: httpx2.Response, message: OutgoingMessage
    ) -> httpx2.Response:
        try:
            progress = await read_response_stream(response, self._connection, message)
        except httpx2.SSEError as exc:
            await self._connection.fail(message, describe(self._connection.endpoint, exc))
            return stub(response.request, response)
        if progress.last_id and not progress.is_done and not message.is_stateless:
            return resumable(response, progress)
        if not progress.is_done:
            sentence = self._connection.endpoint.broke("its answer ended before it was complete")
            await self._connection.fail(message, sentence, code=SESSION_LOST)
        return stub(response.request, response)

    async def _read_json(self, response: httpx2.Response, message: OutgoingMessage) -> None:
        """Read an answer in one piece."""
        await trio.lowlevel.checkpoint()
        endpoint = self._connection.endpoint
        try:
            body = await message.wait_unless_abandoned(
                lambda: read_body(response, MAX_MESSAGE_BYTES)
            )
        except RequestAbandoned:
            pass
        except httpx2.RequestError as exc:
            await self._connection.fail(message, describe(endpoint, exc), code=SESSION_LOST)
        except TooLarge:
            sentence = f"the answer of {endpoint.shown} is larger than 16 MiB"
            await self._connection.fail(message, sentence, status=200)
        else:
            if not await self._connection.receive_json(body, message):
                sentence = f"{endpoint.shown} answered with something that is no JSON-RPC answer"
                await self._connection.fail(message, sentence, status=200)


class SseHttpxClient(HttpxClient):
    """The HTTP client for HTTP+SSE: a POST is only acknowledged, answers come on the one stream."""

    is_only_stream = True

    def _has_session(self, request: httpx2.Request) -> bool:
        return request.method == "POST"  # the URL of every POST names the session

    async def _post(self, request: httpx2.Request, message: OutgoingMessage) -> httpx2.Response:
        return await self._post_for_acknowledgement(request, message)
