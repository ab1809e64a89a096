"""An upstream MCP session, from the handshake to the loss of its wire.

Job: make a client's side of MCP out of a wire: handshake, listing, re-listing, `ping`; pass on
everything else. Neighbours: a connector below gives the wire, `meeting` begins and `subscription`
listens; above, the supervisor runs `UpstreamSession` and the dispatch actor exchanges frames with
it. With an upstream of 2026-07-28 it is a session only in that it has a beginning and an end.

```
actor ── session inbox ──▶ _write ──▶ wire ──▶ _read ── FromSession ──▶ actor
                    own requests ▲            └─ answers to them
```

Invariants:

- Request ids: ours are odd, the actor's are even. So an answer is whose its id says.
- The reader never waits for the writer, only for the actor; or an upstream that stops reading
  until it is read would stop all three.
- `SessionUp` is the first event of a session and `SessionLost` the last; frames come between them.
  `SessionLost` is sent exactly once, before the wire is cleaned up, and from then on nothing can be
  put into the session's inbox.
- What cannot be sent within `WRITE_LIMIT_S` ends the session; the start has the supervisor's limit.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Final

import attrs
import trio
import trio.lowlevel
from msgspec import Raw

from router.messages.errors import AMBIGUOUS_CLIENT, METHOD_NOT_FOUND
from router.messages.events import CatalogChanged, FromSession, SessionLost, SessionUp
from router.messages.frames import ErrorResponse, Notification, Request, Response
from transports.connect.session.listings import LIST_CHANGED, Lists
from transports.connect.session.negotiation import Negotiation, ServerHistory
from transports.connect.session.requests import SessionRequests, encode, send_or_drop
from transports.connect.session.subscription import (
    ACKNOWLEDGED,
    Subscription,
    capabilities_with_list_changed,
)
from transports.connect.wire import WireLost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from router.messages.catalog import Catalog
    from router.messages.events import Event
    from router.messages.frames import Frame, SessionId
    from router.messages.instance_spec import InstanceSpec
    from transports.connect.session.negotiation import NegotiationResult
    from transports.connect.wire import Connect, Received, Wire

log = logging.getLogger("mcp_router.upstream")

INBOX_SIZE: Final = 1024
"""Frames that may wait to be written before the actor sheds calls: four of its batches, so that
no burst fills it, only an upstream that does not keep up."""

BATCH_BYTES: Final = 256 * 1024
"""What is written in one go, give or take a frame: a few pipes full, and little memory."""

WRITE_LIMIT_S: Final = 10.0
"""How long one write may take (reliability: an upstream that never reads)."""

RELIST_LIMIT_S: Final = 30.0
"""How long reading a list again may take before what was known is kept."""

RELIST_PAUSE_S: Final = 0.2
"""Between two re-listings, for upstreams that announce each of many changes."""

SAY_LOST_LIMIT_S: Final = 1.0
"""For the actor to take `SessionLost` when this is cancelled: it is busy, but never waits."""

_EMPTY: Final = Raw(b"{}")
_NULL: Final = b"null"


@attrs.frozen
class UpstreamSession:
    """The session of one instance, as the supervisor runs it: each call is one incarnation.

    Attributes:
        spec: the instance.
        connect: opens the wire of an incarnation.
        inbox: the actor's; not closed here.
        new_id: gives the number of an incarnation.
        version: of the router, which the upstream is told.
        past: what incarnations remember of the upstream for the next.
    """

    spec: InstanceSpec
    connect: Connect
    inbox: trio.MemorySendChannel[Event]
    new_id: Callable[[], SessionId]
    version: str
    past: ServerHistory = attrs.field(init=False, factory=ServerHistory)

    async def __call__(
        self,
        stopping: trio.Event,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Connect, negotiate, list, and pass frames on until `stopping` is set.

        Once the catalog is there, send `SessionUp` to the actor and call `task_status.started()`.

        Raises:
            WireLost: there was no connection or handshake, or the wire broke (perhaps in the
                exception group of the connector's nursery).
        """
        while True:
            session = self.new_id()
            async with self.connect() as wire:
                incarnation = _Incarnation(self, wire, session)
                is_over = await incarnation.live(stopping, task_status)
            if is_over:
                return


