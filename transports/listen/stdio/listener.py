"""The stdio listener: one client on this process's stdin and stdout (MCP, Transports, stdio).

Job: newline-delimited JSON in and out. Neighbours: it sends the client's frames to the dispatch
actor and gives it two outboxes; `stdio_outbox` and `stdio_streams` are its parts, `frames` below;
the composition root opens the streams.

Invariants:

- Whatever was read is answered before the end, as far as it comes in time: the end of stdin only
  ends the reading. What goes on for good (`subscriptions/listen`) holds up no end.
- While the outbox is half full nothing is read: a client that does not read its answers is held
  back before it is thrown out.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import attrs
import msgspec
import trio

from router.messages.commands import Principal
from router.messages.errors import INVALID_REQUEST
from router.messages.events import ClientClosed, ClientOpened, FromClient
from router.messages.frames import ErrorResponse, Request, Response
from router.messages.revisions import LISTEN_METHOD
from transports.json_rpc import (
    FrameError,
    batch_from_client,
    decode_from_client,
    encode_line,
    is_batch,
)
from transports.lines import LineSplitter
from transports.listen.stdio.outbox import StdioOutbox
from transports.listen.stdio.streams import LINE_LIMIT_BYTES, READ_SIZE_BYTES

if TYPE_CHECKING:
    from router.messages.events import Event
    from router.messages.frames import ClientId, Frame, RequestId

STDIO: Final = Principal("stdio")
"""The parent of this process, which could do everything without the router too."""

FLUSH_S: Final = 5.0
"""How long the last messages may take to be written when it ends."""

_TOO_LONG: Final = f"Invalid request: larger than {LINE_LIMIT_BYTES} bytes"


@attrs.frozen
class StdioListener:
    """Serves one client; returns once that is gone and has its answers, or when told to stop.

    Attributes:
        inbox: of the dispatch actor.
        stdin, stdout: are closed at the end, so this runs once.
        linger_s: how long after the end of stdin answers may still come.
        principal: what the client counts as.
    """

    inbox: trio.MemorySendChannel[Event]
    stdin: trio.abc.ReceiveStream
    stdout: trio.abc.SendStream
    linger_s: float = 30.0
    principal: Principal = STDIO

    async def __call__(
        self, stopping: trio.Event, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
    ) -> None:
        client = StdioClient()
        outbox = client.outbox
        async with self.stdin, self.stdout, trio.open_nursery() as nursery:
            opened = ClientOpened(client.id, outbox, self.principal, era="either")
            await self.inbox.send(opened)
            nursery.start_soon(outbox.write_to, self.stdout)
            nursery.start_soon(self._read, client)
            nursery.start_soon(_end_when, stopping, outbox)
            task_status.started("stdio")
            await outbox.ended.wait()
            await self.inbox.send(ClientClosed(client.id, outbox.reason))
            with trio.move_on_after(FLUSH_S):
                await outbox.written.wait()
            nursery.cancel_scope.cancel()

    async def _read(self, client: StdioClient) -> None:
        """Take messages until the end of stdin, then wait for what they asked."""
        splitter = LineSplitter(LINE_LIMIT_BYTES)
        while data := await _some(self.stdin):
            for line in splitter.feed(data):
                await self._take(client, line)
        for line in splitter.finish():
            await self._take(client, line)
        with trio.move_on_after(self.linger_s):
            await client.nothing_asked.wait()
        client.outbox.end("end of stdin")

    async def _take(self, client: StdioClient, line: bytes | None) -> None:
        if not client.outbox.has_room():
            await client.outbox.room()
        if line is not None and is_batch(line):
            # Whether batches are allowed, the answer to `initialize` says.
            await client.shaken.wait()
        for event in client.events(line):
            try:
                self.inbox.send_nowait(event)  # a burst is one turn: reading it was a checkpoint
            except trio.WouldBlock:
                await self.inbox.send(event)


async def _end_when(stopping: trio.Event, outbox: StdioOutbox) -> None:
    await stopping.wait()
    outbox.end("the router stops")


async def _some(stdin: trio.abc.ReceiveStream) -> bytes:
    try:
        return bytes(await stdin.receive_some(READ_SIZE_BYTES))
    except trio.BrokenResourceError:
        return b""  # the terminal is gone, which is an end too


class _Initialized(msgspec.Struct, gc=False):
    """What is needed of the result of `initialize`."""

    protocolVersion: str = ""


class StdioClient:
    """The client's session, and the `reply_to` of its requests.

    Attributes:
        id: minted here.
        outbox: where everything for the client goes in the end.
        nothing_asked: set while every request has been answered.
        shaken: set while no `initialize` waits for its answer.
        revision: what was negotiated, None before.
    """

    def __init__(self) -> None:
        self.id: ClientId = os.urandom(16).hex()
        self.outbox = StdioOutbox()
        self.nothing_asked = _set_event()
        self.shaken = _set_event()
        self.revision: str | None = None
        self._asked = 0
        self._initialize: RequestId | None = None

    def events(self, line: bytes | None) -> list[FromClient]:
        """What a line says; None stands for one that was too long. Errors are answered."""
        try:
            if line is None:
                raise FrameError(INVALID_REQUEST, _TOO_LONG)
            if is_batch(line):
                return self._batch_events(line)
            frame = decode_from_client(line)
            is_standing = isinstance(frame, Request) and frame.method == LISTEN_METHOD
            return [self._event(frame, _Standing(self) if is_standing else self)]
        except FrameError as error:
            if not self.outbox.ended.is_set():
                self.outbox.send_nowait(error.to_frame())
            return []

    def _batch_events(self, line: bytes) -> list[FromClient]:
        members = batch_from_client(line, self.revision)
        batch = _Batch(self)
        events: list[FromClient] = []
        for member in members:
            try:
                events.append(self._event(decode_from_client(member), batch))
            except FrameError as error:
                batch.answers.append(encode_line(error.to_frame()))
        batch.complete()
        return events

    def _event(self, frame: Frame, reply_to: StdioClient | _Standing | _Batch) -> FromClient:
        if isinstance(frame, Request):
            reply_to.expect(frame)
        return FromClient(self.id, frame, reply_to)

    def expect(self, request: Request) -> None:
        """This request is about to be asked."""
        if request.method == "initialize" and self.shaken.is_set():
            self._initialize, self.shaken = request.id, trio.Event()
        if self._asked == 0:
            self.nothing_asked = trio.Event()
        self._asked += 1

    def send_nowait(self, frame: Frame) -> None:
        """Take an answer, or what comes before it. Raises as the outbox does."""
        self.outbox.send_nowait(frame)
        if isinstance(frame, (Response, ErrorResponse)):
            self.answered(frame)

    def close(self) -> None:
        """One request gets no answer."""
        self.answered(None)

    def answered(self, answer: Response | ErrorResponse | None) -> None:
        """One request less is waiting."""
        if answer is not None and answer.id == self._initialize and not self.shaken.is_set():
            self._shake(answer)
        self._asked -= 1
        if self._asked == 0:
            self.nothing_asked.set()

    def _shake(self, answer: Response | ErrorResponse) -> None:
        self.shaken.set()
        if isinstance(answer, Response):
            result = msgspec.json.decode(answer.result, type=_Initialized)
            self.revision = result.protocolVersion


class _Standing:
    """The `reply_to` of a request that goes on until it is left, or the router stops.

    It is waited for until it begins, with an acknowledgement or with an error.
    """

    def __init__(self, client: StdioClient) -> None:
        self._client = client
        self._has_begun = False

    def expect(self, request: Request) -> None:
        """This request is about to be asked."""
        self._client.expect(request)

    def send_nowait(self, frame: Frame) -> None:
        """Take what belongs to it. Raises as the outbox does."""
        self._client.outbox.send_nowait(frame)
        self.close()

    def close(self) -> None:
        """It needs no more waiting."""
        if not self._has_begun:
            self._has_begun = True
            self._client.answered(None)


class _Batch:
    """The `reply_to` of the requests in one batch: their answers are one array."""

    def __init__(self, client: StdioClient) -> None:
        self.answers: list[bytes] = []
        self._client = client
        self._missing = 1  # `complete`

    def expect(self, request: Request) -> None:
        """This request is about to be asked."""
        self._missing += 1
        self._client.expect(request)

    def complete(self) -> None:
        """Every member has been read."""
        self._one_less()

    def send_nowait(self, frame: Frame) -> None:
        """Take an answer, or what comes before it. Raises as the outbox does."""
        if isinstance(frame, (Response, ErrorResponse)):
            self.answers.append(encode_line(frame))
            self._client.answered(frame)
            self._one_less()
        else:
            self._client.outbox.send_nowait(frame)

    def close(self) -> None:
        """One request gets no answer."""
        self._client.answered(None)
        try:
            self._one_less()
        except trio.WouldBlock:
            self._client.outbox.end("the client reads too slowly")

    def _one_less(self) -> None:
        self._missing -= 1
        if self._missing == 0 and self.answers:
            members = b",".join([answer[:-1] for answer in self.answers])
            self._client.outbox.put(b"[%b]\n" % members)


def _set_event() -> trio.Event:
    event = trio.Event()
    event.set()
    return event
