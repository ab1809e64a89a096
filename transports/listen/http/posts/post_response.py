"""Chooses the response of a POST: one JSON body or an event stream. No I/O.

Invariant: the response is one JSON body, except in three cases:

1. Something has to be sent before the answer.
2. The client accepts nothing but an event stream.
3. The client has waited in silence for so long that a proxy might cut the connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from router.messages.errors import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MISSING_CAPABILITY,
    OVERLOADED,
    PARSE_ERROR,
    UNSUPPORTED_REVISION,
)
from router.messages.frames import ErrorResponse, Request, Response
from transports import json_rpc
from transports.listen.http.changing import Changing
from transports.listen.http.frame_stream import (
    CANCELLED,
    DROPPED,
)
from transports.listen.http.sessions.http_sessions import HttpSession
from transports.listen.serving.client_messages import error_code, negotiated_revision, retry_after_s
from transports.listen.serving.exchange import (
    Accepts,
    PendingResponse,
    json_answer,
)
from transports.listen.serving.unread_bytes import Holding

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from msgspec import Raw

    from router.messages.frames import Frame, Outbox, RequestId
    from router.messages.revisions import Era
    from transports.listen.http.frame_stream import FrameStream, StreamResponse
    from transports.listen.http.posts.unwatched import Unwatched
    from transports.listen.http.sessions.one_shot import OneShot
    from transports.listen.serving.exchange import Answer, Headers

ERROR_STATUSES: Final[dict[Era, dict[int, int]]] = {
    # Requests of 2026-07-28 under the wrong header end up here; on these statuses clients of both
    # eras try the other era.
    "handshake": {HEADER_MISMATCH: 400, UNSUPPORTED_REVISION: 400},
    "stateless": {
        PARSE_ERROR: 400,
        INVALID_REQUEST: 400,
        INVALID_PARAMS: 400,
        METHOD_NOT_FOUND: 404,
        HEADER_MISMATCH: 400,
        MISSING_CAPABILITY: 400,
        UNSUPPORTED_REVISION: 400,
    },
}
"""Era -> code of an error that is the whole answer -> HTTP status; every other error has 200, but
for a call that its token may not make now: 429 (RFC 6585 section 4)."""


class PostResponse(PendingResponse, Changing):
    """The response of a POST that contains requests. It changes when it is decided.

    For a plain call it is the `Outbox` itself: the only frame that comes is the answer. A stream is
    opened for everything else, and then takes all frames.

    Args:
        client: the sender.
        messages: all messages of the POST, at least one of them a request.
        accepts: the kinds of response that the client takes.
        unwatched: interrupts `prompt_outcome`.
        as_array: the POST was a batch, so its answer is an array.

    Raises:
        Rejected: 503, too many responses are open.
    """

    __slots__ = (
        "_accepts",
        "_answer",
        "_as_array",
        "_changed",
        "_client",
        "_expected_answers",
        "_is_ended",
        "_is_interrupted",
        "_number",
        "_request_id",
        "_stream",
        "_unwatched",
    )

    def __init__(
        self,
        client: HttpSession | OneShot,
        messages: Sequence[Frame],
        accepts: Accepts,
        unwatched: Unwatched,
        *,
        as_array: bool = False,
    ) -> None:
        super().__init__()
        self._client = client
        self._accepts = accepts
        self._unwatched = unwatched
        self._is_interrupted = False
        self._as_array = as_array
        requests = [message for message in messages if isinstance(message, Request)]
        self._request_id = requests[0].id
        self._expected_answers = len(requests)
        self._answer: Response | ErrorResponse | None = None  # while there is no stream
        self._is_ended = False  # without a stream
        self._stream: FrameStream | None = None
        self._changed: Callable[[], None] | None = None
        self._number = client.add(self)
        if as_array:
            self._open_stream()

    def reply_to(self, message: Frame) -> Outbox:
        """Return the outbox for frames that belong to one of the messages."""
        if not isinstance(message, Request):
            return self._client
        if self._as_array:
            return RequestOutbox(self._open_stream(), message.id)
        if message.method == "initialize" and isinstance(self._client, HttpSession):
            return _InitializeOutbox(self, self._client)
        return self

    # --- As the actor sees it ---

    def send_nowait(self, frame: Frame, /) -> None:
        """Take a frame that belongs to the only request, or its answer.

        Raises:
            trio.WouldBlock, trio.BrokenResourceError: as `FrameStream.put`.
        """
        if self._stream is not None:
            self._stream.put(frame)
            self.wake()
            return
        if self._is_ended:
            raise trio.BrokenResourceError
        if isinstance(frame, (Response, ErrorResponse)):
            self._answer, self._is_ended = frame, True
            self._client.count(json_rpc.payload_bytes(frame))
        else:
            self._open_stream().put(frame)
        self.wake()

    def close(self) -> None:
        """Answer with an error, because the client cancelled the only request."""
        if self._stream is not None:
            RequestOutbox(self._stream, self._request_id).close()
            self.wake()
        elif not self._is_ended:
            self.send_nowait(ErrorResponse(self._request_id, CANCELLED))

    # --- As its client sees it ---

    def end(self) -> None:
        """Take nothing more, because the client ends."""
        if self._stream is not None:
            self._stream.end_with_session()
        self._is_ended = True
        self.wake()

    @property
    def held_bytes(self) -> int:
        """The size of the frames that are unread."""
        if self._stream is not None:
            return self._stream.held_bytes
        return 0 if self._answer is None else json_rpc.payload_bytes(self._answer)

    def holding(self, principal: str) -> Holding:
        """Return what is held here for a client of this principal."""
        if self._stream is not None:
            return self._stream.holding(principal)
        return Holding(principal, self.held_bytes, trio.current_time(), self._drop_answer)

    def _drop_answer(self) -> None:
        if isinstance(self._answer, Response):
            self._answer = ErrorResponse(self._request_id, DROPPED)

    # --- As the server sees it ---

    def wake(self) -> None:
        """Tell those who wait that this may be decided."""
        super().wake()
        if self._changed is not None and (self._is_interrupted or self._is_decided()):
            changed, self._changed = self._changed, None
            self._unwatched.discard(self)
            changed()

    def notify(self, changed: Callable[[], None]) -> bool:
        """See `PendingResponse`; the answers to a batch do not pass through here."""
        if self._as_array:
            return False
        self._changed = changed
        self._unwatched.add(self)
        self.wake()
        return True

    def decided(self) -> Answer | StreamResponse | None:
        """See `PendingResponse`."""
        return self._decided() if self._is_decided() else None

    async def prompt_outcome(self) -> Answer | StreamResponse | None:
        """See `PendingResponse`."""
        self._unwatched.add(self)
        try:
            while not self._is_decided():
                if self._is_interrupted:
                    return None
                await (self._stream or self).wait_changed()
        finally:
            self._unwatched.discard(self)
        return self._decided()

    def interrupt(self) -> None:
        """Have `prompt_outcome` return None; see `Unwatched`."""
        self._is_interrupted = True
        if self._stream is not None:
            self._stream.wake()
        self.wake()

    async def outcome(self) -> Answer | StreamResponse:
        """See `PendingResponse`."""
        while not self._is_decided():
            await (self._stream or self).wait_changed()
        return self._decided()

    def _is_decided(self) -> bool:
        stream = self._stream
        return self._is_ended if stream is None else stream.ended or stream.has_others

    def _decided(self) -> Answer | StreamResponse:
        if self._answer is not None and not self._accepts.json:
            self._open_stream()
        stream = self._stream
        if stream is not None and (
            stream.has_others or (stream.unread_count and not self._accepts.json)
        ):
            return self._client.respond_with_stream(self, stream)
        return self._one_body()

    def commit(self) -> StreamResponse | None:
        """See `PendingResponse`."""
        if not self._accepts.events:
            return None
        return self._client.respond_with_stream(self, self._open_stream())

    def abandon(self) -> None:
        """See `PendingResponse`."""
        self._changed = None
        self._unwatched.discard(self)
        if self._stream is not None or not self._is_ended:
            self._open_stream().abandon()
        self._client.abandon(self)

    def _open_stream(self) -> FrameStream:
        """Return the stream, which has what was taken without one."""
        if self._stream is not None:
            return self._stream
        answers_only = not self._accepts.events
        stream = self._client.new_stream(
            self._number, self._expected_answers, answers_only=answers_only
        )
        self._stream = stream
        stream.attach(self)
        if self._answer is not None:
            stream.put(self._answer)
            self._answer = None
        elif self._is_ended:
            stream.end()
        return stream

    def _one_body(self) -> Answer:
        if self._stream is not None:
            answers = [frame for _, frame in self._stream.take_unread()]
            self._stream.abandon()
        else:
            # Whoever waits for the next request may keep this object until that comes.
            answer, self._answer = self._answer, None
            answers = [] if answer is None else [answer]
        self._client.finish(self)
        if len(answers) < self._expected_answers:  # the client was ended first
            return self._client.unanswered()
        if self._as_array:
            return json_answer(b"[%b]" % b",".join([json_rpc.encode(answer) for answer in answers]))
        (answer,) = answers
        status, more = 200, ()
        if isinstance(answer, ErrorResponse):
            status, more = self._status_of(answer.error)
        headers = (*self._client.response_headers, *more)
        return json_answer(json_rpc.encode(answer), status, headers)

    def _status_of(self, error: Raw) -> tuple[int, Headers]:
        """Return the status for an error that is the whole answer, and its headers."""
        code = error_code(error)
        if code == OVERLOADED and (self._client.one_shot or self._accepts.error_statuses):
            wait_s = retry_after_s(error)
            if wait_s is not None:
                return 429, ((b"retry-after", b"%d" % wait_s),)
        return ERROR_STATUSES[self._client.era].get(code, 200), ()


class RequestOutbox:
    """The `reply_to` of one request: puts frames that belong to the request on a stream."""

    __slots__ = ("_id", "_stream")

    def __init__(self, stream: FrameStream, request_id: RequestId) -> None:
        self._stream = stream
        self._id = request_id

    def send_nowait(self, frame: Frame, /) -> None:
        """Put a frame that belongs to the request, or its answer; raises as `FrameStream.put`."""
        self._stream.put(frame)

    def close(self) -> None:
        """Answer with an error, because the client cancelled the request."""
        if self._stream.ended:
            return
        try:
            self._stream.put(ErrorResponse(self._id, CANCELLED))
        except trio.WouldBlock:
            self._stream.end()  # `close` must not raise; the reader is too far behind anyway


class _InitializeOutbox:
    """The `reply_to` of `initialize`: a result gives the session its revision, an error ends it.

    The session learns of an answer first, because the answer may be on its way to the client at
    once.
    """

    __slots__ = ("_response", "_session")

    def __init__(self, response: PostResponse, session: HttpSession) -> None:
        self._response = response
        self._session = session

    def send_nowait(self, frame: Frame, /) -> None:
        """Put a frame, and note the outcome if it is the answer."""
        if isinstance(frame, Response):
            self._session.set_revision(negotiated_revision(frame.result))
        elif isinstance(frame, ErrorResponse):
            self._session.withhold_id()
        self._response.send_nowait(frame)
        if isinstance(frame, ErrorResponse):
            self._session.end()

    def close(self) -> None:
        """End the session: there will be no result."""
        self._session.withhold_id()
        self._response.close()
        self._session.end()
