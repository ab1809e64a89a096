"""A client on stdin and stdout, bridged to a running router over streamable HTTP.

Messages are carried over as they are, in both eras: those of a session (MCP 2024-11-05 to
2025-11-25), and those of 2026-07-28, which has none. See `session` for what happens while the
router restarts.

Invariants:

- A request of the client gets one answer, and is sent once: one that may have been carried out when
  the router died is answered with an error.
- No more than `MOST_EXCHANGES` requests are at the router, and no more than `MOST_REQUESTS` are
  held here. Beyond that, nothing is read from the client; while the client does not read, nothing
  is read from the router.
- The end of stdin ends the bridge once everything is answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import trio
from msgspec import Raw

from router.messages.errors import (
    HEADER_MISMATCH,
    INVALID_REQUEST,
    NOT_ALLOWED,
    SESSION_LOST,
    UNAVAILABLE,
)
from router.messages.frames import ErrorResponse, Notification, Request, Response
from router.messages.params import object_of
from router.messages.revisions import LISTEN_METHOD
from transports import json_rpc
from transports.bridge.client_output import ClientGone, ClientOutput
from transports.bridge.endpoint import Refused, with_id
from transports.bridge.http_connection import BrokenOff
from transports.bridge.patience import Patience, Unreachable
from transports.bridge.session import Session
from transports.bridge.stateless_headers import StatelessHeaders, revision_of
from transports.lines import LineSplitter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from router.messages.frames import Frame, RequestId
    from transports.bridge.endpoint import Endpoint

LINE_LIMIT_BYTES: Final = 10 * 1024 * 1024
"""The largest message; a router takes no larger one."""

READ_BYTES: Final = 64 * 1024

MOST_EXCHANGES: Final = 64
"""Requests at the router, each with a connection of its own."""

MOST_REQUESTS: Final = 1024
"""Requests that are not answered yet; a client that waits for so many can still cancel them."""

LINGER_S: Final = 30.0
"""How long after the end of stdin answers may still come."""

CLOSE_S: Final = 1.0
"""How long the end waits for the router to end the session."""

_TOO_LONG: Final = f"Invalid request: larger than {LINE_LIMIT_BYTES} bytes"
_LOST: Final = (
    "The connection to the router ended before its answer ({}). The request may have been carried "
    "out; it was not sent again"
)


class _Call:
    """A request of the client's that is under way."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.revision = revision_of(request)
        self.scope = trio.CancelScope()


