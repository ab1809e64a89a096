"""The narrow table of instances, as a person sees it."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from router.cli.running.compact_table import compact_table, summary
from router.cli.running.status import Row

ROWS = [
    Row("example", "ready", tools_count=6),
    Row("文件服务", "ready", tools_count=1),
    Row("broken", "failed", last_error="command not found: 'nope'\x1b[2J; install it " + "x" * 90),
    Row("off", "disabled"),
]


def _drawn(rows: list[Row], columns: int, most_rows: int = 50) -> list[str]:
    out = Console(file=io.StringIO(), width=columns, force_terminal=True, color_system=None)
    out.print(compact_table(rows, columns, most_rows))
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue().splitlines()


@pytest.mark.parametrize("columns", [40, 80])
def test_no_line_is_longer_than_the_terminal_and_states_stand_below_each_other(
    columns: int,
) -> None:
    lines = _drawn(ROWS, columns)
    assert len(lines) == len(ROWS)
    assert all(cell_len(line) <= columns for line in lines)
    starts = {
        cell_len(line[: line.index(row.state)]) for line, row in zip(lines, ROWS, strict=True)
    }
    assert len(starts) == 1
    assert "\x1b[2J" not in "".join(lines)
    assert "command" in lines[2]


def test_those_that_are_not_ready_come_first_where_there_is_no_room_for_all() -> None:
    rows = [Row(f"up-{i}", "ready") for i in range(9)] + [Row("broken", "failed")]
    lines = _drawn(rows, 80, most_rows=4)
    assert lines[0].startswith("broken")
    assert lines[-1].strip() == "and 7 more"
    assert len(lines) == 4


def test_summary_counts_what_is_ready_and_names_the_other_states() -> None:
    assert summary(ROWS) == "2 of 4 servers ready, 7 tools (1 failed, 1 disabled)"
    assert summary([]) == "There are no servers yet."
