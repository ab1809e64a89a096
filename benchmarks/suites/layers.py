"""Layers: what authentication, argument checks and metrics each cost a call of the router.

The figure is the processor time of the router for one call, which does not depend on what else the
machine does. A layer costs the difference to the router with all of them off, in the same round.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import attrs

from benchmarks.native.native import LoadError
from benchmarks.processor_time import with_processor_time
from benchmarks.proxies.processes import call
from benchmarks.proxies.router import Router
from benchmarks.rows import Row

if TYPE_CHECKING:
    from benchmarks.context import Context
    from benchmarks.proxies.proxy import Running

SUITE: Final = "layers"
CALLERS: Final = 16
MORE_ROUNDS: Final = 4
LOAD: Final = f"HTTP, {CALLERS} callers"
OFF: Final = Router("all off", token=False, check_arguments=False, metrics=False)
LAYERS: Final = (
    Router("authentication", token=True, check_arguments=False, metrics=False),
    Router("argument checks", token=False, check_arguments=True, metrics=False),
    Router("metrics", token=False, check_arguments=False, metrics=True),
    Router("all on", token=True, check_arguments=True, metrics=True),
)


def run(context: Context) -> list[Row]:
    """Load a router with each layer alone, in turn with one that has none.

    As the differences are small, the rounds are short and many.
    """
    context = attrs.evolve(
        context, rounds=context.rounds * MORE_ROUNDS, seconds=context.seconds / 2
    )
    with context.serving("http", [OFF, *LAYERS]) as serving:
        work = {
            name: partial(_time_of_a_call_us, running, context.seconds)
            for name, running in serving.items()
        }
        figures = context.interleaved(work)
    rows: list[Row] = []
    for name, values in figures.items():
        rows.append(Row.of(SUITE, LOAD, name, "cpu of a call", values, "us"))
        if name != OFF.name:
            more = [one - other for one, other in zip(values, figures[OFF.name], strict=True)]
            rows.append(Row.of(SUITE, LOAD, name, "added", more, "us"))
    return rows


def _time_of_a_call_us(running: Running, seconds: float) -> float:
    """Return the processor time of a proxy for one call.

    Raises:
        LoadError: the system does not say it.
    """
    found, taken_s = with_processor_time(
        running.pid, partial(call, "http", running, callers=CALLERS, seconds=seconds)
    )
    if taken_s is None:
        raise LoadError("The processor time of a process is known on Linux only")
    return 1e6 * taken_s / found.sent
