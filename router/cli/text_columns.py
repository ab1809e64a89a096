"""Lays out text of servers in columns, for a terminal or for a file.

Invariants: a row is one line, without tabs, and nothing in it can move the cursor. Columns are as
wide as a terminal shows them: letters such as CJK take two cells (UAX #11).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.logs.record_text import UNPRINTABLE, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

GAP: Final = "  "
ELLIPSIS: Final = "\u2026"
LEAST_LAST: Final = 8
"""Cells that a last column needs to be of use; with fewer it goes below, on a line of its own."""


def safe_line(text: str) -> str:
    """Return the text as one line that a terminal shows as it is."""
    return " ".join(one_line(text.replace("\t", " ")).split("\\n")).strip()


def safe_text(text: str) -> str:
    """Return the text with its lines, and with everything else that a terminal acts on escaped."""

    def escape(found: str) -> str:
        return UNPRINTABLE.sub(lambda one: one[0].encode("unicode_escape").decode(), found)

    return "\n".join(map(escape, text.replace("\r\n", "\n").split("\n")))


def columns_of(rows: Sequence[Sequence[str]], width: int | None = None) -> list[str]:
    """Return a line for each row, with its cells below each other.

    Args:
        rows: of equal length; each cell is one line.
        width: the cells that a line may take; what is too long is cut. None for any number. Where
            the last column has no room at all, it goes below its row, two cells in.
    """
    # For start-up time: only commands that lay something out need it.
    from rich.cells import cell_len, set_cell_size

    if not rows:
        return []
    *widths, _ = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    head = sum(widths) + len(GAP) * len(widths)
    is_below = width is not None and width - head < LEAST_LAST
    lines: list[str] = []
    for *cells, last in rows:
        shown = [set_cell_size(cell, size) for cell, size in zip(cells, widths, strict=True)]
        if is_below and shown:
            lines += [GAP.join(shown), GAP + last] if last else [GAP.join(shown)]
        else:
            lines.append(GAP.join([*shown, last]))
    return [cut(line.rstrip(), width) for line in lines]


def cut(line: str, width: int | None) -> str:
    """Return the line in at most so many cells, with an ellipsis where something is missing."""
    # For start-up time, as above.
    from rich.cells import cell_len, set_cell_size

    if width is None or cell_len(line) <= width:
        return line
    return set_cell_size(line, max(width - 1, 0)).rstrip() + ELLIPSIS


def joined(lines: Iterable[str]) -> str:
    """Return the lines as text, each with its end."""
    return "".join(f"{line}\n" for line in lines)
