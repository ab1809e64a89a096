"""Shortens the texts of servers to one line, for overviews.

Invariant: the result is bounded, and holds no line break or other character that cannot be printed.
"""

from __future__ import annotations

import re
from typing import Final

MAX_CHARS: Final = 200
"""Characters of a line, the ellipsis among them."""

_READ_CHARS: Final = 2000
"""Characters of a text that are looked at: instructions may be as long as a book."""

# A full stop within a sentence, as in "e.g. JSON" or "approx. five", is followed by a small letter
# or belongs to an abbreviation that is known here. A blank line ends a sentence as well,
# and so do the full stop and the marks of Chinese and Japanese, which no space follows.
_END: Final = re.compile(
    r"(?<!\be\.g)(?<!\bi\.e)[.!?](?=\s+[^a-z\s])|[\u3002\uff01\uff1f]|(?=\n\s*\n)"
)

_HEADINGS: Final = re.compile(r"(?:\s*#[^\n]*\n)+(?=\s*\S)")
"""Headings of Markdown that something follows: they say less than the sentence after them."""


def first_sentence(text: str) -> str:
    """Return the first sentence of a text after its headings, in one line."""
    start = text[:_READ_CHARS]
    headings = _HEADINGS.match(start)
    start = start[headings.end() if headings else 0 :].lstrip("# \t\r\n")
    found = _END.search(start)
    return cut_to_one_line(start if found is None else start[: found.end()])


def cut_to_one_line(text: str) -> str:
    """Return a text in one line, cut where it is too long."""
    printable = "".join(char if char.isprintable() else " " for char in text[:_READ_CHARS])
    line = " ".join(printable.split())
    return line if len(line) <= MAX_CHARS else line[: MAX_CHARS - 1] + "…"


def cut_to(text: str, max_chars: int) -> str:
    """Return a text as it is, cut where it is too long."""
    return text if len(text) <= max_chars else text[: max_chars - 1] + "…"
