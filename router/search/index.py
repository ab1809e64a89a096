"""Finds the tools, prompts and resources that words ask for: an index in memory.

Theory of operation. Entries whose name is the query come first (`exact_names`). The score of any
other entry is

    words / best words + COVERAGE_WEIGHT * coverage - UNASKED_WEIGHT * unasked

- words: sqlite's BM25 over all texts of the entry (FTS5, Porter's stems; `full_text`).
- coverage: how much of the query its texts cover, names best (`concept_scores`).
- unasked: the number of words in its name that the query does not ask for.

Where the numbers are from: the weights here and in `concept_scores`, and the groups of
`concepts.txt`, were tuned by the part "tune" of `benchmarks/search/queries.jsonl`, and by some
hundred queries more, over the tools of 26 real servers. To change one, compare
`python -m benchmarks.search --part tune --misses tune` before and after. The parts "test" and
"fresh" say what a change is worth, so nothing is tuned by them.

Invariants:

- No query and no catalogue raises. Texts reach sqlite as words of letters and digits only.
- A search sees the rows and names that it asks for, and nothing else.
"""

from __future__ import annotations

from itertools import chain, islice, zip_longest
from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec import Struct

from router.messages.own_tools.search import ToolsFound
from router.search.concept_scores import ConceptScores, best_first
from router.search.entries import read_entry
from router.search.exact_names import ExactNames
from router.search.full_text import TEXTS, FullText
from router.search.reranking import Candidate, Entry, Ranking, Scope
from router.search.words import read_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from router.messages.instances.exposure import NameFilter
    from router.messages.own_tools.search import (
        Found,
        IndexTools,
        Kind,
        Searchable,
        SearchTools,
    )
    from router.search.words import Word

QUERY_CHARS: Final = 1000
QUERY_WORDS: Final = 40
"""Characters and words of a query that count: more are not a question but a text."""

CANDIDATES: Final = 60
"""Entries that are scored because of their words: the best by BM25."""

MATCHES: Final = 150
"""Matches of words that BM25 is made of: those of rarer words, for commoner ones say less and take
longer."""

RANKED: Final = 20
"""The best by words and coverage together, whose unasked words are counted; only they are
answered."""

LEAST_SHARE: Final = 0.4
"""Entries that cover less of a query, in proportion to the best, are scored for their words alone:
they are most of all, and never among the first."""

COVERAGE_WEIGHT: Final = 6.0
UNASKED_WEIGHT: Final = 0.4
"""See the module's docstring."""

CLEAR_LEAD: Final = 1.6
"""A first result whose score is so much higher than that of the second is mostly the right one: in
62 of 66 searches of those that it was chosen by."""

GATHERED: Final = 100
"""Entries that are compared with the patterns of a search at once."""

QUICK: Final = 50_000
"""Characters of a query times entries: a search with no more takes 5 ms at most, as a rule."""

SCOPES: Final = 16
"""Scopes that are kept: each holds a number for each entry."""

_NAMES: Final = frozenset({"name", "instance", "arguments"})
"""Texts that are no prose: a row of capitalised words in one is split."""

_ScopeKey: TypeAlias = "tuple[frozenset[str], NameFilter, Kind]"
"""The rows, the filter and the kind of a search."""


class _Scope(Struct, frozen=True, eq=False):
    """Everything that a search may answer.

    Attributes:
        entries: by their numbers, in the order in which they were put.
        public: the same for a `Reranker`.
    """

    entries: dict[int, Entry]
    public: Scope


class Answer(Struct, frozen=True):
    """The result of a search by words.

    Attributes:
        query: the query as far as it counts; empty if it asks what there is.
        exact: the entries whose name the query is.
        is_exact: True if the first of `exact` is the only one with that name.
        candidates: the others that were found, the best first.
        is_clear: True if the first candidate is clearly better than the second.
        scope: everything that was searched.
    """

    query: str
    exact: tuple[Found, ...]
    is_exact: bool
    candidates: tuple[Candidate, ...]
    is_clear: bool
    scope: Scope

    def found(self, search: SearchTools, ranking: Ranking | None = None) -> ToolsFound:
        """Return the event that ends a search; `ranking` replaces that of the candidates."""
        if ranking is None:
            wanted = self.candidates[: max(search.limit, 0) + len(self.exact)]
            ranking = Ranking(tuple(candidate.found for candidate in wanted), self.is_clear)
        found = tuple(dict.fromkeys((*self.exact, *ranking.found)))
        is_clear = self.is_exact if self.exact else ranking.is_clear
        total = len(self.scope.entries)
        return ToolsFound(search.key, found[: max(search.limit, 0)], is_clear, total)


