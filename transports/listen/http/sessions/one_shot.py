"""A client without a session, which exists for one HTTP request. No I/O.

Requests of MCP 2026-07-28 always come from such a client, and so do handshake requests without a
session id. A `subscriptions/listen` keeps its client until the connection closes.

Invariant: the client ends with its connection, and the actor gets `ClientClosed` then.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from router.messages.events import ClientClosed, FromClient
from router.messages.frames import ErrorResponse
from transports.listen.http.frame_stream import (
    UNREACHABLE,
    FrameStream,
    OpenResponse,
    StreamResponse,
    ignore,
)
from transports.listen.serving.exchange import error_answer
from transports.listen.serving.refusals import router_stopping
from transports.listen.serving.server_sent_events import EVENT_HEADERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from router.messages.commands import Principal
    from router.messages.errors import HttpRefusal
    from router.messages.frames import ClientId, Frame, Request
    from router.messages.revisions import Era
    from transports.listen.http.actor_inbox import ActorInbox
    from transports.listen.serving.exchange import Answer, Headers
    from transports.listen.serving.unread_bytes import Holding


class OneShot:
    """A client that exists for one request.

    As an `Outbox` it takes frames that belong to no request and drops them: nobody could read them.

    Args:
        open_one_shots: all clients of this kind; holds this one while its request is open.
        era: the era of its request.
        view: the name of the view at its place; None at the default place.
        count: is called with the size of each frame for it; see `UnreadBytes.add`.

    Attributes:
        expires_s: the second of Trio's clock at which its event stream ends; a call's never does.
    """

    __slots__ = (
        "_actor_inbox",
        "_open_one_shots",
        "_refusal",
        "_response",
        "count",
        "era",
        "expires_s",
        "id",
        "principal",
        "view",
    )
    one_shot: ClassVar = True
    response_headers: ClassVar[Headers] = ()

    def __init__(
        self,
        client_id: ClientId,
        principal: Principal,
        actor_inbox: ActorInbox,
        open_one_shots: set[OneShot],
        era: Era = "handshake",
        view: str | None = None,
        count: Callable[[int], None] = ignore,
    ) -> None:
        self.id = client_id
        self.principal = principal
        self.era: Era = era
        self.view = view
        self._actor_inbox = actor_inbox
        self._open_one_shots = open_one_shots
        self.count = count
        self._response: OpenResponse | None = None
        self._refusal: HttpRefusal | None = None
        self.expires_s = math.inf

    def send_nowait(self, _: Frame, /) -> None:
        """Drop a frame that belongs to no request."""

    def close(self) -> None:
        """End the response, because the actor gave up this client or the endpoint ends."""
        if self._response is not None:
            self._response.end()

    def holdings(self) -> Iterator[Holding]:
        """Return what is held for the client; see `UnreadBytes`."""
        if self._response is not None and self._response.held_bytes:
            yield self._response.holding(self.principal.name)

    def refuse(self, refusal: HttpRefusal) -> None:
        """End the response, because the request would now be refused in this way."""
        self._refusal = refusal
        self.close()

    def add(self, response: OpenResponse) -> int:
        """Note the response to the one request, which is not known yet; return 0, its number."""
        self._open_one_shots.add(self)
        self._response = response
        return 0

    def new_stream(self, number: int, expected_answers: int, *, answers_only: bool) -> FrameStream:
        """Return a new stream for the answer of the one request."""
        return FrameStream(
            self._refuse,
            number=number,
            expected_answers=expected_answers,
            answers_only=answers_only,
            count=self.count,
        )

    def respond_with_stream(self, response: OpenResponse, stream: FrameStream) -> StreamResponse:
        """Return an event stream as the response."""

        def end() -> None:
            stream.abandon()
            self.finish(response)

        events = StreamResponse(stream, EVENT_HEADERS, on_close=end)
        events.expires_s = self.expires_s
        stream.attach(events)
        return events

    def finish(self, _response: OpenResponse) -> None:
        """End this client, because its response is over."""
        self._open_one_shots.discard(self)
        self._response = None
        self._actor_inbox.send_soon(ClientClosed(self.id, "The request is over"))

    def abandon(self, response: OpenResponse) -> None:
        """End this client, because nobody waits for the response; the actor cancels the call."""
        self.finish(response)

    def unanswered(self) -> Answer:
        """Return the answer to a request that ended without one."""
        return error_answer(self._refusal or router_stopping())

    def _refuse(self, request: Request) -> None:
        error = ErrorResponse(request.id, UNREACHABLE)
        self._actor_inbox.send_soon(FromClient(self.id, error, self))
