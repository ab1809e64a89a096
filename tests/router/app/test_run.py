"""The composition: what starts and stops when, with listeners and instances of the test's own."""

from __future__ import annotations

import gc
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import attrs
import pytest
import trio
import trio.testing
from msgspec import Raw
from msgspec.structs import replace

from router.access.refusals import Refusals
from router.app import upstreams
from router.app.listeners import STDIO, UpListeners
from router.app.logins.lazy_logins import LazyLogins
from router.app.logins.router_logins import RouterLogins
from router.app.records import Records
from router.app.run import LATER_S, run, serve
from router.app.shutdown import LastResort, Stop
from router.app.upstreams import Upstreams
from router.app.wiring import Channels, Router
from router.config.settings import Server, Settings, Watcher
from router.messages.catalog import Catalog, Item
from router.messages.commands import AddInstance, MakeChange, Principal
from router.messages.events import (
    AdminCommand,
    ClientClosed,
    ClientOpened,
    FromClient,
    FromSession,
    InstanceSaved,
    InstancesChanged,
    SessionLost,
    SessionUp,
)
from router.messages.frames import ErrorResponse, Request, Response
from router.messages.instances.instance_spec import InstanceSpec
from router.messages.observability.metrics import ActorCounts
from router.reload.file_watcher import ReloadRequest
from router.reload.pin_store import PinStore
from router.reload.profile_store import ProfileStore
from supervisors.child import ChildSpec, Restart, RestartChild

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.messages.core_settings import RecordReason

WAIT_S = 60.0
DRAIN_S = 20.0
ADDRESS = "http://127.0.0.1:1/mcp"


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """The program changes it."""
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


@attrs.define
class FakeListener:
    """A way in that the test is at the other end of; what happened to it is in `log`."""

    log: list[str]
    inbox: Any
    name: str = "http"
    error: Exception | None = None
    ready: trio.Event = attrs.field(factory=trio.Event)
    leave: trio.Event = attrs.field(factory=trio.Event)
    answers: Any = None
    _send: Any = None

    async def __call__(self, stopping: trio.Event, *, task_status: trio.TaskStatus[str]) -> None:
        self._send, self.answers = trio.open_memory_channel[Any](100)
        await self.inbox.send(ClientOpened("c", self._send))
        task_status.started(ADDRESS)
        self.log.append(f"{self.name} up")
        self.ready.set()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._leave_when, stopping)
            await self.leave.wait()
            nursery.cancel_scope.cancel()
        await self.inbox.send(ClientClosed("c"))
        self.log.append(f"{self.name} ended")
        if self.error is not None:
            raise self.error

    async def _leave_when(self, stopping: trio.Event) -> None:
        await stopping.wait()
        self.leave.set()

    def child(self) -> ChildSpec:
        restart = Restart.NEVER if self.name == STDIO else Restart.ALWAYS
        return ChildSpec(self.name, self, restart=restart)

    async def ask(self, method: str, request_id: int = 1, params: bytes = b"{}") -> None:
        await self.inbox.send(FromClient("c", Request(request_id, method, Raw(params)), self._send))

    async def answer(self) -> Any:
        with trio.fail_after(WAIT_S):
            return await self.answers.receive()


@attrs.define
class FakeSession:
    """An upstream with one tool, `t`, which answers when the test says so."""

    spec: InstanceSpec
    inbox: Any
    new_id: Any
    log: list[str]
    history: object = None
    called: trio.Event = attrs.field(factory=trio.Event)
    may_answer: trio.Event = attrs.field(factory=trio.Event)

    async def __call__(self, stopping: trio.Event, *, task_status: trio.TaskStatus[None]) -> None:
        send, receive = trio.open_memory_channel[Any](10)
        session = self.new_id()
        catalog = Catalog(tools=(Item("t", Raw(b'{"name":"t"}')),))
        args = (self.spec.name, session, send, "2025-11-25", Raw(b"{}"), Raw(b"{}"), None, catalog)
        await self.inbox.send(SessionUp(*args))
        task_status.started()
        self.log.append("session up")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._serve, receive, session)
            await stopping.wait()
            nursery.cancel_scope.cancel()
        self.log.append("session ended")
        await self.inbox.send(SessionLost(session, "stopped"))

    async def _serve(self, receive: trio.MemoryReceiveChannel[Any], session: int) -> None:
        async for frame in receive:
            self.called.set()
            await self.may_answer.wait()
            if isinstance(frame, Request):
                await self.inbox.send(FromSession(session, Response(frame.id, Raw(b'{"x":1}'))))


