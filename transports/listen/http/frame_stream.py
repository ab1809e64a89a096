"""A stream of frames to one client, which may lose its connection and resume the stream.

The dispatch actor puts frames in without waiting; an HTTP response takes them out and sends them.
The stream keeps frames for a client that comes back (MCP 2025-11-25, Transports, Resumability and
Redelivery). No I/O.

Invariants:

- Frames have the numbers 1, 2, 3, ... and are read in that order.
- The stream is bounded. A reader that falls too far behind makes `put` raise `WouldBlock`. While
  nobody reads, and of the frames that were read, only the newest are kept.
- The stream has at most one reader. A second reader takes over, and the first sees the end.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

import trio
from msgspec import Raw

from router.messages.frames import ErrorResponse, Notification, Request, Response
from transports import json_rpc
from transports.listen.http.changing import Changing
from transports.listen.serving.exchange import EventStream
from transports.listen.serving.server_sent_events import KEEP_ALIVE, KEEP_ALIVE_S, encode_event
from transports.listen.serving.unread_bytes import NOBODY_READS, Holding

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.messages.frames import Frame
    from transports.listen.serving.exchange import Headers

UNREAD_FRAMES: Final = 4096
"""How far a reader may fall behind: some bursts of the actor, each at most a few hundred frames."""

UNREAD_BYTES: Final = 64 * 1024 * 1024
"""The same in bytes: four of the largest frames an upstream may send."""

KEPT_FRAMES: Final = 256
"""Frames kept for a client that comes back: a minute of lively progress."""

KEPT_BYTES: Final = 1024 * 1024
"""The same in bytes. The newest frame is kept however large it is: it may be the answer."""

_NO_FRAMES: Final[deque[Frame]] = deque(maxlen=0)
"""What a stream has before its first frame; most sessions' own streams never get one, and a deque
of its own would be a fifth of the memory of a session."""

CANCELLED: Final = Raw(b'{"code":-32800,"message":"Request cancelled"}')
"""The error that ends the response of a request its client cancelled.

The client awaits no answer, but its HTTP response has to end, and clients come back for a stream
that ended without an answer. The code is that of the Language Server Protocol.
"""

UNREACHABLE: Final = Raw(b'{"code":-32603,"message":"The client cannot be asked on this request"}')
"""The error for a server's request that its client never sees."""


DROPPED: Final = Raw(
    b'{"code":-32603,"message":"The answer was dropped: too much was waiting to be read"}'
)
"""The error in place of an answer that was dropped before its client had read it."""


def ignore(_: object) -> None:
    """Do nothing with a dropped request, or with the size of a frame."""


class OpenResponse(Protocol):
    """A response to a POST, as the client that waits for it sees it.

    Attributes:
        held_bytes: the size of the frames that are held for it.
    """

    @property
    def held_bytes(self) -> int: ...

    def holding(self, principal: str) -> Holding:
        """Return what is held here for a client of this principal."""
        ...

    def end(self) -> None:
        """Take nothing more, because the client ends."""
        ...