class _Incarnation:
    """One wire and what is said on it."""

    def __init__(self, upstream: UpstreamSession, wire: Wire, session: SessionId) -> None:
        self._spec = upstream.spec
        self._wire = wire
        self._events = upstream.inbox
        self._session = session
        self._inbox, self._to_write = trio.open_memory_channel["Frame"](INBOX_SIZE)
        self._questions = SessionRequests(self._inbox)
        self._meeting = Negotiation(
            upstream.spec, wire, self._questions, upstream.version, upstream.past
        )
        self._subscription: Subscription | None = None
        self._scope = trio.CancelScope()
        self._changed: set[str] = set()
        self._has_changed = trio.Event()
        self._is_said = False
        self._is_up = False
        self._lost: WireLost | None = None

    async def live(self, stopping: trio.Event, task_status: trio.TaskStatus[None]) -> bool:
        """Be a session until `stopping` is set or the wire is lost.

        Returns:
            False when the wire was lost because of our first request: the server has to be started
            again and spoken to without that request.
        """
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._until_lost, self._read)
                    nursery.start_soon(self._until_lost, self._write)
                    nursery.start_soon(self._until_lost, self._run, nursery, task_status)
                    await stopping.wait()
                    self._scope.cancel("told to stop")
        finally:
            self._inbox.close()
            self._to_write.close()
            if self._is_up:
                with trio.move_on_after(SAY_LOST_LIMIT_S, shield=True):
                    await self._say_lost()
        if self._lost is None or stopping.is_set():
            return True
        if self._meeting.may_retry_without_probe(self._lost):
            return False
        raise self._lost

    async def _until_lost(self, task: Callable[..., Awaitable[None]], *args: object) -> None:
        """Run a task; the first to find the wire lost says why, and ends the others."""
        try:
            await task(*args)
        except WireLost as lost:
            self._lost = self._lost or lost
            self._scope.cancel(lost.reason)
            await trio.lowlevel.checkpoint()

    async def _say_lost(self) -> None:
        reason = "it was stopped" if self._lost is None else self._lost.reason
        await self._events.send(SessionLost(self._session, reason))

    # --- Reading and writing -----------------------------------------------------------------

    async def _read(self) -> None:
        while True:
            for received in await self._wire.receive():
                event = self._take(received)
                if event is None:
                    continue
                try:
                    self._events.send_nowait(event)
                except trio.WouldBlock:
                    await self._events.send(event)

    def _take(self, received: Received) -> FromSession | None:
        """Deal with a frame that is ours; make an event of any other."""
        frame = received.frame
        if isinstance(frame, (Response, ErrorResponse)):
            if self._questions.take_answer(frame):
                return None
        elif isinstance(frame, Notification):
            if self._is_news(frame.method):
                return None
        elif self._answer(frame):
            return None
        return FromSession(self._session, frame, received.related) if self._is_up else None

    def _is_news(self, method: str) -> bool:
        """Take a notification if it is about the lists, which are read here."""
        if method in LIST_CHANGED:
            self._note_change(LIST_CHANGED[method])
            return True
        if self._subscription is not None and method == ACKNOWLEDGED:
            self._subscription.catch_up()
            return True
        return False

    def _answer(self, question: Request) -> bool:
        """Answer a server's request here, unless it is for a client."""
        if self._questions.client_meta is not None:
            send_or_drop(self._inbox, _against_protocol(question))
        elif question.method == "ping":
            send_or_drop(self._inbox, Response(question.id, _EMPTY))
        elif not self._is_up:
            send_or_drop(self._inbox, _too_early(question))
        else:
            return False
        return True

    async def _write(self) -> None:
        with trio.CancelScope() as limit:
            while True:
                frames = [await self._to_write.receive()]
                self._take_more(frames)
                limit.deadline = trio.current_time() + WRITE_LIMIT_S
                await self._wire.send(frames)
                limit.deadline = math.inf
        raise WireLost("does not read its input")

    def _take_more(self, frames: list[Frame]) -> None:
        """Take what else there is, up to the size of a batch."""
        size_bytes = _size(frames[0])
        while size_bytes < BATCH_BYTES:
            try:
                frame = self._to_write.receive_nowait()
            except trio.WouldBlock:
                return
            frames.append(frame)
            size_bytes += _size(frame)

    # --- The beginning, and the catalog ------------------------------------------------------

    async def _run(self, nursery: trio.Nursery, task_status: trio.TaskStatus[None]) -> None:
        """Negotiate, list, say that the session is up, and keep the catalog current."""
        greeting = await self._meeting.negotiate()
        declared = (name for name, value in greeting.capabilities.items() if bytes(value) != _NULL)
        lists = Lists(self._spec.name, self._questions.send_request, frozenset(declared))
        up = self._session_up(greeting, await lists.read_all())
        self._wire.set_catalog(lists.catalog)
        # From here on frames go to the actor. Its inbox is first in, first out, also for senders
        # that wait for room, so none of them can overtake `up`.
        self._is_up = True
        await self._events.send(up)
        # If the start timeout passed during the send, the supervisor ignores this and cancels us at
        # the next checkpoint. The actor then hears `SessionUp`, `SessionLost` and `Down`, in order.
        task_status.started()
        if up.is_stateless:
            self._subscription = self._subscribe(greeting)
            nursery.start_soon(self._subscription.run)
        await self._keep_true(lists)

    def _subscribe(self, greeting: NegotiationResult) -> Subscription:
        capabilities = capabilities_with_list_changed(greeting.capabilities)
        return Subscription(
            self._spec.name, self._questions.send_request, capabilities, self._read_again
        )

    def _session_up(self, greeting: NegotiationResult, catalog: Catalog) -> SessionUp:
        return SessionUp(
            instance=self._spec.name,
            session=self._session,
            inbox=self._inbox.clone(),
            revision=greeting.revision,
            capabilities=Raw(encode(greeting.capabilities)),
            server_info=greeting.server_info,
            instructions=greeting.instructions,
            catalog=catalog,
        )

    def _note_change(self, capability: str) -> None:
        """The server said that a list is another one now."""
        self._is_said = True
        self._read_again(capability)

    def _read_again(self, capability: str) -> None:
        self._changed.add(capability)
        self._has_changed.set()

    async def _keep_true(self, lists: Lists) -> None:
        """Read lists again when they have changed; once where they changed several times."""
        while True:
            await self._has_changed.wait()
            changed, self._changed, self._has_changed = self._changed, set(), trio.Event()
            is_said, self._is_said = self._is_said, False
            before = lists.catalog
            with trio.move_on_after(RELIST_LIMIT_S) as limit:
                await lists.read_again(changed)
            if limit.cancelled_caught:
                log.warning("%s: listing again took too long; kept the old", self._spec.name)
            if lists.catalog != before or (is_said and lists.catalog is not before):
                self._wire.set_catalog(lists.catalog)
                await self._events.send(CatalogChanged(self._session, lists.catalog))
            await trio.sleep(RELIST_PAUSE_S)


def _size(frame: Frame) -> int:
    if isinstance(frame, (Request, Notification)):
        return len(frame.params)
    return len(frame.result if isinstance(frame, Response) else frame.error)


def _against_protocol(question: Request) -> ErrorResponse:
    """The answer to a request of a server without sessions: it may make none (MCP 2026-07-28)."""
    message = f"Method not found: {question.method}"
    return ErrorResponse(question.id, Raw(encode({"code": METHOD_NOT_FOUND, "message": message})))


def _too_early(question: Request) -> ErrorResponse:
    """The answer to a question before any client can have a call in flight."""
    message = "No client has a call in flight that this belongs to"
    return ErrorResponse(question.id, Raw(encode({"code": AMBIGUOUS_CLIENT, "message": message})))