class Bridge:
    """One client.

    Args:
        endpoint: the place of the router.
        stdin: what the client says.
        stdout: takes what it is told.
        say: takes a line for a person, for stderr.
        how_to_start: a sentence on how to start the router, for errors.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        stdin: trio.abc.ReceiveStream,
        stdout: trio.abc.SendStream,
        say: Callable[[str], None],
        how_to_start: str,
    ) -> None:
        self._endpoint = endpoint
        self._stdin = stdin
        self._output = ClientOutput(stdout)
        self._patience = Patience(say, how_to_start)
        self._headers = StatelessHeaders()
        self._session: Session | None = None
        self._calls: dict[RequestId | None, _Call] = {}
        self._room = trio.Semaphore(MOST_REQUESTS)
        self._exchanges = trio.Semaphore(MOST_EXCHANGES)
        self._changed = trio.Event()

    async def run(self) -> None:
        """Carry messages until stdin has ended and all is answered, or stdout is closed."""
        try:
            async with trio.open_nursery() as nursery:
                await self._read(nursery)
                with trio.move_on_after(LINGER_S):
                    await self._until_answered()
                    await self._output.flush()
                self._output.cut()
                nursery.cancel_scope.cancel("the client has ended")
        except* ClientGone:
            pass
        finally:
            self._output.cut()
            with trio.move_on_after(CLOSE_S, shield=True):
                if self._session is not None:
                    await self._session.close()
                await self._endpoint.router.forget_connections()

    # --- From the client ---

    async def _read(self, nursery: trio.Nursery) -> None:
        splitter = LineSplitter(LINE_LIMIT_BYTES)
        while data := await self._receive():
            for line in splitter.feed(data):
                await self._take_line(line, nursery)
        for line in splitter.finish():
            await self._take_line(line, nursery)

    async def _receive(self) -> bytes:
        try:
            return bytes(await self._stdin.receive_some(READ_BYTES))
        except trio.BrokenResourceError:
            await trio.lowlevel.checkpoint()
            return b""  # the terminal is gone

    async def _take_line(self, line: bytes | None, nursery: trio.Nursery) -> None:
        await trio.lowlevel.checkpoint()
        for frame in self._frames_in(line):
            if isinstance(frame, json_rpc.FrameError):
                await self._output.send(frame.to_frame())
            else:
                await self._take(frame, nursery)

    def _frames_in(self, line: bytes | None) -> Iterator[Frame | json_rpc.FrameError]:
        """Yield the messages of a line, and an error for each that is none."""
        try:
            if line is None:
                raise json_rpc.FrameError(INVALID_REQUEST, _TOO_LONG)
            members = self._members(line)
        except json_rpc.FrameError as error:
            yield error
            return
        for member in members:
            try:
                yield json_rpc.decode_from_client(member)
            except json_rpc.FrameError as error:
                yield error

    def _members(self, line: bytes) -> list[bytes | Raw]:
        """Return the messages in a line; those of a batch are carried, and answered, one by one."""
        if not json_rpc.is_batch(line):
            return [line]
        revision = None if self._session is None else self._session.revision
        return [*json_rpc.batch_from_client(line, revision)]

    async def _take(self, frame: Frame, nursery: trio.Nursery) -> None:
        await trio.lowlevel.checkpoint()
        if isinstance(frame, Request):
            await self._room.acquire()
            call = _Call(frame)
            self._calls[frame.id] = call
            if frame.method == "initialize" and call.revision is None:
                # What comes next belongs to its session.
                await self._begin(call, nursery)
            else:
                nursery.start_soon(self._serve, call)
        elif isinstance(frame, Notification):
            session = self._session
            has_begun = session is None or session.is_begun
            await self._notify(frame)
            if session is not None and session.is_begun and not has_begun:
                nursery.start_soon(session.listen)
        elif self._session is not None:
            await self._session.answer(frame)

    async def _begin(self, call: _Call, nursery: trio.Nursery) -> None:
        if self._session is not None:
            await self._session.close()
        session = Session(self._endpoint, call.request, self._output, self._patience)
        self._session = session
        await self._serve(call)
        if not session.is_open:
            self._session = None

    async def _notify(self, frame: Notification) -> None:
        await trio.lowlevel.checkpoint()
        if self._session is not None and revision_of(frame) is None:
            await self._session.notify(frame)
        if frame.method == "notifications/cancelled":
            # The router is told of a call in a session. To one of 2026-07-28, the end of the
            # connection says it (Cancellation). Neither gets an answer, nor is sent any more.
            call = self._calls.get(_cancelled_id(frame))
            if call is not None:
                call.scope.cancel("the client cancelled the request")

    # --- Requests ---

    async def _serve(self, call: _Call) -> None:
        try:
            with call.scope:
                async with self._exchanges:
                    answer = await self._answer_or_error(call)
                await self._output.send(answer)
        finally:
            if self._calls.get(call.request.id) is call:
                del self._calls[call.request.id]
            self._room.release()
            self._changed.set()

    async def _answer_or_error(self, call: _Call) -> Frame:
        request_id = call.request.id
        await trio.lowlevel.checkpoint()
        try:
            return with_id(await self._answer_to(call), request_id)
        except Unreachable as exc:
            return _error(request_id, UNAVAILABLE, str(exc))
        except BrokenOff as exc:
            return _error(request_id, SESSION_LOST, _LOST.format(exc))
        except Refused as exc:
            code = NOT_ALLOWED if exc.status in (401, 403) else UNAVAILABLE
            return _error(request_id, code, f"The router refuses this: {exc}")

    async def _answer_to(self, call: _Call) -> Frame:
        request, session = call.request, self._session
        if call.revision is not None:
            return await self._answer_stateless(request, call.revision)
        if session is None:
            return await self._ask_alone(request, {})
        if request.method == "initialize":
            return await session.open()
        answers: list[Frame] = []

        async def deliver(frame: Frame) -> bool:
            if _is_answer(frame, request.id):
                answers.append(frame)
                await trio.lowlevel.checkpoint()
                return True
            await session.take(frame)
            return False

        await session.ask(request, deliver)
        answer = _only(answers)
        if isinstance(answer, Response):
            session.note_success(request)
        return answer

    async def _answer_stateless(self, request: Request, revision: str) -> Frame:
        answer = await self._ask_alone(request, self._headers.of(request, revision))
        if request.method == "tools/list" and isinstance(answer, Response):
            await self._headers.learn(answer.result)
        elif request.method == "tools/call" and _code_of(answer) == HEADER_MISMATCH:
            # It was refused before it went anywhere: the tool asks for headers of its own.
            await self._learn_tools(request, revision)
            answer = await self._ask_alone(request, self._headers.of(request, revision))
        return answer

    async def _learn_tools(self, call: Request, revision: str) -> None:
        """Ask for the tools, as the client of a call would."""
        meta = object_of(call.params).get("_meta", Raw(b"{}"))
        cursor = b""
        while True:
            params = Raw(b'{"_meta":' + bytes(meta) + cursor + b"}")
            request = Request("tools", "tools/list", params)
            answer = await self._ask_alone(request, self._headers.of(request, revision))
            if not isinstance(answer, Response):
                return
            await self._headers.learn(answer.result)
            following = object_of(answer.result).get("nextCursor")
            if not following:
                return
            cursor = b',"cursor":' + bytes(following)

    async def _ask_alone(self, request: Request, headers: dict[str, str]) -> Frame:
        """Return the answer to a request that belongs to no session."""
        answers: list[Frame] = []

        async def deliver(frame: Frame) -> bool:
            if _is_answer(frame, request.id):
                answers.append(frame)
                await trio.lowlevel.checkpoint()
                return True
            await self._output.send(frame)
            return False

        await self._patience.until_begun(lambda: self._endpoint.post(request, headers, deliver))
        return _only(answers)

    async def _until_answered(self) -> None:
        await trio.lowlevel.checkpoint()
        while any(call.request.method != LISTEN_METHOD for call in self._calls.values()):
            self._changed = trio.Event()
            await self._changed.wait()


class _Cancelled(msgspec.Struct):
    requestId: int | str | None = None


class _Error(msgspec.Struct):
    code: int = 0


def _cancelled_id(frame: Notification) -> RequestId | None:
    try:
        return msgspec.json.decode(frame.params or b"{}", type=_Cancelled).requestId
    except msgspec.MsgspecError:
        return None


def _code_of(frame: Frame) -> int:
    if not isinstance(frame, ErrorResponse):
        return 0
    try:
        return msgspec.json.decode(frame.error, type=_Error).code
    except msgspec.MsgspecError:
        return 0


def _is_answer(frame: Frame, request_id: RequestId) -> bool:
    return isinstance(frame, (Response, ErrorResponse)) and frame.id in (request_id, None)


def _only(answers: list[Frame]) -> Frame:
    if not answers:
        raise BrokenOff("it gave no answer")
    return answers[0]


def _error(request_id: RequestId, code: int, message: str) -> ErrorResponse:
    return ErrorResponse(request_id, Raw(msgspec.json.encode({"code": code, "message": message})))
