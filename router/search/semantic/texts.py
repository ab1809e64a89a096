"""Makes the text by which a model knows an entry, and gives each text a slot.

The slots are numbered without gaps, and an engine keeps one embedding for each. Invariants:

- Entries with the same text share one slot, so a catalogue that is listed again costs nothing.
- Texts that no row has any more keep their slots until these are needed for others, the oldest
  first. So a server that restarts finds its own again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from router.messages.own_tools.search import Found
    from router.search.reranking import Entry

MAX_TEXTS: Final = 20_000
"""Texts with a slot: 30 MB of embeddings with 384 numbers each. The largest known catalogues of
one user have some thousands of tools."""

MIN_DESCRIBED: Final = 80
MAX_DESCRIBED: Final = 300
"""Characters of the description: its first sentence, and more of it if that is shorter than the
first. More made the ranking no better, and the time of an embedding grows with its text."""

_SEPARATORS: Final = re.compile(r"[_\-./:\s]+")
_CAMEL_CASE: Final = re.compile(r"([a-z0-9])([A-Z])")


def text_of(entry: Entry) -> str:
    """Return the text of which the embedding of an entry is made: one line."""
    name = _CAMEL_CASE.sub(r"\1 \2", entry.name)
    name = _SEPARATORS.sub(" ", name).strip()
    length = min(max(len(entry.first), MIN_DESCRIBED), MAX_DESCRIBED)
    described = f"{entry.first} {entry.rest[:MIN_DESCRIBED]}"[:length]
    return f"{entry.instance}: {name}. {' '.join(described.split())}".strip()


class _Text(Struct, eq=False):
    """One text.

    Attributes:
        text: the text.
        slot: the number of its embedding.
        use_count: the number of entries that have it.
        is_known: True once the engine has its embedding.
    """

    text: str
    slot: int
    use_count: int = 0
    is_known: bool = False


def _no_rows() -> dict[str, dict[Found, _Text]]:
    return {}


class TextTable(Struct, eq=False):
    """The texts of all entries, and their slots.

    Attributes:
        limit: the greatest number of texts.
        is_full: True if a text got no slot since the last `forget`.
    """

    limit: int = MAX_TEXTS
    is_full: bool = False
    _texts: dict[str, _Text] = field(default_factory=dict[str, _Text])
    _rows: dict[str, dict[Found, _Text]] = field(default_factory=_no_rows)
    _unused: dict[str, None] = field(default_factory=dict[str, None])
    _waiting: dict[str, None] = field(default_factory=dict[str, None])

    def __contains__(self, row: str) -> bool:
        """Return whether a row has texts."""
        return row in self._rows

    def put(self, row: str, texts: Mapping[Found, str]) -> None:
        """Take the texts of a row's entries in place of those before; empty: forget the row."""
        before = self._rows.pop(row, {})
        now = {found: self._use(text) for found, text in texts.items()}
        if now:
            self._rows[row] = {found: text for found, text in now.items() if text is not None}
        # Only now, so that what both have keeps its slot.
        for text in before.values():
            self._release(text)

    def next_waiting(self, count: int) -> dict[str, int]:
        """Return the slots of the texts that wait, at most `count`, those that came first."""
        waiting = zip(range(count), self._waiting, strict=False)
        return {text: self._texts[text].slot for _, text in waiting}

    def set_known(self, batch: dict[str, int]) -> None:
        """Note that the engine has the embeddings of these texts in these slots."""
        for key, slot in batch.items():
            text = self._texts.get(key)
            # Meanwhile the slot may have gone to another text, which waits itself.
            if text is not None and text.slot == slot:
                text.is_known = True
                self._waiting.pop(key, None)

    def slots_of(self, entries: Iterable[Found]) -> tuple[int, ...] | None:
        """Return the slot of each entry; None if one of them has no embedding yet."""
        slots: list[int] = []
        for found in entries:
            text = self._rows.get(found.row, {}).get(found)
            if text is None or not text.is_known:
                return None
            slots.append(text.slot)
        return tuple(slots)

    def forget(self) -> None:
        """Have all embeddings made anew, because another engine is to keep them."""
        used = [text for text in self._texts.values() if text.use_count]
        self._texts = {text.text: text for text in used}
        self._unused.clear()
        self._waiting = dict.fromkeys(self._texts)
        self.is_full = False
        for slot, text in enumerate(used):
            text.slot, text.is_known = slot, False

    def _use(self, key: str) -> _Text | None:
        text = self._texts.get(key)
        if text is None:
            slot = self._free_slot()
            if slot is None:
                self.is_full = True
                return None
            text = self._texts[key] = _Text(key, slot)
            self._waiting[key] = None
        text.use_count += 1
        self._unused.pop(key, None)
        return text

    def _release(self, text: _Text) -> None:
        text.use_count -= 1
        if not text.use_count:
            self._unused[text.text] = None

    def _free_slot(self) -> int | None:
        if len(self._texts) < self.limit:
            return len(self._texts)
        if not self._unused:
            return None
        oldest = next(iter(self._unused))
        del self._unused[oldest]
        self._waiting.pop(oldest, None)
        return self._texts.pop(oldest).slot