class ToolIndex:
    """Everything that servers offer, by rows.

    Raises:
        RpcError: sqlite has no full-text search here.
    """

    def __init__(self) -> None:
        self._texts = FullText()
        self._entries: dict[int, Entry] = {}
        # Hashes of everything that the entries were made of, by their numbers.
        self._made_of: dict[int, int] = {}
        self._rows: dict[str, list[int]] = {}
        self._names = ExactNames()
        self._concepts = ConceptScores()
        self._scopes: dict[_ScopeKey, _Scope] = {}
        self._next = 1

    # --- Changes -----------------------------------------------------------------------------

    def put(self, batch: IndexTools) -> None:
        """Index everything that a row offers, in place of what it offered before, and tidy."""
        for _ in chain(self.put_in_steps(batch), self.tidy_in_steps()):
            pass

    def put_in_steps(self, batch: IndexTools) -> Iterator[None]:
        """Do what `put` does, but for tidying; yield often, so that others have their turn.

        What has not changed stays as it is: a server that starts anew mostly offers the same.
        Nothing may be searched until it ends, and it must run to its end.
        """
        self._scopes.clear()
        before = {self._made_of[number]: number for number in self._rows.pop(batch.row, ())}
        numbers: dict[int, int] = {}
        for offered in batch.offered:
            made_of = _hash_of(batch, offered)
            if made_of in numbers:
                continue
            number = before.pop(made_of, None)
            if number is None:
                entry = read_entry(batch, offered)
                words = {
                    text: read_words(getattr(entry, text), text not in _NAMES) for text in TEXTS
                }
                yield
                number, self._next = self._next, self._next + 1
                self._put(number, entry, words)
                self._made_of[number] = made_of
            numbers[made_of] = number
            yield
        for number in before.values():
            self._remove(number)
            yield
        if numbers:
            self._rows[batch.row] = list(numbers.values())

    def tidy_in_steps(self) -> Iterator[None]:
        """Make searches quicker after changes; may be left at each step, and begun anew."""
        return self._texts.tidy_in_steps()

    def leave_out(self, row: str) -> None:
        """Leave a row out of all searches, also if `put_in_steps` failed on it half-way."""
        self._scopes.clear()
        self._rows.pop(row, None)

    def entries_of(self, row: str) -> list[Entry]:
        """Return what is indexed of a row."""
        return [self._entries[number] for number in self._rows.get(row, ())]

    def _put(self, number: int, entry: Entry, words: dict[str, list[Word]]) -> None:
        self._entries[number] = entry
        self._names.put(number, entry)
        self._concepts.put(number, words)
        self._texts.put(number, words)

    def _remove(self, number: int) -> None:
        entry = self._entries.pop(number)
        del self._made_of[number]
        self._names.remove(number, entry)
        self._concepts.remove(number)
        self._texts.remove(number)

    # --- Searches ----------------------------------------------------------------------------

    def gather_in_steps(self, search: SearchTools) -> Iterator[None]:
        """Gather what a search may answer, unless that is known; yield now and then.

        The search that follows is quicker then. Nothing may be changed until it ends.
        """
        if _scope_key(search) in self._scopes:
            return
        is_tool = search.kind == "tool"
        admits = None if not is_tool or search.names.admits_all else search.names.admits
        entries: dict[int, Entry] = {}
        rows = (numbers for row, numbers in self._rows.items() if row in search.rows)
        for count, number in enumerate(chain.from_iterable(rows)):
            entry = self._entries[number]
            if entry.found.kind == search.kind and (admits is None or admits(entry.shown)):
                entries[number] = entry
            if count % GATHERED == GATHERED - 1:
                yield
        if len(self._scopes) >= SCOPES:
            del self._scopes[next(iter(self._scopes))]
        scope = Scope(tuple(entry.found for entry in entries.values()))
        self._scopes[_scope_key(search)] = _Scope(entries, scope)

    def is_slow(self, search: SearchTools) -> bool:
        """Return whether a search may take so long that it is for a worker thread."""
        return min(len(search.query), QUERY_CHARS) * len(self._entries) > QUICK

    def find(self, search: SearchTools) -> ToolsFound:
        """Return what a query asks for, the best first, by words alone; see `search`."""
        return self.search(search).found(search)

    def search(self, search: SearchTools) -> Answer:
        """Return everything that is worth ranking for a query.

        A query without any word that counts, such as "" or "which of them", asks what there is. So
        its answer is the first entry of each row, then the second of each, and so on: a sample that
        is spread over all servers. A query whose words nobody has is answered with nothing.
        """
        scope = self._scope(search)
        query = search.query[:QUERY_CHARS]
        exact = self._names.find(query, scope.entries)
        numbers = [named.number for named in exact]
        words = read_words(query)[:QUERY_WORDS]
        asks = any(word.stem for word in words)
        if asks:
            scores = self._scores(words, scope)
        else:
            sample = () if exact else _spread(scope.entries)
            scores = dict.fromkeys(islice(sample, CANDIDATES), 0.0)
        ranked = best_first(scores)
        return Answer(
            query if asks else "",
            tuple(scope.entries[number].found for number in numbers),
            len(exact) == 1 or (len(exact) > 1 and exact[0].rank < exact[1].rank),
            tuple(Candidate(scope.entries[number].found, scores[number]) for number in ranked),
            _is_clear([scores[number] for number in ranked[:2]]),
            scope.public,
        )

    def _scores(self, words: Sequence[Word], scope: _Scope) -> dict[int, float]:
        """Return the scores of the best entries in a scope; see the module's docstring."""
        coverage = self._concepts.cover(words)
        by_words = self._scores_by_words(words, scope)
        weight = COVERAGE_WEIGHT / (coverage.whole or 1.0)
        entries, least = scope.entries, LEAST_SHARE * max(coverage.scores.values(), default=0.0)
        scores = {
            number: weight * score
            for number, score in coverage.scores.items()
            if score >= least and number in entries
        }
        for number, score in by_words.items():
            scores[number] = scores.get(number, 0.0) + score
        return {
            number: scores[number] - UNASKED_WEIGHT * self._concepts.unasked(number, coverage)
            for number in best_first(scores)[:RANKED]
        }

    def _scores_by_words(self, words: Sequence[Word], scope: _Scope) -> dict[int, float]:
        """Return the best in a scope by BM25, with their scores as shares of the highest."""
        rarest = self._rarest(words)
        found: list[tuple[int, float]] = []
        # Most searches are for nearly everything; only others need all that match.
        for limit in (2 * CANDIDATES, -1):
            rows = self._texts.best(rarest, limit)
            found = list(islice((row for row in rows if row[0] in scope.entries), CANDIDATES))
            if len(found) == CANDIDATES or len(rows) < limit:
                break
        top = max((score for _, score in found), default=0.0) or 1.0
        return {number: score / top for number, score in found}

    def _rarest(self, words: Sequence[Word]) -> list[str]:
        """Return the words by which texts are searched: common ones would say little, slowly."""
        counts = {
            word.text: count
            for word in words
            if word.text and (count := self._concepts.count(word.stem))
        }
        chosen: list[str] = []
        visits = 0
        for text in sorted(counts, key=counts.__getitem__):
            visits += counts[text]
            if visits > MATCHES and chosen:
                break
            chosen.append(text)
        return chosen

    def _scope(self, search: SearchTools) -> _Scope:
        for _ in self.gather_in_steps(search):
            pass
        key = _scope_key(search)
        scope = self._scopes[key] = self._scopes.pop(key)  # the last one, since it is in use
        return scope


def _hash_of(batch: IndexTools, offered: Searchable) -> int:
    """Return a hash of everything that an entry is made of; of 64 bits, and secret (SipHash)."""
    described = offered.kind, offered.key, offered.shown, bytes(offered.raw)
    return hash((batch.instance, batch.summary, described))


def _scope_key(search: SearchTools) -> _ScopeKey:
    return search.rows, search.names, search.kind


def _spread(entries: dict[int, Entry]) -> Iterator[int]:
    """Yield the numbers of entries, the first of each row first."""
    rows: dict[str, list[int]] = {}
    for number, entry in entries.items():
        rows.setdefault(entry.found.row, []).append(number)
    for numbers in zip_longest(*rows.values()):
        yield from (number for number in numbers if number is not None)


def _is_clear(scores: list[float]) -> bool:
    match scores:
        case [only]:
            return only >= CLEAR_LEAD
        case [first, second]:
            return first - second >= CLEAR_LEAD
        case _:
            return False
