"""Writes what tasks cost as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.reporting.report import markdown_table
from benchmarks.tokens.conversation import PARTS
from benchmarks.tokens.measured import TOGETHER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.tokens.conversation import Part
    from benchmarks.tokens.measured import Cost, Done
    from router.messages.instances.exposure import Expose

LARGE_TARGET: Final = 1_500
"""Tokens of the list of a search view, however many tools there are."""

PART_NAMES: Final[dict[Part, str]] = {
    "listing": "the list of tools, and the instructions",
    "finding": "searches, descriptions, help",
    "calling": "calls and results",
}


def task_table(costs: Mapping[Expose, Mapping[str, Done]]) -> str:
    """Return a line for each task, with a column for each view, and one for all of them."""
    names = list(next(iter(costs.values())))
    lines = [
        [
            f"**{name}**" if name == TOGETHER else name,
            *(_cell(of_view[name].whole) for of_view in costs.values()),
        ]
        for name in names
    ]
    return markdown_table(["task", *_columns(costs)], lines, left=1)


def part_table(costs: Mapping[Expose, Mapping[str, Done]]) -> str:
    """Return the tokens of all tasks in one conversation, with a line for each part of it."""
    lines = [
        [
            PART_NAMES[part],
            *(f"{of_view[TOGETHER].costs[part].tokens:,}" for of_view in costs.values()),
        ]
        for part in PARTS
    ]
    return markdown_table(["", *_columns(costs)], lines, left=1)


def large_line(cost: Cost, tools: int, instances: int) -> str:
    """Return a sentence about the list of a `search` view with many tools."""
    verdict = "reached" if cost.tokens <= LARGE_TARGET else "not reached"
    return (
        f"With {tools:,} tools of {instances} servers the `search` view lists "
        f"{cost.tokens:,} tokens, instructions included (target: at most {LARGE_TARGET:,}; "
        f"{verdict})."
    )


def _columns(costs: Mapping[Expose, object]) -> list[str]:
    return [f"`{kind}`" for kind in costs]


def _cell(cost: Cost) -> str:
    return f"{cost.tokens:,} ({cost.sent_bytes / 1000:,.1f} kB)"
