"""The stdio listener: lines in, lines out, and an end that loses no answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from msgspec import Raw

from router.messages.commands import PERMISSIONS, Principal
from router.messages.events import ClientClosed, ClientOpened, Event, FromClient
from router.messages.frames import ErrorResponse, Notification, Request, Response
from tests.transports.listen.stdio.stdio_client import LINGER_S, WAIT_S, Wire, answer, request
from transports.listen.stdio import outbox
from transports.listen.stdio.listener import StdioListener
from transports.listen.stdio.streams import LINE_LIMIT_BYTES

if TYPE_CHECKING:
    from trio.testing import MockClock


async def _run(
    listener: StdioListener,
    stopping: trio.Event,
    *,
    task_status: trio.TaskStatus[str],
) -> None:
    await listener(stopping, task_status=task_status)


# --- One message after another ---------------------------------------------------------------


async def test_client_is_there_from_the_start(wire: Wire) -> None:
    assert isinstance(wire.opened, ClientOpened)
    assert wire.opened.principal == Principal("stdio", PERMISSIONS)
    assert len(wire.opened.client) == 32
    assert wire.opened.era == "either"


async def test_request_is_passed_on_and_answered(wire: Wire) -> None:
    await wire.say(request(1, "tools/list", a=1))
    event = await wire.asked()
    assert event.client == wire.opened.client
    assert event.frame == Request(1, "tools/list", Raw(b'{"a": 1}'))
    answer(event, {"tools": []})
    assert await wire.hear() == {"jsonrpc": "2.0", "id": 1, "result": {"tools": []}}


async def test_message_may_come_in_pieces_and_lines_may_end_as_on_windows(wire: Wire) -> None:
    for piece in (b'{"jsonrpc":"2.', b'0","id":1,"meth', b'od":"ping"}\r', b"\n  \n\n"):
        await wire.to_router.send_all(piece)
        await trio.testing.wait_all_tasks_blocked()
    assert (await wire.asked()).frame == Request(1, "ping")


async def test_frame_that_belongs_to_no_request_is_written_too(wire: Wire) -> None:
    wire.opened.outbox.send_nowait(Notification("notifications/tools/list_changed"))
    assert (await wire.hear())["method"] == "notifications/tools/list_changed"


async def test_pretty_printed_result_becomes_one_line(wire: Wire) -> None:
    await wire.say(request(1))
    event = await wire.asked()
    event.reply_to.send_nowait(Response(1, Raw(b'{\n  "a": 1\r\n}')))
    assert (await wire.hear())["result"] == {"a": 1}


async def test_line_beyond_the_limit_is_answered_and_skipped(wire: Wire) -> None:
    piece = b"x" * (LINE_LIMIT_BYTES // 4)
    for _ in range(5):
        await wire.to_router.send_all(piece)
        await trio.testing.wait_all_tasks_blocked()
    error = await wire.hear()
    assert (error["id"], error["error"]["code"]) == (None, -32600)
    await wire.to_router.send_all(b"and its end\n")
    await wire.say(request(1))
    await wire.asked()


async def test_invalid_lines_without_end_do_not_overflow_anything(wire: Wire) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.to_router.send_all, b"x\n" * 20_000)
        for _ in range(20_000):
            assert (await wire.hear())["error"]["code"] == -32700


# --- Batches ---------------------------------------------------------------------------------


async def test_batch_right_behind_initialize_waits_for_its_answer(wire: Wire) -> None:
    await wire.say(request(0, "initialize"), [request(1)])
    answer(await wire.asked(), {"protocolVersion": "2025-03-26"})
    answer(await wire.asked())
    assert (await wire.hear())["id"] == 0
    assert [one["id"] for one in await wire.hear()] == [1]


# --- Too much --------------------------------------------------------------------------------


async def test_nothing_is_read_while_the_client_does_not_read(
    nursery: trio.Nursery, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "OUTBOX_LINES", 8)
    to_router, stdin = trio.testing.memory_stream_one_way_pair()
    stdout, from_router = trio.testing.lockstep_stream_one_way_pair()
    send, receive = trio.open_memory_channel[Event](100)
    await nursery.start(_run, StdioListener(send, stdin, stdout), trio.Event())
    await receive.receive()

    async def play_actor() -> None:
        async for event in receive:
            assert isinstance(event, FromClient)
            answer(event)

    nursery.start_soon(play_actor)
    for number in range(100):
        await to_router.send_all(json.dumps(request(number)).encode() + b"\n")
        await trio.testing.wait_all_tasks_blocked()
    heard = b""
    while heard.count(b"\n") < 100:
        heard += await from_router.receive_some()
    assert [json.loads(line)["id"] for line in heard.splitlines()] == list(range(100))


# --- The end ---------------------------------------------------------------------------------


async def test_end_of_stdin_ends_the_listener(wire: Wire) -> None:
    await wire.to_router.aclose()
    assert await wire.ended() == ClientClosed(wire.opened.client, "end of stdin")


async def test_last_line_needs_no_end(wire: Wire) -> None:
    await wire.to_router.send_all(json.dumps(request(1)).encode())
    await wire.to_router.aclose()
    answer(await wire.asked())
    await wire.ended()


async def test_request_before_the_end_of_stdin_is_answered(
    wire: Wire, autojump_clock: MockClock
) -> None:
    await wire.say(request(1), request(2), request(3))
    await wire.to_router.aclose()
    events = [await wire.asked() for _ in range(3)]
    answer(events[0])
    await trio.sleep(LINGER_S / 2)
    assert not wire.returned.is_set()
    events[1].reply_to.send_nowait(ErrorResponse(2, Raw(b"{}")))
    events[2].reply_to.close()
    await wire.ended()
    assert [(await wire.hear())["id"] for _ in range(2)] == [1, 2]


async def test_answers_are_not_waited_for_for_ever(wire: Wire, autojump_clock: MockClock) -> None:
    began_s = trio.current_time()
    await wire.say(request(1))
    await wire.to_router.aclose()
    await wire.asked()
    await wire.ended()
    assert trio.current_time() - began_s == pytest.approx(LINGER_S)


async def test_stop_writes_the_queued_lines(wire: Wire) -> None:
    wire.opened.outbox.send_nowait(Response(1, Raw(b"{}")))
    wire.stopping.set()
    assert (await wire.ended()).reason == "the router stops"
    assert (await wire.hear())["id"] == 1


async def test_client_that_does_not_read_cannot_hold_up_the_end(autojump_clock: MockClock) -> None:
    _to_router, stdin = trio.testing.memory_stream_one_way_pair()
    stdout, _from_router = trio.testing.lockstep_stream_one_way_pair()
    send, receive = trio.open_memory_channel[Event](100)
    stopping = trio.Event()
    with trio.fail_after(WAIT_S):
        async with trio.open_nursery() as inner:
            await inner.start(_run, StdioListener(send, stdin, stdout), stopping)
            opened: Any = await receive.receive()
            opened.outbox.send_nowait(Response(1, Raw(b"{}")))
            stopping.set()


async def test_cancelling_ends_the_listener_at_once(autojump_clock: MockClock) -> None:
    to_router, stdin = trio.testing.memory_stream_one_way_pair()
    stdout, _from_router = trio.testing.lockstep_stream_one_way_pair()
    send, receive = trio.open_memory_channel[Event](100)
    began_s = trio.current_time()
    async with trio.open_nursery() as nursery:
        await nursery.start(_run, StdioListener(send, stdin, stdout), trio.Event())
        opened: Any = await receive.receive()
        opened.outbox.send_nowait(Response(1, Raw(b"{}")))
        await to_router.send_all(b"{")
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert trio.current_time() == began_s
