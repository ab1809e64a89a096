"""The HTTP+SSE endpoint (MCP 2024-11-05, Transports, HTTP with SSE).

Job: a GET opens a stream that says where to POST; what is posted there becomes events for the
dispatch actor, and all its answers go out on the stream. Neighbours: `exchange` names what comes
in and goes out, any way in (`asgi`) carries it. No I/O.

Invariants:

- A session is its stream: it ends when the stream does, and the stream ends when it does.
- A stream says `endpoint` before anything else, even if it is ended at once.
- A session is never told from one of somebody else: both are 404.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

import trio

from router.messages.errors import HttpRefusal
from router.messages.events import ClientClosed, ClientOpened, FromClient
from router.messages.frames import Request, Response
from transports import json_rpc
from transports.listen.http.actor_inbox import ActorInbox
from transports.listen.http.frame_stream import Stream, StreamEvents
from transports.listen.http.session_table import SessionLimits, Sessions, new_id
from transports.listen.serving.exchange import (
    EVENT_HEADERS,
    NOSNIFF,
    Answer,
    Rejected,
    batch_of,
    event,
    is_json,
    refusal,
    rejection,
    revision_of,
)
from transports.listen.serving.refusals import stopping

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from router.messages.commands import Principal
    from router.messages.events import Event
    from router.messages.frames import Frame, RequestId
    from transports.listen.serving.exchange import Events, HttpRequest, Waiting

STREAM_PATH: Final = "/sse"
POST_PATH: Final = "/messages"

_ACCEPTED: Final = Answer(
    202, ((b"content-type", b"text/plain; charset=utf-8"), NOSNIFF), b"Accepted"
)


class SseEndpoint:
    """HTTP+SSE, as an `exchange.Endpoint`.

    Args:
        inbox: the dispatch actor's; not closed here.
        admit: header names in lower case -> the principal; raises `Refused`.
        limits: of its sessions. They do not expire: each has an open stream.
    """

    def __init__(
        self,
        inbox: trio.MemorySendChannel[Event],
        admit: Callable[[Mapping[str, str]], Principal],
        *,
        limits: SessionLimits | None = None,
    ) -> None:
        self._line = ActorInbox(inbox)
        self._admit = admit
        self._sessions: Sessions[_SseSession] = Sessions(limits or SessionLimits())
        self._ended = False

    async def respond(self, request: HttpRequest) -> Answer | Events | Waiting:
        """See `exchange.Endpoint`."""
        try:
            principal = self._admit(request.headers)
            if request.path not in {STREAM_PATH, POST_PATH}:
                raise HttpRefusal(404, "Not found")
            if self._ended:
                raise stopping()
            if request.path == POST_PATH:
                return await self._post(request, principal)
            return await self._open(request, principal)
        except HttpRefusal as refused:
            return refusal(refused)
        except Rejected as rejected:
            return rejection(rejected)
        except json_rpc.FrameError as error:
            return rejection(Rejected(400, error.to_frame()))

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """See `exchange.Endpoint`."""
        task_status.started()
        await self._line.run()

    def end(self) -> None:
        """See `exchange.Endpoint`."""
        self._ended = True
        for session in self._sessions:
            session.end()

    def end_revoked(self, knows: Callable[[Principal], bool]) -> None:
        """`admit` goes by other rules now: end what belongs to those it does not know any more."""
        self._sessions.end_revoked(knows)

    def __repr__(self) -> str:
        return f"<SseEndpoint sessions={len(self._sessions)}>"

    async def _open(self, request: HttpRequest, principal: Principal) -> Events:
        _check_method(request, "GET")
        self._sessions.check_room(principal)
        session = _SseSession(new_id(), principal, self._line, self._sessions)
        self._sessions.add(session)
        try:
            await self._line.tell(ClientOpened(session.id, session, principal))
        except BaseException:
            session.end()
            raise
        return session.stream_events(request.root_path)

    async def _post(self, request: HttpRequest, principal: Principal) -> Answer:
        _check_method(request, "POST")
        if not is_json(request.headers.get("content-type")):
            raise HttpRefusal(415, "Content-Type must be application/json")
        session = self._session_of(request.query, principal)
        body = await request.read_body()
        if session.ended:
            raise _no_session()
        for message in _messages_of(body, session.revision):
            if isinstance(message, Request) and message.method == "initialize":
                session.initializes(message.id)
            await self._line.tell(FromClient(session.id, message, session))
        return _ACCEPTED

    def _session_of(self, query: str, principal: Principal) -> _SseSession:
        ids = parse_qs(query).get("session_id", [])
        if not ids:
            raise Rejected.because(400, "session_id is missing")
        session = self._sessions.find(ids[0], principal)
        if session is None:
            raise _no_session()
        return session


def _messages_of(body: bytes, revision: str) -> list[Frame]:
    return (
        batch_of(body, revision) if json_rpc.is_batch(body) else [json_rpc.decode_from_client(body)]
    )


def _check_method(request: HttpRequest, method: str) -> None:
    if request.method != method:
        raise HttpRefusal(405, "Method not allowed", (("Allow", method),))


def _no_session() -> Rejected:
    return Rejected.because(404, "Session not found; open a new stream")


class _SseSession:
    """A session, and the `Outbox` of its client for everything.

    Attributes:
        revision: what was negotiated; empty until `initialize` was answered.
        ended: it is not to be found any more.
    """

    def __init__(
        self, session_id: str, principal: Principal, line: ActorInbox, among: Sessions[_SseSession]
    ) -> None:
        self.id = session_id
        self.principal = principal
        self.used_at_s = trio.current_time()
        self.revision = ""
        self.ended = False
        self._line = line
        self._among = among
        self._stream = Stream(_ignore)
        self._initialize_id: RequestId | None = None

    def send_nowait(self, frame: Frame, /) -> None:
        """Put a frame on the stream."""
        self._stream.put(frame)
        if self._initialize_id is not None and isinstance(frame, Response):
            self._note_revision(frame)

    def close(self) -> None:
        """The actor ends the session."""
        self.end()

    def initializes(self, request_id: RequestId) -> None:
        """The client sends `initialize` with this id."""
        self._initialize_id = request_id

    def _note_revision(self, frame: Response) -> None:
        if frame.id == self._initialize_id:
            self._initialize_id = None
            self.revision = revision_of(frame.result)

    def stream_events(self, root_path: str) -> StreamEvents:
        """The response that carries its stream.

        Args:
            root_path: where the application is mounted.
        """
        target = f"{root_path}{POST_PATH}?session_id={self.id}".encode()
        opening = event(target, kind=b"endpoint")
        events = StreamEvents(self._stream, EVENT_HEADERS, opening=opening, on_leave=self.end)
        self._stream.attach(events)
        return events

    def end(self) -> None:
        """End it; what its stream holds can still be read."""
        if not self.ended:
            self.ended = True
            self._among.remove(self)
            self._stream.end()
            self._line.tell_soon(ClientClosed(self.id, "The stream ended"))


def _ignore(_: Request) -> None:
    """A stream without replay drops nothing unread, so there is never a request to refuse."""
