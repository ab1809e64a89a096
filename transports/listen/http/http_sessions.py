"""What goes on for one client of the streamable HTTP endpoint.

Job: the streams of a session, and the choice between one JSON body and an event stream.
Neighbours: `http` makes these, `one_shot` is the client without a session, the dispatch actor puts
frames into them, `stream` is what they consist of. No I/O.

Invariants:

- The response of a POST is an event stream only if something came before its answer, its client
  takes nothing else, or nothing came for so long that silence might cut the connection.
- A session survives its connections. What was sent on an event stream of it can be asked for
  again; a lone request is over when its connection is.
- Whoever ends first, the actor is told `ClientClosed` once, at least.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import trio

from router.messages.errors import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MISSING_CAPABILITY,
    PARSE_ERROR,
    UNSUPPORTED_REVISION,
)
from router.messages.events import ClientClosed, FromClient
from router.messages.frames import ErrorResponse, Request, Response
from router.messages.revisions import DEFAULT_REVISION
from transports import json_rpc
from transports.listen.http.frame_stream import Reply, Stream, StreamEvents
from transports.listen.http.one_shot import UNREACHABLE
from transports.listen.serving.exchange import (
    EVENT_HEADERS,
    Rejected,
    Waiting,
    code_of,
    json_answer,
    rejection,
    revision_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.messages.commands import Principal
    from router.messages.frames import Frame, Outbox
    from router.messages.revisions import Era
    from transports.listen.http.actor_inbox import ActorInbox
    from transports.listen.http.one_shot import OneShot
    from transports.listen.http.session_table import Sessions
    from transports.listen.serving.exchange import Accepts, Answer, Headers

PRIMING_SINCE: Final = "2025-11-25"
"""The revision from which a stream begins with an event that has an id and no data."""

RETRY_MS: Final = 1000
"""What clients are told to wait before they come back for a stream."""

MAX_STREAMS: Final = 4096
"""Responses of one session at the same time, open or to be resumed; about 1 kB each."""

KEPT_STREAMS: Final = 8
"""Ended streams of a session whose last client may not have got everything, the newest ones."""

ERROR_STATUSES: Final[dict[Era, dict[int, int]]] = {
    # What requests of 2026-07-28 get under the wrong header; clients of both eras fall back on it.
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
"""Code of an error that is the whole answer -> the status it has, where that is not 200."""


class Pending(Waiting):
    """The response of a POST with requests in it, until it is decided; see `exchange.Waiting`.

    Args:
        client: whose it is.
        messages: what was posted, at least one request among it.
        accepts: what the client takes.
        as_array: it was a batch, and so is its answer.
    """

    __slots__ = ("_accepts", "_as_array", "_client", "_expected", "_stream")

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
        self._expected = sum(isinstance(message, Request) for message in messages)
        self._stream = client.open_stream(self._expected, answers_only=not accepts.events)
        self._stream.attach(self)

    def reply_to(self, message: Frame) -> Outbox:
        """Where what belongs to one of the messages goes."""
        if not isinstance(message, Request):
            return self._client
        if message.method == "initialize" and isinstance(self._client, HttpSession):
            return _InitializeReply(self._stream, message.id, self._client)
        return Reply(self._stream, message.id)

    async def outcome(self) -> Answer | StreamEvents:
        """See `exchange.Waiting`."""
        stream = self._stream
        while not stream.ended and not stream.has_others:
            await stream.changed()
        if stream.ended and not stream.has_others and (self._accepts.json or not stream.unread):
            return self._whole()
        return self._client.stream_events(stream)

    def commit(self) -> StreamEvents | None:
        """See `exchange.Waiting`."""
        return self._client.stream_events(self._stream) if self._accepts.events else None

    def _whole(self) -> Answer:
        answers = [frame for _, frame in self._stream.take()]
        self._client.settle(self._stream)
        if len(answers) < self._expected:
            return self._client.lost()
        if self._as_array:
            return json_answer(b"[%b]" % b",".join([json_rpc.encode(answer) for answer in answers]))
        return json_answer(
            json_rpc.encode(answers[0]),
            _status_of(answers[0], self._client.era),
            self._client.response_headers,
        )

    def abandon(self) -> None:
        """See `exchange.Waiting`."""
        self._client.abandon(self._stream)


def _status_of(answer: Frame, era: Era) -> int:
    if isinstance(answer, ErrorResponse):
        return ERROR_STATUSES[era].get(code_of(answer.error), 200)
    return 200


# --- A session -------------------------------------------------------------------------------


class HttpSession:
    """A session. It is also the `Outbox` of its client, for what belongs to no request.

    Attributes:
        revision: what was negotiated; empty until `initialize` was answered.
        events: what belongs to no request (stream 0).
        ended: it is not to be found any more.
        is_new: the actor has not been told of it.
    """

    one_shot: ClassVar = False
    era: ClassVar[Era] = "handshake"

    def __init__(
        self, session_id: str, principal: Principal, line: ActorInbox, among: Sessions[HttpSession]
    ) -> None:
        self.id = session_id
        self.principal = principal
        self.used_at_s = trio.current_time()
        self.revision = ""
        self.ended = False
        self.is_new = True
        self._line = line
        self._among = among
        self.events = Stream(self._refuse, keeps=True)
        self._resumable = {0: self.events}
        self._pending: set[Stream] = set()
        self._last_number = 0

    # --- As the actor sees it ---

    def send_nowait(self, frame: Frame, /) -> None:
        """Put what belongs to no request."""
        self.events.put(frame)

    def close(self) -> None:
        """The actor ends the session."""
        self.end()

    def agreed(self, revision: str) -> None:
        """`initialize` was answered."""
        self.revision = revision or DEFAULT_REVISION

    # --- Its life ---

    def end(self) -> None:
        """End it with all its streams; what they hold can still be read by who reads them."""
        if self.ended:
            return
        self.ended = True
        self._among.remove(self)
        for stream in (*self._resumable.values(), *self._pending):
            stream.end()
        self._line.tell_soon(ClientClosed(self.id, "The session ended"))

    def is_busy(self) -> bool:
        """Is there a request or a stream open?"""
        if self._pending or self.events.reader is not None:
            return True
        return any(number and not one.ended for number, one in self._resumable.items())

    # --- Responses ---

    @property
    def response_headers(self) -> Headers:
        """Headers of the response to `initialize`, and of every other: they may all have it."""
        return () if self.ended else ((b"mcp-session-id", self.id.encode()),)

    def open_stream(self, expected: int, *, answers_only: bool) -> Stream:
        """The stream of one more POST.

        Raises:
            Rejected: 503, there are too many.
        """
        if len(self._pending) + len(self._resumable) >= MAX_STREAMS:
            raise Rejected.because(503, "Too many requests of this session are open")
        self._last_number += 1
        stream = Stream(
            self._refuse,
            number=self._last_number,
            unanswered=expected,
            answers_only=answers_only,
            keeps=True,
        )
        self._pending.add(stream)
        return stream

    def stream_events(self, stream: Stream) -> StreamEvents:
        """Answer a POST with its stream, which can be resumed from now on."""
        self._pending.discard(stream)
        if not self.ended:
            self._resumable[stream.number] = stream
            self._forget_oldest()
        return self._read(stream)

    def listen(self) -> StreamEvents:
        """Answer a GET with what belongs to no request."""
        return self._read(self.events)

    def resume(self, number: int, after: int) -> StreamEvents | None:
        """Answer a GET with what came after an event; None when that stream is not known."""
        stream = self._resumable.get(number)
        return None if stream is None else self._read(stream, after)

    def settle(self, stream: Stream) -> None:
        """A POST was answered with one body."""
        self._pending.discard(stream)
        stream.abandon()

    def abandon(self, stream: Stream) -> None:
        """The client of a POST is gone. Its call goes on; its answer finds nobody.

        It was sent no event, so there is none after which it could ask for the rest.
        """
        self._pending.discard(stream)
        stream.abandon()
        if not self.revision:
            self.end()

    def lost(self) -> Answer:
        """The answer to a request that was open when the session ended."""
        return rejection(Rejected.because(404, "The session ended before the answer came"))

    def _read(self, stream: Stream, after: int | None = None) -> StreamEvents:
        opening = b""
        if self.revision >= PRIMING_SINCE and after is None:
            # Older clients take an event without data for a broken message.
            opening = b"id: %d-%d\nretry: %d\ndata: \n\n" % (stream.number, stream.read, RETRY_MS)
        events = StreamEvents(
            stream,
            (*EVENT_HEADERS, *self.response_headers),
            opening=opening,
            with_ids=True,
            on_leave=self._left,
        )
        stream.attach(events, after)
        return events

    def _left(self) -> None:
        if not self.ended:
            self._among.touch(self, trio.current_time())

    def _forget_oldest(self) -> None:
        over = [n for n, one in self._resumable.items() if one.ended and one.reader is None]
        for number in over[:-KEPT_STREAMS]:
            del self._resumable[number]

    def _refuse(self, request: Request) -> None:
        self._line.tell_soon(FromClient(self.id, ErrorResponse(request.id, UNREACHABLE), self))

    def __repr__(self) -> str:
        state = "ended" if self.ended else self.revision or "new"
        streams = len(self._resumable) - 1
        return f"<HttpSession {self.id:.8} {state} pending={len(self._pending)} streams={streams}>"


class _InitializeReply(Reply):
    """Where the answer to `initialize` goes; it makes the session, or ends it."""

    __slots__ = ("_session",)

    def __init__(self, stream: Stream, request_id: int | str, session: HttpSession) -> None:
        super().__init__(stream, request_id)
        self._session = session

    def send_nowait(self, frame: Frame, /) -> None:
        super().send_nowait(frame)
        if isinstance(frame, Response):
            self._session.agreed(revision_of(frame.result))
        elif isinstance(frame, ErrorResponse):
            self._session.end()

    def close(self) -> None:
        super().close()
        self._session.end()
