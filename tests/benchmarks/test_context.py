"""Rounds in turn, peers that fail, and the rows of loads."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import attrs
import pytest

from benchmarks.context import Context, rows_of_loads, rows_of_timed
from benchmarks.native.native import Load, LoadError
from benchmarks.processor_time import Cost
from benchmarks.proxies.proxy import Kind, Running, Upstream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

UPSTREAMS = [Upstream("echo", ("echo",))]


@attrs.frozen
class FakeProxy:
    """A proxy that is no process; `failing` stands for one that does not start."""

    name: str
    kinds: frozenset[Kind] = frozenset({"http"})
    wrapped: bool = False
    failing: bool = False

    def serve(
        self, kind: Kind, upstreams: Sequence[Upstream], folder: Path
    ) -> AbstractContextManager[Running]:
        assert (kind, list(folder.iterdir())) == ("http", [])
        return self._failing() if self.failing else nullcontext(Running(1, "http://x/"))

    @contextmanager
    def _failing(self) -> Iterator[Running]:
        raise LoadError("It does not start")
        yield

    def command(self, upstreams: Sequence[Upstream], folder: Path) -> list[str]:
        return []

    def called_over_stdio(self, upstreams: Sequence[Upstream]) -> tuple[str, str]:
        return "echo", "{}"


def context_with(
    *peers: FakeProxy, rounds: int = 3, say: Callable[[str], None] = lambda _: None
) -> Context:
    return Context(rounds, seconds=1, starts=1, peers=peers, say=say)


def loaded(calls: int, p50_us: float = 10, p99_us: float = 20) -> Load:
    return Load(calls, 0.5, p50_us, p99_us, calls, 0, 0, 0.1, None)


def failing() -> int:
    raise LoadError("3 wrong answers")


def test_rounds_go_through_all_proxies_in_turn_and_every_other_one_backwards() -> None:
    order: list[str] = []

    def take(name: str) -> Callable[[], int]:
        return lambda: order.append(name) or len(order)

    figures = context_with().interleaved({name: take(name) for name in "abc"})
    assert "".join(order) == "abccbaabc"
    assert figures == {"a": [1, 6, 7], "b": [2, 5, 8], "c": [3, 4, 9]}


def test_peer_that_fails_is_told_of_and_left_out_with_all_its_figures() -> None:
    said: list[str] = []
    turns = iter([1, 2])
    context = context_with(FakeProxy("peer"), say=said.append)
    work = {"peer": lambda: next(turns, 0) or failing(), "router": lambda: 5}
    assert context.interleaved(work) == {"router": [5, 5, 5]}
    assert said == ["peer is left out: 3 wrong answers"]


def test_floor_or_router_that_fails_ends_the_measurement() -> None:
    with pytest.raises(LoadError, match="3 wrong answers"):
        context_with(FakeProxy("peer")).interleaved({"router": failing})


def test_proxies_are_served_side_by_side_without_peers_that_do_not_start() -> None:
    said: list[str] = []
    broken = FakeProxy("broken", failing=True)
    context = context_with(broken, FakeProxy("peer"), say=said.append)
    proxies = context.with_peers("http", [FakeProxy("router")])
    with context.serving("http", proxies, UPSTREAMS) as running:
        assert list(running) == ["router", "peer"]
    assert said == ["broken is left out: It does not start"]


def test_only_peers_that_have_the_transport_take_part() -> None:
    peer = FakeProxy("peer", frozenset({"sse", "stdio"}))
    context = context_with(peer)
    assert context.with_peers("http", []) == []
    assert context.with_peers("sse", []) == [peer]


def test_rows_have_ratios_of_the_same_round() -> None:
    loads = {
        "byte proxy": [loaded(100), loaded(50), loaded(200)],
        "router": [loaded(50), loaded(40, 5, 20), loaded(90)],
    }
    rows = {
        (row.proxy, row.metric): (row.median, row.low, row.high)
        for row in rows_of_loads("http", "16 callers", loads)
    }
    assert rows["router", "calls"] == (100, 80, 180)
    assert rows["router", "ratio"] == (0.5, 0.45, 0.8)
    assert rows["byte proxy", "ratio"] == (1, 1, 1)
    assert rows["router", "p50"] == (10, 5, 10)
    assert rows["router", "tail"] == (2, 2, 4)


def test_processor_time_of_all_processes_is_compared_with_the_base() -> None:
    figures = {
        "byte proxy": [(loaded(100), Cost(0.001, 0.002)), (loaded(100), Cost(0.002, 0.004))],
        "router": [(loaded(100), Cost(0.003, 0.004)), (loaded(50), Cost(0.003, 0.004))],
        "no proxy": [(loaded(100), None), (loaded(100), None)],
    }
    rows = {
        (row.proxy, row.metric): (row.low, row.high)
        for row in rows_of_timed("http", "16 callers", figures)
    }
    assert rows["router", "cpu of a call"] == (30, 60)
    assert rows["router", "cpu ratio"] == (0.5, 0.5)
    assert rows["router", "ratio"] == (0.5, 1)
    assert ("no proxy", "cpu ratio") not in rows


def test_rows_have_no_ratios_without_their_base() -> None:
    rows = rows_of_loads("sse", "16 clients", {"router": [loaded(50)]})
    assert [row.metric for row in rows] == ["calls", "p50", "p99", "tail"]