@attrs.define
class FakeSettings:
    """Settings that are the same whenever they are read."""

    current: Settings
    log: list[str]
    record_reasons: frozenset[RecordReason] = frozenset()

    def warn_of_extra(self) -> None:
        pass

    def tell_again(self) -> None:
        pass

    async def reload_and_tell(self, _parts: Any, _inbox: Any) -> None:
        await trio.lowlevel.checkpoint()
        self.log.append("reading again")


@attrs.define
class FakeTelemetry:
    """An export that exports nothing."""

    log: list[str]
    tracer: None = None

    def start(self) -> None:
        self.log.append("export begun")

    def close(self) -> None:
        self.log.append("export ended")


@attrs.define
class Program:
    """A router made of fakes, running in the test's nursery."""

    log: list[str] = attrs.field(factory=list)
    stop: Stop = attrs.field(factory=lambda: Stop(DRAIN_S, last_resort=LastResort(lambda _: None)))
    listeners: list[FakeListener] = attrs.field(factory=list)
    sessions: list[FakeSession] = attrs.field(factory=list)
    names: tuple[str, ...] = ("http",)
    specs: tuple[InstanceSpec, ...] = ()
    may_announce: trio.Event = attrs.field(factory=trio.Event)
    may_save: trio.Event = attrs.field(factory=trio.Event)
    router: Router = attrs.field(init=False)
    settings: FakeSettings = attrs.field(init=False)
    ended: trio.Event = attrs.field(factory=trio.Event)
    is_draining: bool = False
    up: UpListeners = attrs.field(factory=UpListeners)
    handed_over: trio.Event | None = None
    _ready: trio.Event = attrs.field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        watcher = Watcher(enabled=False, debounce_delay=0.1)
        settings = Settings(server=Server(drain_s=DRAIN_S), watcher=watcher)
        channels = Channels.open()
        fake: Any = self
        self.settings = FakeSettings(settings, self.log)
        self.router = Router(
            channels=channels,
            settings=cast("Any", self.settings),
            instances=fake,
            catalogues=fake,
            pins=PinStore(Path("pins.json")),
            profiles=ProfileStore(cast("Any", self.settings), lambda _: False),
            upstreams=Upstreams(settings.mcp_client, channels.inbox_in),
            listeners=fake,
            logins=RouterLogins(
                LazyLogins(Path("config.json"), str), lambda _: None, lambda _: None
            ),
            refusals=Refusals(),
            parts=(),
            reload_request=ReloadRequest(),
            logs=fake,
            actor_counts=ActorCounts(),
            records=Records(),
            is_for_people=True,
        )

    def mask(self, text: str) -> str:
        """Be the logs of the router."""
        return text

    def children(self) -> list[ChildSpec]:
        """Be the listeners of the router."""
        inbox = self.router.channels.inbox_in
        self.listeners += [FakeListener(self.log, inbox, name) for name in self.names]
        self._ready.set()
        self.up.expect(self.names)
        return [one.child() for one in self.listeners]

    def tell_again(self) -> None:
        """Be the instance store of the router."""

    async def hand_over(self) -> None:
        """Be the listeners of the router."""
        self.log.append("handing over")
        if self.handed_over is not None:
            await self.handed_over.wait()

    async def announce(self, inbox: Any) -> None:
        """Be the instance store of the router."""
        await self.may_announce.wait()
        await inbox.send(InstancesChanged(self.specs))

    async def save(self, save: Any, inbox: Any) -> None:
        """Be the instance store of the router."""
        await self.may_save.wait()
        self.log.append("saved")
        await inbox.send(InstanceSaved(save.key, self.specs))

    async def keep(self, saves: Any) -> None:
        """Be the catalogue store of the router."""
        with saves:
            async for save in saves:
                self.log.append(f"kept {save.spec.name}")
        self.log.append("catalogues ended")

    async def run(self) -> None:
        await serve(self.router, self.stop)
        self.stop.ended()
        self.ended.set()

    def exports(self) -> None:
        """Have the router export telemetry."""
        telemetry = cast("Any", FakeTelemetry(self.log))
        self.router = replace(self.router, telemetry=telemetry)

    async def listener(self) -> FakeListener:
        with trio.fail_after(WAIT_S):
            await self._ready.wait()
            await self.listeners[0].ready.wait()
        return self.listeners[0]

    async def end(self) -> None:
        with trio.fail_after(WAIT_S):
            await self.ended.wait()


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    program = Program()

    def session(*, spec: InstanceSpec, inbox: Any, new_id: Any, **_: Any) -> FakeSession:
        program.sessions.append(FakeSession(spec, inbox, new_id, program.log))
        return program.sessions[-1]

    monkeypatch.setattr(upstreams, "_session_class", lambda: session)
    monkeypatch.setattr(upstreams, "_connector", lambda _: lambda _: None)
    yield program
    program.stop.ended()  # Its last resort is a thread that would speak up in a later test.


