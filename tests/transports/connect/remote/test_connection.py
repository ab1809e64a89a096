"""The state of a connection: which answers are taken, what is cancelled, and why it ended."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import attrs
import pytest
import trio
import trio.testing
from msgspec import Raw

from router.messages.errors import SESSION_LOST
from router.messages.frames import ErrorResponse, Notification, Request, Response
from tests.transports.connect.remote.fake_server import (
    Call,
    answer,
    error_of,
    initialized,
    never,
    notice,
    session_server,
)
from transports.connect.remote.connection import (
    ABANDON_S,
    OutgoingMessage,
    RemoteConnection,
    RequestAbandoned,
)
from transports.connect.remote.endpoint import RemoteEndpoint
from transports.connect.wire import Received

if TYPE_CHECKING:
    from router.messages.frames import Frame, RequestId


@attrs.define
class Inbox:
    """A connection, and the frames that came in on it."""

    connection: RemoteConnection
    _received: trio.MemoryReceiveChannel[Received]

    @classmethod
    def open(cls) -> Inbox:
        sender, receiver = trio.open_memory_channel[Received](16)
        endpoint = RemoteEndpoint.from_url("http://there/mcp")
        return cls(RemoteConnection(endpoint, sender), receiver)

    def ask(self, request_id: RequestId, *, is_stateless: bool = False) -> OutgoingMessage:
        """Register a request that is about to be sent."""
        headers = {} if is_stateless else None
        message = OutgoingMessage(Request(request_id, "tools/call"), headers)
        assert self.connection.register(message)
        return message

    def cancel(self, params: bytes) -> bool:
        """Register a cancellation; return whether it must be sent."""
        cancelled = Notification("notifications/cancelled", Raw(params))
        return self.connection.register(OutgoingMessage(cancelled))

    def taken(self) -> list[Received]:
        """Return the frames that came in since the last time."""
        count = self._received.statistics().current_buffer_used
        return [self._received.receive_nowait() for _ in range(count)]

    def frames(self) -> list[Frame]:
        return [one.frame for one in self.taken()]


@pytest.fixture
def inbox() -> Inbox:
    return Inbox.open()


# --- Answers ---


async def test_request_is_answered_once(inbox: Inbox) -> None:
    message = inbox.ask(3)
    for _ in range(2):
        assert await inbox.connection.receive_json(answer(3, "{}"), message)
    assert inbox.taken() == [Received(Response(3, Raw(b"{}")), 3)]


@pytest.mark.parametrize("text", [answer(99, "{}"), answer("q", "{}")])
async def test_answer_to_no_open_request_is_dropped(inbox: Inbox, text: bytes) -> None:
    inbox.ask(3)
    assert not await inbox.connection.receive_json(text, None)
    assert inbox.taken() == []


async def test_id_that_comes_back_as_a_string_on_its_response_is_still_ours(inbox: Inbox) -> None:
    message = inbox.ask(3)
    assert await inbox.connection.receive_json(answer("3", "{}"), message)
    assert inbox.frames() == [Response(3, Raw(b"{}"))]


async def test_error_without_an_id_answers_the_request_of_its_response(inbox: Inbox) -> None:
    message = inbox.ask(3)
    text = b'{"jsonrpc":"2.0","id":null,"error":{"code":-5,"message":"no"}}'
    assert not await inbox.connection.receive_json(text, None)
    assert await inbox.connection.receive_json(text, message)
    (frame,) = inbox.frames()
    assert isinstance(frame, ErrorResponse)
    assert frame.id == 3


async def test_batch_is_taken_apart(inbox: Inbox) -> None:
    message = inbox.ask(3)
    batch = b"[%b,%b]" % (answer(3, "{}"), notice("notifications/message"))
    assert await inbox.connection.receive_json(batch, message)
    assert [type(frame) for frame in inbox.frames()] == [Response, Notification]


async def test_text_that_is_no_message_is_logged_and_dropped(
    inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    message = inbox.ask(3)
    assert not await inbox.connection.receive_json(b"{", message)
    assert "http://there/mcp sent no JSON-RPC message" in caplog.text
    assert inbox.taken() == []


async def test_an_answer_to_another_call_is_not_taken_for_ours() -> None:
    first = trio.Event()

    async def play(call: Call) -> None:
        if call.id == 3:
            first.set()
            await never()
        await call.stream()
        await call.event(answer(3, '"for 3"'))
        await call.event(answer(call.id, '"for 5"'))
        await call.end()

    async with initialized(session_server(play)) as talk:
        await talk.send(Request(3, "tools/call"))
        await first.wait()
        await talk.send(Request(5, "tools/call"))
        assert (await talk.receive()).frame == Response(3, Raw(b'"for 3"'))
        assert (await talk.receive()).frame == Response(5, Raw(b'"for 5"'))


async def test_answer_to_initialize_is_held_until_the_sdk_has_seen_it(inbox: Inbox) -> None:
    message = OutgoingMessage(Request(1, "initialize"))
    inbox.connection.register(message)
    assert await inbox.connection.receive_json(answer(1, "{}"), message)
    assert inbox.taken() == []
    for _ in range(2):
        await inbox.connection.release_held_answer()
    assert inbox.frames() == [Response(1, Raw(b"{}"))]


# --- Cancellations ---


@pytest.mark.parametrize("on_its_response", [True, False])
async def test_answer_to_a_cancelled_request_is_dropped(
    inbox: Inbox, on_its_response: bool
) -> None:
    message = inbox.ask(3)
    assert inbox.cancel(b'{"requestId":3}')
    await inbox.connection.receive_json(answer(3, "{}"), message if on_its_response else None)
    assert inbox.taken() == []


@pytest.mark.parametrize("params", [b'{"requestId":99}', b'{"requestId":[]}', b"{}", b""])
async def test_cancellation_of_no_open_request_is_only_sent(inbox: Inbox, params: bytes) -> None:
    message = inbox.ask(3)
    assert inbox.cancel(params)
    await inbox.connection.receive_json(answer(3, "{}"), message)
    assert inbox.frames() == [Response(3, Raw(b"{}"))]


@pytest.mark.parametrize(("is_stateless", "after_s"), [(True, 0.0), (False, ABANDON_S)])
async def test_response_to_a_cancelled_request_is_closed(
    inbox: Inbox, autojump_clock: trio.testing.MockClock, is_stateless: bool, after_s: float
) -> None:
    message = inbox.ask(3, is_stateless=is_stateless)
    began_s = trio.current_time()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def wait() -> None:
            with pytest.raises(RequestAbandoned):
                await message.wait_unless_abandoned(trio.sleep_forever)

        await trio.testing.wait_all_tasks_blocked()
        # Closing the response tells an upstream of 2026-07-28 all that there is to say.
        assert inbox.cancel(b'{"requestId":3}') is not is_stateless
    assert trio.current_time() - began_s == after_s


async def test_step_after_an_abandonment_is_not_waited_for() -> None:
    message = OutgoingMessage(Request(3, "tools/call"))
    message.abandon(0)
    message.abandon(ABANDON_S)  # the earlier end stays
    with trio.fail_after(60), pytest.raises(RequestAbandoned):
        await message.wait_unless_abandoned(trio.sleep_forever)


async def test_step_returns_its_result() -> None:
    async def step() -> int:
        await trio.lowlevel.checkpoint()
        return 5

    message = OutgoingMessage(Request(3, "tools/call"))
    assert await message.wait_unless_abandoned(step) == 5


# --- Failures and the end ---


async def test_error_of_the_sdk_answers_an_open_request_in_one_line(inbox: Inbox) -> None:
    inbox.ask(3)
    for request_id in (3, 3, 5, None):
        await inbox.connection.fail_request(request_id, "broken\n  pipe", SESSION_LOST)
    (frame,) = inbox.frames()
    assert error_of(frame) == (SESSION_LOST, "http://there/mcp: broken pipe")


async def test_failure_of_initialize_ends_the_connection(inbox: Inbox) -> None:
    await inbox.connection.fail(OutgoingMessage(Request(1, "initialize")), "it failed")
    assert inbox.connection.lost == "it failed"
    assert inbox.connection.scope.cancel_called
    assert inbox.taken() == []


async def test_failure_of_a_message_without_an_answer_is_logged(
    inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        await inbox.connection.fail(OutgoingMessage(Notification("notifications/x")), "it failed")
    assert "A message was not delivered: it failed" in caplog.text
    assert inbox.connection.lost is None


def test_first_reason_of_the_end_is_kept(inbox: Inbox) -> None:
    inbox.connection.lose("the first")
    inbox.connection.refuse("the second")
    assert inbox.connection.lost == "the first"
    assert not inbox.connection.is_refused


def test_refusal_ends_the_connection_and_lets_another_transport_be_tried(inbox: Inbox) -> None:
    inbox.connection.refuse("not here")
    assert (inbox.connection.lost, inbox.connection.is_refused) == ("not here", True)
