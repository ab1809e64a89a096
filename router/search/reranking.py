"""Defines a ranking by meaning that may be put behind the index by words. Data and a protocol only.

The index by words finds and ranks at first; a `Reranker` knows the same entries, and ranks anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.messages.own_tools.search import Found


class Entry(Struct, frozen=True):
    """The texts of one tool, prompt, resource or template, bounded, as its server wrote them.

    Attributes:
        found: its identity.
        shown: its direct name, or the URI by which clients see it.
        name: its own name; of a resource, that for people.
        title: its title; empty for none.
        first: the first sentence of its description.
        rest: what follows that sentence.
        arguments: the names of its arguments, a space between them.
        details: the descriptions of its arguments, and the values that these may have.
        instance: the name of its instance.
        summary: a line about the instance; empty for none.
    """

    found: Found
    shown: str
    name: str
    title: str
    first: str
    rest: str
    arguments: str
    details: str
    instance: str
    summary: str


class Scope(Struct, frozen=True, eq=False, weakref=True):
    """Everything that a search may answer.

    It is the same object for all searches of the same rows, by the same filter and for the same
    kind, until something is indexed anew. So results about it can be kept in a dictionary with weak
    keys.

    Attributes:
        entries: the identities of all entries in it.
    """

    entries: tuple[Found, ...]


class Candidate(Struct, frozen=True):
    """One result of the index by words.

    Attributes:
        found: its identity.
        score: its score; greater is better, and only those of one query can be compared.
    """

    found: Found
    score: float


class Ranking(Struct, frozen=True):
    """The order of results.

    Attributes:
        found: the best first.
        is_clear: True if the first is clearly better than the second.
    """

    found: tuple[Found, ...]
    is_clear: bool = False


class Reranker(Protocol):
    """Ranks by meaning what was found by words."""

    def put(self, row: str, entries: Sequence[Entry]) -> None:
        """Take note of all entries of a row, in place of those before; empty: forget the row.

        It returns at once; what takes long is for `run`.
        """
        ...

    async def run(self) -> None:
        """Prepare what was put, until cancelled."""
        ...

    async def rank(
        self, query: str, candidates: Sequence[Candidate], scope: Scope, limit: int
    ) -> Ranking | None:
        """Return the best of `scope`, at most `limit`; None if the index's ranking is to be kept.

        An exact name is not for it: whoever calls puts such entries before all others.

        Args:
            query: words as people or models write them, bounded.
            candidates: the first results of the index by words, the best first.
            scope: everything that may be answered.
            limit: the greatest number of results.
        """
        ...
