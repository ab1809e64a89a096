"""Shows in a terminal how the instances get up, and then where to point a client.

While the table is shown, the lines of the log appear above it: the logs write through this screen.

Invariants:

- The event loop never waits for the terminal, which its user may have stopped (Ctrl+S): worker
  threads draw.
- Text from servers is data: it cannot forge lines or move the cursor.
- A terminal that is gone ends the table, and not the router.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio

from router.cli.running.status import Row
from router.cli.serving.next_steps import next_steps
from router.cli.terminal import console as new_console
from router.cli.terminal import print_pairs
from router.messages.commands import Principal, ShowStatus
from router.messages.errors import RpcError
from router.messages.events import AdminCommand

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console
    from rich.live import Live

    from router.dispatch.actor import Inbound
    from router.logs.writing.log_writer import RawWriter

REDRAW_S: Final = 0.2

AT_LATEST_S: Final = 20.0
"""A start that takes longer is left to the log: the table would hide it."""

ROWS_KEPT_FREE: Final = 12
"""Rows of the terminal for the lines of the log, and for what comes after the table."""


class StartScreen:
    """A terminal that shows a start; the logs write to it as to stderr.

    Args:
        terminal: stderr, unbuffered.
        console: the same terminal for what is laid out; rich's, if not given.
        redraw_s: the time between two looks at the instances.
    """

    def __init__(
        self,
        terminal: RawWriter,
        console: Console | None = None,
        redraw_s: float = REDRAW_S,
    ) -> None:
        self._terminal = terminal
        self._given_console = console
        self._redraw_s = redraw_s
        self._live: Live | None = None

    def write(self, data: memoryview, /) -> int | None:
        """Write lines of the log, above the table if there is one. Called in the log's thread."""
        live = self._live
        if live is None:
            return self._terminal.write(data)
        live.console.print(bytes(data).decode(errors="replace"), end="", soft_wrap=True)
        return len(data)

    async def run(
        self, inbox: trio.MemorySendChannel[Inbound], endpoints: Mapping[str, str]
    ) -> None:
        """Show the instances until each is up or has failed; then say what can be done.

        Args:
            inbox: the dispatch actor's.
            endpoints: listener -> its URL.
        """
        try:
            await self._show(inbox, endpoints)
        except OSError:  # its user has closed the terminal; the log says the same
            await trio.lowlevel.checkpoint()

    async def _show(
        self, inbox: trio.MemorySendChannel[Inbound], endpoints: Mapping[str, str]
    ) -> None:
        # For start-up time: rich takes as long to import as a first answer takes.
        console = await trio.to_thread.run_sync(self._open)
        rows: list[Row] = []
        try:
            with trio.move_on_after(AT_LATEST_S):
                while True:
                    rows = await _rows(inbox)
                    await trio.to_thread.run_sync(self._draw, rows, abandon_on_cancel=True)
                    if _is_settled(rows):
                        break
                    await trio.sleep(self._redraw_s)
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await trio.to_thread.run_sync(self._close, abandon_on_cancel=True)
        await trio.to_thread.run_sync(_say_more, console, rows, endpoints, abandon_on_cancel=True)

    # --- In worker threads -------------------------------------------------------------------

    def _open(self) -> Console:
        from rich.live import Live

        opened = self._given_console or new_console(to_stderr=True)
        live = Live(console=opened, auto_refresh=False, transient=True, redirect_stderr=False)
        live.start()
        self._live = live
        return opened

    def _draw(self, rows: list[Row]) -> None:
        from router.cli.running.compact_table import compact_table

        if self._live is not None:
            columns, most_rows = _room(self._live.console)
            self._live.update(compact_table(rows, columns, most_rows), refresh=True)

    def _close(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()


async def _rows(inbox: trio.MemorySendChannel[Inbound]) -> list[Row]:
    reply_in, reply = trio.open_memory_channel[Any](1)
    with reply_in, reply:
        await inbox.send(AdminCommand(Principal(), ShowStatus(), reply_in))
        answer = await reply.receive()
    return [] if isinstance(answer, RpcError) else msgspec.convert(answer, list[Row])


def _room(console: Console) -> tuple[int, int]:
    """Return the columns and rows that a table may take."""
    return console.width, max(1, console.height - ROWS_KEPT_FREE)


def _is_settled(rows: list[Row]) -> bool:
    from router.cli.running.compact_table import SETTLED

    return all(row.state in SETTLED for row in rows)


def _say_more(console: Console, rows: list[Row], endpoints: Mapping[str, str]) -> None:
    from rich.text import Text

    from router.cli.running.compact_table import compact_table, summary

    console.print(compact_table(rows, *_room(console)))
    console.print(Text(f"\n{summary(rows)}\n", "bold"))
    print_pairs(console, next_steps(endpoints, [row.state for row in rows]))
    console.print(Text("\nPress Ctrl+C to stop", "dim"))