class FrameStream(Changing):
    """Frames to one client. It changes when a frame is put, it ends, or another reader takes over.

    Args:
        on_dropped_request: called with each request to the client that the client will never see.
        number: the stream's number in its session, which begins its event ids.
        expected_answers: the stream ends after so many answers; None: only `end` ends it.
        answers_only: drop everything but answers.
        is_resumable: keep frames that were read, for a client that comes back.
        count: is called with the size of each frame; see `UnreadBytes.add`.

    Attributes:
        ended: nothing more will be put.
        has_others: something else than an answer was put.
        held_bytes: the size of all frames that are unread or kept.
        reader: the object that reads now; None while nobody does.
    """

    __slots__ = (
        "_count",
        "_expected_answers",
        "_first_number",
        "_frames",
        "_is_resumable",
        "_on_dropped_request",
        "_unread_bytes",
        "answers_only",
        "ended",
        "has_others",
        "held_bytes",
        "last_read",
        "number",
        "reader",
    )

    def __init__(
        self,
        on_dropped_request: Callable[[Request], None],
        *,
        number: int = 0,
        expected_answers: int | None = None,
        answers_only: bool = False,
        is_resumable: bool = False,
        count: Callable[[int], None] = ignore,
    ) -> None:
        super().__init__()
        self.number = number
        self.answers_only = answers_only
        self.ended = False
        self.has_others = False
        self.reader: object = None
        self.last_read = 0  # the number of the last frame that was read
        self._on_dropped_request = on_dropped_request
        self._expected_answers = expected_answers
        self._is_resumable = is_resumable
        self._count = count
        self._frames: deque[Frame] = _NO_FRAMES  # kept and unread ones
        self.held_bytes = 0
        self._first_number = 1  # of the oldest in `_frames`
        self._unread_bytes = 0

    # --- Putting ---

    def put(self, frame: Frame) -> None:
        """Add a frame.

        Raises:
            trio.WouldBlock: the reader is too far behind.
            trio.BrokenResourceError: the stream has ended.
        """
        if self.ended:
            raise trio.BrokenResourceError
        is_answer = isinstance(frame, (Response, ErrorResponse))
        if not is_answer:
            if self.answers_only:
                self._report_dropped(frame)
                return
            if self.reader is None and self._is_unread_already(frame):
                return
            self.has_others = True
        self._append(frame)
        if is_answer and self._expected_answers is not None:
            self._expected_answers -= 1
            self.ended = self._expected_answers == 0
        self.wake()

    def end(self) -> None:
        """Take no more frames; those in the stream can still be read."""
        self.ended = True
        self.wake()

    def end_with_session(self) -> None:
        """End, because the session is over; nobody need learn of requests that are dropped now.

        The session and its streams refer to each other, and after months of use the garbage
        collector looks at such old objects too rarely.
        """
        self._on_dropped_request = ignore
        self.end()

    def abandon(self) -> None:
        """Drop everything, because nobody will read the stream again; only count answers."""
        self.reader = None
        self.answers_only = True
        self._is_resumable = False
        while self._frames:
            self._drop_oldest()
        self.wake()

    def holding(self, principal: str) -> Holding:
        """Return what is held here for a client of this principal."""
        peer = self.reader.peer if isinstance(self.reader, EventStream) else None
        if self.reader is None:
            read_at_s = NOBODY_READS
        elif peer is not None and peer.unsent_bytes:
            read_at_s = peer.progressed_at_s
        else:
            read_at_s = trio.current_time()
        return Holding(principal, self.held_bytes, read_at_s, self._drop_all)

    def _drop_all(self) -> None:
        """Drop all frames, and cut the connection that reads them; an error replaces an answer."""
        if isinstance(self.reader, EventStream) and self.reader.peer is not None:
            self.reader.peer.cut()
        answered = [frame.id for frame in self._frames if isinstance(frame, Response)]
        while self._frames:
            self._drop_oldest()
        for request_id in answered:
            self._append(ErrorResponse(request_id, DROPPED))
        self.wake()

    def _is_unread_already(self, frame: Frame) -> bool:
        """Return whether this `list_changed` repeats one that waits to be read."""
        if not isinstance(frame, Notification) or not frame.method.endswith("/list_changed"):
            return False
        unread = list(self._frames)[max(0, self.last_read + 1 - self._first_number) :]
        return any(isinstance(one, Notification) and one.method == frame.method for one in unread)

    def _append(self, frame: Frame) -> None:
        size_bytes = json_rpc.payload_bytes(frame)
        if self.reader is not None and self._is_full(size_bytes):
            raise trio.WouldBlock
        if self._frames is _NO_FRAMES:
            self._frames = deque()
        self._frames.append(frame)
        self.held_bytes += size_bytes
        self._unread_bytes += size_bytes
        self._count(size_bytes)
        if len(self._frames) > 1:
            self._trim()

    def _is_full(self, more_bytes: int) -> bool:
        unread = self.unread_count
        if unread >= UNREAD_FRAMES:
            return True
        # A single frame is taken however large it is.
        return unread > 0 and self._unread_bytes + more_bytes > UNREAD_BYTES

    def _trim(self) -> None:
        while len(self._frames) > 1 and (
            len(self._frames) > KEPT_FRAMES or self.held_bytes > KEPT_BYTES
        ):
            if self.reader is not None and self._first_number > self.last_read:
                return  # the reader has yet to read this frame
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        frame = self._frames.popleft()
        size_bytes = json_rpc.payload_bytes(frame)
        self.held_bytes -= size_bytes
        if self._first_number > self.last_read:
            self._unread_bytes -= size_bytes
            self.last_read = self._first_number
            self._report_dropped(frame)
        self._first_number += 1

    def _report_dropped(self, frame: Frame) -> None:
        if isinstance(frame, Request):
            self._on_dropped_request(frame)

    # --- Reading ---

    def attach(self, reader: object, after: int | None = None) -> None:
        """Let `reader` read the stream, in place of any other reader.

        Args:
            reader: compared by identity only.
            after: the number of the last frame that the client has; None: go on where reading
                stopped.
        """
        self.reader = reader
        if after is not None:
            self.last_read = max(self._first_number - 1, min(after, self._last_number))
            read = self.last_read - self._first_number + 1
            self._unread_bytes = sum(map(json_rpc.payload_bytes, list(self._frames)[read:]))
        self.wake()

    def detach(self, reader: object) -> None:
        """Stop reading; does nothing if another reader took over."""
        if self.reader is reader:
            self.reader = None
            self._trim()

    @property
    def _last_number(self) -> int:
        return self._first_number + len(self._frames) - 1

    @property
    def unread_count(self) -> int:
        """The number of frames to be read."""
        return self._last_number - self.last_read

    def take_unread(self) -> list[tuple[int, Frame]]:
        """Return all unread frames with their numbers."""
        if not self.unread_count:
            return []
        read = self.last_read - self._first_number + 1
        unread = list(self._frames)[read:] if read else list(self._frames)
        numbered = list(enumerate(unread, self.last_read + 1))
        self.last_read = self._last_number
        self._unread_bytes = 0
        if not self._is_resumable:
            self._first_number = self._last_number + 1
            self._frames.clear()
            self.held_bytes = 0
        return numbered

    def __repr__(self) -> str:
        state = "ended" if self.ended else "read" if self.reader is not None else "unread"
        numbers = f"{self._first_number}..{self._last_number}"
        return f"<FrameStream {self.number} {state} {numbers} read={self.last_read}>"


