"""Keeps embeddings in one matrix of numpy, and compares a query with them.

Invariant: it is imported by `loading` in a worker thread only, since numpy is slow to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from router.search.semantic.engine import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class VectorEngine:
    """An `Engine` (see `engine`) around any function that embeds."""

    def __init__(
        self,
        embed: Callable[[Sequence[str], bool], Any],
        reads: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """Take the function that embeds.

        Args:
            embed: given texts, and True if they are queries, returns an array with one row of
                length 1 for each.
            reads: returns whether the model knows the language of a query.
        """
        self._embed = embed
        self._reads = reads
        self._numpy: Any = import_module("numpy")
        self._matrix: Any = None

    def put(self, slots: Sequence[int], texts: Sequence[str]) -> None:
        """See `Engine`."""
        vectors = self._embed_safely(texts, False)
        rows = max(slots) + 1
        if self._matrix is None:
            self._matrix = self._numpy.zeros((max(rows, 256), vectors.shape[1]), "float32")
        elif rows > len(self._matrix):
            grown = self._numpy.zeros((rows * 3 // 2, self._matrix.shape[1]), "float32")
            grown[: len(self._matrix)] = self._matrix
            self._matrix = grown
        self._matrix[list(slots)] = vectors

    def compare(self, query: str, slots: Sequence[int]) -> list[float] | None:
        """See `Engine`."""
        if self._matrix is None or not self._reads(query):
            return None
        similarities = self._matrix @ self._embed_safely([query], True)[0]
        return similarities[self._numpy.asarray(slots)].tolist()

    def _embed_safely(self, texts: Sequence[str], is_query: bool) -> Any:
        try:
            return self._embed(texts, is_query)
        except Exception as exc:
            raise ModelError(f"the model failed: {exc!r}") from exc
