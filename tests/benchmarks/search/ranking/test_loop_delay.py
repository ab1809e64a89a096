from __future__ import annotations

import pytest

from benchmarks.search.catalogues import Catalogue, copies
from benchmarks.search.ranking import loop_delay
from benchmarks.search.ranking.loop_delay import Delays, measure


def test_delays_are_the_worst_and_the_99th_of_a_hundred() -> None:
    delays = Delays.of([(0.001, 0.001)] * 98 + [(0.002, 0.002), (0.010, 0.001)])
    assert delays.worst_ms == pytest.approx(10.0)
    assert 1.0 < delays.p99_ms < 10.0
    assert delays.worst_used_ms == pytest.approx(2.0)


def test_of_few_pings_the_99th_of_a_hundred_is_no_more_than_the_worst() -> None:
    delays = Delays.of([(0.001, 0.001), (0.002, 0.001), (0.010, 0.001)])
    assert 2.0 < delays.p99_ms <= delays.worst_ms


def test_pings_are_timed_without_and_with_indexing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_delay, "AT_REST_S", 0.01)
    tool = {"name": "read", "description": "Reads a file."}
    delay = measure(copies([Catalogue("files", "", "", [tool] * 20)], 50))
    assert delay.tools == 50
    assert 0 < delay.at_rest.p99_ms <= delay.at_rest.worst_ms
    assert delay.meanwhile.p99_ms > 0
