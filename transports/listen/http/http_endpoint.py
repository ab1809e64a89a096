"""The streamable HTTP endpoint (MCP 2025-03-26 and later, Transports, Streamable HTTP).

Job: POST, GET and DELETE of one path as events for the dispatch actor, and frames from it as
answers. Neighbours: `http_clients` holds what goes on for one client, `exchange` names what comes
in and goes out, any way in (`asgi`) carries it. No I/O.

Invariants:

- Nothing is done for a request before it was admitted; nothing is read of its body before its
  head is known to be good.
- A request is answered with one JSON body unless something has to be said before its answer.
- A session is never told from one of somebody else: both are 404.
- A message under the header of 2026-07-28 belongs to no session, whatever else its headers say.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import attrs
import trio

from router.messages.errors import HttpRefusal
from router.messages.events import ClientOpened, FromClient
from router.messages.frames import Notification, Request
from router.messages.revisions import LISTEN_METHOD, STATELESS_REVISION
from transports import json_rpc
from transports.listen.http.actor_inbox import ActorInbox
from transports.listen.http.http_sessions import HttpSession, Pending
from transports.listen.http.one_shot import OneShot
from transports.listen.http.routing_headers import (
    ENVELOPE_MARK,
    REVISION_HEADER,
    check_headers,
    check_revision,
    has_envelope,
    is_stateless,
    params_of,
)
from transports.listen.http.session_table import SessionLimits, Sessions, new_id
from transports.listen.serving.exchange import (
    Rejected,
    accepts,
    batch_of,
    empty_answer,
    is_json,
    refusal,
    rejection,
)
from transports.listen.serving.refusals import stopping

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from router.messages.commands import Principal
    from router.messages.events import Event
    from router.messages.frames import Frame
    from router.messages.params import Params
    from transports.listen.serving.exchange import Accepts, Answer, Events, HttpRequest, Waiting

PATH: Final = "/mcp"
METHODS: Final = "GET, POST, DELETE"

SESSION_HEADER: Final = "mcp-session-id"
LAST_EVENT_HEADER: Final = "last-event-id"

_EVENT_ID: Final = re.compile(r"([0-9]{1,9})-([0-9]{1,9})")


class HttpEndpoint:
    """Streamable HTTP, as an `exchange.Endpoint`.

    Args:
        inbox: the dispatch actor's; not closed here.
        admit: header names in lower case -> the principal; raises `Refused`.
        path: where it is.
        limits: of its sessions.
    """

    def __init__(
        self,
        inbox: trio.MemorySendChannel[Event],
        admit: Callable[[Mapping[str, str]], Principal],
        *,
        path: str = PATH,
        limits: SessionLimits | None = None,
    ) -> None:
        self._line = ActorInbox(inbox)
        self._admit = admit
        self._path = path
        self._sessions: Sessions[HttpSession] = Sessions(limits or SessionLimits())
        self._one_shots: set[OneShot] = set()
        self._ended = False
        self._rules = 0
        """How often it was said that the rules of `admit` have changed."""

    async def respond(self, request: HttpRequest) -> Answer | Events | Waiting:
        """See `exchange.Endpoint`."""
        try:
            principal = self._admit(request.headers)
            if request.path != self._path:
                raise HttpRefusal(404, "Not found")
            if self._ended:
                raise stopping()
            if request.method == "POST":
                return await self._post(request, principal)
            return self._other(request, principal)
        except HttpRefusal as refused:
            return refusal(refused)
        except Rejected as rejected:
            return rejection(rejected)
        except json_rpc.FrameError as error:
            return rejection(Rejected(400, error.to_frame()))

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """See `exchange.Endpoint`."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._line.run)
            task_status.started()
            while True:
                await trio.sleep_until(self._sessions.next_expiry_s(trio.current_time()))
                self._expire(trio.current_time())

    def end(self) -> None:
        """See `exchange.Endpoint`."""
        self._ended = True
        for session in self._sessions:
            session.end()
        for one_shot in list(self._one_shots):
            one_shot.close()

    def end_unknown(self, knows: Callable[[Principal], bool]) -> None:
        """`admit` goes by other rules now: end what belongs to those it does not know any more."""
        self._rules += 1
        self._sessions.end_unknown(knows)
        for one_shot in list(self._one_shots):
            if not knows(one_shot.principal):
                one_shot.revoke()

    def __repr__(self) -> str:
        return f"<HttpEndpoint sessions={len(self._sessions)} one_shots={len(self._one_shots)}>"

    def _expire(self, now_s: float) -> None:
        for session in self._sessions.overdue(now_s):
            if session.is_busy():
                self._sessions.touch(session, now_s)
            else:
                session.end()

    # --- POST ---

    async def _post(self, request: HttpRequest, principal: Principal) -> Answer | Waiting:
        headers = request.headers
        taken = accepts(headers.get("accept"))
        if not taken.json and not taken.events:
            raise HttpRefusal(406, "Accept must admit application/json or text/event-stream")
        if not is_json(headers.get("content-type")):
            raise HttpRefusal(415, "Content-Type must be application/json")
        requested = headers.get(REVISION_HEADER)
        has_header = requested == STATELESS_REVISION
        session = None if has_header else self._session_of(headers, principal)
        rules = self._rules
        body = await request.read_body()
        if self._rules != rules:
            principal = self._admit(headers)
        _check_open(session)
        if json_rpc.is_batch(body):
            return await self._batch(
                batch_of(body, session.revision if session else ""), session, headers, taken
            )
        frame = json_rpc.decode_from_client(body)
        params = None
        if has_header or (session is None and ENVELOPE_MARK in body):
            # To look for it in each body would cost sessions up to a tenth of a call. To the core
            # their requests are of the handshake, and it refuses those that have an envelope.
            params = params_of(frame)
            if is_stateless(frame, params, requested):
                return await self._stateless(frame, params, headers, principal, taken)
        if isinstance(frame, Request) and frame.method == "initialize":
            return await self._initialize(frame, session, principal, taken)
        check_revision(requested, frame.id if isinstance(frame, Request) else None)
        if isinstance(frame, Request):
            client = session or OneShot(new_id(), principal, self._line, self._one_shots)
            return await self._ask(client, [frame], taken, params=params)
        if session is not None:
            await self._line.tell(FromClient(session.id, frame, session))
        return empty_answer(202)

    async def _initialize(
        self, frame: Request, session: HttpSession | None, principal: Principal, taken: Accepts
    ) -> Waiting:
        if session is not None:
            raise Rejected.because(400, "This session is initialized already", frame.id)
        self._sessions.check_room(principal)
        session = HttpSession(new_id(), principal, self._line, self._sessions)
        self._sessions.add(session)
        return await self._ask(session, [frame], taken)

    async def _stateless(
        self,
        frame: Frame,
        params: Params,
        headers: Mapping[str, str],
        principal: Principal,
        taken: Accepts,
    ) -> Answer | Waiting:
        """Answer a message of 2026-07-28."""
        if isinstance(frame, Notification):
            # It belongs to nothing: a request is cancelled by closing its connection.
            check_revision(headers.get(REVISION_HEADER), None)
            return empty_answer(202)
        if not isinstance(frame, Request):
            raise Rejected.because(400, "Invalid request: nothing was asked that this could answer")
        if has_envelope(params):
            check_headers(frame, params, headers)
        if frame.method == LISTEN_METHOD:
            taken = _as_events(taken)
        client = OneShot(new_id(), principal, self._line, self._one_shots, "stateless")
        return await self._ask(client, [frame], taken, params=params)

    async def _batch(
        self,
        messages: Sequence[Frame],
        session: HttpSession | None,
        headers: Mapping[str, str],
        taken: Accepts,
    ) -> Answer | Waiting:
        assert session is not None  # `batch_of` has seen to it
        check_revision(headers.get(REVISION_HEADER), None)
        if any(isinstance(message, Request) for message in messages):
            return await self._ask(session, messages, taken, as_array=True)
        for message in messages:
            await self._line.tell(FromClient(session.id, message, session))
        return empty_answer(202)

    async def _ask(
        self,
        client: HttpSession | OneShot,
        messages: Sequence[Frame],
        taken: Accepts,
        *,
        params: Params | None = None,
        as_array: bool = False,
    ) -> Waiting:
        """Hand messages to the actor, with a stream for their answers.

        Args:
            params: those of the one message, if they were read already.
        """
        pending = Pending(client, messages, taken, as_array=as_array)
        try:
            if client.is_new:
                client.is_new = False
                opened = ClientOpened(
                    client.id, client, client.principal, client.one_shot, client.era
                )
                await self._line.tell(opened)
            for message in messages:
                reply_to = pending.reply_to(message)
                await self._line.tell(FromClient(client.id, message, reply_to, params))
        except BaseException:
            pending.abandon()
            raise
        return pending

    # --- GET and DELETE ---

    def _other(self, request: HttpRequest, principal: Principal) -> Answer | Events:
        requested = request.headers.get(REVISION_HEADER)
        if requested == STATELESS_REVISION:
            raise HttpRefusal(405, f"{STATELESS_REVISION} has only POST", (("Allow", "POST"),))
        if request.method not in {"GET", "DELETE"}:
            raise HttpRefusal(405, "Method not allowed", (("Allow", METHODS),))
        session = self._session_of(request.headers, principal)
        if session is None:
            raise Rejected.because(400, "Mcp-Session-Id is missing")
        check_revision(requested, None)
        if request.method == "GET":
            return _get(session, request.headers)
        session.end()
        return empty_answer(204)

    def _session_of(self, headers: Mapping[str, str], principal: Principal) -> HttpSession | None:
        """The session a request belongs to; None when it names none.

        Raises:
            Rejected: 404, there is no such session, or it is not this principal's.
        """
        session_id = headers.get(SESSION_HEADER)
        if session_id is None:
            return None
        session = self._sessions.find(session_id, principal)
        if session is None:
            raise _no_session()
        self._sessions.touch(session, trio.current_time())
        return session


def _get(session: HttpSession, headers: Mapping[str, str]) -> Events:
    _as_events(accepts(headers.get("accept")))
    found = _EVENT_ID.fullmatch(headers.get(LAST_EVENT_HEADER, ""))
    if found is not None:
        resumed = session.resume(int(found[1]), int(found[2]))
        if resumed is not None:
            return resumed
    if session.events.reader is not None:
        raise Rejected.because(409, "This session has its event stream open already")
    return session.listen()


def _as_events(taken: Accepts) -> Accepts:
    """What a client takes for which there is an event stream and nothing else.

    Raises:
        Refused: 406, it takes none.
    """
    if not taken.events and not taken.wildcard:
        raise HttpRefusal(406, "Accept must admit text/event-stream")
    return attrs.evolve(taken, events=True)


def _check_open(session: HttpSession | None) -> None:
    """The session may have ended while the body was read."""
    if session is not None and session.ended:
        raise _no_session()


def _no_session() -> Rejected:
    return Rejected.because(404, "Session not found; initialize again")
