"""A stream of frames to one client that its reader may leave and come back to.

Job: be the channel between the dispatch actor, which puts frames in without waiting, and the HTTP
response that sends them; remember what a client that lost its connection may ask for again (MCP
2025-11-25, Transports, Resumability and Redelivery). Neighbours: `http` and `sse` make streams,
`exchange` says how events look. No I/O.

Invariants:

- Frames have numbers 1, 2, 3, ... and are read in that order.
- It is bounded: a reader that is too slow is `WouldBlock` to whoever puts; while nobody reads, and
  of what was read, the newest are kept.
- It has at most one reader. A second one takes over, and the first sees the end.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

import trio
from msgspec import Raw

from router.messages.frames import ErrorResponse, Notification, Request, Response
from transports import json_rpc
from transports.listen.serving.exchange import KEEP_ALIVE, KEEP_ALIVE_S, Events, event

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.messages.frames import Frame, RequestId
    from transports.listen.serving.exchange import Headers

UNREAD_FRAMES: Final = 4096
"""How far a reader may fall behind: some bursts of the actor, each at most a few hundred frames."""

UNREAD_BYTES: Final = 64 * 1024 * 1024
"""The same in bytes: four of the largest frames an upstream may send."""

KEPT_FRAMES: Final = 256
"""Frames kept for a client that comes back: a minute of lively progress."""

KEPT_BYTES: Final = 1024 * 1024
"""The same in bytes. The newest frame is kept however large it is: it is the answer."""

CANCELLED: Final = Raw(b'{"code":-32800,"message":"Request cancelled"}')
"""The error that ends the response of a request its client cancelled.

