"""Measures how long indexing many tools keeps everything else in the same loop waiting.

A ping is a message to another task and its answer, as in each call: while `keep_index` indexes,
pings follow each other without a pause, and each is timed.
"""

from __future__ import annotations

import gc
import time
from contextlib import asynccontextmanager
from statistics import quantiles
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs
import trio

from benchmarks.search.ranking.kept_index import kept_index

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from benchmarks.search.catalogues import Catalogue

Ping: TypeAlias = "tuple[float, float]"
"""The time of a ping and the processor time of this thread meanwhile, in seconds."""

AT_REST_S: Final = 0.5
"""The time of pings while nothing is indexed, to compare."""

LEAST_PINGS: Final = 2
"""Without them a share of a hundred makes no sense; a busy machine may make one in a short time."""


@attrs.frozen
class Delays:
    """The times of pings in milliseconds.

    Attributes:
        worst_ms: the longest time that a ping took.
        p99_ms: the 99th of a hundred.
        worst_used_ms: the most processor time that this thread used during a ping: what other
            programs on this machine take is not in it.
    """

    worst_ms: float
    p99_ms: float
    worst_used_ms: float

    @classmethod
    def of(cls, pings: Sequence[Ping]) -> Delays:
        """Return the delays of at least two pings."""
        times_s = [one for one, _ in pings]
        worst_used_s = max(used for _, used in pings)
        # Of few pings, the other method would say more than the worst.
        p99_s = quantiles(times_s, n=100, method="inclusive")[-1]
        return cls(1e3 * max(times_s), 1e3 * p99_s, 1e3 * worst_used_s)


@attrs.frozen
class LoopDelay:
    """The delays of a loop in which an index is built.

    Attributes:
        tools: the number of tools that were indexed.
        indexed_s: the time that took, beside the pings.
        at_rest: pings while nothing was indexed.
        meanwhile: pings while all were.
    """

    tools: int
    indexed_s: float
    at_rest: Delays
    meanwhile: Delays


def measure(catalogues: Sequence[Catalogue]) -> LoopDelay:
    """Index these catalogues, and ping meanwhile."""
    return trio.run(_measure, catalogues)


async def _measure(catalogues: Sequence[Catalogue]) -> LoopDelay:
    commands = [one.index_tools() for one in catalogues]
    # The catalogues are those of the benchmark: a router does not hold them as objects, which the
    # collection of garbage would go through while the index is built.
    gc.collect()
    gc.freeze()
    async with kept_index() as index:
        # What is imported for the first search is no part of indexing.
        await index.find("anything", 1)
        async with _pings() as at_rest:
            await trio.sleep(AT_REST_S)
        async with _pings() as meanwhile:
            began_s = time.perf_counter()
            index.put_made(commands)
            await index.find("anything", 1)
            indexed_s = time.perf_counter() - began_s
    tools = sum(len(one.tools) for one in catalogues)
    gc.unfreeze()
    return LoopDelay(tools, indexed_s, Delays.of(at_rest), Delays.of(meanwhile))


@asynccontextmanager
async def _pings() -> AsyncIterator[list[Ping]]:
    """Have two tasks send each other a message again and again; yield the times so far."""
    to_other, there = trio.open_memory_channel[None](0)
    back, here = trio.open_memory_channel[None](0)
    pings: list[Ping] = []
    are_enough = trio.Event()

    async def answer() -> None:
        async for _ in there:
            await back.send(None)

    async def ping() -> None:
        while True:
            began_s, used_s = time.perf_counter(), time.thread_time()
            await to_other.send(None)
            await here.receive()
            pings.append((time.perf_counter() - began_s, time.thread_time() - used_s))
            if len(pings) == LEAST_PINGS:
                are_enough.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        nursery.start_soon(ping)
        yield pings
        await are_enough.wait()
        nursery.cancel_scope.cancel()
