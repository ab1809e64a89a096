"""The terminal that shows how the instances get up."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import trio
from rich.console import Console

from router.cli.serving.start_screen import AT_LATEST_S, StartScreen
from router.messages.commands import ShowStatus
from router.messages.events import AdminCommand

if TYPE_CHECKING:
    from router.dispatch.actor import Inbound


class Terminal:
    """Stands for stderr."""

    def __init__(self) -> None:
        self.raw = io.BytesIO()
        self.drawn = io.StringIO()
        self.console = Console(file=self.drawn, width=70, height=40, force_terminal=True)

    def write(self, data: memoryview, /) -> int | None:
        return self.raw.write(data)


async def _answer(inbox: trio.MemoryReceiveChannel[Inbound], *answers: list[Any]) -> None:
    """Answer each question for the status, in turn; the last answer stays."""
    left = list(answers)
    async for event in inbox:
        assert isinstance(event, AdminCommand)
        assert isinstance(event.what, ShowStatus)
        event.reply_to.send_nowait(left[0])
        if len(left) > 1:
            del left[0]


async def _run(terminal: Terminal, screen: StartScreen, *answers: list[Any]) -> None:
    inbox_in, inbox = trio.open_memory_channel[Any](1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_answer, inbox, *answers)
        await screen.run(inbox_in, {"http": "http://127.0.0.1:3000/mcp"})
        nursery.cancel_scope.cancel()


async def test_instances_are_shown_until_each_is_up_or_failed_and_then_what_can_be_done(
    mock_clock: trio.testing.MockClock,
) -> None:
    terminal = Terminal()
    screen = StartScreen(terminal, terminal.console, redraw_s=0)
    starting = [{"name": "a", "state": "starting"}, {"name": "b", "state": "starting"}]
    settled = [
        {"name": "a", "state": "ready", "tools_count": 3},
        {"name": "b", "state": "failed", "last_error": "no such file"},
    ]
    await _run(terminal, screen, starting, starting, settled)
    shown = terminal.drawn.getvalue()
    assert shown.index("starting") < shown.index("ready")
    assert "no such file" in shown
    assert "1 of 2 servers ready, 3 tools (1 failed)" in shown
    assert "http://127.0.0.1:3000/mcp" in shown
    assert "mcp-router install" in shown


async def test_a_start_that_takes_too_long_is_left_to_the_log(
    mock_clock: trio.testing.MockClock,
) -> None:
    terminal = Terminal()
    screen = StartScreen(terminal, terminal.console, redraw_s=0)
    inbox_in, inbox = trio.open_memory_channel[Any](1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(screen.run, inbox_in, {})
        for _ in range(2):
            event = await inbox.receive()
            event.reply_to.send_nowait([{"name": "slow", "state": "starting"}])
        await inbox.receive()
        mock_clock.jump(AT_LATEST_S)
    assert "0 of 1 server ready, 0 tools (1 starting)" in terminal.drawn.getvalue()


async def test_without_instances_it_says_how_to_get_some(
    mock_clock: trio.testing.MockClock,
) -> None:
    terminal = Terminal()
    await _run(terminal, StartScreen(terminal, terminal.console, redraw_s=0), [])
    shown = terminal.drawn.getvalue()
    assert "There are no servers yet." in shown
    assert "mcp-router import" in shown


async def test_lines_of_the_log_go_above_the_table_while_it_is_shown_and_to_stderr_later(
    mock_clock: trio.testing.MockClock,
) -> None:
    terminal = Terminal()
    screen = StartScreen(terminal, terminal.console, redraw_s=0)
    inbox_in, inbox = trio.open_memory_channel[Any](1)
    screen.write(memoryview(b"before\n"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(screen.run, inbox_in, {})
        event = await inbox.receive()
        screen.write(memoryview("während\n".encode()))
        event.reply_to.send_nowait([])
    screen.write(memoryview(b"after\n"))
    assert terminal.raw.getvalue() == b"before\nafter\n"
    assert "während\n" in terminal.drawn.getvalue()


class Gone(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


async def test_a_terminal_that_is_gone_ends_the_table_and_not_the_router(
    mock_clock: trio.testing.MockClock,
) -> None:
    terminal = Terminal()
    terminal.console = Console(file=Gone(), width=70, height=40, force_terminal=True)
    await _run(terminal, StartScreen(terminal, terminal.console, redraw_s=0), [])
    terminal = Terminal()
    screen = StartScreen(terminal, terminal.console, redraw_s=0)
    inbox_in, inbox = trio.open_memory_channel[Any](1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(screen.run, inbox_in, {})
        event = await inbox.receive()
        terminal.console.file = Gone()
        event.reply_to.send_nowait([{"name": "a", "state": "starting"}])
