"""Two listeners with the same endpoint, one with a fast lane, and what a client of each gets."""

from __future__ import annotations

import json
import re
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio
from trio.testing import wait_all_tasks_blocked

# `wait_all_tasks_blocked` does not wait for a listener that imports it in a worker thread.
import transports.listen.serving.hosting.hypercorn_server  # noqa: F401
from router.messages.errors import HttpRefusal
from transports.listen.serving.asgi import AsgiApp
from transports.listen.serving.exchange import (
    Answer,
    EventStream,
    HttpRequest,
    KnownHead,
    PendingResponse,
    empty_answer,
    error_answer,
    json_answer,
)
from transports.listen.serving.hosting.listener import AsgiListener
from transports.listen.serving.unread_bytes import UnreadBytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

LIMIT_S: Final = 60
"""No test takes so long; this is what makes a hang a failure."""

OTHER_TRIES: Final = 20

_DATE: Final = re.compile(rb"\r\ndate: [^\r]*")


class Mirror:
    """An endpoint that answers with the request, in the way that the path names.

    It takes further requests with the same head at once, as far as it can.
    """

    def __init__(self) -> None:
        self.unread = UnreadBytes()
        self.bodies: list[bytes] = []
        self.abandoned = trio.Event()

    async def respond(self, request: HttpRequest) -> Any:
        if request.path == "/refused":
            return error_answer(HttpRefusal(401, "no"))
        try:
            body = await request.read_body()
        except HttpRefusal as refused:
            return error_answer(refused)
        if request.known_head is not None:
            request.known_head.keep(request, None, "", self._take)
        return self._response(request, body)

    def _take(self, known: KnownHead, body: bytes, _address: str) -> Any:
        request: HttpRequest = known.conclusions(None, "")
        return None if request.path == "/events" else self._response(request, body)

    def _response(self, request: HttpRequest, body: bytes) -> Any:
        self.bodies.append(body)
        if request.path == "/nothing":
            return empty_answer(204)
        if request.path == "/never":
            return Never(self.abandoned)
        shown = {
            "method": request.method,
            "path": request.path,
            "query": request.query,
            "headers": dict(request.headers),
            "body": body.decode("latin-1"),
        }
        answer = json_answer(json.dumps(shown).encode())
        if request.path == "/events":
            return Events(answer.body)
        if request.path.startswith("/told"):
            return Told(answer, request.path)
        return Later(answer) if request.path == "/later" else answer

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await trio.sleep_forever()

    def end(self) -> None: ...


class Later(PendingResponse):
    """An answer that comes in the next turn."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    async def outcome(self) -> Any:
        await trio.lowlevel.checkpoint()
        return self._answer

    def commit(self) -> None: ...

    def abandon(self) -> None: ...


class Told(Later):
    """A response that tells when it is decided: in the next turn, by another task.

    Args:
        path: says what is unusual about it, if anything is.
    """

    def __init__(self, answer: Answer, path: str) -> None:
        super().__init__(Events(answer.body) if path == "/told-events" else answer)
        if path == "/told-much":
            self._answer = Answer(answer.status, answer.headers, answer.body * 2000)
        self._is_late = path == "/told-late"
        self._is_at_once = path == "/told-at-once"

    def notify(self, changed: Callable[[], None]) -> bool:
        if self._is_at_once:
            changed()
        else:
            trio.lowlevel.spawn_system_task(self._tell, changed)
        return True

    async def _tell(self, changed: Callable[[], None]) -> None:
        await trio.lowlevel.checkpoint()
        changed()

    def decided(self) -> Any:
        return None if self._is_late else self._answer


class Never(PendingResponse):
    """An answer that does not come."""

    def __init__(self, abandoned: trio.Event) -> None:
        self._abandoned = abandoned

    async def outcome(self) -> Any:
        await trio.sleep_forever()

    def commit(self) -> None: ...

    def abandon(self) -> None:
        self._abandoned.set()


class Events(EventStream):
    """An event stream of two chunks."""

    headers = ((b"content-type", b"text/event-stream"),)

    def __init__(self, data: bytes) -> None:
        self.opening = b"first "
        self._chunks = [data, b" last"]

    async def next_chunk(self) -> bytes | None:
        await trio.lowlevel.checkpoint()
        return self._chunks.pop(0) if self._chunks else None

    def close(self) -> None: ...


@attrs.frozen
class Outcome:
    """What a client received, without dates, and what the endpoint has read.

    Attributes:
        is_open: the connection is still open.
    """

    received: bytes
    is_open: bool
    bodies: tuple[bytes, ...]


@attrs.frozen
class Way:
    """A listener."""

    path: str
    endpoint: Mirror

    async def outcome_of(self, pieces: Sequence[bytes]) -> Outcome:
        """Send these pieces, each after the other side has done all it can with the one before."""
        self.endpoint.bodies.clear()
        async with await trio.open_unix_socket(self.path) as stream, trio.open_nursery() as nursery:
            received: list[bytes] = []
            ended = trio.Event()
            nursery.start_soon(_collect, stream, received, ended)
            for piece in pieces:
                await wait_all_tasks_blocked()
                try:
                    await stream.send_all(piece)
                except trio.BrokenResourceError:
                    break
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        whole = _DATE.sub(b"", b"".join(received))
        return Outcome(whole, not ended.is_set(), tuple(self.endpoint.bodies))


async def _collect(stream: trio.SocketStream, received: list[bytes], ended: trio.Event) -> None:
    with suppress(trio.BrokenResourceError):
        while chunk := await stream.receive_some():
            received.append(bytes(chunk))
    ended.set()


@attrs.frozen
class TwoWays:
    """The two listeners."""

    hypercorn: Way
    lane: Way

    async def compare(self, *pieces: bytes) -> None:
        """Have the lane answer as Hypercorn does, or as it sometimes does.

        After a request that is the last, the outcome of Hypercorn depends on the order in which
        Trio runs its tasks, which is random.
        """
        expected, found = (
            await self.hypercorn.outcome_of(pieces),
            await self.lane.outcome_of(pieces),
        )
        for _ in range(OTHER_TRIES):
            if found == expected:
                break
            expected = await self.hypercorn.outcome_of(pieces)
        assert found == expected, pieces


@asynccontextmanager
async def two_ways(folder: Path) -> AsyncIterator[TwoWays]:
    ways: list[Way] = []
    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            for has_fast_lane in (False, True):
                way = Way(str(folder / f"{has_fast_lane}.sock"), Mirror())
                sock = socket.socket(socket.AF_UNIX)
                sock.bind(way.path)
                app = AsgiApp(way.endpoint)
                listener = AsgiListener(sock, "", lambda app=app: app, has_fast_lane=has_fast_lane)
                await nursery.start(listener, trio.Event())
                sock.close()
                ways.append(way)
            yield TwoWays(*ways)
            nursery.cancel_scope.cancel()
