"""Ranks tools as FastMCP's BM25 search transform does; runs in an environment that has FastMCP.

Reads a `Task` as JSON on stdin and writes an `Outcome` on stdout: see `benchmarks.search.ranking.rankers`. It imports nothing
of this repository.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

from fastmcp.server.transforms.search.bm25 import BM25SearchTransform
from fastmcp.tools.base import Tool

ROUNDS = 5  # how often all queries are timed


def _memory_mb() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def _tools(catalogues: list[dict[str, Any]]) -> dict[str, tuple[str, Tool]]:
    """Return the tools by the names that they have on servers mounted with a namespace."""
    found: dict[str, tuple[str, Tool]] = {}
    for catalogue in catalogues:
        for tool in catalogue["tools"]:
            name = f"{catalogue['name']}_{tool['name']}"
            made = Tool(
                name=name,
                title=tool.get("title"),
                description=tool.get("description"),
                parameters=tool["inputSchema"],
            )
            found[name] = (f"{catalogue['name']}/{tool['name']}", made)
    return found


async def _run(task: dict[str, Any]) -> dict[str, Any]:
    named = _tools(task["catalogues"])
    tools = [tool for _, tool in named.values()]
    before_mb = _memory_mb()
    transform = BM25SearchTransform(max_results=task["limit"])
    rankings: dict[str, list[str]] = {}
    times_us: list[float] = []
    for query in [*task["queries"][:1], *task["queries"]]:  # the first one builds the index
        began_s = time.perf_counter()
        found = await transform._search(tools, query)
        times_us.append(1e6 * (time.perf_counter() - began_s))
        rankings[query] = [named[tool.name][0] for tool in found]
    only_us: list[float] = []
    for query in task["queries"] * ROUNDS:
        began_s = time.process_time()
        transform._index.query(query, task["limit"])
        only_us.append(1e6 * (time.process_time() - began_s))
    memory_mb = _memory_mb() - before_mb
    exact = 0
    for name in named:
        found = await transform._search(tools, name)
        exact += bool(found) and found[0].name == name
    return {
        "rankings": rankings,
        "times_us": only_us,
        "whole_times_us": times_us[1:],
        "memory_mb": memory_mb,
        "exact": exact / len(named),
    }


if __name__ == "__main__":
    json.dump(asyncio.run(_run(json.load(sys.stdin))), sys.stdout)
