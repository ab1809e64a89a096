"""The stdio wire, to real processes."""

from __future__ import annotations

import logging
import os
import signal
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio
import trio.testing
from msgspec import Raw

from router.messages.catalog import Catalog
from router.messages.frames import Notification, Request, Response
from tests.transports.connect.stdio.children import (
    ECHO,
    LIMIT_S,
    PING,
    PONG,
    PONGED,
    UNTIL_EOF,
    on_posix,
    python,
    ready,
    receive_all,
    result_of,
    says,
    why_lost,
)
from transports.connect.stdio import stderr
from transports.connect.stdio.repeated_lines import SaidLines
from transports.connect.stdio.stdio_wire import connect_stdio
from transports.connect.wire import Received, WireLost

if TYPE_CHECKING:
    from router.messages.frames import Frame

# --- Lines -----------------------------------------------------------------------------------


async def test_frames_go_there_and_back(token: str) -> None:
    frames: list[Frame] = [
        Request(2, "tools/call", Raw('{"text": "ü\\n€"}'.encode())),
        Notification("notifications/x"),
        Response("a", Raw(b'{"pretty":\n  true}')),
    ]
    results: list[Any] = []
    with trio.fail_after(LIMIT_S):
        async with connect_stdio(python(token, ECHO)) as wire:
            wire.set_revision("2025-11-25")
            await wire.send(frames)
            while len(results) < len(frames):
                results += [result_of(received) for received in await wire.receive()]
    assert results == [
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"text": "ü\n€"}},
        {"jsonrpc": "2.0", "method": "notifications/x"},
        {"jsonrpc": "2.0", "id": "a", "result": {"pretty": True}},
    ]


@on_posix
async def test_what_a_process_has_no_room_for_is_sent_as_soon_as_it_reads(token: str) -> None:
    size_bytes = 1 << 20  # more than a socket holds
    code = f"""
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
os.write(1, b'{{"jsonrpc":"2.0","id":%d,"result":{{}}}}\\n' % os.getpid())
signal.sigwait([signal.SIGUSR1])
read_bytes = 0
while read_bytes < {size_bytes}: read_bytes += len(os.read(0, 65536))
{UNTIL_EOF}"""
    large = Notification("n", Raw(b'{"x":"%b"}' % (b"x" * size_bytes)))
    with trio.fail_after(LIMIT_S):
        async with connect_stdio(python(token, code)) as wire:
            ready_to_read = (await ready(wire)).frame
            assert isinstance(ready_to_read, Response)
            assert not wire.send_nowait([large])
            os.kill(int(ready_to_read.id), signal.SIGUSR1)
            await wire.send([PING])
            assert await wire.receive() == [PONGED]
            assert wire.send_nowait([PING])


async def test_blank_lines_and_carriage_returns_mean_nothing(token: str) -> None:
    data = b"\n\r\n  \n" + PONG[:-1] + b"\r\n\t" + PONG
    assert await receive_all(says(token, data), 2) == [PONGED, PONGED]


async def test_what_comes_in_one_chunk_is_received_together(token: str) -> None:
    with trio.fail_after(LIMIT_S):
        async with connect_stdio(says(token, PONG * 50)) as wire:
            assert await wire.receive() == [PONGED] * 50


async def test_a_batch_is_its_members(token: str) -> None:
    note = b'{"jsonrpc":"2.0","method":"n"}'
    batch = b"[%b, 5,\t%b]\n" % (PONG[:-1], note)
    assert await receive_all(says(token, batch), 2) == [PONGED, Received(Notification("n"))]


async def test_garbage_is_skipped_counted_and_logged_a_few_times(
    token: str, caplog: pytest.LogCaptureFixture
) -> None:
    garbage = b"Listening on stdio\n\xff\xfe\n[]\n{}\n" * 10
    assert await receive_all(says(token, garbage + PONG), 1) == [PONGED]
    assert len(caplog.messages) == 5
    assert caplog.messages[1].startswith(
        "test: skipped a line that is no JSON-RPC message (2 so far): "
    )
    assert caplog.messages[0].endswith("b'Listening on stdio'")


async def test_garbage_of_earlier_processes_is_not_logged_again(
    token: str, caplog: pytest.LogCaptureFixture
) -> None:
    said = SaidLines()
    for _ in range(3):
        with trio.fail_after(LIMIT_S):
            async with connect_stdio(says(token, b"Welcome\n" + PONG), said=said) as wire:
                await wire.receive()
    assert [line[-10:] for line in caplog.messages] == ["b'Welcome'"]


async def test_no_part_of_a_word_is_logged_of_long_garbage(
    token: str, caplog: pytest.LogCaptureFixture
) -> None:
    await receive_all(says(token, b"using token %b%b\n" % (b"x" * 80, b"s3cret" * 20) + PONG), 1)
    assert caplog.messages[0].endswith(": b'using token '")


async def test_a_message_over_the_limit_ends_the_wire(token: str) -> None:
    spec = python(token, "while True: os.write(1, b'x' * 1000)")
    reason = await why_lost(spec, frame_limit_bytes=100_000)
    assert reason == "sent a message longer than the limit of 100000 bytes"


# --- stderr ----------------------------------------------------------------------------------


COMPLAINS: Final = (
    f"os.write(2, b'running\\nmethod not found: server/discover\\n'); os.write(1, {PONG!r})\n"
)


async def test_what_it_says_of_the_probe_is_logged_at_debug_and_no_reason(
    token: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "mcp_router.upstream.test")
    code = f"os.read(0, 1000)\n{COMPLAINS}time.sleep(1000)"
    with trio.fail_after(LIMIT_S):
        async with connect_stdio(python(token, code)) as wire:
            wire.set_probing(True)
            await wire.send([PING])
            await ready(wire)
            await trio.testing.wait_all_tasks_blocked()
            assert wire.last_words() == "running | method not found: server/discover"
            wire.set_revision("2025-11-25")
            assert wire.last_words() == "running"
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("INFO", "running"),
        ("DEBUG", "method not found: server/discover"),
    ]


async def test_what_every_process_of_an_instance_says_is_logged_once(
    token: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mcp_router.upstream.test")
    said = SaidLines()
    spec = python(token, "os.write(2, b'begin\\nreading\\nno licence\\n'); sys.exit(3)")
    for _ in range(3):
        reason = await why_lost(spec, said=said)
        assert reason == "exited with status 3: begin | reading | no licence"
    assert caplog.messages == ["begin", "reading", "no licence"]


async def test_a_process_that_was_ready_is_not_lost_to_what_it_said_long_ago(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stderr, "RECENT_S", 0.0)
    code = f"os.write(2, b'running\\n'); os.write(1, {PONG!r}); os.read(0, 1000)"
    with trio.fail_after(LIMIT_S):
        async with connect_stdio(python(token, code)) as wire:
            await ready(wire)
            await trio.testing.wait_all_tasks_blocked()
            assert wire.last_words() == "running"
            wire.set_catalog(Catalog())
            await wire.send([PING])
            with pytest.raises(WireLost, match=r"^exited with status 0$"):
                await wire.receive()
