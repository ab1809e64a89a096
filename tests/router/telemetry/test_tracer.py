"""The place of a call in a trace: its ids, and the decision of the sampler."""

import random
from itertools import chain, repeat

import pytest
from opentelemetry.sdk.trace import sampling as sdk
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    set_span_in_context,
)

from router.messages.observability.records import TraceContext
from router.telemetry.tracer import ProcessTracer
from router.telemetry.variables import Sampling

PARENT = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", state="a=1")


def test_a_call_without_a_parent_begins_a_trace() -> None:
    tracer = ProcessTracer(Sampling(), lambda bits: bits)
    assert tracer.begin(None) == TraceContext(f"{128:032x}", f"{64:016x}")


def test_a_call_with_a_parent_goes_on_with_its_trace() -> None:
    tracer = ProcessTracer(Sampling(), lambda _: 0xABC)
    assert tracer.begin(PARENT) == TraceContext(
        PARENT.trace_id, f"{0xABC:016x}", PARENT.span_id, state="a=1"
    )


def test_an_id_is_never_zero() -> None:
    drawn = chain([0, 0, 5, 0], repeat(7))
    tracer = ProcessTracer(Sampling(), lambda _: next(drawn))
    assert tracer.begin(None) == TraceContext(f"{7:032x}", f"{5:016x}")


def test_every_call_has_ids_of_its_own() -> None:
    tracer = ProcessTracer(Sampling())
    places = [tracer.begin(None) for _ in range(100)]
    assert len({place.trace_id for place in places if place}) == 100
    assert len({place.span_id for place in places if place}) == 100


def test_a_tracer_that_is_off_leaves_calls_alone() -> None:
    tracer = ProcessTracer(Sampling())
    tracer.is_on = False
    assert tracer.begin(PARENT) is None


SAMPLERS = [
    (Sampling(1.0, is_parent_based=False), sdk.ALWAYS_ON),
    (Sampling(0.0, is_parent_based=False), sdk.ALWAYS_OFF),
    (Sampling(1.0), sdk.DEFAULT_ON),
    (Sampling(0.0), sdk.DEFAULT_OFF),
    (Sampling(0.3, is_parent_based=False), sdk.TraceIdRatioBased(0.3)),
    (Sampling(0.3), sdk.ParentBasedTraceIdRatio(0.3)),
]


@pytest.mark.parametrize(("sampling", "sampler"), SAMPLERS)
def test_the_decision_is_that_of_the_sdk(sampling: Sampling, sampler: sdk.Sampler) -> None:
    source = random.Random(7)
    tracer = ProcessTracer(sampling, source.getrandbits)
    parents = [
        TraceContext(f"{source.getrandbits(128):032x}", "00f067aa0ba902b7", is_sampled=is_sampled)
        for _ in range(50)
        for is_sampled in (True, False)
    ]
    for parent in [*parents, *[None] * 100]:
        place = tracer.begin(parent)
        assert place is not None
        assert place.is_sampled == _decision_of_sdk(sampler, place, parent)


def _decision_of_sdk(
    sampler: sdk.Sampler, place: TraceContext, parent: TraceContext | None
) -> bool:
    trace_id = int(place.trace_id, 16)
    context = None
    if parent is not None:
        flags = TraceFlags(parent.is_sampled)
        remote = SpanContext(trace_id, int(parent.span_id, 16), is_remote=True, trace_flags=flags)
        context = set_span_in_context(NonRecordingSpan(remote))
    return sampler.should_sample(context, trace_id, "tools/call").decision.is_sampled()
