"""Any sequence of commands and of what children do, on a mock clock."""

import re
from typing import Any, Literal, TypeAlias

import trio
import trio.testing
from attrs import Factory, define, evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from trio.testing import MockClock

from supervisors.child import (
    ChildEvent,
    ChildSpec,
    Command,
    Delayed,
    Down,
    GaveUp,
    Queued,
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
from supervisors.start_limits import FixedLimit, RestartRate
from supervisors.start_slots import StartSlots
from supervisors.supervisor import supervise
from tests.supervisors.harness import (
    TaskStatus,
    always,
    be_busy,
    crash,
    hang,
    ignore_stopping,
    script,
    shielded_for,
    start_in,
    stay,
    stop_in,
    up_for,
)

# --- Children that do anything ---------------------------------------------------------------

SHIELDED_S = 12.0
LONGEST_STOP_S = SHIELDED_S + 2.0
"""No child here takes longer to end, counted from the command."""


async def extend(stopping: trio.Event, *, task_status: TaskStatus) -> None:
    """Take longer than the usual start timeout, and say so."""
    for _ in range(2):
        task_status.extend_start(9, "installing")
    await start_in(8)(stopping, task_status=task_status)


async def queue_first(stopping: trio.Event, *, task_status: TaskStatus) -> None:
    """Wait for something else before the start goes on."""
    async with task_status.queued_start("waiting"):
        await trio.sleep(7)
    await start_in(1)(stopping, task_status=task_status)


async def fall_over_when_cancelled(stopping: trio.Event, *, task_status: TaskStatus) -> None:
    try:
        await trio.sleep_forever()
    finally:
        raise OSError("fell over")


ACTS: tuple[Run[Any], ...] = (
    *(
        stay,
        crash,
        be_busy,
        hang,
        ignore_stopping,
        start_in(2),
        start_in(9),
        up_for(1),
        up_for(1, None),
    ),
    *(up_for(30), stop_in(1), stop_in(5), shielded_for(SHIELDED_S)),
    *(shielded_for(SHIELDED_S, starts=False), extend, queue_first, fall_over_when_cancelled),
)


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


# --- Sequences -------------------------------------------------------------------------------


@frozen
class Wait:
    """Let time go on."""

    duration_s: float


Step: TypeAlias = Command | Wait


def specs(name: str) -> st.SearchStrategy[ChildSpec]:
    return st.builds(
        ChildSpec,
        name=st.just(name),
        run=st.lists(st.sampled_from(ACTS), min_size=1, max_size=4).map(lambda acts: script(*acts)),
        restart=st.sampled_from(Restart),
        backoff=st.just(Backoff(initial_s=1, healthy_after_s=20)),
        max_restarts=st.integers(1, 3),
        max_alike_starts=st.integers(1, 3),
        cool_down=st.just(always(10)),
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


sequences: st.SearchStrategy[list[Step]] = st.lists(
    st.one_of(commands("a"), commands("b"), st.sampled_from((0.5, 1.0, 3.0, 20.0)).map(Wait)),
    max_size=12,
)

free = st.builds(lambda: StartSlots(FixedLimit(100)))
tight = st.builds(lambda: StartSlots(FixedLimit(1), RestartRate(per_s=0.5, burst=1)))


def name_of(command: Command) -> str:
    return command.spec.name if isinstance(command, StartChild) else command.name


@define
class Played:
    """A sequence that was played to a supervisor.

    Attributes:
        slots: its start slots.
        log: its commands and events, in their order.
        seconds_to_end: how long its end took.
        running: the names of the children that run.
    """

    slots: StartSlots
    log: list[Command | ChildEvent] = Factory(list[Command | ChildEvent])
    seconds_to_end: float | None = None
    running: set[str] = Factory(set[str])

    @property
    def names(self) -> set[str]:
        return {name_of(said) for said in self.log if isinstance(said, Command)}

    def events(self, name: str) -> list[ChildEvent]:
        return [said for said in self.about(name) if not isinstance(said, Command)]

    def about(self, name: str) -> list[Command | ChildEvent]:
        return [
            said
            for said in self.log
            if (name_of(said) if isinstance(said, Command) else said.name) == name
        ]

    async def play(self, steps: list[Step], end: Literal["close", "cancel"], idle_s: float) -> None:
        commands_in, commands_out = trio.open_memory_channel[Command](100)
        events_in, events_out = trio.open_memory_channel[ChildEvent](0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write_down, events_out)
            async with trio.open_nursery() as supervising:
                await supervising.start(self._supervise, commands_out, events_in)
                for step in steps:
                    await self._take(step, commands_in)
                await trio.sleep(idle_s)
                ended_at_s = trio.current_time()
                if end == "close":
                    commands_in.close()
                else:
                    supervising.cancel_scope.cancel()
            self.seconds_to_end = trio.current_time() - ended_at_s

    async def _take(self, step: Step, commands: trio.MemorySendChannel[Command]) -> None:
        if isinstance(step, Wait):
            await trio.sleep(step.duration_s)
        else:
            commands.send_nowait(self._watched(step))
            self.log.append(step)
            await trio.testing.wait_all_tasks_blocked()

    def _watched(self, command: Command) -> Command:
        match command:
            case StartChild(spec) | RestartChild(_, ChildSpec() as spec):
                run = Once(self.running, spec.name, spec.run)
                return replace(command, spec=evolve(spec, run=run))
            case _:
                return command

    async def _supervise(
        self,
        commands: trio.MemoryReceiveChannel[Command],
        events: trio.MemorySendChannel[ChildEvent],
        *,
        task_status: trio.TaskStatus[None],
    ) -> None:
        await supervise((), commands, events, start_slots=self.slots, task_status=task_status)

    async def _write_down(self, events: trio.MemoryReceiveChannel[ChildEvent]) -> None:
        async for event in events:
            self.log.append(event)


def played(
    steps: list[Step],
    slots: StartSlots,
    end: Literal["close", "cancel"] = "close",
    idle_s: float = 0.0,
) -> Played:
    """Play the steps, let time go on for a while, and end the supervisor."""
    result = Played(slots)
    trio.run(result.play, steps, end, idle_s, clock=MockClock(autojump_threshold=0))
    return result


any_case = settings(max_examples=100, deadline=None)


# --- Whatever they do ------------------------------------------------------------------------

LETTERS: dict[type, str] = {
    Queued: "Q",
    Starting: "S",
    Delayed: "E",
    Up: "U",
    Stuck: "K",
    GaveUp: "G",
    Down: "D",
}

ONE_RUN = r"Q?(SE*U?K?)?D|Q?SE*U?K?G"
LAST_WORD = r"Q?(SE*U?K?)?N"
GRAMMAR = re.compile(rf"({ONE_RUN}|{LAST_WORD})*({LAST_WORD})")


def letter(event: ChildEvent) -> str:
    return "N" if is_last_word(event) else LETTERS[type(event)]


def is_last_word(event: Command | ChildEvent) -> bool:
    return isinstance(event, Down) and event.retry_in_s is None


@any_case
@given(sequences, free | tight)
def test_events_of_a_child_come_in_their_order(steps: list[Step], slots: StartSlots) -> None:
    result = played(steps, slots)
    assert {said.name for said in result.log if not isinstance(said, Command)} == result.names
    for name in result.names:
        letters = "".join(map(letter, result.events(name)))
        assert GRAMMAR.fullmatch(letters), letters


@any_case
@given(sequences, free | tight, st.sampled_from(("close", "cancel")), st.sampled_from((0.0, 60.0)))
def test_its_end_always_comes_and_leaves_nothing_running_and_no_slot_taken(
    steps: list[Step], slots: StartSlots, end: Literal["close", "cancel"], idle_s: float
) -> None:
    result = played(steps, slots, end, idle_s)
    assert result.seconds_to_end is not None
    assert result.seconds_to_end <= LONGEST_STOP_S
    assert result.running == set()
    assert (slots.held, slots.waiting) == (0, 0)


@any_case
@given(sequences, free | tight)
def test_no_stop_is_lost(steps: list[Step], slots: StartSlots) -> None:
    stops: list[Step] = [StopChild("a"), StopChild("b")]
    result = played([*steps, *stops, Wait(LONGEST_STOP_S)], slots, "cancel")
    for name in "ab":
        about = result.about(name)
        after_the_stop = about[len(about) - about[::-1].index(StopChild(name)) :]
        assert after_the_stop
        assert is_last_word(after_the_stop[-1])
        assert not any(isinstance(said, Starting) for said in after_the_stop)


@any_case
@given(sequences, free)
def test_restarts_are_those_without_a_command(steps: list[Step], slots: StartSlots) -> None:
    result = played(steps, slots, idle_s=60.0)
    for name in result.names:
        restarts, is_commanded = 0, True
        for said in result.about(name):
            match said:
                case Starting():
                    restarts = 0 if is_commanded else restarts + 1
                    is_commanded = False
                case Down() | GaveUp():
                    assert said.restarts == restarts
                    if is_last_word(said):
                        restarts = 0
                case StartChild() | StopChild() | RestartChild():
                    is_commanded = True
                case _:
                    pass


@any_case
@given(sequences, free | tight)
def test_a_child_that_is_wanted_is_tried_again_for_ever(
    steps: list[Step], slots: StartSlots
) -> None:
    run = script(crash)
    wanted = StartChild(ChildSpec("a", run, cool_down=always(10)))
    played([*steps, wanted, Wait(1000)], slots)
    assert run.incarnations >= 50
