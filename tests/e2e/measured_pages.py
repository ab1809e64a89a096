"""Keeps the tables of `docs/` that tests measure.

A table stands in its page between two comments. Where it is not the one that was measured, the test
fails; with `WRITE_DOCS` set it writes the table instead, and leaves the rest of the page alone.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from tests.e2e.peers import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown, its first column to the left and the others to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def keep(page: str, name: str, measured: str, command: str) -> None:
    """Compare a table of `docs/` with the measured one, or write it.

    Args:
        page: the name of its file in `docs/`.
        name: stands in the comments around the table, `<!-- NAME -->` and `<!-- end of NAME -->`.
        measured: the table, with all of its line breaks.
        command: the command that writes it, for the message.

    Raises:
        AssertionError: the page has another table, or none of that name.
    """
    path = ROOT / "docs" / page
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    found = re.search(f"(?<={begin}).*(?={end})", path.read_text(), re.DOTALL)
    assert found is not None, f"docs/{page} has no table between {begin.strip()} and {end}"
    if found[0] == measured:
        return
    if os.environ.get("WRITE_DOCS"):
        path.write_text(found.string[: found.start()] + measured + found.string[found.end() :])
        return
    raise AssertionError(
        f"docs/{page} does not say what was measured: run `{command}` to write it anew.\n\n"
        f"Measured:\n{measured}\nIn the page:\n{found[0]}"
    )
