"""The HTTP+SSE endpoint (MCP 2024-11-05, Transports, HTTP with SSE).

A GET of a place (see `places`) opens an event stream, whose first event names the address for
POSTs, which is the same for all places. Posted messages become events for the dispatch actor, and
all frames for the client go out on the stream. No I/O.

Invariants:

- A session and its stream end together.
- A stream sends the `endpoint` event before anything else, even if the stream is ended at once.
- An unknown session and the session of another principal are the same to a client: both are 404.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

import trio

from router.messages.errors import HttpRefusal
from router.messages.events import ClientClosed, ClientOpened, FromClient
from router.messages.frames import Request, Response
from transports import json_rpc
from transports.listen.http.actor_inbox import ActorInbox
from transports.listen.http.frame_stream import FrameStream, StreamResponse, ignore
from transports.listen.http.places import (
    ONLY_THE_DEFAULT,
    Places,
    view_at,
    wait_for_place,
)
from transports.listen.http.posts.post_head import forwarded_of, with_forwarded
from transports.listen.http.sessions.session_table import SessionLimits, SessionTable, new_client_id
from transports.listen.serving.client_messages import decode_batch, negotiated_revision
from transports.listen.serving.exchange import NOSNIFF, Answer, Rejected, error_answer, is_json
from transports.listen.serving.refusals import is_never_draining, router_stopping
from transports.listen.serving.server_sent_events import EVENT_HEADERS, encode_event
from transports.listen.serving.unread_bytes import UnreadBytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from router.messages.commands import Principal
    from router.messages.events import Event
    from router.messages.frames import Frame, RequestId
    from transports.listen.serving.exchange import (
        EventStream,
        HttpRequest,
        KnownHead,
        PendingResponse,
    )
    from transports.listen.serving.unread_bytes import Holding

STREAM_PATH: Final = "/sse"
POST_PATH: Final = "/messages"

_ACCEPTED: Final = Answer(
    202, ((b"content-type", b"text/plain; charset=utf-8"), NOSNIFF), b"Accepted"
)


class SseEndpoint:
    """HTTP+SSE, as an `exchange.Endpoint`.

    Args:
        inbox: the dispatch actor's; not closed here.
        admit: see `HttpEndpoint`.
        places: the views that have a place of their own.
        limits: of its sessions. They do not expire, because each has an open stream.
        is_draining, rules: see `HttpEndpoint`.
    """

    def __init__(
        self,
        inbox: trio.MemorySendChannel[Event],
        admit: Callable[[Mapping[str, str], str, str], Principal],
        places: Places = ONLY_THE_DEFAULT,
        *,
        limits: SessionLimits | None = None,
        is_draining: Callable[[], bool] = is_never_draining,
        rules: Callable[[], object] = object,
    ) -> None:
        self._actor_inbox = ActorInbox(inbox)
        self._admit = admit
        self._places = places
        self._is_draining = is_draining
        self._rules = rules
        self._sessions: SessionTable[_SseSession] = SessionTable(limits or SessionLimits())
        self._ended = False
        self.unread = UnreadBytes()
        self.unread.sources.append(self._holdings)

    async def respond(self, request: HttpRequest) -> Answer | EventStream | PendingResponse:
        """See `exchange.Endpoint`."""
        try:
            if request.path == POST_PATH:
                known = self._known_session(request.known_head, request.address)
                session = known or self._read_head(request)
                return await self._post(request, session)
            principal = self._admitted(request)
            view = view_at(request.path, STREAM_PATH)
            if view is not None:
                admit = partial(self._admit, request.headers, request.address, request.path)
                principal = await wait_for_place(self._places, view, principal, admit)
            if self._ended:
                raise router_stopping()
            return await self._open(request, principal, view)
        except (HttpRefusal, Rejected, json_rpc.FrameError) as error:
            return error_answer(error)

    def _admitted(self, request: HttpRequest) -> Principal:
        principal = self._admit(request.headers, request.address, request.path)
        if request.peer is not None:
            request.peer.principal = principal.name
        return principal

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """See `exchange.Endpoint`."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._actor_inbox.run)
            task_status.started()
            await self.unread.run()

    def end(self) -> None:
        """See `exchange.Endpoint`."""
        self._ended = True
        for session in self._sessions:
            session.end()

    def end_revoked(self, is_known: Callable[[Principal], bool]) -> None:
        """The rules of `admit` have changed: end everything of principals unknown to `is_known`."""
        self._sessions.end_revoked(is_known)

    def end_vanished(self, is_place: Callable[[str, Principal], bool]) -> None:
        """The places have changed: end everything at places unknown to `is_place`."""
        self._sessions.end_vanished(is_place)

    def _holdings(self) -> Iterator[Holding]:
        for session in self._sessions:
            yield from session.holdings()

    def __repr__(self) -> str:
        return f"<SseEndpoint sessions={len(self._sessions)}>"

    async def _open(
        self, request: HttpRequest, principal: Principal, view: str | None
    ) -> EventStream:
        _check_method(request, "GET")
        if self._is_draining():
            raise router_stopping()
        self._sessions.make_room(principal)
        session = _SseSession(
            new_client_id(), principal, view, self._actor_inbox, self._sessions, self.unread.add
        )
        self._sessions.add(session)
        try:
            opened = ClientOpened(
                session.id, session, principal, view=view, address=request.address
            )
            await self._actor_inbox.send(opened)
        except BaseException:
            session.end()
            raise
        return session.respond_with_stream(request.root_path)

    def _take(self, known: KnownHead, body: bytes, address: str) -> Answer | None:
        """See `KnownHead.take`; takes single messages."""
        try:
            session = self._known_session(known, address)
            if session is None or json_rpc.is_batch(body):
                return None
            frame = json_rpc.decode_from_client(body)
            if isinstance(frame, Request) and frame.method == "initialize":
                return None
            is_sent = self._actor_inbox.send_now(FromClient(session.id, frame, session))
            return _ACCEPTED if is_sent else None
        except (HttpRefusal, json_rpc.FrameError) as error:
            return error_answer(error)

    def _known_session(self, known: KnownHead | None, address: str) -> _SseSession | None:
        """Return the session of an earlier POST with the same head, if it still is the sender's."""
        if known is None or self._ended:
            return None
        session: _SseSession | None = known.conclusions(self._rules(), address)
        if session is not None and session.ended:
            known.forget()  # it would keep all that the session holds
            return None
        return session

    def _read_head(self, request: HttpRequest) -> _SseSession:
        """Return the session that the sender of a POST names in its URL."""
        rules, principal = self._rules(), self._admitted(request)
        if self._ended:
            raise router_stopping()
        _check_method(request, "POST")
        if not is_json(request.headers.get("content-type")):
            raise HttpRefusal(415, "Content-Type must be application/json")
        session = self._session_of(request.query, principal)
        # With headers to forward, each request has to be looked at.
        if request.known_head is not None and not self._places.forwarded_names:
            request.known_head.keep(session, rules, request.address, self._take)
        return session

    async def _post(self, request: HttpRequest, session: _SseSession) -> Answer:
        body = await request.read_body()
        if session.ended:  # while the body was read
            raise _session_not_found()
        for message in _decode(body, session.revision):
            if isinstance(message, Request) and message.method == "initialize":
                session.expect_revision(message.id)
            forwarded = forwarded_of(request.headers, self._places.forwarded_names)
            read = with_forwarded(None, message, forwarded)
            await self._actor_inbox.send(FromClient(session.id, message, session, read))
        return _ACCEPTED

    def _session_of(self, query: str, principal: Principal) -> _SseSession:
        ids = parse_qs(query).get("session_id", [])
        if not ids:
            raise Rejected.because(400, "session_id is missing")
        session = self._sessions.find(ids[0], principal)
        if session is None:
            raise _session_not_found()
        return session


