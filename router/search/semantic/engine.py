"""Defines what compares texts by meaning, and how it fails. A protocol and an error only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class ModelError(Exception):
    """A model cannot be used; the text says why, and what to do."""


class Engine(Protocol):
    """Keeps an embedding in each slot; for one thread at a time."""

    def put(self, slots: Sequence[int], texts: Sequence[str]) -> None:
        """Embed texts into these slots."""
        ...

    def compare(self, query: str, slots: Sequence[int]) -> list[float] | None:
        """Return the similarity of each of these slots to the query; 1 is the greatest.

        None if the model does not know the language of the query.
        """
        ...
