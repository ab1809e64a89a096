"""Keeps the words of entries in sqlite's full-text index (FTS5), in memory.

Invariant: texts reach sqlite as words of letters and digits only, so no text is a statement.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from router.messages.errors import UNAVAILABLE, RpcError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from router.search.words import Word

_COLUMNS: Final = {
    "names": (4.0, ("name", "instance")),
    "texts": (2.0, ("title", "first", "rest", "arguments", "details", "summary")),
}
"""Columns of sqlite -> the weight of a word in it, and the texts of an `Entry` that it has. More
columns and weights made the ranking no better, but searches slower."""

TEXTS: Final = tuple(text for _, texts in _COLUMNS.values() for text in texts)
"""The texts of an `Entry` that are indexed."""

_CREATE: Final = (
    f"CREATE VIRTUAL TABLE entries USING fts5({', '.join(_COLUMNS)},"
    " tokenize='porter unicode61 remove_diacritics 2')"
)
_SET: Final = "INSERT INTO entries(entries, rank) VALUES (?, ?)"

_SETTINGS: Final = {"automerge": 0, "crisismerge": 1900}
"""Segments are merged in small steps here (`_write`): by itself sqlite does it in large ones."""

WRITES: Final = 8
MERGED_PAGES: Final = 4
"""After so many writes so many pages are merged: 0.5 ms, so that there are never many segments."""

_INSERT: Final = (
    f"INSERT INTO entries(rowid, {', '.join(_COLUMNS)}) VALUES (?{', ?' * len(_COLUMNS)})"
)
_DELETE: Final = "DELETE FROM entries WHERE rowid = ?"
_WEIGHTS: Final = ", ".join(str(weight) for weight, _ in _COLUMNS.values())
_SEARCH: Final = (
    f"SELECT rowid, -bm25(entries, {_WEIGHTS}) FROM entries"
    " WHERE entries MATCH ? ORDER BY 2 DESC LIMIT ?"
)


class FullText:
    """The words of all entries, by their numbers.

    Raises:
        RpcError: sqlite has no full-text search here.
    """

    def __init__(self) -> None:
        # A worker thread opens it, and another thread uses it after that.
        self._table = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        try:
            self._table.execute(_CREATE)
        except sqlite3.OperationalError as exc:
            self._table.close()
            raise RpcError(
                UNAVAILABLE,
                f"Tools cannot be searched: sqlite {sqlite3.sqlite_version} of this Python has no"
                f" full-text search ({exc}). Use a Python whose sqlite has FTS5, or a direct view",
            ) from exc
        for setting, value in _SETTINGS.items():
            self._table.execute(_SET, (setting, value))
        self._writes = 0

    def put(self, number: int, words: Mapping[str, Sequence[Word]]) -> None:
        """Take in an entry under a number that is free, by the words of its texts."""
        columns = (
            " ".join(word.text for text in texts for word in words[text] if word.text)
            for _, texts in _COLUMNS.values()
        )
        self._write(_INSERT, number, *columns)

    def remove(self, number: int) -> None:
        """Forget an entry."""
        self._write(_DELETE, number)

    def best(self, words: Iterable[str], limit: int) -> list[tuple[int, float]]:
        """Return the entries that have any of these words, the best by BM25 first.

        Args:
            words: as `Word.text` has them; for none there are no entries.
            limit: the greatest number of entries; -1 for all.

        Returns:
            The number of each, and its score.
        """
        match = " OR ".join(f'"{word}"' for word in words)
        return self._table.execute(_SEARCH, (match, limit)).fetchall() if match else []

    def tidy_in_steps(self) -> Iterator[None]:
        """Make searches quicker after changes; may be left at each step, and begun anew."""
        pages = -MERGED_PAGES  # negative: also what needs no merge yet
        while True:
            before = self._table.total_changes
            self._table.execute(_SET, ("merge", pages))
            if self._table.total_changes - before < 2:  # as documented: nothing is left to do
                return
            pages = MERGED_PAGES
            yield

    def _write(self, statement: str, *values: int | str) -> None:
        self._table.execute(statement, values)
        self._writes += 1
        if self._writes % WRITES == 0:
            self._table.execute(_SET, ("merge", MERGED_PAGES))
