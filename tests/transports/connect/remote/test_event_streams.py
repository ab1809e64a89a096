"""Event streams of an upstream, as the connection and the SDK see them."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING, Any

import attrs
import httpx2
import pytest
import trio
import trio.testing
from msgspec import Raw

from router.messages.frames import Notification, Request, Response
from tests.transports.connect.remote.fake_server import answer, notice
from transports.connect.remote import event_streams
from transports.connect.remote.connection import ABANDON_S, OutgoingMessage, RemoteConnection
from transports.connect.remote.endpoint import RemoteEndpoint
from transports.connect.remote.event_streams import (
    STREAM_END_S,
    Progress,
    StandaloneStream,
    read_response_stream,
)
from transports.connect.wire import Received

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

URL = "http://there/mcp"


class Options:
    """A socket that notes the options that are set on it."""

    def __init__(self) -> None:
        self.names: list[int] = []

    def setsockopt(self, level: int, name: int, value: int) -> None:
        self.names.append(name)

    def get_extra_info(self, name: str) -> Any:
        return self if name == "socket" else None


@attrs.define
class Events(httpx2.AsyncByteStream):
    """A body of events, which then ends, breaks off, or stays open."""

    parts: list[bytes]
    broken: bool = False
    endless: bool = False
    is_closed: bool = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            await trio.lowlevel.checkpoint()
            yield part
        if self.broken:
            raise httpx2.ReadError("cut")
        if self.endless:
            await trio.sleep_forever()

    async def aclose(self) -> None:
        self.is_closed = True

    def response(self, kind: str = "text/event-stream", **extensions: Any) -> httpx2.Response:
        return httpx2.Response(
            200,
            headers={"content-type": kind},
            stream=self,
            request=httpx2.Request("POST", URL),
            extensions=extensions,
        )


def event(data: bytes, **fields: str) -> bytes:
    lines = "".join(f"{name}: {value}\n" for name, value in fields.items())
    return lines.encode() + b"data: " + data + b"\n\n"


class Reading:
    """A connection with an open request 3, and the frames that came in on it."""

    def __init__(self) -> None:
        sender, self.inbox = trio.open_memory_channel[Received](16)
        self.connection = RemoteConnection(RemoteEndpoint.from_url(URL), sender)
        self.message = self.ask()

    def ask(self, headers: dict[str, str] | None = None) -> OutgoingMessage:
        message = OutgoingMessage(Request(3, "tools/call"), headers)
        self.connection.register(message)
        return message

    async def read(self, response: httpx2.Response) -> Progress:
        with trio.fail_after(60):
            return await read_response_stream(response, self.connection, self.message)

    def standalone(self, events: Events, *, is_only_stream: bool = False) -> StandaloneStream:
        response = events.response()
        return StandaloneStream(response, self.connection, is_only_stream=is_only_stream)


@pytest.fixture
def reading() -> Reading:
    return Reading()


ANSWERED = event(answer(3, "{}"))
PROGRESS = event(notice("notifications/progress"), id="e1", retry="5")

# --- The response stream of a request ---


async def test_frames_of_a_response_stream_name_its_request(reading: Reading) -> None:
    progress = await reading.read(Events([PROGRESS, ANSWERED]).response())
    assert progress == Progress(is_done=True, last_id="e1", retry_ms=5)
    assert [reading.inbox.receive_nowait() for _ in range(2)] == [
        Received(Notification("notifications/progress", Raw(b"{}")), 3),
        Received(Response(3, Raw(b"{}")), 3),
    ]


@pytest.mark.parametrize("broken", [True, False])
async def test_stream_without_an_answer_tells_where_it_ended(
    reading: Reading, broken: bool
) -> None:
    progress = await reading.read(Events([PROGRESS, event(b"", id="e2")], broken).response())
    assert progress == Progress(is_done=False, last_id="e2", retry_ms=5)
    assert reading.connection.open_streams == 0


async def test_events_of_another_kind_are_no_messages(reading: Reading) -> None:
    await reading.read(Events([event(answer(3, "{}"), event="other"), b": hello\n\n"]).response())
    assert reading.inbox.statistics().current_buffer_used == 0


@pytest.mark.parametrize(("method", "after_s"), [("tools/call", STREAM_END_S), ("initialize", 0.0)])
async def test_answered_stream_that_does_not_end_is_left(
    reading: Reading, autojump_clock: trio.testing.MockClock, method: str, after_s: float
) -> None:
    reading.message = OutgoingMessage(Request(3, method))
    reading.connection.register(reading.message)
    began_s = trio.current_time()
    assert (await reading.read(Events([ANSWERED], endless=True).response())).is_done
    assert trio.current_time() - began_s == after_s


async def test_stream_of_an_abandoned_request_is_left(
    reading: Reading, autojump_clock: trio.testing.MockClock
) -> None:
    began_s = trio.current_time()
    reading.message.abandon(ABANDON_S)
    assert (await reading.read(Events([PROGRESS], endless=True).response())).is_done
    assert trio.current_time() - began_s == ABANDON_S


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")  # the library leaves it open
@pytest.mark.parametrize("kind", ["text/event-stream", "text/html"])
async def test_response_that_cannot_be_read_as_events_is_an_error(
    reading: Reading, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(event_streams, "MAX_MESSAGE_BYTES", 50)
    too_large = Events([event(b"x" * 100)], endless=True)
    with pytest.raises(httpx2.SSEError):
        await reading.read(too_large.response(kind))
    assert reading.connection.open_streams == 0


@pytest.mark.parametrize("is_stateless", [True, False])
async def test_silent_stream_without_a_session_is_watched_by_the_system(
    reading: Reading, is_stateless: bool
) -> None:
    """With a session, its standalone stream is the one that is watched."""
    options = Options()
    reading.message = reading.ask({} if is_stateless else None)
    await reading.read(Events([ANSWERED]).response(network_stream=options))
    assert (socket.SO_KEEPALIVE in options.names) is is_stateless
    assert len(options.names) == (0 if not is_stateless else 4 if sys.platform == "linux" else 1)


# --- The standalone stream ---


async def test_sdk_sees_ids_and_no_messages(reading: Reading) -> None:
    stream = reading.standalone(Events([PROGRESS, event(notice("notifications/message"))]))
    assert [part async for part in stream] == [b"id: e1\nretry: 5\n\n", b"id: e1\n\n"]
    assert [reading.inbox.receive_nowait().related for _ in range(2)] == [None, None]


@pytest.mark.parametrize("broken", [True, False])
@pytest.mark.parametrize("is_only_stream", [True, False])
async def test_end_of_the_only_stream_is_the_end_of_the_connection(
    reading: Reading, is_only_stream: bool, broken: bool
) -> None:
    stream = reading.standalone(Events([], broken), is_only_stream=is_only_stream)
    assert [part async for part in stream] == []
    assert (reading.connection.lost is not None) is is_only_stream


@pytest.mark.parametrize(
    ("endpoint", "is_taken"),
    [
        ("/messages", True),
        ("http://there/messages", True),
        ("http://there:81/messages", False),
        ("https://there/messages", False),
        ("//other/messages", False),
    ],
)
async def test_endpoint_for_messages_must_be_on_the_same_host(
    reading: Reading, endpoint: str, is_taken: bool
) -> None:
    events = Events([event(endpoint.encode(), event="endpoint")], endless=True)
    stream = reading.standalone(events, is_only_stream=True)
    assert await anext(stream) == b"event: endpoint\ndata: %b\n\n" % endpoint.encode()
    assert (reading.connection.lost is None) is is_taken
    await stream.aclose()


async def test_open_stream_counts_until_it_is_closed(reading: Reading) -> None:
    events = Events([], endless=True)
    stream = reading.standalone(events)
    assert reading.connection.open_streams == 1
    with trio.fail_after(60):
        for _ in range(2):
            await stream.aclose()
    assert reading.connection.open_streams == 0
    assert events.is_closed
