"""An upstream MCP session, from the negotiation to the loss of its wire.

A session plays the client's side of MCP on a wire: it negotiates, reads the lists of the server and
reads them again when they change, and answers `ping`. It passes every other frame on. An upstream
of 2026-07-28 has no sessions in the sense of MCP; here its session is the life of the wire.

```
actor ──▶ FrameWriter ──▶ wire ──▶ _read ── FromSession ──▶ actor
  own requests ▲                       └─ answers to them
```

Invariants:

- `SessionUp` is the first event of a session and `SessionLost` the last; frames come between them.
  `SessionLost` is sent exactly once, before the wire is cleaned up, and from then on the writer
  takes nothing.
- Ids of the session's own requests are odd, ids of the actor's are even. So the id of an answer
  says who asked.
- The reader waits for the actor, never for the writer. Otherwise an upstream that stops reading
  until it is read would stop all three.
- What a server says unasked takes a bounded part of the router's time (see `actor_feed`).
- A write that takes too long ends the session (see `frame_writer`), and so does an upstream that
  hangs (see `liveness`). The supervisor limits the start.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import attrs
import trio
import trio.lowlevel
from msgspec import Raw

from router.messages.errors import AMBIGUOUS_CLIENT, METHOD_NOT_FOUND
from router.messages.events import (
    Barrier,
    CatalogChanged,
    FromSession,
    RequestFailed,
    SessionLost,
    SessionUp,
)
from router.messages.frames import ErrorResponse, Notification, Request, Response
from transports.connect.session.actor_feed import ActorFeed
from transports.connect.session.frame_writer import FrameWriter
from transports.connect.session.lists.listings import LIST_CHANGED, Lists
from transports.connect.session.lists.relisting import Relisting
from transports.connect.session.lists.subscription import (
    ACKNOWLEDGED,
    UpstreamSubscription,
    capabilities_with_list_changed,
    subscription_of,
)
from transports.connect.session.liveness import Liveness, may_be_asked
from transports.connect.session.negotiation import Negotiation
from transports.connect.session.requests import SessionRequests, encode_json, send_or_drop
from transports.connect.session.server_history import ServerHistory
from transports.connect.wire import WireLost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from router.messages.catalog import Catalog
    from router.messages.events import Event
    from router.messages.frames import RequestId, SessionId
    from router.messages.instances.instance_spec import InstanceSpec
    from transports.connect.session.negotiation import NegotiationResult
    from transports.connect.wire import Connect, Failure, Received, Wire

log = logging.getLogger("mcp_router.upstream")

LOST_SEND_LIMIT_S: Final = 1.0
"""Time for the actor to take `SessionLost` after a cancellation: it may be busy, but it never
waits."""

_EMPTY: Final = Raw(b"{}")
_NULL: Final = b"null"


@attrs.frozen
class UpstreamSession:
    """The session of one instance, as the supervisor runs it: each call is one incarnation.

    Attributes:
        spec: the instance.
        connect: opens the wire of an incarnation.
        inbox: the actor's inbox; not closed here.
        new_id: returns the id of a new incarnation.
        version: the version of the router, which the upstream is told.
        ping_interval_s: the seconds of silence after which an upstream that is up is asked for a
            sign of life; 0 for never.
        history: the memory of the server, for all incarnations and all clients of an instance.
        after_batch: see `FrameWriter`.
    """

    spec: InstanceSpec
    connect: Connect
    inbox: trio.MemorySendChannel[Event | Barrier]
    new_id: Callable[[], SessionId]
    version: str
    ping_interval_s: float = 0.0
    history: ServerHistory = attrs.field(factory=ServerHistory)
    after_batch: Callable[[Callable[[], None]], None] | None = None

    async def __call__(
        self,
        stopping: trio.Event,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Connect, negotiate, list, and pass frames on until `stopping` is set.

        Once the catalog is there, send `SessionUp` to the actor and call `task_status.started()`.

        Raises:
            WireLost: the connection or the negotiation failed, or the wire broke. It may stand in
                the exception group of the connector's nursery. Of being cancelled before the
                session was up it is made too, and says how far the start got.
        """
        while True:
            session = self.new_id()
            async with self.connect() as wire:
                incarnation = _Incarnation(self, wire, session)
                may_end = await incarnation.live(stopping, task_status)
            if may_end:
                return


