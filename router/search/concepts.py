"""Holds groups of everyday words, English and Chinese, that mean much the same for tools.

People ask for a "folder" where a tool says "directory". `concepts.txt` has a group in each line. A
word may stand in several groups. An underscore joins the words of a phrase, in place of whose own
concepts those of the phrase count. `same_words.txt` has a word in each line, and behind it its
abbreviations and the forms that no ending tells. How to find out what a change does: see `index`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_FORMS_FILE: Final = Path(__file__).with_name("same_words.txt")
_FILE: Final = Path(__file__).with_name("concepts.txt")


def read_groups() -> list[list[str]]:
    """Return the words and phrases of each group, from the file."""
    return [line.split() for line in _FILE.read_text("utf-8").splitlines()]


def read_forms() -> list[list[str]]:
    """Return the words of each line of the second file: one, then what stands for it."""
    return [line.split() for line in _FORMS_FILE.read_text("utf-8").splitlines()]
