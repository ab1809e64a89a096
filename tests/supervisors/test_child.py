"""Commands and events, and the order in which events come."""

import re
from typing import Any, TypeAlias

import pytest
import trio
from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from supervisors.child import (
    ChildEvent,
    ChildSpec,
    Command,
    Down,
    GaveUp,
    Restart,
    RestartChild,
    Run,
    StartChild,
    Starting,
    StopChild,
    Stuck,
    Up,
)
from supervisors.policy import Backoff
from tests.supervisors.harness import (
    BOOM,
    TaskStatus,
    crash,
    hang,
    ignore_stopping,
    script,
    shielded_for,
    start_in,
    stay,
    stop_in,
    supervised,
    up_for,
)


@pytest.mark.parametrize(
    ("restart", "after_clean_end", "after_error"),
    [
        (Restart.ALWAYS, True, True),
        (Restart.ON_FAILURE, False, True),
        (Restart.NEVER, False, False),
    ],
)
def test_restart_kinds_say_which_ends_they_cover(
    restart: Restart, *, after_clean_end: bool, after_error: bool
) -> None:
    assert restart.covers(None) is after_clean_end
    assert restart.covers(BOOM) is after_error


def test_spec_of_another_child_is_refused() -> None:
    with pytest.raises(ValueError, match="spec of 'b' given to restart 'a'"):
        RestartChild("a", ChildSpec("b", stay))
    assert RestartChild("b", ChildSpec("b", stay)).spec is not None


@pytest.mark.parametrize(
    "nonsense",
    [
        {"max_restarts": 0},
        {"period_s": 0},
        {"cool_down_s": 0},
        {"start_timeout_s": 0},
        {"grace_s": -1},
    ],
)
def test_nonsense_is_refused(nonsense: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(nonsense))):
        ChildSpec("a", stay, **nonsense)


# --- The order of events ---------------------------------------------------------------------


@frozen
class Once:
    """A run that fails the test if another run of its child is going on."""

    running: set[str]
    name: str
    run: Run[Any]

    async def __call__(self, stopping: trio.Event, *, task_status: TaskStatus) -> None:
        assert self.name not in self.running
        self.running.add(self.name)
        try:
            await self.run(stopping, task_status=task_status)
        finally:
            self.running.remove(self.name)


ACTS: tuple[Run[Any], ...] = (
    *(stay, crash, hang, ignore_stopping, start_in(2), start_in(9), up_for(1), up_for(1, None)),
    *(up_for(30), stop_in(1), stop_in(5), shielded_for(12), shielded_for(12, starts=False)),
)

LETTERS: dict[type, str] = {Starting: "S", Up: "U", Stuck: "K", GaveUp: "G", Down: "D"}

ONE_RUN = r"(SU?K?)?D|SU?K?G"
LAST_WORD = r"(SU?K?)?N"
GRAMMAR = re.compile(rf"({ONE_RUN}|{LAST_WORD})*({LAST_WORD})")


def letter(event: ChildEvent) -> str:
    is_last_word = isinstance(event, Down) and event.retry_in_s is None
    return "N" if is_last_word else LETTERS[type(event)]


def specs(name: str) -> st.SearchStrategy[ChildSpec]:
    return st.builds(
        ChildSpec,
        name=st.just(name),
        run=st.lists(st.sampled_from(ACTS), min_size=1, max_size=4).map(lambda acts: script(*acts)),
        restart=st.sampled_from(Restart),
        backoff=st.just(Backoff(initial_s=1, healthy_after_s=20)),
        max_restarts=st.integers(1, 3),
        cool_down_s=st.just(10.0),
        start_timeout_s=st.just(5.0),
        grace_s=st.sampled_from((0.0, 2.0)),
    )


def commands(name: str) -> st.SearchStrategy[Command]:
    return st.one_of(
        specs(name).map(StartChild),
        st.just(StopChild(name)),
        st.just(RestartChild(name)),
        specs(name).map(lambda spec: RestartChild(name, spec)),
    )


@frozen
class Wait:
    """Let time go on."""

    duration_s: float


Step: TypeAlias = Command | Wait

steps: st.SearchStrategy[list[Step]] = st.lists(
    st.one_of(commands("a"), commands("b"), st.sampled_from((0.5, 1.0, 3.0, 20.0)).map(Wait)),
    max_size=12,
)


def only_one_at_a_time(command: Command, running: set[str]) -> Command:
    match command:
        case StartChild(spec) | RestartChild(_, ChildSpec() as spec):
            return evolve(command, spec=evolve(spec, run=Once(running, spec.name, spec.run)))
        case _:
            return command


def name_of(command: Command) -> str:
    return command.spec.name if isinstance(command, StartChild) else command.name


async def what_is_said(steps: list[Step], max_starting: int | None) -> list[ChildEvent]:
    """Take the steps, end the supervisor, and return its events."""
    running: set[str] = set()
    async with trio.open_nursery() as nursery:
        supervisor = await supervised(nursery, max_starting=max_starting)
        for step in steps:
            if isinstance(step, Wait):
                await trio.sleep(step.duration_s)
            else:
                await supervisor.commands.send(only_one_at_a_time(step, running))
        supervisor.commands.close()
    assert not running
    assert supervisor.returned_at_s is not None
    return [event for _, event in supervisor.log]


@settings(max_examples=200, deadline=None)
@given(steps, st.sampled_from((None, 1)))
def test_events_of_a_child_come_in_their_order_whatever_it_is_told(
    steps: list[Step], max_starting: int | None
) -> None:
    clock = MockClock(autojump_threshold=0)
    events = trio.run(what_is_said, steps, max_starting, clock=clock)
    named = {name_of(step) for step in steps if not isinstance(step, Wait)}
    assert {event.name for event in events} == named
    for name in named:
        said = "".join(letter(event) for event in events if event.name == name)
        assert GRAMMAR.fullmatch(said), said
