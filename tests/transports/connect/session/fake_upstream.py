"""An MCP server in memory, and a session with it: no process, no socket, no clock."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import trio
import trio.lowlevel
import trio.testing
from msgspec import Raw

from router.messages.frames import ErrorResponse, Notification, Request, Response
from router.messages.instance_spec import InstanceSpec
from router.messages.revisions import STATELESS_REVISION
from transports.connect.session.session import UpstreamSession
from transports.connect.wire import Received, WireLost

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from router.messages.catalog import Catalog
    from router.messages.events import CatalogChanged, Event, SessionUp
    from router.messages.frames import Frame

AUTO = InstanceSpec(name="fake", provider="test", command="fake")
SPEC = InstanceSpec(name="fake", provider="test", command="fake", protocol="legacy")

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
    """What refuses a revision, and names others."""
    data = {"supported": supported, "requested": "x"}
    return Exception(json.dumps({"code": -32022, "message": "Unsupported", "data": data}))


def refusal(message: str, code: int = -32601) -> Exception:
    return Exception(json.dumps({"code": code, "message": message}))


@attrs.define(eq=False)
class FakeUpstream:
    """A server whose answers are set beforehand, and which says what the test has it say.

    Attributes:
        answers: method -> its answer, or what makes one of the params.
        sent: what the session has sent, one list for each write.
        agreed: the revision the handshake ended with, with the frames sent before that.
        listed: the tools the wire was told of, each time.
        reads: False for an upstream that takes nothing in.
        cleanup_s: how long its wire takes to be cleaned up.
        cleaned_up_at_s: when that was done.
    """

    answers: dict[str, Answer | Callable[[Any], Answer]] = attrs.field(factory=dict)
    sent: list[list[Frame]] = attrs.field(factory=list)
    agreed: tuple[str, int] | None = None
    listed: list[list[str]] = attrs.field(factory=list)
    reads: bool = True
    cleanup_s: float = 0.0
    cleaned_up_at_s: float | None = None

    @property
    def frames(self) -> list[Frame]:
        return [frame for write in self.sent for frame in write]

    def asked(self, method: str) -> list[Any]:
        """The params of all requests with this method."""
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
        """Those of all requests and notifications."""
        return [frame.method for frame in self.frames if isinstance(frame, (Request, Notification))]

    def say(self, *frames: Frame, related: int | None = None) -> None:
        """Have these frames come in together."""
        self._say.send_nowait([Received(frame, related) for frame in frames])

    def lose(self, reason: str) -> None:
        """Break the wire, after what was said before."""
        self._say.send_nowait(WireLost(reason))

    def answer(self, request: Request) -> None:
        """Say what `answers` has for this request."""
        found = self.answers.get(request.method, refusal(f"Method not found: {request.method}"))
        answer = found(load(request.params)) if callable(found) else found
        if isinstance(answer, Raw):
            self.say(Response(request.id, answer))
        elif answer is not None:
            self.say(ErrorResponse(request.id, Raw(str(answer).encode())))

    _say: trio.MemorySendChannel[list[Received] | WireLost] = attrs.field(init=False)


def with_tools(*names: str) -> FakeUpstream:
    """A server with these tools."""
    tools = raw({"tools": [{"name": name} for name in names]})
    return FakeUpstream({"initialize": hello("tools"), "tools/list": tools})


@attrs.define(eq=False)
class FakeWire:
    """The session's end."""

    upstream: FakeUpstream
    incoming: trio.MemoryReceiveChannel[list[Received] | WireLost]

    async def send(self, frames: Sequence[Frame]) -> None:
        if not self.upstream.reads:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        self.upstream.sent.append(list(frames))
        for frame in frames:
            if isinstance(frame, Request) and isinstance(frame.id, int) and frame.id % 2:
                self.upstream.answer(frame)

    async def receive(self) -> Sequence[Received]:
        received = await self.incoming.receive()
        if isinstance(received, WireLost):
            raise received
        return received

    def set_revision(self, revision: str) -> None:
        self.upstream.agreed = (revision, len(self.upstream.frames))

    def set_catalog(self, catalog: Catalog) -> None:
        self.upstream.listed.append([tool.key for tool in catalog.tools])


@attrs.define(eq=False)
class Running:
    """A session that runs in the test's nursery, and everything it tells the actor.

    Attributes:
        told: the actor's inbox.
        session: what runs.
        up: what it gave to `started`.
        error: what it ended with.
        is_up, ended: set when it is.
    """

    upstream: FakeUpstream
    told: trio.MemoryReceiveChannel[Event]
    session: UpstreamSession
    up: SessionUp | None = None
    error: BaseException | None = None
    is_up: trio.Event = attrs.field(factory=trio.Event)
    ended: trio.Event = attrs.field(factory=trio.Event)
    stopping: trio.Event = attrs.field(factory=trio.Event)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    def events(self) -> list[Event]:
        """What the actor was told since this was last asked."""
        events: list[Event] = []
        while True:
            try:
                events.append(self.told.receive_nowait())
            except trio.WouldBlock:
                return events

    def started(self, value: SessionUp | None = None) -> None:
        """Be the session's `TaskStatus`."""
        self.up = value
        self.is_up.set()

    async def run(self) -> None:
        try:
            with self.scope:
                await self.session(self.stopping, task_status=self)
        except Exception as exc:
            self.error = exc
            if self.up is None:
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
) -> Running:
    """Start a session and wait until it is up and quiet.

    Raises:
        WireLost: it could not be.
    """
    inbox, told = trio.open_memory_channel["Event"](inbox_size)
    session = UpstreamSession(spec, upstream.connect, inbox, count(7).__next__, "2.0")
    running = Running(upstream, told, session)
    nursery.start_soon(running.run)
    await running.is_up.wait()
    await trio.testing.wait_all_tasks_blocked()
    return running


def stateless(*tools: str) -> FakeUpstream:
    """A server of 2026-07-28 alone that has these tools, and whose subscription never ends."""
    return FakeUpstream(
        {
            "server/discover": discovery("tools"),
            "initialize": unsupported(STATELESS_REVISION),
            "tools/list": raw({"tools": [{"name": name} for name in tools]}),
            "subscriptions/listen": None,
        }
    )


def call(request_id: int, size_bytes: int = 0) -> Request:
    return Request(request_id, "tools/call", raw({"name": "x" * size_bytes}))


def log_notice(text: str) -> Notification:
    return Notification("notifications/message", raw({"level": "info", "data": text}))


def changed(what: str) -> Notification:
    return Notification(f"notifications/{what}/list_changed")


def tool_names(event: SessionUp | CatalogChanged) -> list[str]:
    return [item.key for item in event.catalog.tools]
