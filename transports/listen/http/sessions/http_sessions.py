"""A session of the streamable HTTP endpoint, with its streams. No I/O.

Invariants:

- A session survives its connections: a client can resume every event stream of its session.
- However a session ends, the actor gets `ClientClosed` exactly once from here.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, ClassVar, Final

import trio

from router.messages.events import ClientClosed, FromClient
from router.messages.frames import ErrorResponse
from router.messages.revisions import DEFAULT_REVISION
from transports.listen.http.frame_stream import (
    UNREACHABLE,
    FrameStream,
    OpenResponse,
    StreamResponse,
    ignore,
)
from transports.listen.serving.exchange import (
    Rejected,
    error_answer,
    parse_accept,
    require_events,
)
from transports.listen.serving.server_sent_events import EVENT_HEADERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from router.messages.commands import Principal
    from router.messages.frames import Frame, Request
    from router.messages.revisions import Era
    from transports.listen.http.actor_inbox import ActorInbox
    from transports.listen.http.sessions.session_table import SessionTable
    from transports.listen.serving.exchange import Answer, Headers
    from transports.listen.serving.unread_bytes import Holding

PRIMING_SINCE: Final = "2025-11-25"
"""The revision from which a stream begins with an event that has an id and no data."""

LAST_EVENT_HEADER: Final = "last-event-id"

_EVENT_ID: Final = re.compile(r"([0-9]{1,9})-([0-9]{1,9})")
"""Number of the stream, number of the frame; see `FrameStream`."""

RETRY_MS: Final = 1000
"""How long clients are told to wait before they reconnect to a stream."""

MAX_STREAMS: Final = 4096
"""Streams of one session that are open or can be resumed, each about 1 kB."""

KEPT_STREAMS: Final = 8
"""Ended streams of a session that can be resumed: their clients may not have got everything."""


class HttpSession:
    """A session.

    As an `Outbox` it takes the frames for its client that belong to no request.

    Args:
        count: is called with the size of each frame on a stream; see `UnreadBytes.add`.

    Attributes:
        view: the name of the view at its place; None at the default place.
        revision: the negotiated revision; empty until `initialize` was answered.
        ended: the session is not in its table any more.
        used_at_s: the time of the last use; written by the table.
        standalone: the stream of frames that belong to no request, read with GET (number 0).
        count: see above.
    """

    one_shot: ClassVar = False
    era: ClassVar[Era] = "handshake"

    def __init__(
        self,
        session_id: str,
        principal: Principal,
        actor_inbox: ActorInbox,
        table: SessionTable[HttpSession],
        view: str | None = None,
        count: Callable[[int], None] = ignore,
    ) -> None:
        self.id = session_id
        self.principal = principal
        self.view = view
        self.used_at_s = trio.current_time()
        self.revision = ""
        self.ended = False
        self._actor_inbox = actor_inbox
        self._table = table
        self.count = count
        self._id_header: Headers = ((b"mcp-session-id", session_id.encode()),)
        self.standalone = FrameStream(self._refuse, is_resumable=True, count=count)
        self._resumable = {0: self.standalone}  # by number
        self._undecided: set[OpenResponse] = set()
        self._last_number = 0

    # --- As the actor sees it ---

    def send_nowait(self, frame: Frame, /) -> None:
        """Put a frame that belongs to no request."""
        self.standalone.put(frame)

    def close(self) -> None:
        """End the session, because the actor says so."""
        self.end()

    # --- Its life ---

    def set_revision(self, revision: str) -> None:
        """Note the revision in the answer to `initialize`."""
        self.revision = revision or DEFAULT_REVISION

    def withhold_id(self) -> None:
        """Name the session to nobody, because the answer to `initialize` is an error."""
        self._id_header = ()

    def end(self) -> None:
        """End the session and its streams; a response that reads a stream still reads the rest."""
        if self.ended:
            return
        self.ended = True
        self._table.remove(self)
        for stream in self._resumable.values():
            stream.end_with_session()
            if stream.reader is None:
                stream.abandon()  # nobody can resume it
        self._resumable.clear()
        for response in list(self._undecided):  # a response that is told at once leaves the set
            response.end()
        self._actor_inbox.send_soon(ClientClosed(self.id, "The session ended"))

    def is_busy(self) -> bool:
        """Return whether a request is unanswered or the standalone stream is being read."""
        if self._undecided or self.standalone.reader is not None:
            return True
        return any(number and not one.ended for number, one in self._resumable.items())

    def holdings(self) -> Iterator[Holding]:
        """Return what is held for the client; see `UnreadBytes`."""
        for holder in (*self._resumable.values(), *self._undecided):
            if holder.held_bytes:
                yield holder.holding(self.principal.name)

    # --- Responses to POST ---

    @property
    def response_headers(self) -> Headers:
        """`Mcp-Session-Id`, which the response to `initialize` needs and all others may have."""
        return () if self.ended else self._id_header

    def add(self, response: OpenResponse) -> int:
        """Note the response to a POST, which is not known yet; return its number in the session.

        Raises:
            Rejected: 503, too many responses and streams are open.
        """
        if len(self._undecided) + len(self._resumable) >= MAX_STREAMS:
            raise Rejected.because(503, "Too many requests of this session are open")
        self._undecided.add(response)
        self._last_number += 1
        return self._last_number

    def new_stream(self, number: int, expected_answers: int, *, answers_only: bool) -> FrameStream:
        """Return a new stream for the answers to the POST of this number."""
        return FrameStream(
            self._refuse,
            number=number,
            expected_answers=expected_answers,
            answers_only=answers_only,
            is_resumable=True,
            count=self.count,
        )

    def respond_with_stream(self, response: OpenResponse, stream: FrameStream) -> StreamResponse:
        """Return an event stream as the response to a POST; it can be resumed from now on."""
        self._undecided.discard(response)
        if not self.ended:
            self._resumable[stream.number] = stream
            self._forget_old_streams()
        return self._response_of(stream)

    def finish(self, response: OpenResponse) -> None:
        """Forget a POST that was answered with one body."""
        self._undecided.discard(response)

    def abandon(self, response: OpenResponse) -> None:
        """Forget a POST whose client is gone. The call goes on.

        The client got no event, so it has no event id with which it could ask for the answer.
        """
        self._undecided.discard(response)
        if not self.revision:  # nobody will learn the id of this session
            self.end()

    def unanswered(self) -> Answer:
        """Return the answer to a request that was open when the session ended."""
        return error_answer(Rejected.because(404, "The session ended before the answer came"))

    # --- Responses to GET ---

    def listen(self) -> StreamResponse:
        """Return the response that reads the standalone stream."""
        return self._response_of(self.standalone)

    def resume(self, number: int, after: int) -> StreamResponse | None:
        """Return the response that reads stream `number` behind frame `after`.

        None means that there is no such stream any more.
        """
        stream = self._resumable.get(number)
        return None if stream is None else self._response_of(stream, after)

    def _response_of(self, stream: FrameStream, after: int | None = None) -> StreamResponse:
        opening = b""
        if self.revision >= PRIMING_SINCE and after is None:
            # Older clients take an event without data for a broken message.
            number, last_read = stream.number, stream.last_read
            opening = b"id: %d-%d\nretry: %d\ndata: \n\n" % (number, last_read, RETRY_MS)
        response = StreamResponse(
            stream,
            (*EVENT_HEADERS, *self.response_headers),
            opening=opening,
            with_ids=True,
            on_close=self._touch,
        )
        stream.attach(response, after)
        return response

    def _touch(self) -> None:
        if not self.ended:
            self._table.touch(self, trio.current_time())

    def _forget_old_streams(self) -> None:
        over = [n for n, one in self._resumable.items() if one.ended and one.reader is None]
        for number in over[:-KEPT_STREAMS]:
            del self._resumable[number]

    def _refuse(self, request: Request) -> None:
        error = ErrorResponse(request.id, UNREACHABLE)
        self._actor_inbox.send_soon(FromClient(self.id, error, self))

    def __repr__(self) -> str:
        state = "ended" if self.ended else self.revision or "new"
        streams = len(self._resumable) - 1
        undecided = len(self._undecided)
        return f"<HttpSession {self.id:.8} {state} undecided={undecided} streams={streams}>"


def event_stream_of(
    session: HttpSession, headers: Mapping[str, str], expires_s: float = math.inf
) -> StreamResponse:
    """Return the response to a GET: a stream that is resumed, or what belongs to no request.

    Args:
        session: the session.
        headers: of the request.
        expires_s: see `StreamResponse`.

    Raises:
        HttpRefusal: 406, the client does not take event streams.
        Rejected: 409, the session has its stream open already.
    """
    require_events(parse_accept(headers.get("accept")))
    event_id = _EVENT_ID.fullmatch(headers.get(LAST_EVENT_HEADER, ""))
    events = None
    if event_id is not None:
        events = session.resume(int(event_id[1]), int(event_id[2]))
    if events is None:
        if session.standalone.reader is not None:
            raise Rejected.because(409, "This session has its event stream open already")
        events = session.listen()
    events.expires_s = expires_s
    return events


def session_not_found() -> Rejected:
    """Reject a message of a session that there is not, or not for its sender, or not here."""
    return Rejected.because(404, "Session not found; initialize again")
