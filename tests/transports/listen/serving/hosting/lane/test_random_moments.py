"""Whatever comes in whatever order, each request of a connection is begun once, and answered once.

Both ways to wait are tried: with one task that receives, and without (see `arrivals`).
"""

from __future__ import annotations

import itertools
import socket
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from tests.transports.listen.serving.hosting.lane.two_ways import LIMIT_S, Mirror
from transports.listen.serving.exchange import Answer, PendingResponse
from transports.listen.serving.hosting import listener as module
from transports.listen.serving.hosting.connection import Connection
from transports.listen.serving.hosting.lane.lanes import Lanes
from transports.listen.serving.hosting.slow_readers import SlowReaders

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from transports.listen.serving.exchange import HttpRequest, KnownHead


HEAD: Final = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"


class Asked(PendingResponse):
    """The response to one request, which says what was asked; the test decides it."""

    def __init__(self, asked: bytes) -> None:
        self._answer = Answer(200, (), asked)
        self._decided = trio.Event()
        self._changed: Callable[[], None] | None = None

    def notify(self, changed: Callable[[], None]) -> bool:
        self._changed = changed
        return True

    def tell(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            changed()

    def decide(self) -> None:
        self._decided.set()
        self.tell()

    def decided(self) -> Answer | None:
        return self._answer if self._decided.is_set() else None

    async def outcome(self) -> Answer:
        await self._decided.wait()
        return self._answer

    def commit(self) -> None: ...

    def abandon(self) -> None: ...


class Asking(Mirror):
    """An endpoint that notes its requests, and takes at once those that it has room for."""

    def __init__(self) -> None:
        super().__init__()
        self.has_room = True
        self.open: list[Asked] = []

    async def respond(self, request: HttpRequest) -> Any:
        body = await request.read_body()
        assert request.known_head is not None
        request.known_head.keep(request.path, None, "", self._take_one)
        return self._begin(request.path, body)

    def _take_one(self, known: KnownHead, body: bytes, address: str) -> Asked | None:
        return self._begin(known.conclusions(None, address), body) if self.has_room else None

    async def do(self, moment: str) -> None:
        if moment in {"run", "answer"}:
            await wait_all_tasks_blocked()
        if moment == "room":
            self.has_room = not self.has_room
        elif self.open and moment == "tell":
            self.open[0].tell()
        elif self.open and moment in {"decide", "answer"}:
            self.open.pop(0).decide()

    def _begin(self, path: str, body: bytes) -> Asked:
        self.bodies.append(path.encode() + body)
        self.open.append(Asked(self.bodies[-1]))
        return self.open[-1]


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[bytes], list[bytes | str]]:
    """The requests, path and body, and what happens; bytes are sent."""
    paths = draw(st.lists(st.sampled_from([b"a"] * 4 + [b"b"]), min_size=1, max_size=8))
    asked = [b"/%b%02d" % (path, number) for number, path in enumerate(paths)]
    requests = [HEAD % one[:2] + one[2:] for one in asked]
    data, ends = b"".join(requests), list(itertools.accumulate(map(len, requests)))
    places = st.one_of(st.sampled_from(ends), st.integers(0, len(data)))
    cuts = sorted({0, len(data), *draw(st.lists(places, max_size=10))})
    moments: list[bytes | str] = []
    for start, end in itertools.pairwise(cuts):
        events = st.sampled_from(["run", "decide", "answer", "answer", "tell", "room"])
        moments += [*draw(st.lists(events, max_size=4)), data[start:end]]
    return asked, moments


@pytest.mark.parametrize("has_arrivals", [True, False])
@given(conversations())
def test_each_request_is_answered_once_and_in_turn(
    has_arrivals: bool, conversed: tuple[list[bytes], list[bytes | str]]
) -> None:
    trio.run(_converse, has_arrivals, *conversed)


async def _converse(has_arrivals: bool, asked: list[bytes], moments: Sequence[bytes | str]) -> None:
    endpoint = Asking()
    lanes = Lanes(endpoint, module.as_connected, module.HEAD_LIMIT_BYTES)
    ours, theirs = socket.socketpair()
    accepted = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
    connection = Connection(accepted, SlowReaders(), lambda _: None)
    with theirs, trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            if has_arrivals:
                nursery.start_soon(lanes.receive)
                await wait_all_tasks_blocked()
            nursery.start_soon(lanes.serve, connection)
            for moment in [*moments, *["answer"] * len(asked), "run"]:
                if isinstance(moment, bytes):
                    theirs.send(moment)
                else:
                    await endpoint.do(moment)
            assert endpoint.bodies == asked
            received = theirs.recv(1 << 16)
            theirs.shutdown(socket.SHUT_WR)
            await wait_all_tasks_blocked()
            assert connection.socket.fileno() < 0
            nursery.cancel_scope.cancel()
    assert [part[:4] for part in received.split(b"\r\n\r\n")[1:]] == asked
