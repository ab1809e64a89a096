"""Gives each call its place in a trace: ids of its own, and whether it is sampled.

Invariant: the decision is that of the SDK's sampler of the same name, so a router and the services
around it agree on which traces there are.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from router.messages.observability.records import TraceContext

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.telemetry.variables import Sampling

_TRACE_BITS: Final = 128
_SPAN_BITS: Final = 64
_RATIO_BITS: Final = 64
"""The low bits of a trace id by which a ratio decides (OpenTelemetry, `TraceIdRatioBased`)."""


class ProcessTracer:
    """Implements the core's `Tracer` (`routing_state`).

    Attributes:
        is_on: False once it turned out that no span can be exported: `begin` returns None then, and
            servers get the `traceparent` of the client. Any thread may clear it.
    """

    def __init__(
        self, sampling: Sampling, random_bits: Callable[[int], int] = random.getrandbits
    ) -> None:
        """Sample calls like this.

        Args:
            sampling: the rule.
            random_bits: returns a number of so many random bits.
        """
        self.is_on = True
        self._is_parent_based = sampling.is_parent_based
        self._bound = round(sampling.ratio * 2**_RATIO_BITS)
        self._random_bits = random_bits

    def begin(self, parent: TraceContext | None) -> TraceContext | None:
        """See `Tracer.begin`."""
        if not self.is_on:
            return None
        span_id = f"{self._random_above_zero(_SPAN_BITS):016x}"
        if parent is None:
            trace = self._random_above_zero(_TRACE_BITS)
            trace_id = f"{trace:032x}"
            return TraceContext(trace_id, span_id, is_sampled=self._is_in_ratio(trace))
        return TraceContext(
            parent.trace_id,
            span_id,
            parent.span_id,
            is_sampled=self._follows(parent),
            is_random=parent.is_random,
            state=parent.state,
        )

    def _follows(self, parent: TraceContext) -> bool:
        if self._is_parent_based:
            return parent.is_sampled
        return self._is_in_ratio(int(parent.trace_id, 16))

    def _is_in_ratio(self, trace_id: int) -> bool:
        return trace_id % 2**_RATIO_BITS < self._bound

    def _random_above_zero(self, bits: int) -> int:
        """Return an id; zero is none (W3C Trace Context, sections 3.2.2.3 and 3.2.2.4)."""
        while True:
            drawn = self._random_bits(bits)
            if drawn:
                return drawn
