"""Runs each ranking in a process of its own, on the same catalogues and queries.

So each has its own environment, its memory can be measured, and none warms up another. A ranker is
a program that reads a task as JSON on stdin (`catalogues`: name, title, instructions and tools of
each; `queries`: texts; `limit`: results of each) and writes an `Outcome` on stdout.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from benchmarks.search.real_servers import CACHE, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.search.catalogues import Catalogue

LIMIT: Final = 20
"""Results of a query; a tool beyond them counts as not found."""

LIMIT_S: Final = 120.0

_FASTMCP_ENVIRONMENT: Final = ROOT / ".cache" / "bench" / "peers" / "fastmcp"
_EXTRA: Final = CACHE / "semantic"
_FASTMCP_PROGRAM: Final = Path(__file__).parents[2] / "peers" / "rank_fastmcp.py"


class NotRankedError(Exception):
    """A ranking could not be had."""


@attrs.frozen
class Outcome:
    """The results of a ranker and their costs.

    Attributes:
        rankings: query -> the tools that were found as `INSTANCE/TOOL`, the best first.
        times_us: the processor time of ranking for each query, once what is slow to begin with has
            been done.
        memory_mb: what the index and all queries added to the memory of the process.
        exact: the share of all tools that are found first by their own names.
        whole_times_us: the time from a query to its results, with all that is done around the
            ranking.
    """

    rankings: dict[str, list[str]]
    times_us: list[float]
    memory_mb: float
    exact: float
    whole_times_us: list[float]


@attrs.frozen
class Ranker:
    """One ranking.

    Attributes:
        name: its name in tables.
        command: the command of its program.
        packages: a folder of packages beside those of its environment; None for none.
        needs: a file that is there once it is installed; None if it is part of this environment.
    """

    name: str
    command: tuple[str, ...]
    packages: Path | None = None
    needs: Path | None = None

    def run(self, catalogues: Iterable[Catalogue], queries: Iterable[str]) -> Outcome:
        """Index these catalogues, and run these queries.

        Raises:
            NotRankedError: the program is not installed, or has failed.
        """
        if self.needs is not None and not self.needs.exists():
            raise NotRankedError("not installed; `make bench-search` installs it, or says why not")
        task = {
            "catalogues": [attrs.asdict(one) for one in catalogues],
            "queries": list(queries),
            "limit": LIMIT,
        }
        try:
            ended = subprocess.run(
                self.command,
                input=json.dumps(task),
                capture_output=True,
                text=True,
                check=False,
                cwd=ROOT,
                env=self._environment(),
                timeout=LIMIT_S,
            )
        except subprocess.TimeoutExpired as error:
            raise NotRankedError(f"it has not ended within {LIMIT_S:g} s") from error
        if ended.returncode != 0:
            last = ended.stderr.strip().rpartition("\n")[2]
            raise NotRankedError(last or f"it ended with {ended.returncode}")
        return Outcome(**json.loads(ended.stdout))

    def _environment(self) -> dict[str, str] | None:
        if self.packages is None:
            return None
        return {**os.environ, "PYTHONPATH": str(self.packages)}


OURS: Final = Ranker("router", (sys.executable, "-m", "benchmarks.search.ranking.rank_router"))
SEMANTIC: Final = Ranker(
    "router[semantic]",
    (*OURS.command, "--semantic"),
    packages=_EXTRA,
    needs=_EXTRA / "installed",
)

RANKERS: Final = (
    Ranker(
        "FastMCP's BM25",
        (str(_FASTMCP_ENVIRONMENT / "bin" / "python"), str(_FASTMCP_PROGRAM)),
        needs=_FASTMCP_ENVIRONMENT / "installed",
    ),
    OURS,
    SEMANTIC,
)
