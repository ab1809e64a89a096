"""Chooses the response of a POST: one JSON body or an event stream. No I/O.

Invariant: the response is one JSON body, except in three cases:

1. Something has to be sent before the answer.
2. The client accepts nothing but an event stream.
3. The client has waited in silence for so long that a proxy might cut the connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from router.messages.errors import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MISSING_CAPABILITY,
    OVERLOADED,
    PARSE_ERROR,
    UNSUPPORTED_REVISION,
    HttpRefusal,
)
from router.messages.frames import ErrorResponse, Request, Response
from transports import json_rpc
from transports.listen.http.frame_stream import RequestOutbox
from transports.listen.http.http_sessions import HttpSession
from transports.listen.serving.client_messages import error_code, negotiated_revision, retry_after_s
from transports.listen.serving.exchange import (
    Accepts,
    PendingResponse,
    is_json,
    json_answer,
    parse_accept,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from msgspec import Raw

    from router.messages.frames import Frame, Outbox
    from router.messages.revisions import Era
    from transports.listen.http.frame_stream import FrameStream, StreamResponse
    from transports.listen.http.one_shot import OneShot
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


def accepts_of(headers: Mapping[str, str]) -> Accepts:
    """Return what the client of a POST accepts.

    Raises:
        HttpRefusal: 406 or 415, the client accepts no response, or its body is not JSON.
    """
    accepts = parse_accept(headers.get("accept"), headers.get("user-agent", ""))
    if not accepts.json and not accepts.events:
        raise HttpRefusal(406, "Accept must admit application/json or text/event-stream")
    if not is_json(headers.get("content-type")):
        raise HttpRefusal(415, "Content-Type must be application/json")
    return accepts


def require_events(accepts: Accepts) -> Accepts:
    """Return `accepts` with event streams, for a response that can be nothing else.

    Raises:
        HttpRefusal: 406, the client does not take event streams.
    """
    if not accepts.events and not accepts.wildcard:
        raise HttpRefusal(406, "Accept must admit text/event-stream")
    return replace(accepts, events=True)


class PostResponse(PendingResponse):
    """The response of a POST that contains requests.

    Args:
        client: the sender.
        messages: all messages of the POST, at least one of them a request.
        accepts: the kinds of response that the client takes.
        as_array: the POST was a batch, so its answer is an array.
    """

    __slots__ = ("_accepts", "_as_array", "_client", "_expected_answers", "_stream")

    def __init__(
        self,
        client: HttpSession | OneShot,
        messages: Sequence[Frame],
        accepts: Accepts,
        *,
        as_array: bool = False,
    ) -> None:
        self._client = client
        self._accepts = accepts
        self._as_array = as_array
        self._expected_answers = sum(isinstance(message, Request) for message in messages)
        self._stream = client.open_stream(self._expected_answers, answers_only=not accepts.events)
        self._stream.attach(self)

    def reply_to(self, message: Frame) -> Outbox:
        """Return the outbox for frames that belong to one of the messages."""
        if not isinstance(message, Request):
            return self._client
        if message.method == "initialize" and isinstance(self._client, HttpSession):
            return _InitializeOutbox(self._stream, message.id, self._client)
        return RequestOutbox(self._stream, message.id)

    async def outcome(self) -> Answer | StreamResponse:
        """See `PendingResponse`."""
        stream = self._stream
        while not stream.ended and not stream.has_others:
            await stream.wait_changed()
        if stream.has_others or (stream.unread_count and not self._accepts.json):
            return self._client.respond_with_stream(stream)
        return self._one_body()

    def commit(self) -> StreamResponse | None:
        """See `PendingResponse`."""
        return self._client.respond_with_stream(self._stream) if self._accepts.events else None

    def abandon(self) -> None:
        """See `PendingResponse`."""
        self._client.abandon(self._stream)

    def _one_body(self) -> Answer:
        answers = [frame for _, frame in self._stream.take_unread()]
        self._client.finish(self._stream)
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


class _InitializeOutbox(RequestOutbox):
    """The `reply_to` of `initialize`: a result gives the session its revision, an error ends it."""

    __slots__ = ("_session",)

    def __init__(self, stream: FrameStream, request_id: int | str, session: HttpSession) -> None:
        super().__init__(stream, request_id)
        self._session = session

    def send_nowait(self, frame: Frame, /) -> None:
        """Put a frame, and note the outcome if it is the answer."""
        super().send_nowait(frame)
        if isinstance(frame, Response):
            self._session.set_revision(negotiated_revision(frame.result))
        elif isinstance(frame, ErrorResponse):
            self._session.end()

    def close(self) -> None:
        """End the session: there will be no result."""
        super().close()
        self._session.end()
