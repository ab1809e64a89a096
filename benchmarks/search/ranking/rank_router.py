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
from router.messages.search import SearchTools
from router.search.index import ToolIndex
from router.search.semantic.loading import PACKAGED_MODEL
from router.search.semantic.semantic_reranker import SemanticReranker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.search.ranking.kept_index import KeptIndex
    from router.search.reranking import Candidate, Entry, Ranking, Reranker, Scope

MODEL_LIMIT_S: Final = 90.0
"""For a model to be loaded, and to read all tools."""

_POLL_S: Final = 0.1


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
    if find_spec(PACKAGED_MODEL) is None:
        sys.exit("mcp-router[semantic] is not installed")
    return WatchedReranker(SemanticReranker("", Path.cwd()))


async def _run(task: dict[str, Any], reranker: WatchedReranker | None) -> Outcome:
    catalogues = [Catalogue(**one) for one in task["catalogues"]]
    queries, limit = task["queries"], task["limit"]
    before_mb = resident_mb()
    async with kept_index(reranker) as index:
        index.put(catalogues)
        await index.find(queries[0], limit)
        if reranker is not None:
            await _wait_until_used(index, reranker, queries[0])
        rankings: dict[str, list[str]] = {}
        whole_us: list[float] = []
        for query in queries:
            began_s = time.perf_counter()
            rankings[query] = await index.find(query, limit)
            whole_us.append(1e6 * (time.perf_counter() - began_s))
            if reranker is not None and not reranker.is_used:
                sys.exit("A query was ranked without the model")
        memory_mb = resident_mb() - before_mb
        exact = [
            await index.find(one.direct_name(tool["name"]), 1) == [f"{one.name}/{tool['name']}"]
            for one in catalogues
            for tool in one.tools
        ]
    if reranker is not None:
        return Outcome(rankings, whole_us, memory_mb, sum(exact) / len(exact))
    times_us = _times_us(catalogues, queries, limit)
    return Outcome(rankings, times_us, memory_mb, sum(exact) / len(exact), whole_us)


async def _wait_until_used(index: KeptIndex, reranker: WatchedReranker, query: str) -> None:
    with trio.move_on_after(MODEL_LIMIT_S):
        while not reranker.is_used:
            await trio.sleep(_POLL_S)  # the model has no event to wait for
            await index.find(query, 1)
    if not reranker.is_used:
        sys.exit(f"The model has not read all tools within {MODEL_LIMIT_S:g} s")


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
    for search in [searches[0], *searches]:  # the first one opens the scope
        began_s = time.perf_counter()
        index.find(search)
        times_us.append(1e6 * (time.perf_counter() - began_s))
    return times_us[1:]


def main() -> None:
    """Rank."""
    reranker = _semantic() if "--semantic" in sys.argv[1:] else None
    outcome = trio.run(_run, json.load(sys.stdin), reranker)
    json.dump(attrs.asdict(outcome), sys.stdout)


if __name__ == "__main__":
    main()
