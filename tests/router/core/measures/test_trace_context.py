"""The trace context in `_meta`: what is read, what is refused, what goes on to the server."""

from typing import Any

import pytest

from router.core.measures.trace_context import (
    STATE_LIMIT,
    read_trace_context,
    traceparent_of,
    with_trace_context,
)
from router.core.text.raw_json import raw_of
from router.messages.observability.records import TraceContext

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


def read(**meta: Any) -> TraceContext | None:
    return read_trace_context({key: raw_of(value) for key, value in meta.items()})


@pytest.mark.parametrize(
    ("flags", "is_sampled", "is_random"),
    [("00", False, False), ("01", True, False), ("02", False, True), ("ff", True, True)],
)
def test_traceparent_is_read_with_its_flags(flags: str, is_sampled: bool, is_random: bool) -> None:
    expected = TraceContext(TRACE, SPAN, is_sampled=is_sampled, is_random=is_random)
    assert read(traceparent=f"00-{TRACE}-{SPAN}-{flags}") == expected


@pytest.mark.parametrize("more", ["", "-", "-what the future brings"])
def test_a_later_version_may_have_more_fields(more: str) -> None:
    found = read(traceparent=f"cc-{TRACE}-{SPAN}-01{more}")
    assert found == TraceContext(TRACE, SPAN, is_random=False)


@pytest.mark.parametrize(
    "traceparent",
    [
        None,
        7,
        ["00"],
        "",
        "t",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01 ",
        f"00-{TRACE}-{SPAN}-01\n",
        f" 00-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01more",
        f"ff-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN.upper()}-01",
        f"00-{TRACE}-{SPAN}-0A",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{chr(0x661) * 32}-{SPAN}-01",
    ],
)
def test_a_traceparent_that_is_none_counts_as_absent(traceparent: Any) -> None:
    assert read(traceparent=traceparent, tracestate="a=1") is None


def test_absent_traceparent_is_none() -> None:
    assert read(tracestate="a=1") is None


def test_tracestate_is_kept_as_it_came_up_to_its_limit() -> None:
    parent = f"00-{TRACE}-{SPAN}-01"
    longest = "a=" + "1" * (STATE_LIMIT - 2)
    states = [longest, longest + "1", 5]
    found = [read(traceparent=parent, tracestate=state) for state in states]
    assert [one.state for one in found if one is not None] == [longest, "", ""]


@pytest.mark.parametrize("flags", ["00", "01", "02", "03"])
def test_what_is_written_is_read_again(flags: str) -> None:
    text = f"00-{TRACE}-{SPAN}-{flags}"
    context = read(traceparent=text)
    assert context is not None
    assert traceparent_of(context) == text


def test_the_server_is_told_of_the_routers_span_and_gets_the_rest_as_it_is() -> None:
    meta = {"traceparent": "of the client", "tracestate": "a=1", "baggage": "b=2", "x": 1}
    context = TraceContext(TRACE, "b" * 16, SPAN, is_random=False)
    assert with_trace_context(meta, context) == meta | {"traceparent": f"00-{TRACE}-{'b' * 16}-01"}
    assert meta["traceparent"] == "of the client"


def test_a_trace_that_begins_here_has_no_tracestate() -> None:
    meta = {"traceparent": "invalid", "tracestate": "a=1", "baggage": "b=2"}
    sent = with_trace_context(meta, TraceContext(TRACE, SPAN))
    assert sent == {"traceparent": f"00-{TRACE}-{SPAN}-03", "baggage": "b=2"}
