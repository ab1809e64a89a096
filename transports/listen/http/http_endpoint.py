"""The streamable HTTP endpoint (MCP 2025-03-26 and later, Transports, Streamable HTTP).

POST, GET and DELETE of a place (see `places`) become events for the dispatch actor, and frames from
the actor become responses. No I/O.

Invariants:

- Nothing is done for a request before it is admitted. Its body is read only after its head is known
  to be good.
- An unknown session, the session of another principal and that of another place are the same to a
  client: all are 404.
- While the router drains, sessions go on, and nothing new begins.
- A message with the header of 2026-07-28 belongs to no session, whatever its other headers say.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from router.messages.errors import HttpRefusal
from router.messages.events import ClientOpened, FromClient
from router.messages.frames import Notification, Request
from router.messages.revisions import LISTEN_METHOD, STATELESS_REVISION
from transports import json_rpc
from transports.listen.http.actor_inbox import ActorInbox
from transports.listen.http.places import (
    ONLY_THE_DEFAULT,
    Places,
    check_place,
    no_such_view,
    view_at,
    wait_for_place,
)
from transports.listen.http.posts.post_head import PostHead, forwarded_of, with_forwarded
from transports.listen.http.posts.post_response import PostResponse
from transports.listen.http.posts.routing_headers import (
    ENVELOPE_MARK,
    REVISION_HEADER,
    check_headers,
    check_revision,
    has_envelope,
    is_stateless_message,
    params_of,
    read_param_headers,
)
from transports.listen.http.posts.session_messages import SessionMessages
from transports.listen.http.posts.unwatched import Unwatched
from transports.listen.http.sessions.http_sessions import (
    HttpSession,
    event_stream_of,
    session_not_found,
)
from transports.listen.http.sessions.one_shot import OneShot
from transports.listen.http.sessions.session_table import SessionLimits, SessionTable, new_client_id
from transports.listen.serving.client_messages import decode_batch
from transports.listen.serving.exchange import (
    Rejected,
    accepts_of,
    empty_answer,
    error_answer,
    require_events,
)
from transports.listen.serving.refusals import is_never_draining, router_stopping, token_revoked
from transports.listen.serving.unread_bytes import UnreadBytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from router.messages.commands import Principal
    from router.messages.events import Event
    from router.messages.frames import Frame
    from router.messages.params import Params
    from router.messages.revisions import Era
    from transports.listen.serving.exchange import (
        Answer,
        EventStream,
        HttpRequest,
        KnownHead,
        PendingResponse,
    )
    from transports.listen.serving.unread_bytes import Holding

PATH: Final = "/mcp"
SESSION_HEADER: Final = "mcp-session-id"


class HttpEndpoint:
    """Streamable HTTP, as an `exchange.Endpoint`.

    Args:
        inbox: the dispatch actor's; not closed here.
        admit: headers (see `HttpRequest`), address, path -> the principal, or `HttpRefusal`.
        places: the views that have a place of their own.
        path: the default place; the other places are below it.
        limits: of its sessions.
        is_draining: returns whether the router finishes the calls in flight and takes no new ones.
        rules: returns another object whenever `admit` may decide otherwise than before.
    """

    def __init__(
        self,
        inbox: trio.MemorySendChannel[Event],
        admit: Callable[[Mapping[str, str], str, str], Principal],
        places: Places = ONLY_THE_DEFAULT,
        *,
        path: str = PATH,
        limits: SessionLimits | None = None,
        is_draining: Callable[[], bool] = is_never_draining,
        rules: Callable[[], object] = object,
    ) -> None:
        self._actor_inbox = ActorInbox(inbox)
        self._admit = admit
        self._places = places
        self._path = path
        self._is_draining = is_draining
        self._rules = rules
        self._sessions: SessionTable[HttpSession] = SessionTable(limits or SessionLimits())
        self._one_shots: set[OneShot] = set()
        self._unwatched = Unwatched()
        self._session_messages = SessionMessages(self._actor_inbox, self._unwatched)
        self.unread = UnreadBytes()
        self.unread.sources.append(self._holdings)
        self._ended = False
        self._rule_changes = 0  # how often the rules of `admit` have changed

    async def respond(self, request: HttpRequest) -> Answer | EventStream | PendingResponse:
        """See `exchange.Endpoint`."""
        try:
            if request.method == "POST":
                head = self._known_head(request.known_head, request.address)
                head = head or await self._read_head(request)
                return await self._post(request, head)
            return self._get_or_delete(request, *await self._admit_at_place(request))
        except (HttpRefusal, Rejected, json_rpc.FrameError) as error:
            return error_answer(error)

    async def _admit_at_place(self, request: HttpRequest) -> tuple[Principal, str | None]:
        """Return the sender of a request, and the name of the view that it asks for."""
        principal = self._admit(request.headers, request.address, request.path)
        if request.peer is not None:
            request.peer.principal = principal.name
        view = view_at(request.path, self._path)
        if view is not None:
            admit = partial(self._admit, request.headers, request.address, request.path)
            principal = await wait_for_place(self._places, view, principal, admit)
        if self._ended:
            raise router_stopping()
        return principal, view

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """See `exchange.Endpoint`."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._actor_inbox.run)
            nursery.start_soon(self._sessions.made_room.run)
            nursery.start_soon(self.unread.run)
            nursery.start_soon(self._unwatched.run)
            task_status.started()
            while True:
                await trio.sleep_until(self._sessions.next_expiry_s(trio.current_time()))
                self._end_idle_sessions(trio.current_time())

    def _end_idle_sessions(self, now_s: float) -> None:
        for session in self._sessions.expired(now_s):
            if session.is_busy():
                self._sessions.touch(session, now_s)
            else:
                session.end()

    def end(self) -> None:
        """See `exchange.Endpoint`."""
        self._ended = True
        for session in self._sessions:
            session.end()
        for one_shot in list(self._one_shots):
            one_shot.close()

    def end_revoked(self, is_known: Callable[[Principal], bool]) -> None:
        """The rules of `admit` have changed: end everything of principals unknown to `is_known`."""
        self._rule_changes += 1
        self._sessions.end_revoked(is_known)
        for one_shot in list(self._one_shots):
            if not is_known(one_shot.principal):
                one_shot.refuse(token_revoked())

    def end_vanished(self, is_place: Callable[[str, Principal], bool]) -> None:
        """The places have changed: end everything at places unknown to `is_place`."""
        self._sessions.end_vanished(is_place)
        for one_shot in list(self._one_shots):
            view = one_shot.view
            if view is not None and not is_place(view, one_shot.principal):
                one_shot.refuse(no_such_view())

    def _holdings(self) -> Iterator[Holding]:
        for client in (*self._sessions, *self._one_shots):
            yield from client.holdings()

    def __repr__(self) -> str:
        return f"<HttpEndpoint sessions={len(self._sessions)} one_shots={len(self._one_shots)}>"

    # --- POST ---

    def _take(self, known: KnownHead, body: bytes, address: str) -> Answer | PendingResponse | None:
        """See `KnownHead.take`; takes single messages of sessions."""
        try:
            head = self._known_head(known, address)
            if head is None or head.session is None or json_rpc.is_batch(body):
                return None
            check_place(self._places, head.view, head.principal)
            frame = json_rpc.decode_from_client(body)
            return self._session_messages.send_now(frame, head.session, head)
        except (HttpRefusal, Rejected, json_rpc.FrameError) as error:
            return error_answer(error)

    def _known_head(self, known: KnownHead | None, address: str) -> PostHead | None:
        """Return the conclusions from an earlier head that is the same, if they still hold."""
        if known is None or self._ended:
            return None
        head: PostHead | None = known.conclusions(self._rules(), address)
        if head is not None and head.session is not None:
            if head.session.ended:
                # A client may go on with this head, and would keep all that the session holds.
                known.forget()
                return None
            self._sessions.touch(head.session, trio.current_time())
        return head

    async def _read_head(self, request: HttpRequest) -> PostHead:
        rules, headers = self._rules(), request.headers
        principal, view = await self._admit_at_place(request)
        accepts, requested = accepts_of(headers), headers.get(REVISION_HEADER)
        is_stateless = requested == STATELESS_REVISION
        session = None if is_stateless else self._session_of(headers, principal, view)
        forwarded = forwarded_of(headers, self._places.forwarded_names)
        head = PostHead(principal, view, accepts, requested, session, forwarded)
        if request.known_head is not None:
            take = None if session is None else self._take
            request.known_head.keep(head, rules, request.address, take)
        return head

    async def _post(self, request: HttpRequest, head: PostHead) -> Answer | PendingResponse:
        """Read the body, and hand the message on by its kind and era."""
        session, rule_changes = head.session, self._rule_changes
        body = await request.read_body()
        # While the body was read, the rules and the places may have changed, and the session may
        # have ended.
        if self._rule_changes != rule_changes:
            principal = self._admit(request.headers, request.address, request.path)
            head = msgspec.structs.replace(head, principal=principal)
        check_place(self._places, head.view, head.principal)
        if session is not None and session.ended:
            raise session_not_found()
        if json_rpc.is_batch(body):
            return await self._post_batch(body, head)
        frame = json_rpc.decode_from_client(body)
        params = None
        if head.requested == STATELESS_REVISION or (session is None and ENVELOPE_MARK in body):
            # Looking for the mark in each body would cost sessions up to a tenth of a call. The
            # core takes requests of a session for handshake requests, and refuses an envelope.
            params = params_of(frame)
            if is_stateless_message(frame, params, head.requested):
                return await self._post_stateless(frame, params, request, head)
        if session is None:
            return await self._post_without_session(frame, params, request, head)
        return await self._session_messages.send(frame, session, head)

    async def _post_batch(self, body: bytes, head: PostHead) -> Answer | PendingResponse:
        session = head.session
        messages = decode_batch(body, session.revision if session else "")
        assert session is not None  # without a session `decode_batch` raises
        check_revision(head.requested, None)
        if any(isinstance(message, Request) for message in messages):
            return await self._ask(session, messages, head, as_array=True)
        for message in messages:
            await self._actor_inbox.send(FromClient(session.id, message, session))
        return empty_answer(202)

    async def _post_stateless(
        self, frame: Frame, params: Params, request: HttpRequest, head: PostHead
    ) -> Answer | PendingResponse:
        """Take a message of 2026-07-28."""
        if isinstance(frame, Notification):
            # There is nothing it could belong to: closing its connection cancels a request.
            check_revision(head.requested, None)
            return empty_answer(202)
        if not isinstance(frame, Request):
            raise Rejected.because(400, "Invalid request: nothing was asked that this could answer")
        if has_envelope(params):
            check_headers(frame, params, request.headers)
        if frame.method == "tools/call":
            # The core knows the tool, and by it the arguments that these headers repeat.
            params.param_headers = read_param_headers(request.headers)
        if frame.method == LISTEN_METHOD:
            head = msgspec.structs.replace(head, accepts=require_events(head.accepts))
        client = self._new_one_shot(head, "stateless", params)
        return await self._ask(client, [frame], head, params=params, opened_by=request)

    async def _post_without_session(
        self, frame: Frame, params: Params | None, request: HttpRequest, head: PostHead
    ) -> Answer | PendingResponse:
        """Take a message of the revisions before 2026-07-28 that names no session."""
        if isinstance(frame, Request) and frame.method == "initialize":
            # No revision is agreed on yet, so its header does not matter.
            return await self._initialize(frame, request, head)
        check_revision(head.requested, frame.id if isinstance(frame, Request) else None)
        if not isinstance(frame, Request):
            return empty_answer(202)
        client = self._new_one_shot(head, "handshake")
        return await self._ask(client, [frame], head, params=params, opened_by=request)

    async def _initialize(
        self, frame: Request, request: HttpRequest, head: PostHead
    ) -> PendingResponse:
        if self._is_draining():
            raise router_stopping()
        self._sessions.make_room(head.principal)
        inbox, count, sender = self._actor_inbox, self.unread.add, head.principal
        session = HttpSession(new_client_id(), sender, inbox, self._sessions, head.view, count)
        self._sessions.add(session)
        return await self._ask(session, [frame], head, opened_by=request)

    def _new_one_shot(self, head: PostHead, era: Era, params: Params | None = None) -> OneShot:
        # A call that is held for its client's answer is in flight, and may end while it drains.
        if self._is_draining() and (params is None or "requestState" not in params.members):
            raise router_stopping()
        inbox, count, sender = self._actor_inbox, self.unread.add, head.principal
        return OneShot(new_client_id(), sender, inbox, self._one_shots, era, head.view, count)

    async def _ask(
        self,
        client: HttpSession | OneShot,
        messages: Sequence[Frame],
        head: PostHead,
        *,
        params: Params | None = None,
        opened_by: HttpRequest | None = None,
        as_array: bool = False,
    ) -> PendingResponse:
        """Hand messages to the actor; return the response that their answers decide.

        Args:
            params: those of the only message, if they were read already.
            opened_by: the request of a client that the actor does not know yet.
            as_array: see `PostResponse`.
        """
        response = PostResponse(client, messages, head.accepts, self._unwatched, as_array=as_array)
        try:
            if opened_by is not None:
                principal, address = client.principal, opened_by.address
                opened = ClientOpened(
                    client.id, client, principal, client.one_shot, client.era, client.view, address
                )
                await self._actor_inbox.send(opened)
            for message in messages:
                read = with_forwarded(params, message, head.forwarded)
                event = FromClient(client.id, message, response.reply_to(message), read)
                await self._actor_inbox.send(event)
        except BaseException:
            response.abandon()
            raise
        return response

    # --- GET and DELETE ---

    def _get_or_delete(
        self, request: HttpRequest, principal: Principal, view: str | None
    ) -> Answer | EventStream:
        requested = request.headers.get(REVISION_HEADER)
        if requested == STATELESS_REVISION:
            raise HttpRefusal(405, f"{STATELESS_REVISION} has only POST", (("Allow", "POST"),))
        if request.method not in {"GET", "DELETE"}:
            raise HttpRefusal(405, "Method not allowed", (("Allow", "GET, POST, DELETE"),))
        session = self._session_of(request.headers, principal, view)
        if session is None:
            raise Rejected.because(400, "Mcp-Session-Id is missing")
        check_revision(requested, None)
        if request.method == "GET":
            return event_stream_of(session, request.headers)
        session.end()
        return empty_answer(204)

    def _session_of(
        self, headers: Mapping[str, str], principal: Principal, view: str | None
    ) -> HttpSession | None:
        """Return the session of a request; None if the request names no session.

        Raises:
            Rejected: 404, there is no such session, or it belongs to another principal or place.
        """
        session_id = headers.get(SESSION_HEADER)
        if session_id is None:
            return None
        session = self._sessions.find(session_id, principal)
        if session is None or session.view != view:
            raise session_not_found()
        self._sessions.touch(session, trio.current_time())
        return session