def _check_method(request: HttpRequest, method: str) -> None:
    if request.method != method:
        raise HttpRefusal(405, "Method not allowed", (("Allow", method),))


def _decode(body: bytes, revision: str) -> list[Frame]:
    if json_rpc.is_batch(body):
        return decode_batch(body, revision)
    return [json_rpc.decode_from_client(body)]


def _session_not_found() -> Rejected:
    return Rejected.because(404, "Session not found; open a new stream")


class _SseSession:
    """A session, which is also the `Outbox` for all frames to its client.

    Attributes:
        view: the name of the view at its place; None at the default place.
        used_at_s: the time of the last use; written by the table.
        revision: the negotiated revision; empty until `initialize` was answered.
        ended: the session is not in its table any more.
    """

    def __init__(
        self,
        session_id: str,
        principal: Principal,
        view: str | None,
        actor_inbox: ActorInbox,
        table: SessionTable[_SseSession],
        count: Callable[[int], None],
    ) -> None:
        self.id = session_id
        self.principal = principal
        self.view = view
        self.used_at_s = trio.current_time()
        self.revision = ""
        self.ended = False
        self._actor_inbox = actor_inbox
        self._table = table
        self._stream = FrameStream(ignore, count=count)  # it always has a reader
        self._initialize_id: RequestId | None = None

    def send_nowait(self, frame: Frame, /) -> None:
        """Put a frame on the stream."""
        self._stream.put(frame)
        # `_initialize_id` is None for nearly all frames, so this costs next to nothing.
        if self._initialize_id is not None and isinstance(frame, Response):
            self._note_revision(frame)

    def close(self) -> None:
        """End the session, because the actor says so."""
        self.end()

    def expect_revision(self, request_id: RequestId) -> None:
        """Read the revision from the answer to `initialize`, which has this id."""
        self._initialize_id = request_id

    def _note_revision(self, response: Response) -> None:
        if response.id == self._initialize_id:
            self._initialize_id = None
            self.revision = negotiated_revision(response.result)

    def respond_with_stream(self, root_path: str) -> StreamResponse:
        """Return the response that carries the stream.

        Args:
            root_path: the path at which the application is mounted.
        """
        target = f"{root_path}{POST_PATH}?session_id={self.id}".encode()
        opening = encode_event(target, kind=b"endpoint")
        response = StreamResponse(self._stream, EVENT_HEADERS, opening=opening, on_close=self.end)
        self._stream.attach(response)
        return response

    def holdings(self) -> Iterator[Holding]:
        """Return what is held for the client; see `UnreadBytes`."""
        if self._stream.held_bytes:
            yield self._stream.holding(self.principal.name)

    def is_busy(self) -> bool:
        """Return True: the session has its stream for as long as it lives."""
        return True

    def end(self) -> None:
        """End the session; frames on its stream can still be read."""
        if not self.ended:
            self.ended = True
            self._table.remove(self)
            self._stream.end()
            self._actor_inbox.send_soon(ClientClosed(self.id, "The stream ended"))
