"""Finds the names that are most like a wrong one, so that an error can suggest them.

Invariant: the work is bounded, however many names there are and however long they are.
"""

from __future__ import annotations

import heapq
from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

SUGGESTIONS: Final = 3

MAX_NAMES: Final = 5000
"""Names that are looked at, many more than a real server's tools: about 20 ms."""

MAX_NAME: Final = 128
"""Characters of a name that is suggested, the longest that MCP recommends (2025-11-25, Tools)."""

LIKELY: Final = 0.85
"""Likeness from which a name was probably meant: one letter of four is missing (`arg`), or two of
eleven differ; `enabled` and `disabled` are less alike than that."""

_CLOSELY_COMPARED: Final = 50
"""Names that are compared letter by letter, which takes far longer than to count their letters."""


def did_you_mean(wanted: str, names: Iterable[str]) -> str:
    """Return the end of an error, ". Did you mean 'a', 'b', 'c'?"; empty without names."""
    quoted = ", ".join(f"'{name}'" for name in nearest_names(wanted, names))
    return f". Did you mean {quoted}?" if quoted else ""


def likely_meant(written: str, names: Iterable[str], likeness: float = LIKELY) -> str | None:
    """Return the name that `written` is most probably a misspelling of; None if it is like none.

    Case, `_` and `-` make no difference: `maxInFlight` is taken for `max_in_flight`. A likeness is
    from 0 to 1, of equal names; below it, a name is not like the other one.
    """
    # Imported here for start-up time: only an error needs this.
    from difflib import SequenceMatcher

    by_letters = {_letters(name): name for name in names}
    wanted = _letters(written[:MAX_NAME])
    for letters in nearest_names(wanted, by_letters)[:1]:
        if SequenceMatcher(None, wanted, letters, autojunk=False).ratio() >= likeness:
            return by_letters[letters]
    return None


def _letters(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "")


def nearest_names(wanted: str, names: Iterable[str]) -> list[str]:
    """Return the three names that are most like `wanted`, the nearest first.

    Upper and lower case count as equal. Of names that are equally near, the earlier comes first.
    """
    # Imported here for start-up time: only an error needs this.
    from difflib import SequenceMatcher

    matcher = SequenceMatcher(autojunk=False)
    # The matcher remembers what it found out about its second sequence.
    matcher.set_seq2(wanted[:MAX_NAME].casefold())

    def shares_letters(name: str) -> float:
        matcher.set_seq1(name.casefold())
        return matcher.quick_ratio()

    def is_like(name: str) -> float:
        matcher.set_seq1(name.casefold())
        return matcher.ratio()

    usable = [name for name in islice(names, MAX_NAMES) if len(name) <= MAX_NAME]
    likely = heapq.nlargest(_CLOSELY_COMPARED, usable, key=shares_letters)
    return heapq.nlargest(SUGGESTIONS, likely, key=is_like)