class StreamResponse(EventStream):
    """One HTTP response that reads a stream.

    Args:
        opening: see `EventStream`.
        with_ids: give each event an id, with which `Last-Event-ID` resumes the stream.
        on_close: called once, after this response has stopped reading.

    Attributes:
        expires_s: the second of Trio's clock at which this response ends: the token of its client
            has expired then. The client comes back with another one.
    """

    def __init__(
        self,
        stream: FrameStream,
        headers: Headers,
        *,
        opening: bytes = b"",
        with_ids: bool = False,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self.headers = headers
        self.opening = opening
        self._stream = stream
        self._with_ids = with_ids
        self._on_close = on_close
        self.expires_s = math.inf

    def take_whole(self, limit_bytes: int) -> bytes | None:
        """See `EventStream`."""
        stream = self._stream
        if not stream.ended or stream.reader is not self or stream.held_bytes > limit_bytes:
            return None
        events = [self._encode(number, frame) for number, frame in stream.take_unread()]
        self.close()
        return b"".join((self.opening, *events))

    async def next_chunk(self) -> bytes | None:
        """See `EventStream`; frames that were put before the end are read before the end."""
        now_s = trio.current_time()
        if now_s >= self.expires_s:
            return None
        with trio.move_on_at(min(now_s + KEEP_ALIVE_S, self.expires_s)):
            return await self._next_events()
        return None if trio.current_time() >= self.expires_s else KEEP_ALIVE

    async def _next_events(self) -> bytes | None:
        stream = self._stream
        while stream.reader is self:
            numbered = stream.take_unread()
            if numbered:
                return b"".join([self._encode(number, frame) for number, frame in numbered])
            if stream.ended:
                return None
            await stream.wait_changed()
        return None  # another reader took over

    def _encode(self, number: int, frame: Frame) -> bytes:
        event_id = b"%d-%d" % (self._stream.number, number) if self._with_ids else b""
        return encode_event(json_rpc.encode_line(frame), event_id=event_id)

    def close(self) -> None:
        """See `EventStream`."""
        self._stream.detach(self)
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()
