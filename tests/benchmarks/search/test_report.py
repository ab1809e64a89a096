from __future__ import annotations

import attrs

from benchmarks.search.queries import Query
from benchmarks.search.ranking.loop_delay import Delays, LoopDelay
from benchmarks.search.ranking.rankers import Outcome
from benchmarks.search.report import cost_table, delay_line, quality_table, targets_table

QUERIES = [
    Query("read", frozenset({"a/read"}), "tune"),
    Query("写", frozenset({"a/write"}), "tune"),
    Query("move", frozenset({"a/move"}), "test"),
    Query("移动", frozenset({"a/move"}), "test"),
]
BASE = Outcome(
    {"read": ["a/read"], "写": [], "move": ["a/move"], "移动": []},
    [100.0, 300.0],
    5.0,
    0.9,
    [900.0],
)
OURS = attrs.evolve(
    BASE,
    rankings={"read": ["a/read"], "写": ["a/write"], "move": ["a/move"], "移动": ["a/move"]},
    times_us=[400.0],
    exact=1.0,
    whole_times_us=[450.0],
)


def test_quality_has_a_line_for_each_part_language_and_ranking() -> None:
    table = quality_table({"base": BASE, "router": OURS}, QUERIES, ["tune"])
    assert "| tune | Chinese | base | 1 | 0.00 | 0.00 | 0.00 |" in table
    assert "| tune | all | base | 2 | 0.50 | 0.50 | 0.50 |" in table
    assert "| tune | all | router | 2 | 1.00 | 1.00 | 1.00 |" in table
    assert "test" not in table


def test_costs_are_compared_with_the_first() -> None:
    table = cost_table({"base": BASE, "router": OURS})
    assert "| base | 200 | 1.00 | 900 | 5.00 | 90.0 % |" in table
    assert "| router | 400 | 2.00 | 450 | 5.00 | 100.0 % |" in table


def test_a_target_is_reached_missed_or_not_measured() -> None:
    table = targets_table({"router": OURS}, QUERIES, ["tune", "test"])
    assert "| router | hit@5, test | ≥ 0.85 | 1.00 | reached |" in table
    assert "| router[semantic] | hit@5, test | ≥ 0.93 | - | not measured |" in table
    assert "| router | µs a query | ≤ 300 | 400 | not reached |" in table
    assert "| router | hit@5, test | ≥ 0.85 | - | not measured |" in targets_table(
        {"router": OURS}, QUERIES, ["tune"]
    )


def test_the_delay_is_told_beside_that_without_indexing() -> None:
    line = delay_line(LoopDelay(5000, 1.5, Delays(0.7, 0.03, 0.1), Delays(9.5, 1.6, 2.5)))
    assert "5,000 tools takes 1.5 s" in line
    assert "9.5 ms" in line
    assert "0.7 and 0.03 ms" in line
    assert "worst takes 2.5 ms" in line
