"""An MCP server in memory, and a session with it: no process, no socket, no clock."""

from __future__ import annotations

import json
import math
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import trio
import trio.lowlevel
import trio.testing
from msgspec import Raw

from router.messages.events import Barrier, SessionUp
from router.messages.frames import ErrorResponse, Notification, Request, Response
from router.messages.instances.instance_spec import InstanceSpec
from router.messages.revisions import STATELESS_REVISION
from transports.connect.session.session import UpstreamSession
from transports.connect.wire import Received, WireLost

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from router.messages.catalog import Catalog
    from router.messages.events import CatalogChanged, Event
    from router.messages.frames import Frame
    from transports.connect.wire import Failure

AUTO = InstanceSpec(name="fake", provider="test", command="fake")
SPEC = InstanceSpec(name="fake", provider="test", command="fake", protocol="legacy")

HANDSHAKE = ["initialize", "notifications/initialized"]
"""The methods with which a session begins."""

Answer: TypeAlias = "Raw | Exception | None"
"""A result, an error to refuse with, or no answer at all."""


def raw(value: Any) -> Raw:
    return Raw(json.dumps(value).encode())


def load(raw: Raw) -> Any:
    return json.loads(bytes(raw))


def hello(*capabilities: str, revision: str = "2025-11-25") -> Raw:
    """The result of `initialize` that declares these capabilities."""
    return raw(
        {
            "protocolVersion": revision,
            "capabilities": {name: {} for name in capabilities},
            "serverInfo": {"name": "fake", "version": "1"},
            "instructions": "Ask nicely",
        }
    )


def discovery(*capabilities: str, supported: Sequence[str] = (STATELESS_REVISION,)) -> Raw:
    """The result of `server/discover` that declares these, and that their lists may change."""
    return raw(
        {
            "supportedVersions": list(supported),
            "capabilities": {name: {"listChanged": True} for name in capabilities},
            "instructions": "Ask nicely",
            "resultType": "complete",
            "ttlMs": 0,
            "cacheScope": "private",
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "fake", "version": "2"}},
        }
    )


def unsupported(*supported: str) -> Exception:
    """Return the error that refuses a revision and names others."""
    data = {"supported": supported, "requested": "x"}
    return Exception(json.dumps({"code": -32022, "message": "Unsupported", "data": data}))


def refusal(message: str, code: int = -32601) -> Exception:
    return Exception(json.dumps({"code": code, "message": message}))


@attrs.define(eq=False)
class FakeUpstream:
    """A server that answers as `answers` says, and sends what the test has it send.

    Attributes:
        answers: method -> the answer, or a function from the params to the answer.
        sent: the frames that the session has sent, one list for each write.
        agreed: the revision that was negotiated, and the number of frames sent before that.
        listed: the names of the tools in each catalog that the wire got.
        probing: what the wire was told of the probe: True for its begin, False for its end.
        last_words: what it said last on stderr.
        reads: False for an upstream that reads nothing.
        cleanup_s: the time that the clean-up of the wire takes.
        cleaned_up_at_s: the time at which it was done.
    """

    answers: dict[str, Answer | Callable[[Any], Answer]] = attrs.field(factory=dict)
    sent: list[list[Frame]] = attrs.field(factory=list)
    agreed: tuple[str, int] | None = None
    listed: list[list[str]] = attrs.field(factory=list)
    probing: list[bool] = attrs.field(factory=list)
    last_words: str = ""
    reads: bool = True
    cleanup_s: float = 0.0
    cleaned_up_at_s: float | None = None

    @property
    def frames(self) -> list[Frame]:
        return [frame for write in self.sent for frame in write]

    def asked(self, method: str) -> list[Any]:
        """Return the params of all requests with this method."""
        return [
            load(frame.params)
            for frame in self.frames
            if isinstance(frame, Request) and frame.method == method
        ]

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[FakeWire]:
        self._say, incoming = trio.open_memory_channel["list[Received] | WireLost"](1000)
        try:
            yield FakeWire(self, incoming)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(self.cleanup_s)
            self.cleaned_up_at_s = trio.current_time()

    @property
    def methods(self) -> list[str]:
        """The methods of all requests and notifications."""
        return [frame.method for frame in self.frames if isinstance(frame, (Request, Notification))]

    def say(self, *frames: Frame, related: int | None = None) -> None:
        """Send these frames to the session together."""
        self._say.send_nowait([Received(frame, related) for frame in frames])

    def say_failed(self, frame: ErrorResponse, failure: Failure) -> None:
        """Have a request fail, as a remote wire tells it."""
        self._say.send_nowait([Received(frame, None, failure)])

    def lose(self, reason: str, *, is_from_outside: bool = False) -> None:
        """Break the wire, after everything that was sent before."""
        self._say.send_nowait(WireLost(reason, is_from_outside=is_from_outside))

    def answer(self, request: Request) -> None:
        """Answer a request as `answers` says."""
        found = self.answers.get(request.method, refusal(f"Method not found: {request.method}"))
        answer = found(load(request.params)) if callable(found) else found
        if isinstance(answer, Raw):
            self.say(Response(request.id, answer))
        elif answer is not None:
            self.say(ErrorResponse(request.id, Raw(str(answer).encode())))

    _say: trio.MemorySendChannel[list[Received] | WireLost] = attrs.field(init=False)


def with_tools(*names: str) -> FakeUpstream:
    """Return a server with these tools, which speaks the older revisions."""
    tools = raw({"tools": [{"name": name} for name in names]})
    return FakeUpstream({"initialize": hello("tools"), "tools/list": tools})


