"""A service manager is told of readiness, reloads, the stop and the life of the actor."""

from __future__ import annotations

import itertools
import math
import socket
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.lowlevel
import trio.testing

from router.dispatch.actor import dispatch
from router.dispatch.after_batch import AfterBatch
from router.messages.commands import ShowReadiness
from router.messages.errors import ConfigError
from router.messages.events import AdminCommand, Barrier, Tick
from router.messages.observability.metrics import ActorCounts
from router.service_manager.notifications import (
    STATUS_LENGTH,
    STATUS_S,
    NotifySocket,
    RouterState,
    ServiceManager,
    status_line,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no systemd")

WAIT_S = 30.0
READINESS = {"ready": 3, "total": 5, "not_ready": {"a": "failed", "b": "backoff"}, "in_flight": 2}


# --- The socket ------------------------------------------------------------------------------


@pytest.fixture(params=["path", "abstract"])
def manager_socket(request: Any, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """A service manager's address, and its socket."""
    if request.param == "abstract" and sys.platform != "linux":
        pytest.skip("abstract sockets are Linux's")
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path if request.param == "path" else "\0" + path)
        sock.settimeout(WAIT_S)
        yield path if request.param == "path" else "@" + path, sock


async def test_message_arrives_as_one_datagram_of_lines(
    manager_socket: tuple[str, socket.socket],
) -> None:
    address, sock = manager_socket
    await NotifySocket(address).send("READY=1", "STATUS=ü")
    assert sock.recv(4096) == "READY=1\nSTATUS=ü".encode()


async def test_manager_that_is_gone_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notify = NotifySocket(str(tmp_path / "nobody"))
    await notify.send("READY=1")
    await notify.send("WATCHDOG=1")
    assert caplog.messages == [
        "The service manager was not told READY=1: No such file or directory"
    ]


async def test_manager_that_takes_nothing_holds_up_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, autojump_clock: Any
) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as full:
        full.bind(path)
        notify = NotifySocket(path)
        with trio.fail_after(WAIT_S):
            while not caplog.messages:
                await notify.send("WATCHDOG=1")
    assert caplog.messages == ["The service manager was not told WATCHDOG=1: it takes no messages"]


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"NOTIFY_SOCKET": "vsock:2:1234"}, "NOTIFY_SOCKET: expected /path or @name"),
        ({"NOTIFY_SOCKET": "@"}, "NOTIFY_SOCKET: expected /path or @name"),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "soon"}, "WATCHDOG_USEC: expected microseconds"),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "0"}, "WATCHDOG_USEC: expected microseconds"),
    ],
)
def test_variables_that_make_no_sense_are_named(environ: dict[str, str], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        ServiceManager.from_environ(environ)


@pytest.mark.parametrize(
    ("more", "expected_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
    ],
)
def test_watchdog_is_that_of_this_process(more: dict[str, str], expected_s: float | None) -> None:
    assert ServiceManager.from_environ({"NOTIFY_SOCKET": "/n", **more}, 7).watchdog_s == expected_s


# --- The status ------------------------------------------------------------------------------


def test_status_counts_upstreams_and_says_what_is_wrong() -> None:
    assert status_line(READINESS, (), is_stopping=False) == "3/5 upstreams ready"
    line = status_line(READINESS, ("config.json: no", "more"), is_stopping=False)
    assert line == "3/5 upstreams ready; config.json: no"
    assert status_line(READINESS, ("x",), is_stopping=True) == "Stopping; calls in flight: 2"


def test_status_is_one_line_of_bounded_length() -> None:
    line = status_line(READINESS, ("a\nREADY=0\n" + "x" * 1000,), is_stopping=False)
    assert line.startswith("3/5 upstreams ready; a READY=0 xx")
    assert len(line) == STATUS_LENGTH


# --- The messages ----------------------------------------------------------------------------


@attrs.define
class FakeNotifySocket:
    """Keeps the messages, each with the second it was sent."""

    sent: list[tuple[float, tuple[str, ...]]] = attrs.field(factory=list)

    async def send(self, *lines: str) -> None:
        await trio.lowlevel.checkpoint()
        self.sent.append((trio.current_time(), lines))

    def messages(self, name: str = "") -> list[tuple[str, ...]]:
        return [lines for _, lines in self.sent if lines[0].startswith(name)]


@attrs.define
class Scene:
    """A router and its service manager; the test is the actor."""

    notify: FakeNotifySocket = attrs.field(factory=FakeNotifySocket)
    readiness: dict[str, Any] = attrs.field(factory=lambda: dict(READINESS))
    problems: tuple[str, ...] = ()
    reloaded: trio.Event = attrs.field(factory=trio.Event)
    is_stuck: bool = False
    manager: ServiceManager = attrs.field(init=False)
    router: RouterState = attrs.field(init=False)
    _inbox: Any = None

    def __attrs_post_init__(self) -> None:
        inbox_in, self._inbox = trio.open_memory_channel[Any](math.inf)
        self.manager = ServiceManager(self.notify, watchdog_s=10.0)  # type: ignore[arg-type]
        self.router = RouterState(
            inbox=inbox_in,
            all_are_up=trio.Event(),
            stopping=trio.Event(),
            stop_limit_s=60.0,
            reloaded=self._reloaded,
            problems=lambda: self.problems,
        )

    async def _reloaded(self) -> None:
        await self.reloaded.wait()

    async def act(self) -> None:
        """Be the actor."""
        async for event in self._inbox:
            if self.is_stuck:
                await trio.sleep_forever()
            match event:
                case Barrier(pass_on):
                    pass_on()
                case AdminCommand(_, ShowReadiness(), reply_to):
                    reply_to.send_nowait(self.readiness)
                case _:
                    raise AssertionError(event)


@pytest.fixture
async def scene(nursery: trio.Nursery) -> Scene:
    scene = Scene()
    nursery.start_soon(scene.act)
    nursery.start_soon(scene.manager.keep_informed, scene.router)
    return scene


async def test_ready_is_said_once_the_listeners_are_up_whatever_upstreams_do(
    scene: Scene, autojump_clock: Any
) -> None:
    await trio.sleep(60)
    assert scene.notify.messages("READY") == []
    scene.router.all_are_up.set()
    await trio.sleep(60)
    assert scene.notify.messages("READY") == [("READY=1", "STATUS=3/5 upstreams ready")]


async def test_status_is_sent_when_it_changes_and_not_more_than_once_a_second(
    scene: Scene, autojump_clock: Any
) -> None:
    scene.router.all_are_up.set()
    await trio.lowlevel.checkpoint()
    for ready in range(100):
        scene.readiness["ready"] = ready
        await trio.sleep(STATUS_S / 10)
    assert 9 <= len(scene.notify.messages("STATUS")) <= 11
    await trio.sleep(2)
    before = len(scene.notify.messages("STATUS"))
    await trio.sleep(60)
    assert len(scene.notify.messages("STATUS")) == before


async def test_reload_begins_and_ends_with_the_time_of_the_signal(
    scene: Scene, autojump_clock: Any
) -> None:
    scene.router.all_are_up.set()
    await trio.sleep(1)
    scene.notify.sent.clear()
    scene.manager.hang_up()
    await trio.sleep(0.5)
    ((begun, at),) = scene.notify.messages("RELOADING")
    assert begun == "RELOADING=1"
    name, _, usec = at.partition("=")
    assert (name, usec.isdecimal()) == ("MONOTONIC_USEC", True)
    assert scene.notify.messages("READY") == []
    scene.problems = ("config.json: api.port: expected an integer",)
    scene.reloaded.set()
    await trio.sleep(0.5)
    status = "STATUS=3/5 upstreams ready; config.json: api.port: expected an integer"
    assert scene.notify.messages("READY") == [("READY=1", status)]


async def test_second_signal_to_reload_is_told_as_well(scene: Scene, autojump_clock: Any) -> None:
    scene.router.all_are_up.set()
    await trio.sleep(1)
    scene.manager.hang_up()
    await trio.sleep(0.1)
    scene.manager.hang_up()
    scene.reloaded.set()
    await trio.sleep(0.1)
    told = [lines[0] for lines in scene.notify.messages() if "STATUS" not in lines[0]]
    assert told[-4:] == ["RELOADING=1", "READY=1", "RELOADING=1", "READY=1"]


async def test_stop_is_the_first_thing_that_is_said_of_it_with_the_time_that_it_takes(
    scene: Scene, autojump_clock: Any
) -> None:
    scene.router.all_are_up.set()
    await trio.sleep(1)
    scene.notify.sent.clear()
    scene.router.stopping.set()
    await trio.sleep(2.5)
    first, second = [lines for lines in scene.notify.messages() if lines[0] != "WATCHDOG=1"]
    assert first == ("STOPPING=1", "EXTEND_TIMEOUT_USEC=60000000", "STATUS=Stopping")
    assert second == ("STATUS=Stopping; calls in flight: 2",)


async def test_router_that_stops_before_it_was_ready_is_never_ready(
    scene: Scene, autojump_clock: Any
) -> None:
    scene.router.stopping.set()
    await trio.sleep(1)
    scene.router.all_are_up.set()
    await trio.sleep(5)
    assert scene.notify.messages("READY") == []


async def test_stop_ends_a_reload(scene: Scene, autojump_clock: Any) -> None:
    scene.router.all_are_up.set()
    await trio.sleep(1)
    scene.notify.sent.clear()
    scene.manager.hang_up()
    await trio.sleep(0.1)
    scene.router.stopping.set()
    scene.reloaded.set()
    await trio.sleep(5)
    assert scene.notify.messages("READY") == []


# --- The watchdog ----------------------------------------------------------------------------


async def test_watchdog_is_pinged_twice_in_its_time_also_before_ready_and_while_it_stops(
    scene: Scene, autojump_clock: Any
) -> None:
    await trio.sleep(20.5)
    scene.router.all_are_up.set()
    scene.router.stopping.set()
    await trio.sleep(20)
    times_s = [at_s for at_s, lines in scene.notify.sent if lines == ("WATCHDOG=1",)]
    gaps_s = [later - earlier for earlier, later in itertools.pairwise(times_s)]
    assert len(times_s) == 9
    assert gaps_s == pytest.approx([5.0] * 8)


async def test_pings_stop_with_an_actor_that_handles_nothing(
    scene: Scene, autojump_clock: Any
) -> None:
    await trio.sleep(11)
    scene.is_stuck = True
    before = len(scene.notify.messages("WATCHDOG"))
    assert before == 3
    await trio.sleep(100)
    assert len(scene.notify.messages("WATCHDOG")) == before


async def test_without_a_watchdog_nothing_is_pinged(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    scene = Scene()
    scene.manager.watchdog_s = None
    nursery.start_soon(scene.act)
    nursery.start_soon(scene.manager.keep_informed, scene.router)
    await trio.sleep(60)
    assert scene.notify.messages() == []


class BlockingCore:
    """A core that hangs in the first event it gets, as a bug in it would make it."""

    def __init__(self) -> None:
        self.is_hanging = threading.Event()
        self.may_go_on = threading.Event()

    def handle(self, event: Any, now_s: float) -> list[Any]:
        self.is_hanging.set()
        self.may_go_on.wait(WAIT_S)
        return []

    def next_deadline_s(self) -> None:
        return None


def test_pings_of_the_real_actor_stop_while_its_core_hangs(
    manager_socket: tuple[str, socket.socket],
) -> None:
    address, sock = manager_socket
    core, watchdog_s = BlockingCore(), 0.02
    inbox_in, inbox = trio.open_memory_channel[Any](16)
    started = threading.Event()
    running: list[tuple[trio.lowlevel.TrioToken, trio.CancelScope]] = []

    async def run() -> None:
        outputs = [trio.open_memory_channel[Any](16)[0] for _ in range(3)]
        manager = ServiceManager(NotifySocket(address), watchdog_s)
        router = attrs.evolve(Scene().router, inbox=inbox_in)
        commands, saves, catalogues = outputs
        fail: Any = None  # nothing is started here
        start: Any = partial(
            *(
                dispatch,
                core,
                inbox,
                commands,
                fail,
                saves,
                catalogues,
                str,
                fail,
                ActorCounts(),
                AfterBatch(),
            )
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(start)
            nursery.start_soon(manager.keep_informed, router)
            running.append((trio.lowlevel.current_trio_token(), nursery.cancel_scope))
            started.set()

    router = threading.Thread(target=trio.run, args=(run,))
    router.start()
    assert started.wait(WAIT_S)
    token, scope = running[0]
    assert sock.recv(64) == b"WATCHDOG=1"
    token.run_sync_soon(inbox_in.send_nowait, Tick())
    assert core.is_hanging.wait(WAIT_S)
    _receive_until_silence(sock, 10 * watchdog_s)
    core.may_go_on.set()
    assert sock.recv(64) == b"WATCHDOG=1"
    token.run_sync_soon(scope.cancel)
    router.join(WAIT_S)
    assert not router.is_alive()


def _receive_until_silence(sock: socket.socket, silence_s: float) -> None:
    """Take what was sent before; fail if it does not stop."""
    sock.settimeout(silence_s)
    for _ in range(100):
        try:
            sock.recv(64)
        except TimeoutError:
            sock.settimeout(WAIT_S)
            return
    raise AssertionError("It goes on")
