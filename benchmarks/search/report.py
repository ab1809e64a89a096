"""Writes rankings and their costs as Markdown."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final

import attrs

from benchmarks.reporting.report import MICRO, markdown_table, number
from benchmarks.search.queries import scores
from benchmarks.search.ranking.rankers import OURS, SEMANTIC
from benchmarks.search.real_servers import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.search.queries import Part, Query
    from benchmarks.search.ranking.loop_delay import LoopDelay
    from benchmarks.search.ranking.rankers import Outcome

PAGE: Final = ROOT / "docs" / "search.md"


@attrs.frozen
class Target:
    """A figure that the router is meant to reach.

    Attributes:
        ranker: the name of the ranker.
        figure: the name of the figure.
        bound: at least this for shares, at most this for times.
    """

    ranker: str
    figure: str
    bound: float


TARGETS: Final = (
    Target(OURS.name, "hit@5, test", 0.85),
    Target(SEMANTIC.name, "hit@5, test", 0.93),
    Target(OURS.name, "hit@5, fresh", 0.85),
    Target(SEMANTIC.name, "hit@5, fresh", 0.93),
    Target(OURS.name, "exact names", 1.0),
    Target(OURS.name, f"{MICRO} a query", 300.0),
)


def quality_table(
    outcomes: Mapping[str, Outcome], queries: Sequence[Query], parts: Sequence[Part]
) -> str:
    """Return a line for each ranking, part and language."""
    lines: list[list[str]] = []
    for part in parts:
        of_part = [one for one in queries if one.part == part]
        for name, outcome in outcomes.items():
            for language, score in scores(outcome.rankings, queries, part).items():
                count = sum(language in ("all", one.language) for one in of_part)
                shares = (score.hit_1, score.hit_5, score.reciprocal_rank)
                cells = [part, language, name, str(count), *(f"{one:.2f}" for one in shares)]
                lines.append(cells)
    header = ["part", "language", "ranking", "queries", "hit@1", "hit@5", "MRR"]
    return markdown_table(header, lines, left=3)


def cost_table(outcomes: Mapping[str, Outcome]) -> str:
    """Return a line for each ranking: times, memory, exact names."""
    base = next(iter(outcomes.values()), None)
    lines: list[list[str]] = []
    for name, outcome in outcomes.items():
        assert base is not None
        time_us = median(outcome.times_us)
        lines.append(
            [
                name,
                number(time_us),
                f"{time_us / median(base.times_us):.2f}",
                number(median(outcome.whole_times_us)),
                number(outcome.memory_mb),
                f"{100 * outcome.exact:.1f} %",
            ]
        )
    header = [
        "ranking",
        f"{MICRO} of processor a query",
        "x the first",
        f"{MICRO} until the results",
        "MB",
        "found first by its name",
    ]
    return markdown_table(header, lines, left=1)


def targets_table(
    outcomes: Mapping[str, Outcome], queries: Sequence[Query], parts: Sequence[Part]
) -> str:
    """Return a line for each target; those of a part that was not run are not measured."""
    lines: list[list[str]] = []
    for target in TARGETS:
        value = _value(target, outcomes, queries, parts)
        is_least = target.bound <= 1
        lines.append(
            [
                target.ranker,
                target.figure,
                f"{'≥' if is_least else '≤'} {target.bound:g}",
                "-" if value is None else number(value),
                _verdict(value, target.bound, is_least=is_least),
            ]
        )
    return markdown_table(["ranking", "figure", "target", "measured", ""], lines, left=2)


def _verdict(value: float | None, bound: float, *, is_least: bool) -> str:
    if value is None:
        return "not measured"
    return "reached" if (value >= bound if is_least else value <= bound) else "not reached"


def _value(
    target: Target,
    outcomes: Mapping[str, Outcome],
    queries: Sequence[Query],
    parts: Sequence[Part],
) -> float | None:
    outcome = outcomes.get(target.ranker)
    if outcome is None:
        return None
    if target.figure == "exact names":
        return outcome.exact
    if target.figure.startswith(MICRO):
        return median(outcome.times_us)
    for part in parts:
        if target.figure == f"hit@5, {part}":
            return scores(outcome.rankings, queries, part)["all"].hit_5
    return None


def delay_line(delay: LoopDelay) -> str:
    """Return a sentence about the delay that indexing brings to a ping in the same loop."""
    return (
        f"Indexing {delay.tools:,} tools takes {delay.indexed_s:.1f} s beside pings in the same "
        f"loop. Meanwhile the worst ping takes {delay.meanwhile.worst_ms:.1f} ms and the 99th of "
        f"a hundred {delay.meanwhile.p99_ms:.1f} ms; without indexing "
        f"{delay.at_rest.worst_ms:.1f} and {delay.at_rest.p99_ms:.2f} ms. In processor time, which "
        f"other programs do not change, the worst takes {delay.meanwhile.worst_used_ms:.1f} ms."
    )
