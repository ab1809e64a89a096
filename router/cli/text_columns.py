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


def columns_of(
    rows: Sequence[Sequence[str]], width: int | None = None, *, is_wrapped: bool = False
) -> list[str]:
    """Return a line for each row, with its cells below each other.

    Args:
        rows: of equal length; each cell is one line.
        width: the cells that a line may take; what is too long is cut. None for any number. Where
            the last column has no room at all, it goes below its row, two cells in.
        is_wrapped: have a last cell that is too long go on in further lines, instead.
    """
    # For start-up time: only commands that lay something out need it.
    from rich.cells import cell_len, set_cell_size

    if not rows:
        return []
    *widths, _ = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    head = sum(widths) + len(GAP) * len(widths)
    is_below = width is not None and width - head < LEAST_LAST and bool(widths)
    margin = len(GAP) if is_below else head
    lines: list[str] = []
    for *cells, last in rows:
        shown = [set_cell_size(cell, size) for cell, size in zip(cells, widths, strict=True)]
        room = None if width is None or not is_wrapped else width - margin
        first, *others = wrapped(last, room)
        below = [" " * margin + line for line in others]
        if is_below:
            lines += [GAP.join(shown), *([GAP + first] if first else []), *below]
        else:
            lines += [GAP.join([*shown, first]), *below]
    return [cut(line.rstrip(), width) for line in lines]


def wrapped(text: str, width: int | None) -> list[str]:
    """Return the words of a text in lines of at most so many cells; a longer word is cut up."""
    # For start-up time, as above.
    from rich.cells import cell_len, chop_cells

    if width is None or cell_len(text) <= width:
        return [text]
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if cell_len(longer) <= width:
            lines[-1] = longer
        else:
            lines += chop_cells(word, max(width, 2))
    return [line for line in lines if line] or [""]


def cut(line: str, width: int | None) -> str:
    """Return the line in at most so many cells, with an ellipsis where something is missing."""
    # For start-up time, as above.
    from rich.cells import cell_len, set_cell_size

    if width is None or cell_len(line) <= width:
        return line
    kept = set_cell_size(line, max(width - 1, 0))
    # What stands before a gap is whole: an ellipsis right after it would say otherwise.
    gap = " " if kept.endswith(" ") and line.startswith(kept) else ""
    return kept.rstrip() + gap + ELLIPSIS


def joined(lines: Iterable[str]) -> str:
    """Return the lines as text, each with its end."""
    return "".join(f"{line}\n" for line in lines)
