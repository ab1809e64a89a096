"""Writes the frames that are sent to an upstream: the actor's, and the session's own.

All of them wait in one queue. As a rule the upstream reads what it is sent, so a write need not
wait, and needs no task of its own: the actor's frames are written by `write_now`, which the actor
calls once it has handled all events that were there. What the upstream does not take at once is
left to the task that runs `run`, and so are large frames and the session's own.

Invariants:

- Frames are written in the order in which they came, whoever writes them: `write_now` does nothing
  while `run` has something to write.
- The queue is bounded. A frame that does not fit is its sender's concern.
- `write_now` never waits, and writes at most `DIRECT_BYTES`, not counting envelopes.
- A write that takes longer than `WRITE_LIMIT_S` ends the wire. A write of the actor's that fails
  ends `run`, and so the session: its frames are lost, and their calls must not wait for answers.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final

import trio
import trio.lowlevel
from msgspec import Struct, field

from transports.connect.wire import WireLost
from transports.json_rpc import payload_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.messages.frames import Frame
    from transports.connect.wire import Wire

SESSION_INBOX_SIZE: Final = 1024
"""Frames that may wait to be written before the actor sheds calls: four of its batches, so that
only an upstream that does not keep up fills it, and no burst does."""

BATCH_BYTES: Final = 256 * 1024
"""Bytes written in one go, or one frame: a few pipes full, and little memory."""

DIRECT_BYTES: Final = 16 * 1024
"""The same in the actor's task: some dozens of calls, and so little that nobody waits for it."""

WRITE_LIMIT_S: Final = 10.0
"""Time for one write, since an upstream may never read."""


class FrameWriter(Struct, eq=False):
    """The frames that wait for one incarnation of a session, and what writes them.

    Attributes:
        wire: takes them.
        note_sending: is told of frames before they are sent.
        note_sent: is told how many frames were sent.
        after_batch: has a function called once the actor has handled the events that wait; None to
            leave all frames to `run`.
    """

    wire: Wire
    note_sending: Callable[[Sequence[Frame]], None]
    note_sent: Callable[[int], None]
    after_batch: Callable[[Callable[[], None]], None] | None = None
    _frames: deque[Frame] = field(default_factory=deque["Frame"])
    _is_closed: bool = False
    _is_announced: bool = False  # to the actor
    _unfinished: int = 0  # frames that the wire has in part
    _failure: Exception | None = None  # of a write of the actor's
    _idle: trio.lowlevel.ParkingLot = field(default_factory=trio.lowlevel.ParkingLot)
    _no_room: trio.lowlevel.ParkingLot = field(default_factory=trio.lowlevel.ParkingLot)

    # --- Senders ---------------------------------------------------------------------------------

    def put_nowait(self, frame: Frame) -> None:
        """Queue a frame of the session's own.

        Raises:
            trio.WouldBlock: the queue is full.
            trio.BrokenResourceError: the session is over.
        """
        self._append(frame)
        self._idle.unpark()

    async def put(self, frame: Frame) -> None:
        """Queue a frame of the session's own as soon as there is room for it.

        Raises:
            trio.BrokenResourceError: the session is over.
        """
        await trio.lowlevel.checkpoint()
        while len(self._frames) >= SESSION_INBOX_SIZE and not self._is_closed:
            await self._no_room.park()
        self.put_nowait(frame)

    def send_nowait(self, frame: Frame) -> None:
        """Queue a frame of the actor's; it is written after the batch of events of which it came.

        Raises:
            trio.WouldBlock: the queue is full.
            trio.BrokenResourceError: the session is over.
        """
        self._append(frame)
        if self.after_batch is None:
            self._idle.unpark()
        elif not self._is_announced:
            self._is_announced = True
            self.after_batch(self.write_now)

    def close(self) -> None:
        """Take no more frames, and forget those that wait."""
        self._is_closed = True
        self._frames.clear()
        self._no_room.unpark_all()

    def _append(self, frame: Frame) -> None:
        if self._is_closed:
            raise trio.BrokenResourceError
        if len(self._frames) >= SESSION_INBOX_SIZE:
            raise trio.WouldBlock
        self._frames.append(frame)

    # --- Writing ---------------------------------------------------------------------------------

    def write_now(self) -> None:
        """Write what waits as far as that needs no waiting, and leave the rest to `run`."""
        self._is_announced = False
        if not self._frames or not self._idle:
            return  # `run` has written it, or is about to
        is_small = payload_bytes(self._frames[0]) <= DIRECT_BYTES
        try:
            is_written = is_small and self._write(DIRECT_BYTES)
        except Exception as error:  # noqa: BLE001 - `run` raises it
            self._failure, is_written = error, False
        if not is_written or self._frames:
            self._idle.unpark()

    async def run(self) -> None:
        """Write what is left to this task, until cancelled.

        Raises:
            WireLost: the wire is lost, or the upstream does not read.
            Exception: a write failed, here or in `write_now`, which is a bug.
        """
        with trio.CancelScope() as limit:
            while True:
                if self._frames:
                    await trio.lowlevel.checkpoint()  # there may always be more
                else:
                    await self._idle.park()
                if self._failure is not None:
                    raise self._failure
                if self._unfinished or not self._write(BATCH_BYTES):
                    limit.deadline = trio.current_time() + WRITE_LIMIT_S
                    await self.wire.send(())
                    limit.deadline = math.inf
                    self._note_written()
        raise WireLost("does not read its input")

    def _write(self, limit_bytes: int) -> bool:
        """Write frames that wait, in one go; return False if the wire has to wait with some."""
        frames = self._take(limit_bytes)
        self._unfinished = len(frames)
        self.note_sending(frames)
        if not self.wire.send_nowait(frames):
            return False
        self._note_written()
        return True

    def _note_written(self) -> None:
        self.note_sent(self._unfinished)
        self._unfinished = 0

    def _take(self, limit_bytes: int) -> list[Frame]:
        """Take the frames that wait, up to the limit, but at least one."""
        queue = self._frames
        frames = [queue.popleft()]
        size_bytes = payload_bytes(frames[0])
        while queue:
            size_bytes += payload_bytes(queue[0])
            if size_bytes > limit_bytes:
                break
            frames.append(queue.popleft())
        if self._no_room:
            self._no_room.unpark(count=len(frames))
        return frames