CALL = json.dumps(
    {
        "name": "mcp.router.call",
        "arguments": {"instance_name": "a", "tool_name": "t", "arguments": {}},
    }
).encode()


# --- Start -----------------------------------------------------------------------------------


async def test_handshake_waits_for_no_instance(
    program: Program, nursery: trio.Nursery, autojump_clock: Any
) -> None:
    nursery.start_soon(program.run)
    listener = await program.listener()
    await listener.ask("initialize", params=b'{"protocolVersion":"2025-06-18"}')
    assert isinstance(await listener.answer(), Response)
    program.stop.ask("enough")
    await program.end()


async def test_call_before_the_instances_are_known_waits_for_them(
    program: Program, nursery: trio.Nursery, autojump_clock: Any
) -> None:
    program.specs = (InstanceSpec("a", "p", command="x"),)
    nursery.start_soon(program.run)
    listener = await program.listener()
    await listener.ask("tools/call", params=CALL)
    await trio.testing.wait_all_tasks_blocked()
    program.may_announce.set()
    await trio.testing.wait_all_tasks_blocked()
    program.sessions[0].may_answer.set()
    assert await listener.answer() == Response(1, Raw(b'{"x":1}'))
    program.stop.ask("enough")
    await program.end()


async def test_addresses_and_the_way_to_stop_are_said(
    program: Program, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture, autojump_clock: Any
) -> None:
    caplog.set_level(logging.INFO)
    program.may_announce.set()
    nursery.start_soon(serve, program.router, program.stop)
    await program.listener()
    await trio.testing.wait_all_tasks_blocked()
    program.stop.ask("enough")
    await trio.testing.wait_all_tasks_blocked()
    assert caplog.messages == [
        f"Listening on {ADDRESS}",
        "Press Ctrl+C to stop",
        "Stopping (enough)",
        "Stopped: 0 calls in flight finished, 0 cut off, after 0.0 s",
    ]


async def test_collector_is_tuned_once_all_is_up(
    program: Program, nursery: trio.Nursery, autojump_clock: Any
) -> None:
    gc.disable()
    nursery.start_soon(program.run)
    await program.listener()
    await trio.testing.wait_all_tasks_blocked()
    assert gc.isenabled()
    assert gc.get_threshold()[0] == 10_000
    assert gc.get_freeze_count() > 0
    program.stop.ask("enough")
    await program.end()


async def test_export_begins_when_it_delays_no_first_answer(
    program: Program, nursery: trio.Nursery, autojump_clock: Any
) -> None:
    program.exports()
    nursery.start_soon(program.run)
    await program.listener()
    await trio.testing.wait_all_tasks_blocked()
    assert "export begun" not in program.log
    await trio.sleep(LATER_S)
    await trio.testing.wait_all_tasks_blocked()
    assert program.log.count("export begun") == 1
    program.stop.ask("enough")
    await program.end()


