"""An upstream MCP session, from the handshake to the loss of its wire.

Job: make a client's side of MCP out of a wire: handshake, listing, re-listing, `ping`; pass on
everything else. Neighbours: a connector below gives the wire; above, the supervisor runs
`UpstreamSession` and the dispatch actor exchanges frames with it.

```
actor ── session inbox ──▶ _write ──▶ wire ──▶ _read ── FromSession ──▶ actor
                    own requests ▲            └─ answers to them
```

Invariants:

- Request ids: ours are odd, the actor's are even. So an answer is whose its id says.
- The reader never waits for the writer, only for the actor; or an upstream that stops reading
  until it is read would stop all three.
- Once a session is up, `SessionLost` is said exactly once, before the wire is cleaned up, and from
  then on nothing can be put into its inbox.
- What cannot be sent within `WRITE_LIMIT_S` ends the session; the start has the supervisor's limit.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec
import trio
import trio.lowlevel
from msgspec import Raw, Struct

from router.errors import AMBIGUOUS_CLIENT
from router.messages import (
    HANDSHAKE_REVISIONS,
    LATEST_HANDSHAKE_REVISION,
    CatalogChanged,
    ErrorResponse,
    FromSession,
    Notification,
    Request,
    Response,
    SessionLost,
    SessionUp,
)
from transports.catalog import LIST_CHANGED, Lists
from transports.questions import SHOWN, Questions, Refused, encode, say
from transports.wire import WireLost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from router.messages import Catalog, Event, Frame, InstanceSpec, SessionId
    from transports.wire import Connect, Received, Wire

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
    """

    spec: InstanceSpec
    connect: Connect
    inbox: trio.MemorySendChannel[Event]
    new_id: Callable[[], SessionId]
    version: str

    async def __call__(
        self,
        stopping: trio.Event,
        *,
        task_status: trio.TaskStatus[SessionUp] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Connect, shake hands, list, and pass frames on until `stopping` is set.

        `task_status` gets a `SessionUp` once the catalog is there.

        Raises:
            WireLost: there was no connection or handshake, or the wire broke (perhaps in the
                exception group of the connector's nursery).
        """
        session = self.new_id()
        async with self.connect() as wire:
            incarnation = _Incarnation(self.spec, wire, self.inbox, session, self.version)
            await incarnation.live(stopping, lambda up: task_status.started(up))


class _Greeting(Struct, gc=False):
    """The result of `initialize` (MCP 2025-11-25, Lifecycle)."""

    protocolVersion: str
    capabilities: dict[str, Raw]
    serverInfo: Raw = _EMPTY
    instructions: str | None = None


_greeting: Final = msgspec.json.Decoder(_Greeting)


class _Incarnation:
    """One wire and what is said on it."""

    def __init__(
        self,
        spec: InstanceSpec,
        wire: Wire,
        events: trio.MemorySendChannel[Event],
        session: SessionId,
        version: str,
    ) -> None:
        self._spec = spec
        self._wire = wire
        self._events = events
        self._session = session
        self._version = version
        self._inbox, self._to_write = trio.open_memory_channel["Frame"](INBOX_SIZE)
        self._questions = Questions(self._inbox)
        self._scope = trio.CancelScope()
        self._changed: set[str] = set()
        self._has_changed = trio.Event()
        self._is_up = False
        self._is_known = False
        self._lost: WireLost | None = None

    async def live(self, stopping: trio.Event, started: Callable[[SessionUp], None]) -> None:
        """Be a session until `stopping` is set or the wire is lost; `started` is told once up."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._until_lost, self._read)
                    nursery.start_soon(self._until_lost, self._write)
                    nursery.start_soon(self._until_lost, self._run, started)
                    await stopping.wait()
                    self._scope.cancel("told to stop")
        finally:
            self._inbox.close()
            self._to_write.close()
            if self._is_up:
                with trio.move_on_after(SAY_LOST_LIMIT_S, shield=True):
                    await self._say_lost()
        if self._lost is not None and not stopping.is_set():
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
            if self._questions.answered(frame):
                return None
        elif isinstance(frame, Notification):
            if frame.method in LIST_CHANGED:
                self._note_change(LIST_CHANGED[frame.method])
                return None
        elif frame.method == "ping":
            say(self._inbox, Response(frame.id, _EMPTY))
            return None
        elif not self._is_known:
            say(self._inbox, _too_early(frame))
        return FromSession(self._session, frame, received.related) if self._is_known else None

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

    # --- The handshake, and the catalog ------------------------------------------------------

    async def _run(self, started: Callable[[SessionUp], None]) -> None:
        """Shake hands, list, be up, and keep the catalog true."""
        greeting = await self._shake_hands()
        declared = (name for name, value in greeting.capabilities.items() if bytes(value) != _NULL)
        lists = Lists(self._spec.name, self._questions.ask, frozenset(declared))
        up = self._session_up(greeting, await lists.read_all())
        self._is_up = True
        started(up)
        # The supervisor passes `up` on in a task of its own, which has had its turn when we have
        # had two. Nothing may reach the actor before that.
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        self._is_known = True
        await self._keep_true(lists)

    async def _shake_hands(self) -> _Greeting:
        """`initialize` and `notifications/initialized` (MCP 2025-11-25, Lifecycle).

        Raises:
            WireLost: the upstream does not want to, or speaks what we do not.
        """
        nothing: dict[str, Any] = {}
        params = {
            "protocolVersion": LATEST_HANDSHAKE_REVISION,
            "capabilities": {"roots": nothing, "sampling": nothing, "elicitation": nothing},
            "clientInfo": {"name": "mcp-router", "title": "MCP Router", "version": self._version},
        }
        try:
            greeting = _greeting.decode(await self._questions.ask("initialize", params))
        except Refused as refused:
            raise WireLost(f"initialize was refused: {refused}") from None
        except msgspec.MsgspecError as exc:
            raise WireLost(f"initialize was answered with something else: {exc}") from None
        revision = greeting.protocolVersion[:SHOWN]
        if revision not in HANDSHAKE_REVISIONS:
            raise WireLost(f"speaks protocol revision {revision}, which is not spoken here")
        self._wire.agreed(revision)
        await self._inbox.send(Notification("notifications/initialized"))
        return greeting

    def _session_up(self, greeting: _Greeting, catalog: Catalog) -> SessionUp:
        return SessionUp(
            instance=self._spec.name,
            session=self._session,
            inbox=self._inbox.clone(),
            revision=greeting.protocolVersion,
            capabilities=Raw(encode(greeting.capabilities)),
            server_info=greeting.serverInfo,
            instructions=greeting.instructions,
            catalog=catalog,
        )

    def _note_change(self, capability: str) -> None:
        self._changed.add(capability)
        self._has_changed.set()

    async def _keep_true(self, lists: Lists) -> None:
        """Read lists again when they have changed; once where they changed several times."""
        while True:
            await self._has_changed.wait()
            changed, self._changed, self._has_changed = self._changed, set(), trio.Event()
            before = lists.catalog
            with trio.move_on_after(RELIST_LIMIT_S) as limit:
                await lists.read_again(changed)
            if limit.cancelled_caught:
                log.warning("%s: listing again took too long; kept the old", self._spec.name)
            if lists.catalog is not before:
                await self._events.send(CatalogChanged(self._session, lists.catalog))
            await trio.sleep(RELIST_PAUSE_S)


def _size(frame: Frame) -> int:
    if isinstance(frame, (Request, Notification)):
        return len(frame.params)
    return len(frame.result if isinstance(frame, Response) else frame.error)


def _too_early(question: Request) -> ErrorResponse:
    """The answer to a question before any client can have a call in flight."""
    message = "No client has a call in flight that this belongs to"
    return ErrorResponse(question.id, Raw(encode({"code": AMBIGUOUS_CLIENT, "message": message})))
