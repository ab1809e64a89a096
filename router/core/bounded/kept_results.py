"""Keeps results of tools that were cut, for a while.

Invariants:

- What is kept is bounded, in all and for each principal. The oldest of a principal goes first, and
  then the oldest of all.
- All are kept for the same time, so the oldest is also the next that is due.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from router.core.bounded.long_text import LongText

KEPT_S: Final = 600.0
"""Time to read on: a model reads a result at once, or never."""

MAX_KEPT_BYTES: Final = 64 * 1024 * 1024

MAX_OF_PRINCIPAL_BYTES: Final = MAX_KEPT_BYTES // 2
"""More than any result has: a frame is limited to 16 MiB by default."""


class _Kept(Struct, frozen=True, eq=False):
    principal: str
    text: LongText
    until_s: float


class KeptResults(Struct):
    """The texts of these results, by their keys."""

    _by_key: dict[int, _Kept] = {}
    _keys_of: dict[str, dict[int, None]] = {}
    _bytes: int = 0
    _bytes_of: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def keep(self, key: int, text: LongText, principal: str, now_s: float) -> bool:
        """Keep a text; return False if it is too long for that.

        Args:
            key: was never used before.
            text: the text.
            principal: the name of the principal for which it is kept.
            now_s: monotonic second of the event.
        """
        size = len(text.data)
        if size > MAX_OF_PRINCIPAL_BYTES:
            return False
        while self._bytes_of.get(principal, 0) + size > MAX_OF_PRINCIPAL_BYTES:
            self._drop(next(iter(self._keys_of[principal])))
        while self._bytes + size > MAX_KEPT_BYTES:
            self._drop(next(iter(self._by_key)))
        self._by_key[key] = _Kept(principal, text, now_s + KEPT_S)
        self._keys_of.setdefault(principal, {})[key] = None
        self._bytes += size
        self._bytes_of[principal] = self._bytes_of.get(principal, 0) + size
        return True

    def find(self, key: int) -> LongText | None:
        """Return the text with this key; None if it is not kept any more."""
        kept = self._by_key.get(key)
        return None if kept is None else kept.text

    def next_s(self) -> float | None:
        """Return the second until which the oldest is kept; None if there is none."""
        for kept in self._by_key.values():
            return kept.until_s
        return None

    def expire(self, now_s: float) -> None:
        """Drop those that were kept long enough."""
        while (until_s := self.next_s()) is not None and until_s <= now_s:
            self._drop(next(iter(self._by_key)))

    def _drop(self, key: int) -> None:
        kept = self._by_key.pop(key)
        size = len(kept.text.data)
        self._bytes -= size
        self._bytes_of[kept.principal] -= size
        del self._keys_of[kept.principal][key]
        if not self._keys_of[kept.principal]:
            del self._keys_of[kept.principal], self._bytes_of[kept.principal]
