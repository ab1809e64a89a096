"""A client of the streamable HTTP endpoint without a session: a lone request.

Job: the stream of its answer, and to say when it is over. It is what a request of MCP 2026-07-28
always is (one that listens goes on until it is left), and a handshake request without a session id.
Neighbours: `http` makes it, `http_clients.Pending` decides on the answer. No I/O.

Invariant: it is over when its connection is, and the actor is told `ClientClosed` then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from msgspec import Raw

from router.messages.events import ClientClosed, FromClient
from router.messages.frames import ErrorResponse
from transports.listen.http.frame_stream import Stream, StreamEvents
from transports.listen.serving.exchange import EVENT_HEADERS, refusal
from transports.listen.serving.refusals import stopping, unwelcome

if TYPE_CHECKING:
    from router.messages.commands import Principal
    from router.messages.frames import ClientId, Frame, Request
    from router.messages.revisions import Era
    from transports.listen.http.actor_inbox import ActorInbox
    from transports.listen.serving.exchange import Answer, Headers

UNREACHABLE: Final = Raw(b'{"code":-32603,"message":"The client cannot be asked on this request"}')


class OneShot:
    """A client that exists for one request.

    It is also the `Outbox` for what belongs to no request: nobody could read that.

    Args:
        among: all of them; it is in there while its request is open.
        era: what its request is.
    """

    __slots__ = ("_among", "_line", "_lost", "_stream", "era", "id", "is_new", "principal")
    one_shot: ClassVar = True
    response_headers: ClassVar[Headers] = ()

    def __init__(
        self,
        client_id: ClientId,
        principal: Principal,
        line: ActorInbox,
        among: set[OneShot],
        era: Era = "handshake",
    ) -> None:
        self.id = client_id
        self.principal = principal
        self.era: Era = era
        self.is_new = True
        self._line = line
        self._among = among
        self._stream: Stream | None = None
        self._lost = stopping

    def send_nowait(self, _: Frame, /) -> None:
        """Drop what belongs to no request."""

    def close(self) -> None:
        """The actor gave it up, or the endpoint ends."""
        if self._stream is not None:
            self._stream.end()

    def revoke(self) -> None:
        """Whoever asked would not be let in any more."""
        self._lost = unwelcome
        self.close()

    def open_stream(self, expected: int, *, answers_only: bool) -> Stream:
        """The stream of its one request."""
        self._among.add(self)
        self._stream = Stream(self._refuse, unanswered=expected, answers_only=answers_only)
        return self._stream

    def stream_events(self, stream: Stream) -> StreamEvents:
        """Answer with an event stream."""
        events = StreamEvents(stream, EVENT_HEADERS, on_leave=lambda: self.settle(stream))
        stream.attach(events)
        return events

    def settle(self, stream: Stream) -> None:
        """Its response is over."""
        self._among.discard(self)
        self._stream = None
        stream.abandon()
        self._line.tell_soon(ClientClosed(self.id, "The request is over"))

    def abandon(self, stream: Stream) -> None:
        """Nobody waits for the response any more, and so nobody does for the call."""
        self.settle(stream)

    def lost(self) -> Answer:
        """The answer when there is none."""
        return refusal(self._lost())

    def _refuse(self, request: Request) -> None:
        self._line.tell_soon(FromClient(self.id, ErrorResponse(request.id, UNREACHABLE), self))
