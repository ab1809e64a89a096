"""The outbox of the stdio client: its order, its bounds, and its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
import trio
import trio.testing
from msgspec import Raw

from router.messages.frames import Response
from transports.listen.stdio import outbox
from transports.listen.stdio.outbox import StdioOutbox

if TYPE_CHECKING:
    from tests.transports.listen.stdio.stdio_client import Wire

HALF: Final = outbox.OUTBOX_LINES // 2


class Writes(trio.abc.SendStream):
    """A stream that keeps each write, and can hold writes up."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.may_write = trio.Event()
        self.may_write.set()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.may_write.wait()
        await trio.lowlevel.checkpoint()
        self.written.append(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        raise NotImplementedError

    async def aclose(self) -> None:
        raise NotImplementedError


# --- Order and writes ------------------------------------------------------------------------


async def test_queued_frames_are_written_in_order(wire: Wire) -> None:
    for number in range(1000):
        wire.opened.outbox.send_nowait(Response(number, Raw(b"{}")))
    assert [(await wire.hear())["id"] for _ in range(1000)] == list(range(1000))


async def test_queued_lines_are_joined_up_to_the_size_of_a_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox, "WRITE_SIZE_BYTES", 4)
    lines, stdout = StdioOutbox(), Writes()
    for line in (b"1\n", b"2\n", b"3\n", b"a long line\n", b"4\n"):
        lines.put(line)
    lines.end("over")
    await lines.write_to(stdout)
    assert stdout.written == [b"1\n2\n", b"3\na long line\n", b"4\n"]


# --- Bounds ----------------------------------------------------------------------------------


async def test_outbox_is_bounded_in_bytes(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "OUTBOX_BYTES", 1000)
    frame = Response(1, Raw(b'"%b"' % (b"x" * 600)))
    wire.opened.outbox.send_nowait(frame)
    with pytest.raises(trio.WouldBlock):
        wire.opened.outbox.send_nowait(frame)
    await wire.hear()
    wire.opened.outbox.send_nowait(Response(1, Raw(b'"%b"' % (b"x" * 5000))))


async def test_outbox_is_bounded_in_number(wire: Wire) -> None:
    for number in range(outbox.OUTBOX_LINES + 1):  # the writer has taken the first
        wire.opened.outbox.send_nowait(Response(number, Raw(b"{}")))
    with pytest.raises(trio.WouldBlock):
        wire.opened.outbox.send_nowait(Response(-1, Raw(b"{}")))


@pytest.mark.parametrize(
    ("sizes", "has_room"),
    [
        ([2] * HALF, True),
        ([2] * (HALF + 1), False),
        ([outbox.OUTBOX_BYTES // 2], True),
        ([outbox.OUTBOX_BYTES // 2, 1], False),
    ],
    ids=["half of the lines", "more lines", "half of the bytes", "more bytes"],
)
def test_outbox_has_room_while_at_most_half_is_in_use(sizes: list[int], has_room: bool) -> None:
    lines = StdioOutbox()
    for size in sizes:
        lines.put(bytes(size))
    assert lines.has_room() is has_room


async def test_lines_count_until_they_are_written(nursery: trio.Nursery) -> None:
    lines, stdout = StdioOutbox(), Writes()
    stdout.may_write = trio.Event()
    for _ in range(HALF + 1):
        lines.put(b"\n")
    with trio.fail_after(60):
        async with trio.open_nursery() as waiting:
            waiting.start_soon(lines.wait_for_room)
            nursery.start_soon(lines.write_to, stdout)
            await trio.testing.wait_all_tasks_blocked()
            assert not lines.has_room()
            stdout.may_write.set()
    assert lines.has_room()


# --- The end ---------------------------------------------------------------------------------


async def test_first_reason_of_an_end_is_kept_and_queued_lines_are_written() -> None:
    lines, stdout = StdioOutbox(), Writes()
    lines.put(b"1\n")
    lines.end("the first")
    lines.close()
    assert lines.reason == "the first"
    assert not lines.written.is_set()
    await lines.write_to(stdout)
    assert lines.written.is_set()
    assert stdout.written == [b"1\n"]


async def test_closing_the_client_ends_the_listener(wire: Wire) -> None:
    wire.opened.outbox.close()
    assert (await wire.ended()).reason == "the router closed it"
    with pytest.raises(trio.BrokenResourceError):
        wire.opened.outbox.send_nowait(Response(1, Raw(b"{}")))


async def test_closed_stdout_ends_the_listener(wire: Wire) -> None:
    await wire.from_router.aclose()
    wire.opened.outbox.send_nowait(Response(1, Raw(b"{}")))
    assert (await wire.ended()).reason == "stdout is closed"