@attrs.define(eq=False)
class FakeWire:
    """The session's end of the wire."""

    upstream: FakeUpstream
    incoming: trio.MemoryReceiveChannel[list[Received] | WireLost]
    unsent: Sequence[Frame] = ()

    def send_nowait(self, frames: Sequence[Frame]) -> bool:
        self.unsent = frames
        return False

    async def send(self, frames: Sequence[Frame]) -> None:
        if not self.upstream.reads:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        frames, self.unsent = [*self.unsent, *frames], ()
        self.upstream.sent.append(list(frames))
        for frame in frames:
            if isinstance(frame, Request) and isinstance(frame.id, int) and frame.id % 2:
                self.upstream.answer(frame)

    async def receive(self) -> Sequence[Received]:
        received = await self.incoming.receive()
        if isinstance(received, WireLost):
            raise received
        return received

    def set_probing(self, is_probing: bool) -> None:
        self.upstream.probing.append(is_probing)

    def last_words(self) -> str:
        return self.upstream.last_words

    def set_revision(self, revision: str) -> None:
        self.upstream.agreed = (revision, len(self.upstream.frames))

    def set_catalog(self, catalog: Catalog) -> None:
        self.upstream.listed.append([tool.key for tool in catalog.tools])


@attrs.define(eq=False)
class Running:
    """A session that runs in the test's nursery, and everything that it sends to the actor.

    Attributes:
        upstream: the server.
        told: the actor's inbox.
        session: the session.
        up: the first event, once the session has started.
        error: the exception that ended the session.
        is_up, ended: set when the session is up, and when it has ended.
        stopping: asks the session to stop.
        scope: cancels the session.
    """

    upstream: FakeUpstream
    told: trio.MemoryReceiveChannel[Event | Barrier]
    session: UpstreamSession
    up: SessionUp | None = None
    error: BaseException | None = None
    is_up: trio.Event = attrs.field(factory=trio.Event)
    ended: trio.Event = attrs.field(factory=trio.Event)
    stopping: trio.Event = attrs.field(factory=trio.Event)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    def events(self) -> list[Event | Barrier]:
        """Return the events that the actor got since the last call."""
        events: list[Event | Barrier] = []
        while True:
            try:
                events.append(self.told.receive_nowait())
            except trio.WouldBlock:
                return events

    def started(self, value: None = None) -> None:
        """Be the session's `TaskStatus`."""
        self.is_up.set()

    async def run(self) -> None:
        try:
            with self.scope:
                await self.session(self.stopping, task_status=self)
        except Exception as exc:
            self.error = exc
            if self.up is None and trio.current_effective_deadline() > -math.inf:
                raise
            await trio.lowlevel.checkpoint()
        finally:
            self.ended.set()

    @property
    def session_inbox(self) -> Any:
        assert self.up is not None
        return self.up.inbox


async def start(
    nursery: trio.Nursery,
    upstream: FakeUpstream,
    *,
    inbox_size: int = 100,
    spec: InstanceSpec = SPEC,
    ping_interval_s: float = 0.0,
) -> Running:
    """Start a session and wait until it is up and quiet.

    Raises:
        WireLost: the session did not come up.
    """
    inbox, told = trio.open_memory_channel["Event | Barrier"](inbox_size)
    session = UpstreamSession(
        spec, upstream.connect, inbox, count(7).__next__, "2.0", ping_interval_s
    )
    running = Running(upstream, told, session)
    nursery.start_soon(running.run)
    up = await told.receive()
    assert isinstance(up, SessionUp)
    running.up = up
    await running.is_up.wait()
    await trio.testing.wait_all_tasks_blocked()
    return running


@attrs.define
class SlowActor:
    """Takes all events of a session, and needs its time for each."""

    event_s: float = 0.0
    taken: list[Event] = attrs.field(factory=list["Event"])

    async def run(self, running: Running) -> None:
        async for event in running.told:
            if isinstance(event, Barrier):
                event.pass_on()
            else:
                await trio.sleep(self.event_s)
                self.taken.append(event)


def stateless(*tools: str) -> FakeUpstream:
    """Return a server of 2026-07-28 alone with these tools; its subscription never ends."""
    return FakeUpstream(
        {
            "server/discover": discovery("tools"),
            "initialize": unsupported(STATELESS_REVISION),
            "tools/list": raw({"tools": [{"name": name} for name in tools]}),
            "subscriptions/listen": None,
        }
    )


async def run_once(session: UpstreamSession) -> WireLost | None:
    """Run one incarnation to its end, which it is asked for once it is up; return its error."""
    stopping = trio.Event()

    class Up:
        def started(self, value: object = None) -> None:
            stopping.set()

    try:
        await session(stopping, task_status=Up())
    except WireLost as lost:
        return lost
    return None


def session_with(upstream: FakeUpstream, spec: InstanceSpec = AUTO) -> UpstreamSession:
    """Return a session that is not running yet."""
    inbox, _ = trio.open_memory_channel[Any](100)
    return UpstreamSession(spec, upstream.connect, inbox, lambda: 1, "2.0")


def call(request_id: int, size_bytes: int = 0) -> Request:
    return Request(request_id, "tools/call", raw({"name": "x" * size_bytes}))


def log_notice(text: str) -> Notification:
    return Notification("notifications/message", raw({"level": "info", "data": text}))


def changed(what: str) -> Notification:
    return Notification(f"notifications/{what}/list_changed")


def tool_names(event: SessionUp | CatalogChanged) -> list[str]:
    return [item.key for item in event.catalog.tools]