# --- Stop ------------------------------------------------------------------------------------


async def test_it_stops_in_the_reverse_order_of_starting(
    program: Program, nursery: trio.Nursery, autojump_clock: Any
) -> None:
    program.specs = (InstanceSpec("a", "p", command="x"),)
    program.may_announce.set()
    nursery.start_soon(program.run)
    await program.listener()
    await trio.testing.wait_all_tasks_blocked()
    program.stop.ask("enough")
    await program.end()
    # The lists are kept by a task of its own, before or after the session reports to others.
    assert sorted(program.log[:3]) == ["http up", "kept a", "session up"]
    last = ["handing over", "http ended", "session ended", "catalogues ended"]
    assert program.log[3:] == last
    assert program.stop.status == 0


async def _with_call_in_flight(program: Program, nursery: trio.Nursery) -> FakeListener:
    program.specs = (InstanceSpec("a", "p", command="x"),)
    program.may_announce.set()
    nursery.start_soon(program.run)
    listener = await program.listener()
    await listener.ask("tools/call", params=CALL)
    await trio.testing.wait_all_tasks_blocked()
    await program.sessions[0].called.wait()
    return listener


async def test_calls_in_flight_come_to_their_end_and_new_ones_are_refused(
    program: Program, nursery: trio.Nursery, autojump_clock: Any
) -> None:
    listener = await _with_call_in_flight(program, nursery)
    assert not program.is_draining
    program.stop.ask("enough")
    await trio.testing.wait_all_tasks_blocked()
    assert program.is_draining
    await listener.ask("tools/call", 2, CALL)
    refused = await listener.answer()
    assert isinstance(refused, ErrorResponse) or b"UNAVAILABLE" in bytes(refused.result)
    await trio.sleep(DRAIN_S / 2)
    assert not program.ended.is_set()
    program.sessions[0].may_answer.set()
    assert await listener.answer() == Response(1, Raw(b'{"x":1}'))
    await program.end()
    assert (program.stop.calls_finished, program.stop.calls_cut) == (1, 0)


async def test_calls_are_taken_until_the_sockets_are_handed_over(
    program: Program, nursery: trio.Nursery, autojump_clock: Any
) -> None:
    listener = await _with_call_in_flight(program, nursery)
    program.handed_over = trio.Event()
    program.stop.ask("an upgrade")
    await trio.testing.wait_all_tasks_blocked()
    program.sessions[0].may_answer.set()
    await listener.ask("tools/call", 2, CALL)
    answers = [await listener.answer(), await listener.answer()]
    assert answers == [Response(1, Raw(b'{"x":1}')), Response(2, Raw(b'{"x":1}'))]
    program.handed_over.set()
    await program.end()


async def test_hand_over_takes_no_longer_than_calls_may(
    program: Program, nursery: trio.Nursery, autojump_clock: Any
) -> None:
    await _with_call_in_flight(program, nursery)
    program.handed_over = trio.Event()
    began_s = trio.current_time()
    program.stop.ask("an upgrade")
    await program.end()
    assert trio.current_time() - began_s == pytest.approx(DRAIN_S, abs=1)
    assert program.stop.calls_cut == 1


async def test_calls_that_do_not_end_are_not_waited_for_for_ever(
    program: Program,
    nursery: trio.Nursery,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: Any,
) -> None:
    await _with_call_in_flight(program, nursery)
    began_s = trio.current_time()
    program.stop.ask("enough")
    await program.end()
    assert trio.current_time() - began_s == pytest.approx(DRAIN_S)
    assert "Calls in flight have not ended within 20 s; they are cancelled" in caplog.messages
    assert (program.stop.calls_finished, program.stop.calls_cut) == (0, 1)


