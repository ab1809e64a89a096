"""Finds entries by their whole names.

Invariant: case does not count, and "-", "_", ".", "/", ":" and spaces are alike.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from router.search.reranking import Entry

_SEPARATORS: Final = re.compile(r"[\s\-_./:]+")


def folded(name: str) -> str:
    """Return a name as it is compared."""
    return _SEPARATORS.sub(" ", name).strip().casefold() or name.casefold()


MAX_CHARS: Final = 1000
"""Of a name that can be asked for: no query is longer."""


class Named(Struct, frozen=True, order=True):
    """One entry that has a name.

    Attributes:
        rank: 0 if clients see it under the name, 1 for its own name after that of its instance,
            2 for its own name.
        number: the number of the entry.
    """

    rank: int
    number: int


class ExactNames(Struct, eq=False):
    """The names of all entries, by their numbers."""

    _ranks: dict[str, dict[int, int]] = field(default_factory=dict[str, dict[int, int]])

    def put(self, number: int, entry: Entry) -> None:
        """Take in an entry under a number that is free."""
        for rank, name in _names(entry):
            self._ranks.setdefault(name, {}).setdefault(number, rank)

    def remove(self, number: int, entry: Entry) -> None:
        """Forget an entry."""
        for name in {name for _, name in _names(entry)}:
            del self._ranks[name][number]
            if not self._ranks[name]:
                del self._ranks[name]

    def find(self, query: str, scope: Container[int]) -> list[Named]:
        """Return the entries whose name a query is, by their ranks."""
        found = self._ranks.get(folded(query), {})
        return sorted(Named(rank, number) for number, rank in found.items() if number in scope)


def _names(entry: Entry) -> Iterator[tuple[int, str]]:
    names = dict.fromkeys((entry.found.key, entry.name))
    own = [name for name in names if len(name) <= MAX_CHARS]
    if len(entry.shown) <= MAX_CHARS:
        yield 0, folded(entry.shown)
    for name in own:
        yield 1, folded(f"{entry.instance} {name}")
    for name in own:
        yield 2, folded(name)
