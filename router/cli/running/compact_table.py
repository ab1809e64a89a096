"""Lays out instances for a person at a terminal: one row each, narrow enough for 40 columns.

Invariant: text from the router is data: it cannot forge lines or move the cursor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from router.logs.record_text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.cli.running.status import Row

STYLES: Final = {
    "ready": "green",
    "degraded": "yellow",
    "starting": "cyan",
    "backoff": "yellow",
    "needs_login": "yellow",
    "failed": "red",
    "idle": "dim",
    "disabled": "dim",
    "stopping": "dim",
}
"""The colour of a state; the word itself says the same to who sees none."""

SETTLED: Final = frozenset({"ready", "degraded", "failed", "needs_login", "idle", "disabled"})
"""States in which nothing is about to change."""

GAP: Final = 2
"""Empty columns between two cells."""


def compact_table(rows: Sequence[Row], columns: int, most_rows: int) -> Table:
    """Return a row for each instance: name, state, tools, and why it is not ready.

    Args:
        rows: the instances.
        columns: the width there is room for; what is too long is cut.
        most_rows: how many rows there is room for. With more instances, those that are not ready
            come first, and the last row counts the others.
    """
    shown = list(rows)
    if len(shown) > most_rows:
        shown.sort(key=lambda row: row.state == "ready")
        shown = shown[: max(0, most_rows - 1)]
    cells = [_cells(row, columns // 3) for row in shown]
    taken = sum(max((one[i].cell_len for one in cells), default=0) + GAP for i in range(3))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, GAP, 0, 0))
    for _ in range(4):
        table.add_column(no_wrap=True)
    for row, three in zip(shown, cells, strict=True):
        table.add_row(*three, _cut(row.reason or "", columns - taken, "dim"))
    if len(shown) < len(rows):
        table.add_row(Text(f"and {len(rows) - len(shown)} more", "dim"))
    return table


def _cells(row: Row, name_columns: int) -> tuple[Text, Text, Text]:
    state = Text(one_line(row.state), STYLES.get(row.state, ""))
    return _cut(row.name, name_columns), state, Text(_tools(row))


def _cut(text: str, columns: int, style: str = "") -> Text:
    cell = Text(one_line(text), style)
    cell.truncate(max(columns, 1), overflow="ellipsis")
    return cell


def summary(rows: Sequence[Row]) -> str:
    """Return how many instances are ready, how many tools they have, and the other states."""
    if not rows:
        return "There are no servers yet."
    ready = sum(row.state == "ready" for row in rows)
    counts = {state: sum(row.state == state for row in rows) for state in STYLES}
    others = [f"{count} {state}" for state, count in counts.items() if count and state != "ready"]
    tools = sum(row.tools_count for row in rows)
    servers = "server" if len(rows) == 1 else "servers"
    sentence = f"{ready} of {len(rows)} {servers} ready, {tools} tools"
    return sentence + (f" ({', '.join(others)})" if others else "")


def _tools(row: Row) -> str:
    if not row.tools_count and row.state != "ready":
        return ""
    return f"{row.tools_count} tool{'' if row.tools_count == 1 else 's'}"
