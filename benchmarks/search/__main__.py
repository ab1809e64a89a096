"""`python -m benchmarks.search`: measures how well tools are found among those of real servers.

Run `make bench-search`, which installs the servers and FastMCP first.
"""

from __future__ import annotations

import argparse
import platform
import sqlite3
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from benchmarks.reporting.report import put
from benchmarks.search.catalogues import copies
from benchmarks.search.listing import catalogues
from benchmarks.search.queries import PARTS, UnknownToolError, check_tools, place_of, read_queries
from benchmarks.search.ranking.loop_delay import measure
from benchmarks.search.ranking.rankers import RANKERS, NotRankedError
from benchmarks.search.real_servers import SERVERS
from benchmarks.search.report import PAGE, cost_table, delay_line, quality_table, targets_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.search.catalogues import Catalogue
    from benchmarks.search.queries import Part, Query
    from benchmarks.search.ranking.rankers import Outcome

LEAST_TOOLS: Final = 400
LEAST_SERVERS: Final = 20
"""With fewer, right tools are found too easily for the figures to say anything."""

INDEXED: Final = 5_000
"""Tools that are indexed while pings are timed."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("--part", choices=(*PARTS, "all"), default="all", help="of the queries")
    parser.add_argument(
        "--misses",
        choices=("tune",),
        help="show the queries whose tool is not among the first five; those of the parts that "
        "rankings are not tuned by are never shown",
    )
    parser.add_argument("--anew", action="store_true", help="ask all servers for their tools again")
    parser.add_argument("--write-docs", action="store_true", help="write tables into docs/search")
    wanted = parser.parse_args()
    if wanted.write_docs and wanted.part != "all":
        parser.error("--write-docs writes a whole run: give no --part")
    if wanted.misses and wanted.part not in ("tune", "all"):
        parser.error("--misses tune needs that part")
    return wanted


def _say(line: str = "") -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _listed(*, anew: bool) -> list[Catalogue]:
    found = catalogues(SERVERS, _say, anew=anew)
    tools = sum(len(one.tools) for one in found)
    if len(found) < LEAST_SERVERS or tools < LEAST_TOOLS:
        sys.exit(
            f"benchmarks.search: {tools} tools of {len(found)} servers; at least {LEAST_TOOLS} of "
            f"{LEAST_SERVERS} are needed. `make bench-search` installs the servers"
        )
    return found


def _outcomes(servers: Sequence[Catalogue], queries: Sequence[Query]) -> dict[str, Outcome]:
    found: dict[str, Outcome] = {}
    for ranker in RANKERS:
        try:
            found[ranker.name] = ranker.run(servers, [one.text for one in queries])
        except NotRankedError as error:
            _say(f"Left out: {ranker.name}: {error}")
    return found


def _show_misses(outcomes: dict[str, Outcome], queries: Sequence[Query]) -> None:
    for name, outcome in outcomes.items():
        _say(f"\nMissed by {name}:")
        for query in queries:
            ranking = outcome.rankings[query.text]
            place = place_of(query, ranking)
            if query.part == "tune" and (place is None or place > 5):
                wanted, found = ", ".join(sorted(query.tools)), ", ".join(ranking[:5])
                _say(f"- {query.text}\n    wanted: {wanted}\n    found: {found or 'nothing'}")


def _machine() -> str:
    """Return what the figures were measured with."""
    used = {
        "python": platform.python_version(),
        "system": platform.system(),
        "sqlite": sqlite3.sqlite_version,
        **{name: version(name) for name in ("trio", "msgspec")},
    }
    return ", ".join(f"{name} {value}" for name, value in used.items())


def main() -> None:
    """Measure, and print the tables."""
    wanted = _arguments()
    servers = _listed(anew=wanted.anew)
    queries = read_queries()
    try:
        check_tools(queries, servers)
    except UnknownToolError as error:
        sys.exit(f"benchmarks.search: {error}")
    parts: tuple[Part, ...] = PARTS if wanted.part == "all" else (wanted.part,)
    queries = [one for one in queries if one.part in parts]
    outcomes = _outcomes(servers, queries)
    tools = sum(len(one.tools) for one in servers)
    section = "\n".join(
        [
            f"{tools} tools of {len(servers)} servers, {len(queries)} queries. Measured with "
            f"{_machine()}.\n",
            quality_table(outcomes, queries, parts),
            cost_table(outcomes),
            delay_line(measure(copies(servers, INDEXED))) + "\n",
            targets_table(outcomes, queries, parts),
        ]
    )
    _say(section)
    if wanted.misses:
        _show_misses(outcomes, queries)
    if wanted.write_docs:
        PAGE.write_text(put(PAGE.read_text(), {"finding": section}))


if __name__ == "__main__":
    main()
