"""Work that is put off until the actor has handled all events that wait."""

from typing import Any

import pytest
import trio

from router.messages.effects import ToSession
from router.messages.events import InstanceStarting, Tick
from router.messages.frames import Frame
from tests.router.dispatch.running_actor import SAID, ScriptedCore, start_actor


async def test_it_is_done_once_after_all_events_of_a_batch_and_of_a_deadline(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    core = ScriptedCore()
    handled: list[int] = []

    class Session:
        def send_nowait(self, frame: Frame, /) -> None:
            actor.after_batch.put(lambda: handled.append(len(core.kinds)))

        def close(self) -> None: ...

    for kind in (InstanceStarting, Tick):
        core.effects_of[kind] = [ToSession(3, Session(), SAID)]
    actor = await start_actor(nursery, core)
    await actor.happens(InstanceStarting("a"), InstanceStarting("b"))
    assert handled == [2]
    core.deadline_s = trio.current_time()
    await actor.happens(InstanceStarting("c"))
    assert core.kinds[2:] == ["InstanceStarting", "Tick"]
    assert handled == [2, 4]


async def test_it_is_done_where_nothing_but_a_deadline_happens(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    done = trio.Event()

    class Session:
        def send_nowait(self, frame: Frame, /) -> None:
            actor.after_batch.put(done.set)

        def close(self) -> None: ...

    core = ScriptedCore({Tick: [ToSession(3, Session(), SAID)]}, deadline_s=trio.current_time() + 5)
    actor = await start_actor(nursery, core)
    with trio.fail_after(6):
        await done.wait()


async def test_work_that_fails_is_logged_and_ends_nothing_else(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ValueError("a bug")

    core = ScriptedCore()
    actor = await start_actor(nursery, core)
    done: list[str] = []
    actor.after_batch.put(fail)
    actor.after_batch.put(lambda: done.append("the other"))
    await actor.happens(InstanceStarting("a"))
    assert done == ["the other"]
    assert "could not finish a batch of events" in caplog.text
    assert "ValueError: a bug" in caplog.text
    await actor.happens(InstanceStarting("b"))
    assert core.kinds == ["InstanceStarting", "InstanceStarting"]
