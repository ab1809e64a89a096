"""The writer of a session, with a wire in memory that has as much room as the test gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import attrs
import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock, wait_all_tasks_blocked

from router.messages.frames import Notification, Request, Response
from tests.transports.connect.session.fake_upstream import call, raw
from transports.connect.session.frame_writer import (
    BATCH_BYTES,
    DIRECT_BYTES,
    SESSION_INBOX_SIZE,
    WRITE_LIMIT_S,
    FrameWriter,
)
from transports.connect.wire import WireLost

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.messages.frames import Frame
    from transports.connect.wire import Wire


@attrs.define(eq=False)
class Pipe:
    """A wire, of which only the sending end is used.

    Attributes:
        written: the frames of each write.
        has_room: False if a write has to wait.
        room: set when what waits may be written.
        bug: raised by each write.
    """

    written: list[Sequence[Frame]] = attrs.field(factory=list)
    has_room: bool = True
    room: trio.Event = attrs.field(factory=trio.Event)
    bug: Exception | None = None

    def send_nowait(self, frames: Sequence[Frame]) -> bool:
        if self.bug is not None:
            raise self.bug
        self.written.append(frames)
        return self.has_room

    async def send(self, frames: Sequence[Frame]) -> None:
        assert not frames
        await self.room.wait()
        self.room = trio.Event()


@attrs.define(eq=False)
class Writing:
    """A writer that runs.

    Attributes:
        pipe: its wire.
        writer: the writer.
        put_off: what the actor is to call after its batch.
        sending: the frames of which the writer said that they are about to be sent.
        sent: the numbers of frames of which it said that they were sent.
    """

    pipe: Pipe
    writer: FrameWriter = attrs.field(init=False)
    put_off: list[Callable[[], None]] = attrs.field(factory=list)
    sending: list[Frame] = attrs.field(factory=list)
    sent: list[int] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        wire = cast("Wire", self.pipe)
        self.writer = FrameWriter(wire, self.sending.extend, self.sent.append, self.put_off.append)

    def end_batch(self) -> None:
        """Do what the actor does after a batch."""
        works = list(self.put_off)
        self.put_off.clear()
        for work in works:
            work()


@pytest.fixture
async def writing(nursery: trio.Nursery) -> Writing:
    writing = Writing(Pipe())
    nursery.start_soon(writing.writer.run)
    await wait_all_tasks_blocked()
    return writing


OWN = Notification("own")


async def test_the_frames_of_a_batch_are_written_together_after_it(writing: Writing) -> None:
    calls = [call(2), call(4), call(6)]
    for one in calls:
        writing.writer.send_nowait(one)
    assert writing.pipe.written == []
    assert len(writing.put_off) == 1
    writing.end_batch()
    assert writing.pipe.written == [calls]
    assert (writing.sending, writing.sent) == (calls, [3])
    await wait_all_tasks_blocked()
    assert writing.pipe.written == [calls]


async def test_a_frame_of_the_sessions_own_is_written_without_the_actor(writing: Writing) -> None:
    writing.writer.put_nowait(OWN)
    await wait_all_tasks_blocked()
    assert writing.pipe.written == [[OWN]]


async def test_the_order_is_kept_between_frames_of_both(writing: Writing) -> None:
    writing.writer.send_nowait(call(2))
    writing.writer.put_nowait(OWN)
    writing.writer.send_nowait(call(4))
    writing.end_batch()  # the task is about to write all of them
    assert writing.pipe.written == []
    await wait_all_tasks_blocked()
    assert writing.pipe.written == [[call(2), OWN, call(4)]]


async def test_while_a_write_waits_all_frames_wait_behind_it(writing: Writing) -> None:
    writing.pipe.has_room = False
    writing.writer.send_nowait(call(2))
    writing.end_batch()
    writing.pipe.has_room = True
    for number in (4, 6):
        writing.writer.send_nowait(call(number))
        writing.end_batch()
        await wait_all_tasks_blocked()
    assert writing.pipe.written == [[call(2)]]
    assert (writing.sending, writing.sent) == ([call(2)], [])
    writing.pipe.room.set()
    await wait_all_tasks_blocked()
    assert writing.pipe.written == [[call(2)], [call(4), call(6)]]
    assert writing.sent == [1, 2]


async def test_a_write_that_waits_too_long_ends_the_wire(autojump_clock: MockClock) -> None:
    writing = Writing(Pipe(has_room=False))
    began_at_s = trio.current_time()
    writing.writer.put_nowait(call(2))
    with pytest.raises(WireLost, match="does not read its input"):
        await writing.writer.run()
    assert trio.current_time() - began_at_s == pytest.approx(WRITE_LIMIT_S)


async def test_a_write_of_the_actors_that_fails_ends_the_writer_and_not_the_actor() -> None:
    writing = Writing(Pipe())
    has_ended = False

    async def write_in_the_actors_turn() -> None:
        nonlocal has_ended
        await wait_all_tasks_blocked()
        writing.pipe.bug = ValueError("a bug")
        writing.writer.send_nowait(call(2))
        writing.end_batch()
        has_ended = True

    with trio.fail_after(5), pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="a bug")):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writing.writer.run)
            nursery.start_soon(write_in_the_actors_turn)
    assert has_ended


async def test_the_time_limit_of_a_write_ends_with_it(
    writing: Writing, autojump_clock: MockClock
) -> None:
    writing.pipe.has_room = False
    writing.writer.send_nowait(call(2))
    writing.end_batch()
    await trio.sleep(WRITE_LIMIT_S / 2)
    writing.pipe.room.set()
    await trio.sleep(10 * WRITE_LIMIT_S)
    assert writing.sent == [1]


@pytest.mark.parametrize(
    "large",
    [call(2, DIRECT_BYTES), Request(2, "x" * (DIRECT_BYTES + 1))],
    ids=["payload", "method"],
)
async def test_the_actor_writes_no_large_frame_and_not_too_many(
    writing: Writing, large: Request
) -> None:
    half = Response("a", raw("x" * (DIRECT_BYTES // 2)))
    writing.writer.send_nowait(half)
    writing.writer.send_nowait(large)
    writing.end_batch()
    assert writing.pipe.written == [[half]]
    await wait_all_tasks_blocked()
    assert writing.pipe.written == [[half], [large]]
    writing.writer.send_nowait(large)
    writing.end_batch()
    assert len(writing.pipe.written) == 2
    await wait_all_tasks_blocked()
    assert writing.pipe.written == [[half], [large], [large]]


async def test_others_have_their_turn_between_the_writes_of_a_long_queue(writing: Writing) -> None:
    large = call(2, BATCH_BYTES)
    for _ in range(20):
        writing.writer.put_nowait(large)
    seen: set[int] = set()
    while len(writing.pipe.written) < 20:
        seen.add(len(writing.pipe.written))
        await trio.lowlevel.checkpoint()
    assert len(seen) >= 10  # Trio runs the two tasks in random order, so two writes may follow


async def test_a_full_queue_refuses_the_actor_and_lets_the_session_wait(
    nursery: trio.Nursery, writing: Writing
) -> None:
    writing.pipe.has_room = False
    writing.writer.send_nowait(call(2))
    writing.end_batch()
    for _ in range(SESSION_INBOX_SIZE):
        writing.writer.send_nowait(call(4))
    with pytest.raises(trio.WouldBlock):
        writing.writer.send_nowait(call(6))
    with pytest.raises(trio.WouldBlock):
        writing.writer.put_nowait(OWN)
    nursery.start_soon(writing.writer.put, OWN)
    await wait_all_tasks_blocked()
    writing.pipe.has_room = True
    writing.pipe.room.set()
    await wait_all_tasks_blocked()
    assert writing.pipe.written[-1] == [OWN]
    assert sum(map(len, writing.pipe.written)) == SESSION_INBOX_SIZE + 2


async def test_a_closed_writer_takes_nothing_and_writes_nothing(
    nursery: trio.Nursery, writing: Writing
) -> None:
    writing.pipe.has_room = False
    writing.writer.send_nowait(call(2))
    writing.end_batch()
    for _ in range(SESSION_INBOX_SIZE):
        writing.writer.send_nowait(call(4))
    refused = trio.Event()

    async def wait_for_room() -> None:
        with pytest.raises(trio.BrokenResourceError):
            await writing.writer.put(OWN)
        refused.set()

    nursery.start_soon(wait_for_room)
    await wait_all_tasks_blocked()
    writing.writer.close()
    await refused.wait()
    with pytest.raises(trio.BrokenResourceError):
        writing.writer.send_nowait(call(6))
    writing.end_batch()
    await wait_all_tasks_blocked()
    assert writing.pipe.written == [[call(2)]]