The client awaits no answer, but its HTTP response has to end somehow, and clients come back for a
stream that ended without an answer. The code is that of the Language Server Protocol.
"""


class Stream:
    """Frames to one client.

    Args:
        refuse: is told of each request to the client that the client will never see.
        unanswered: how many answers it waits for and ends with; None: it goes on until `end`.
        answers_only: drop everything but answers.
        keeps: remember what was read.
    """

    __slots__ = (
        "_bytes",
        "_first",
        "_keeps",
        "_log",
        "_read",
        "_refuse",
        "_unanswered",
        "_unread_bytes",
        "_woken",
        "answers_only",
        "ended",
        "has_others",
        "number",
        "reader",
    )

    def __init__(
        self,
        refuse: Callable[[Request], None],
        *,
        number: int = 0,
        unanswered: int | None = None,
        answers_only: bool = False,
        keeps: bool = False,
    ) -> None:
        self.number = number
        self.answers_only = answers_only
        self.ended = False
        self.has_others = False  # anything but answers was put
        self.reader: Any = None
        self._refuse = refuse
        self._unanswered = unanswered
        self._keeps = keeps
        self._log: deque[Frame] = deque()
        self._first = 1  # the number of the oldest in the log
        self._read = 0  # the number of the last that was read
        self._bytes = 0
        self._unread_bytes = 0
        self._woken: trio.Event | None = None

    # --- Putting ---

    def put(self, frame: Frame) -> None:
        """Add a frame.

        Raises:
            trio.WouldBlock: its reader is too far behind.
            trio.BrokenResourceError: it has ended.
        """
        if self.ended:
            raise trio.BrokenResourceError
        is_answer = isinstance(frame, (Response, ErrorResponse))
        if not is_answer:
            if self.answers_only:
                self._drop(frame)
                return
            if self.reader is None and self._repeats(frame):
                return
            self.has_others = True
        self._add(frame)
        if is_answer and self._unanswered is not None:
            self._unanswered -= 1
            self.ended = self._unanswered == 0
        self._wake()

    def end(self) -> None:
        """Nothing more will come; what is there can still be read."""
        self.ended = True
        self._wake()

    def abandon(self) -> None:
        """Nobody will ever read it (again): only count the answers from here on."""
        self.reader = None
        self.answers_only = True
        self._keeps = False
        while self._log:
            self._drop_oldest()
        self._wake()

    def _add(self, frame: Frame) -> None:
        size = _size_of(frame)
        if self.reader is not None and self._is_full(size):
            raise trio.WouldBlock
        self._log.append(frame)
        self._bytes += size
        self._unread_bytes += size
        if len(self._log) > 1:
            self._trim()

    def _is_full(self, size: int) -> bool:
        unread = self.unread
        return unread >= UNREAD_FRAMES or (unread > 0 and self._unread_bytes + size > UNREAD_BYTES)

    @property
    def _last(self) -> int:
        return self._first + len(self._log) - 1

    def _trim(self) -> None:
        while len(self._log) > 1 and (len(self._log) > KEPT_FRAMES or self._bytes > KEPT_BYTES):
            if self.reader is not None and self._first > self._read:
                return  # the reader has yet to read it
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        frame = self._log.popleft()
        size = _size_of(frame)
        self._bytes -= size
        if self._first > self._read:
            self._unread_bytes -= size
            self._read = self._first
            self._drop(frame)
        self._first += 1

    def _drop(self, frame: Frame) -> None:
        if isinstance(frame, Request):
            self._refuse(frame)

    def _repeats(self, frame: Frame) -> bool:
        """Is this a `list_changed` that waits to be read already?"""
        if not isinstance(frame, Notification) or not frame.method.endswith("/list_changed"):
            return False
        unread = list(self._log)[max(0, self._read + 1 - self._first) :]
        return any(isinstance(one, Notification) and one.method == frame.method for one in unread)

    def _wake(self) -> None:
        if self._woken is not None:
            self._woken.set()
            self._woken = None

    # --- Reading ---

    def attach(self, reader: object, after: int | None = None) -> None:
        """Make `reader` the one who reads it, in place of another.

        Args:
            after: the number of the last frame it knows; None: go on where reading stopped.
        """
        self.reader = reader
        if after is not None:
            self._read = max(self._first - 1, min(after, self._last))
            skipped = self._read - self._first + 1
            self._unread_bytes = sum(map(_size_of, list(self._log)[skipped:]))
        self._wake()

    def detach(self, reader: object) -> None:
        """`reader` reads no more; whoever took over from it is not concerned."""
        if self.reader is reader:
            self.reader = None
            self._trim()

    @property
    def read(self) -> int:
        """The number of the last frame that was read."""
        return self._read

    @property
    def unread(self) -> int:
        """How many frames there are to be read."""
        return self._last - self._read

    async def changed(self) -> None:
        """Wait until a frame is put, it ends, or it gets another reader."""
        if self._woken is None:
            self._woken = trio.Event()
        await self._woken.wait()

    def take(self) -> list[tuple[int, Frame]]:
        """Everything unread, with its numbers; empty when there is nothing."""
        if not self.unread:
            return []
        skipped = self._read - self._first + 1
        unread = list(self._log)[skipped:] if skipped else list(self._log)
        numbered = list(enumerate(unread, self._read + 1))
        self._read = self._last
        self._unread_bytes = 0
        if not self._keeps:
            self._first = self._last + 1
            self._log.clear()
            self._bytes = 0
        return numbered

    def __repr__(self) -> str:
        state = "ended" if self.ended else "read" if self.reader is not None else "unread"
        return f"<Stream {self.number} {state} {self._first}..{self._last} read={self._read}>"


class Reply:
    """The `reply_to` of one request: its place on a stream."""

    __slots__ = ("_id", "_stream")

    def __init__(self, stream: Stream, request_id: RequestId) -> None:
        self._stream = stream
        self._id = request_id

    def send_nowait(self, frame: Frame, /) -> None:
        """Put what belongs to the request, and at last its answer."""
        self._stream.put(frame)

    def close(self) -> None:
        """There will be no answer: its client cancelled it."""
        if not self._stream.ended:
            self._stream.put(ErrorResponse(self._id, CANCELLED))


class StreamEvents(Events):
    """One response that reads a stream; see `exchange.Events`.

    Args:
        opening: see `exchange.Events`.
        with_ids: give each event an id, by which `Last-Event-ID` finds it again.
        on_leave: called once, after it has stopped reading.
    """

    def __init__(
        self,
        stream: Stream,
        headers: Headers,
        *,
        opening: bytes = b"",
        with_ids: bool = False,
        on_leave: Callable[[], None] | None = None,
    ) -> None:
        self.headers = headers
        self._stream = stream
        self.opening = opening
        self._with_ids = with_ids
        self._on_leave = on_leave

    async def next_chunk(self) -> bytes | None:
        """See `exchange.Events`. What had been put before the end is read before the end."""
        with trio.move_on_after(KEEP_ALIVE_S):
            return await self._next()
        return KEEP_ALIVE

    async def _next(self) -> bytes | None:
        stream = self._stream
        while stream.reader is self:
            numbered = stream.take()
            if numbered:
                return b"".join([self._event(number, frame) for number, frame in numbered])
            if stream.ended:
                return None
            await stream.changed()
        return None

    def _event(self, number: int, frame: Frame) -> bytes:
        event_id = b"%d-%d" % (self._stream.number, number) if self._with_ids else b""
        return event(json_rpc.encode_line(frame), event_id=event_id)

    def leave(self) -> None:
        """See `exchange.Events`."""
        self._stream.detach(self)
        on_leave, self._on_leave = self._on_leave, None
        if on_leave is not None:
            on_leave()


def _size_of(frame: Frame) -> int:
    if isinstance(frame, Response):
        return len(memoryview(frame.result))
    if isinstance(frame, ErrorResponse):
        return len(memoryview(frame.error))
    return len(memoryview(frame.params))
