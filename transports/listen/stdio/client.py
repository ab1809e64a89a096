"""The client on stdio: decodes its lines, counts its unanswered requests, and takes its answers.

Invariants:

- Every request of the client counts as unanswered until its answer, or its `close`, comes.
- The answers to one batch are written as one array, when the last of them is there.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import trio

from router.messages.errors import INVALID_REQUEST
from router.messages.events import FromClient
from router.messages.frames import ErrorResponse, Request, Response
from router.messages.revisions import LISTEN_METHOD
from transports.json_rpc import (
    FrameError,
    batch_from_client,
    decode_from_client,
    encode_line,
    is_batch,
)
from transports.listen.serving.client_messages import negotiated_revision
from transports.listen.stdio.outbox import StdioOutbox
from transports.listen.stdio.streams import LINE_LIMIT_BYTES

if TYPE_CHECKING:
    from router.messages.frames import ClientId, Frame, RequestId

_TOO_LONG: Final = f"Invalid request: larger than {LINE_LIMIT_BYTES} bytes"


class StdioClient:
    """The client's session, and the `reply_to` of its usual requests.

    Attributes:
        id: minted here.
        outbox: takes everything for the client in the end.
        all_answered: set while no request is unanswered.
        initialize_answered: set while no `initialize` is unanswered.
        revision: the negotiated revision; None before that.
    """

    def __init__(self) -> None:
        self.id: ClientId = os.urandom(16).hex()
        self.outbox = StdioOutbox()
        self.all_answered = _event_that_is_set()
        self.initialize_answered = _event_that_is_set()
        self.revision: str | None = None
        self._unanswered = 0
        self._initialize_id: RequestId | None = None

    def decode(self, line: bytes | None) -> list[FromClient]:
        """Return the events for one line; None stands for a line that was too long.

        A line that is no valid message is answered with an error here.
        """
        try:
            if line is None:
                raise FrameError(INVALID_REQUEST, _TOO_LONG)
            if is_batch(line):
                return self._decode_batch(line)
            frame = decode_from_client(line)
            is_listen = isinstance(frame, Request) and frame.method == LISTEN_METHOD
            return [self._event_for(frame, _ListenOutbox(self) if is_listen else self)]
        except FrameError as error:
            if not self.outbox.ended.is_set():
                self.outbox.send_nowait(error.to_frame())
            return []

    def _decode_batch(self, line: bytes) -> list[FromClient]:
        members = batch_from_client(line, self.revision)
        batch = _BatchOutbox(self)
        events: list[FromClient] = []
        for member in members:
            try:
                events.append(self._event_for(decode_from_client(member), batch))
            except FrameError as error:
                batch.answers.append(encode_line(error.to_frame()))
        batch.end_of_members()
        return events

    def _event_for(
        self, frame: Frame, reply_to: StdioClient | _ListenOutbox | _BatchOutbox
    ) -> FromClient:
        if isinstance(frame, Request):
            reply_to.expect_answer(frame)
        return FromClient(self.id, frame, reply_to)

    def expect_answer(self, request: Request) -> None:
        """Count a request that is about to be sent to the actor."""
        if request.method == "initialize" and self.initialize_answered.is_set():
            self._initialize_id, self.initialize_answered = request.id, trio.Event()
        if self._unanswered == 0:
            self.all_answered = trio.Event()
        self._unanswered += 1

    def send_nowait(self, frame: Frame) -> None:
        """Take an answer, or a frame that comes before it; raises as `StdioOutbox.put`."""
        self.outbox.send_nowait(frame)
        if isinstance(frame, (Response, ErrorResponse)):
            self.note_answer(frame)

    def close(self) -> None:
        """Note that one request gets no answer."""
        self.note_answer(None)

    def note_answer(self, answer: Response | ErrorResponse | None) -> None:
        """Count one unanswered request less; None means that no answer will come."""
        if (
            answer is not None
            and answer.id == self._initialize_id
            and not self.initialize_answered.is_set()
        ):
            self.initialize_answered.set()
            if isinstance(answer, Response):
                self.revision = negotiated_revision(answer.result)
        self._unanswered -= 1
        if self._unanswered == 0:
            self.all_answered.set()


class _ListenOutbox:
    """The `reply_to` of `subscriptions/listen`, which goes on until it is cancelled or at a stop.

    The request counts as unanswered only until its acknowledgement or an error comes.
    """

    def __init__(self, client: StdioClient) -> None:
        self._client = client
        self._has_begun = False

    def expect_answer(self, request: Request) -> None:
        """Count the request."""
        self._client.expect_answer(request)

    def send_nowait(self, frame: Frame) -> None:
        """Take a frame that belongs to the request; raises as `StdioOutbox.put`."""
        self._client.outbox.send_nowait(frame)
        self.close()

    def close(self) -> None:
        """Count the request as answered."""
        if not self._has_begun:
            self._has_begun = True
            self._client.note_answer(None)


class _BatchOutbox:
    """The `reply_to` of all requests in one batch.

    Attributes:
        answers: encoded answers, each with its newline.
    """

    def __init__(self, client: StdioClient) -> None:
        self.answers: list[bytes] = []
        self._client = client
        # The batch itself counts as one until `end_of_members`, so that it cannot be complete
        # while its members are still being read.
        self._missing = 1

    def expect_answer(self, request: Request) -> None:
        """Count a request of the batch."""
        self._missing += 1
        self._client.expect_answer(request)

    def end_of_members(self) -> None:
        """Note that all members have been read."""
        self._count_down()

    def send_nowait(self, frame: Frame) -> None:
        """Take an answer, or a frame that comes before it; raises as `StdioOutbox.put`."""
        if isinstance(frame, (Response, ErrorResponse)):
            self.answers.append(encode_line(frame))
            self._client.note_answer(frame)
            self._count_down()
        else:
            self._client.outbox.send_nowait(frame)

    def close(self) -> None:
        """Note that one request gets no answer."""
        self._client.note_answer(None)
        try:
            self._count_down()
        except trio.WouldBlock:
            # `close` must not raise, so the client that does not read is ended here.
            self._client.outbox.end("the client reads too slowly")
        except trio.BrokenResourceError:
            return  # the client is gone, and nobody misses the array

    def _count_down(self) -> None:
        self._missing -= 1
        if self._missing == 0 and self.answers:
            members = b",".join([answer[:-1] for answer in self.answers])
            self._client.outbox.put(b"[%b]\n" % members)


def _event_that_is_set() -> trio.Event:
    event = trio.Event()
    event.set()
    return event
