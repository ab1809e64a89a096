"""Ranks tools as the router does: by words, or with `--semantic` by meaning as well.

Reads a task as JSON on stdin and writes an `Outcome` on stdout: see `rankers`.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from benchmarks.search.catalogues import Catalogue
from benchmarks.search.ranking.kept_index import kept_index
from benchmarks.search.ranking.memory import resident_mb
from benchmarks.search.ranking.rankers import Outcome
from router.messages.instances.exposure import EVERY_NAME
from router.messages.own_tools.search import SearchTools
from router.search.index import ToolIndex

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.search.ranking.kept_index import KeptIndex
    from router.search.reranking import Candidate, Entry, Ranking, Reranker, Scope

MODEL_LIMIT_S: Final = 90.0
"""For a model to be loaded, and to read all tools."""

_POLL_S: Final = 0.1

ATTEMPTS: Final = 5
"""For a query to be ranked by the model, for which a router waits half a second at most."""

ROUNDS: Final = 5
"""How often all queries are timed."""


class WatchedReranker:
    """A ranking by meaning that is known to have been used or not: the router goes on without."""

    def __init__(self, reranker: Reranker) -> None:
        self._reranker = reranker
        self.is_used = False

    def put(self, row: str, entries: Sequence[Entry]) -> None:
        self._reranker.put(row, entries)

    async def run(self) -> None:
        await self._reranker.run()

    async def rank(
        self, query: str, candidates: Sequence[Candidate], scope: Scope, limit: int
    ) -> Ranking | None:
        ranking = await self._reranker.rank(query, candidates, scope, limit)
        self.is_used = ranking is not None
        return ranking


def _semantic() -> WatchedReranker:
    # Here, since ranking by words needs nothing of them.
    from router.search.semantic.loading import PACKAGED_MODEL
    from router.search.semantic.semantic_reranker import SemanticReranker

    if find_spec(PACKAGED_MODEL) is None:
        sys.exit("mcp-router[semantic] is not installed")
    return WatchedReranker(SemanticReranker("", Path.cwd()))


async def _run(task: dict[str, Any], reranker: WatchedReranker | None) -> Outcome | None:
    """Return the outcome; None if a query was ranked without the model that was to rank."""
    catalogues = [Catalogue(**one) for one in task["catalogues"]]
    queries, limit = task["queries"], task["limit"]
    before_mb = resident_mb()
    async with kept_index(reranker) as index:
        index.put(catalogues)
        await index.find(queries[0], limit)
        if reranker is not None and not await _is_used(index, reranker):
            return None
        asked = _Asked(index, reranker, limit)
        for query in queries:
            if not await asked.ask(query):
                return None
        memory_mb = resident_mb() - before_mb
        exact = [
            await index.find(one.direct_name(tool["name"]), 1) == [f"{one.name}/{tool['name']}"]
            for one in catalogues
            for tool in one.tools
        ]
    times_us = asked.times_us if reranker else _times_us(catalogues, queries, limit)
    share = sum(exact) / len(exact)
    return Outcome(asked.rankings, times_us, memory_mb, share, asked.whole_times_us)


class _Asked:
    """Queries that are asked one by one, with their results and times."""

    def __init__(self, index: KeptIndex, reranker: WatchedReranker | None, limit: int) -> None:
        self._index, self._reranker, self._limit = index, reranker, limit
        self.rankings: dict[str, list[str]] = {}
        self.times_us: list[float] = []
        self.whole_times_us: list[float] = []

    async def ask(self, query: str) -> bool:
        """Ask a query; return whether the model had its say, if there is one."""
        for _ in range(ATTEMPTS):
            began_s, used_s = time.perf_counter(), time.process_time()
            found = await self._index.find(query, self._limit)
            used_us = 1e6 * (time.process_time() - used_s)
            whole_us = 1e6 * (time.perf_counter() - began_s)
            # A model for English leaves other queries to their words.
            if self._reranker is None or self._reranker.is_used or not query.isascii():
                self.rankings[query] = found
                self.times_us.append(used_us)
                self.whole_times_us.append(whole_us)
                return True
        return False


async def _is_used(index: KeptIndex, reranker: WatchedReranker) -> bool:
    """Return whether the model ranks, once it has read all tools."""
    with trio.move_on_after(MODEL_LIMIT_S):
        while not reranker.is_used:
            await trio.sleep(_POLL_S)  # the model has no event to wait for
            await index.find("read what a file says", 1)
    return reranker.is_used


def _times_us(catalogues: Sequence[Catalogue], queries: Sequence[str], limit: int) -> list[float]:
    """Return the times of the ranking alone."""
    index = ToolIndex()
    for catalogue in catalogues:
        index.put(catalogue.index_tools())
    rows = frozenset(one.name for one in catalogues)
    searches = [
        SearchTools(key, query, rows, EVERY_NAME, "tool", limit)
        for key, query in enumerate(queries)
    ]
    times_us: list[float] = []
    index.find(searches[0])  # it opens the scope
    for search in searches * ROUNDS:
        began_s = time.process_time()
        index.find(search)
        times_us.append(1e6 * (time.process_time() - began_s))
    return times_us


def main() -> None:
    """Rank."""
    reranker = _semantic() if "--semantic" in sys.argv[1:] else None
    outcome = trio.run(_run, json.load(sys.stdin), reranker)
    if outcome is None:
        sys.exit(
            "a query was ranked without the model, which has not read all tools or was too slow"
        )
    json.dump(attrs.asdict(outcome), sys.stdout)


if __name__ == "__main__":
    main()