class _Incarnation:
    """One wire, and the state of the session on it."""

    def __init__(self, upstream: UpstreamSession, wire: Wire, session: SessionId) -> None:
        self._spec = upstream.spec
        self._wire = wire
        self._events = upstream.inbox
        self._session = session
        self._liveness = Liveness()
        self._feed = ActorFeed(upstream.spec.name, upstream.inbox)
        self._writer = FrameWriter(
            wire, self._liveness.note_sent, self._feed.allow_for, upstream.after_batch
        )
        self._requests = SessionRequests(self._writer)
        self._negotiation = Negotiation(
            upstream.spec, wire, self._requests, upstream.version, upstream.history
        )
        self._ping_interval_s = upstream.ping_interval_s
        self._subscription: UpstreamSubscription | None = None
        self._scope = trio.CancelScope()
        self._relisting = Relisting(upstream.spec.name)
        self._is_up = False
        self._lost: WireLost | None = None

    async def live(self, stopping: trio.Event, task_status: trio.TaskStatus[None]) -> bool:
        """Be a session until `stopping` is set or the wire is lost.

        Returns:
            False if the wire was lost to `server/discover`: the server has to be started again, and
            spoken to without that request.

        Raises:
            WireLost: the wire was lost for another reason.
        """
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._until_lost, self._read)
                    nursery.start_soon(self._until_lost, self._writer.run)
                    nursery.start_soon(self._until_lost, self._run, nursery, task_status)
                    await stopping.wait()
                    self._scope.cancel("told to stop")
        except* trio.Cancelled:
            if self._is_up:
                raise
            # The supervisor makes it a part of the reason if the start took too long; see `Run`.
            raise WireLost(self._how_far()) from None  # noqa: ASYNC104
        finally:
            self._writer.close()
            if self._is_up:
                with trio.move_on_after(LOST_SEND_LIMIT_S, shield=True):
                    await self._send_lost()
        if self._lost is None or stopping.is_set():
            return True
        if self._negotiation.may_retry_without_probe(self._lost):
            return False
        raise self._lost

    async def _until_lost(self, task: Callable[..., Awaitable[None]], *args: object) -> None:
        """Run a task; the first that finds the wire lost keeps the reason and ends the others."""
        try:
            await task(*args)
        except WireLost as lost:
            self._lost = self._lost or lost
            self._scope.cancel(lost.reason)
            await trio.lowlevel.checkpoint()

    def _how_far(self) -> str:
        """Return how far the start got, for one that takes too long."""
        return self._wire.last_words() or f"no answer to {self._requests.last_method or 'anything'}"

    async def _send_lost(self) -> None:
        reason = "it was stopped" if self._lost is None else self._lost.reason
        await self._events.send(SessionLost(self._session, reason))

    # --- Reading -----------------------------------------------------------------------------

    async def _read(self) -> None:
        while True:
            batch = await self._wire.receive()
            self._liveness.heard_at_s = trio.current_time()
            for received in batch:
                event = self._event_of(received)
                if not self._feed.put_nowait(event):
                    await self._feed.put(event)
                    # What is not handled yet is a sign of life, however long it has to wait.
                    self._liveness.heard_at_s = trio.current_time()

    def _event_of(self, received: Received) -> FromSession | RequestFailed | None:
        """Handle a frame that concerns only the session; return an event for any other frame."""
        frame = received.frame
        if isinstance(frame, (Response, ErrorResponse)):
            self._liveness.note_answered(frame.id)
            if received.failure is not None and not self._is_up:
                self._obey(received.failure)
            if self._requests.take_answer(frame):
                return None
            if received.failure is not None and frame.id is not None:
                return self._request_failed(frame, frame.id, received.failure)
        elif isinstance(frame, Notification):
            if self._takes_notification(frame):
                return None
        elif self._answers(frame):
            return None
        return FromSession(self._session, frame, received.related) if self._is_up else None

    def _obey(self, failure: Failure) -> None:
        """End a start whose server wants to be left alone: the next request would not be better.

        Raises:
            WireLost: it names the time of the next try (`Retry-After`, RFC 9110 section 10.2.3), or
                asks for a login.
        """
        if failure.login_url is not None:
            raise WireLost(failure.error.message, needs_login=True, login_url=failure.login_url)
        if failure.retry_after_s is not None:
            raise WireLost(failure.error.message, failure.retry_after_s)

    def _request_failed(
        self, frame: Response | ErrorResponse, request_id: RequestId, failure: Failure
    ) -> RequestFailed:
        """Return the event for an error that is not, or not only, the server's own answer."""
        answer = frame if failure.is_answered and isinstance(frame, ErrorResponse) else None
        return RequestFailed(
            self._session,
            request_id,
            failure.error,
            failure.status,
            failure.retry_after_s,
            answer,
        )

    def _takes_notification(self, frame: Notification) -> bool:
        """Handle a notification about the lists; return whether it was one."""
        capability = LIST_CHANGED.get(frame.method)
        if capability is not None:
            self._relisting.announced.add(capability)
            self._relisting.note(capability)
            return True
        # The actor has a subscription of its own, to resources.
        if frame.method == ACKNOWLEDGED and self._requests.is_own(subscription_of(frame)):
            if self._subscription is not None:
                self._subscription.catch_up()
            return True
        return False

    def _answers(self, request: Request) -> bool:
        """Answer a request of the server unless it is for a client; return whether it was."""
        if self._requests.client_meta is not None:
            # A server of 2026-07-28 makes no requests; it answers `input_required` instead.
            message = f"Method not found: {request.method}"
            send_or_drop(self._writer, _error_response(request, METHOD_NOT_FOUND, message))
        elif request.method == "ping":
            send_or_drop(self._writer, Response(request.id, _EMPTY))
        elif not self._is_up:
            message = "No client has a call in flight that this belongs to"
            send_or_drop(self._writer, _error_response(request, AMBIGUOUS_CLIENT, message))
        else:
            return False
        return True

    # --- The beginning, and the catalog ------------------------------------------------------

    async def _run(self, nursery: trio.Nursery, task_status: trio.TaskStatus[None]) -> None:
        """Negotiate, list, say that the session is up, and keep the catalog current."""
        negotiated = await self._negotiate()
        capabilities = negotiated.capabilities.items()
        declared = (name for name, value in capabilities if bytes(value) != _NULL)
        lists = Lists(self._spec.name, self._requests.send_request, frozenset(declared))
        up = self._session_up(negotiated, await lists.read_all())
        self._wire.set_catalog(lists.catalog)
        # From here on frames go to the actor. Its inbox is first in, first out, also for senders
        # that wait for room, so none of them can overtake `up`.
        self._is_up = True
        await self._events.send(up)
        # If the start timeout passed during the send, the supervisor ignores this and cancels us at
        # the next checkpoint. The actor then hears `SessionUp`, `SessionLost` and `Down`, in order.
        task_status.started()
        if up.is_stateless:
            self._subscription = self._subscribe(negotiated)
            nursery.start_soon(self._subscription.run)
        if self._ping_interval_s and may_be_asked(self._spec, is_stateless=up.is_stateless):
            nursery.start_soon(self._until_lost, self._watch, up.is_stateless)
        await self._relisting.keep_current(lists, self._publish)

    async def _negotiate(self) -> NegotiationResult:
        try:
            return await self._negotiation.negotiate()
        except WireLost as lost:
            words = self._wire.last_words()
            raise (lost.again(f"{lost.reason}; last: {words}") if words else lost) from None

    async def _watch(self, is_stateless: bool) -> None:
        interval_s = self._ping_interval_s
        await self._liveness.watch(self._requests, interval_s, is_stateless=is_stateless)

    def _subscribe(self, negotiated: NegotiationResult) -> UpstreamSubscription:
        capabilities = capabilities_with_list_changed(negotiated.capabilities)
        return UpstreamSubscription(
            self._spec.name, self._requests.send_request, capabilities, self._relisting.note
        )

    def _session_up(self, negotiated: NegotiationResult, catalog: Catalog) -> SessionUp:
        return SessionUp(
            instance=self._spec.name,
            session=self._session,
            inbox=self._writer,
            revision=negotiated.revision,
            capabilities=Raw(encode_json(negotiated.capabilities)),
            server_info=negotiated.server_info,
            instructions=negotiated.instructions,
            catalog=catalog,
            start=self._spec.start,
        )

    async def _publish(self, catalog: Catalog, announced: frozenset[str]) -> None:
        self._wire.set_catalog(catalog)
        await self._events.send(CatalogChanged(self._session, catalog, announced))


def _error_response(request: Request, code: int, message: str) -> ErrorResponse:
    return ErrorResponse(request.id, Raw(encode_json({"code": code, "message": message})))
