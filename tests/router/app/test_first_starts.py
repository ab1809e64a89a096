"""The first starts of packages: their turns, their time, and what is said of them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.testing

from router.app.first_starts import INSTALL_S, FirstStarts
from router.app.upstreams import Upstreams
from router.config.settings import McpClient
from router.messages.instances.instance_spec import InstanceSpec
from router.messages.instances.run_policy import RunPolicy
from router.reload.package_store import PackageStore
from supervisors.child import ChildSpec, Delayed, Restart, StartChild, Starting, StopChild, Up
from supervisors.supervisor import supervise
from transports.connect.stdio.package_commands import PackageCommand

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from supervisors.child import Run

NPX = PackageCommand("npx", "npm", "@scope/pkg")


@attrs.define(eq=False)
class FakeStatus:
    """The `task_status` of a child."""

    said: list[Any] = attrs.field(factory=list)
    speaks: trio.Event = attrs.field(factory=trio.Event)
    up: trio.Event = attrs.field(factory=trio.Event)

    def started(self, value: Any = None) -> None:
        self.up.set()

    def extend_start(self, limit_s: float, doing: str = "") -> None:
        self.said.append((limit_s, doing))

    @asynccontextmanager
    async def queued_start(self, doing: str = "") -> AsyncGenerator[None]:
        self.said.append(doing)
        self.speaks.set()
        yield


@attrs.define(eq=False)
class FakeSession:
    """A session that is up once `may_start` is set, and ends once it is told to, or fails."""

    fails: bool = False
    status: FakeStatus = attrs.field(factory=FakeStatus)
    stopping: trio.Event = attrs.field(factory=trio.Event)
    runs: trio.Event = attrs.field(factory=trio.Event)
    may_start: trio.Event = attrs.field(factory=trio.Event)

    async def run(self, stopping: trio.Event, *, task_status: trio.TaskStatus[Any]) -> None:
        self.runs.set()
        await self.may_start.wait()
        if self.fails:
            raise OSError("no such package")
        task_status.started()
        await stopping.wait()

    def child_of(self, starts: FirstStarts, command: PackageCommand = NPX) -> Run[Any]:
        return starts.child(command, self.run, start_s=60.0, install_s=300.0)

    async def live(self, starts: FirstStarts, command: PackageCommand = NPX) -> None:
        await self.child_of(starts, command)(self.stopping, task_status=self.status)


@pytest.fixture
def starts(tmp_path: Path) -> FirstStarts:
    return FirstStarts(NotingStore(tmp_path))


class NotingStore(PackageStore):
    """A store that says when something was added."""

    def __init__(self, cache: Path) -> None:
        super().__init__(cache)
        self.added = trio.Event()

    async def add(self, *names: str) -> None:
        await super().add(*names)
        self.added.set()


async def come_up(session: FakeSession) -> None:
    session.may_start.set()
    await session.status.up.wait()


async def test_the_first_start_says_that_it_installs_and_has_time_for_it(
    starts: FirstStarts, nursery: trio.Nursery
) -> None:
    session = FakeSession()
    nursery.start_soon(session.live, starts)
    await come_up(session)
    assert session.status.said == [(300.0, "installing @scope/pkg with npx")]
    assert isinstance(starts.ready, NotingStore)
    await starts.ready.added.wait()
    assert await starts.ready.knows("npm", "@scope/pkg")
    session.stopping.set()


async def test_a_later_start_is_like_any_other(starts: FirstStarts, nursery: trio.Nursery) -> None:
    await starts.ready.add("npm", "@scope/pkg")
    for _ in range(2):
        session = FakeSession()
        nursery.start_soon(session.live, starts)
        await session.runs.wait()
        assert session.status.said == []
        session.may_start.set()
        session.stopping.set()


async def test_of_two_first_starts_of_one_package_one_installs_it(
    starts: FirstStarts, nursery: trio.Nursery
) -> None:
    first, second, other = FakeSession(), FakeSession(), FakeSession()
    nursery.start_soon(first.live, starts)
    await first.runs.wait()
    nursery.start_soon(second.live, starts)
    await second.status.speaks.wait()
    assert not second.runs.is_set()
    assert second.status.said == ["waiting for another installation of @scope/pkg"]

    nursery.start_soon(other.live, starts, PackageCommand("npx", "npm", "another"))
    await other.runs.wait()

    await come_up(first)
    await second.runs.wait()
    assert second.status.said[1:] == [(60.0, "starting @scope/pkg with npx")]
    for session in first, second, other:
        session.may_start.set()
        session.stopping.set()


async def test_the_turn_ends_when_the_installation_fails(
    starts: FirstStarts, nursery: trio.Nursery
) -> None:
    failing, next_one = FakeSession(fails=True), FakeSession()
    failing.may_start.set()
    with pytest.RaisesGroup(pytest.RaisesExc(OSError, match="no such package")):
        await failing.live(starts)
    assert not await starts.ready.knows("npm", "@scope/pkg")
    nursery.start_soon(next_one.live, starts)
    await next_one.runs.wait()
    assert next_one.status.said == [(300.0, "installing @scope/pkg with npx")]
    next_one.may_start.set()
    next_one.stopping.set()


async def test_a_session_may_say_itself_why_its_start_takes_long(starts: FirstStarts) -> None:
    async def run(stopping: trio.Event, *, task_status: Any) -> None:
        task_status.extend_start(7.0, "thinking")
        async with task_status.queued_start("waiting"):
            await trio.lowlevel.checkpoint()

    status = FakeStatus()
    child = starts.child(NPX, run, start_s=60.0, install_s=300.0)
    await child(trio.Event(), task_status=status)
    assert status.said[1:] == [(7.0, "thinking"), "waiting"]


async def test_one_that_is_stopped_while_it_waits_takes_no_turn(
    starts: FirstStarts, nursery: trio.Nursery
) -> None:
    first, second, third = FakeSession(), FakeSession(), FakeSession()
    nursery.start_soon(first.live, starts)
    await first.runs.wait()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as inner:
            inner.start_soon(second.live, starts)
            await second.status.speaks.wait()
            scope.cancel()
    await come_up(first)
    nursery.start_soon(third.live, starts)
    await third.runs.wait()
    for session in first, third:
        session.may_start.set()
        session.stopping.set()


async def test_under_a_supervisor_the_one_that_waits_holds_no_slot(
    starts: FirstStarts, nursery: trio.Nursery
) -> None:
    commands, commands_out = trio.open_memory_channel[Any](10)
    events, heard = trio.open_memory_channel[Any](100)
    sessions = {name: FakeSession() for name in "ab"}
    nursery.start_soon(supervise, [], commands_out, events)
    for name, session in sessions.items():
        run = session.child_of(starts)
        await commands.send(StartChild(ChildSpec(name, run, restart=Restart.NEVER)))
        said = [await heard.receive(), await heard.receive()]
        doing, limit_s = {
            "a": ("installing @scope/pkg with npx", 300.0),
            "b": ("waiting for another installation of @scope/pkg", None),
        }[name]
        assert said == [Starting(name), Delayed(name, doing, limit_s)]
    sessions["a"].may_start.set()
    while not isinstance(await heard.receive(), Up):
        pass
    await sessions["b"].runs.wait()
    for name in "ab":
        await commands.send(StopChild(name))
    nursery.cancel_scope.cancel("the rest is another story")


@pytest.mark.parametrize(
    ("policy", "expected_s"), [(RunPolicy(), INSTALL_S), (RunPolicy(start_timeout_s=9), 9)]
)
async def test_the_time_that_a_user_gives_an_instance_holds_for_its_first_start(
    starts: FirstStarts, policy: RunPolicy, expected_s: float
) -> None:
    made_by = Upstreams(McpClient(), trio.open_memory_channel[Any](0)[0], first_starts=starts)
    spec = InstanceSpec("a", "p", command="npx", args=("-y", "pkg"), run_policy=policy)
    run: Any = made_by.child_of(spec).run
    assert (run.command.package, run.install_s) == ("pkg", expected_s)