async def test_end_of_stdio_ends_the_program(
    program: Program, nursery: trio.Nursery, autojump_clock: Any
) -> None:
    program.names = (STDIO, "http")
    nursery.start_soon(program.run)
    listener = await program.listener()
    listener.leave.set()
    await program.end()
    assert program.stop.status == 0
    assert program.log[-2:] == ["http ended", "catalogues ended"]


async def test_failure_of_the_stdio_listener_ends_it_with_1(
    program: Program, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture, autojump_clock: Any
) -> None:
    program.names = (STDIO,)
    nursery.start_soon(program.run)
    listener = await program.listener()
    listener.error = ValueError("boom")
    listener.leave.set()
    await program.end()
    assert program.stop.status == 1
    assert "The stdio listener failed" in caplog.messages


async def test_another_listener_that_fails_is_started_again(
    program: Program, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture, autojump_clock: Any
) -> None:
    nursery.start_soon(program.run)
    listener = await program.listener()
    listener.error = ValueError("boom")
    for _ in range(5):
        listener.leave.set()
        listener.ready = trio.Event()
        await trio.testing.wait_all_tasks_blocked()
        listener.leave = trio.Event()
        with trio.move_on_after(30):
            await listener.ready.wait()
    listener.error = None
    assert any("http listener failed; next try in" in message for message in caplog.messages)
    program.stop.ask("enough")
    await program.end()
    assert program.log.count("http up") >= 5


async def test_one_listener_that_is_to_restart_leaves_the_others(
    program: Program, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture, autojump_clock: Any
) -> None:
    caplog.set_level(logging.INFO)
    program.names = ("http", "sse")
    nursery.start_soon(serve, program.router, program.stop)
    await program.listener()
    await trio.testing.wait_all_tasks_blocked()
    new = FakeListener(program.log, program.listeners[0].inbox)
    program.router.channels.listener_commands_in.send_nowait(RestartChild("http", new.child()))
    with trio.fail_after(WAIT_S):
        await new.ready.wait()
    await trio.testing.wait_all_tasks_blocked()
    assert sorted(program.log[:2]) == ["http up", "sse up"]
    assert program.log[2:] == ["http ended", "http up"]
    said = [f"Listening on {ADDRESS}"]
    assert caplog.messages == [*said, *said, "Press Ctrl+C to stop", *said]
    program.stop.ask("enough")
    await trio.testing.wait_all_tasks_blocked()


async def test_a_request_has_the_files_read_again_once_for_several_in_a_row(
    program: Program, nursery: trio.Nursery, autojump_clock: Any
) -> None:
    program.may_announce.set()
    nursery.start_soon(program.run)
    await program.listener()
    await trio.testing.wait_all_tasks_blocked()
    program.router.reload_request.make()
    program.router.reload_request.make()
    program.router.reload_request.make()
    await trio.sleep(1)
    assert program.log.count("reading again") == 1
    program.router.reload_request.make()
    await trio.sleep(1)
    assert program.log.count("reading again") == 2
    program.stop.ask("enough")
    await program.end()


async def test_change_that_was_asked_for_is_made_before_the_end(
    program: Program, nursery: trio.Nursery, autojump_clock: Any
) -> None:
    program.may_announce.set()
    nursery.start_soon(program.run)
    listener = await program.listener()
    answer_in, answer = trio.open_memory_channel[Any](1)
    what = MakeChange(AddInstance("p", {"name": "new", "command": "x"}))
    await listener.inbox.send(AdminCommand(Principal(), what, answer_in))
    await trio.testing.wait_all_tasks_blocked()
    program.stop.ask("enough")
    await trio.testing.wait_all_tasks_blocked()
    assert not program.ended.is_set()
    program.may_save.set()
    await program.end()
    assert "saved" in program.log
    assert answer.receive_nowait() == "new"


def test_bug_comes_out_of_it_as_an_error(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> list[ChildSpec]:
        raise ValueError("a bug")

    monkeypatch.setattr(Program, "children", lambda _: fail())
    program.exports()
    with pytest.RaisesGroup(ValueError, flatten_subgroups=True):
        run(program.router)
    assert program.log == ["export ended"]
