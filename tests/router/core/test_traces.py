"""The trace context of a request, on its way from a client to a server of either era."""

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from router.messages.observability.records import CallRecord, TraceContext
from tests.router.core.conversation import (
    Conversation,
    FakeClient,
    FakeUpstream,
    SentRequest,
    spec,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
META = {"traceparent": PARENT, "tracestate": "a=1", "baggage": "b=2"}

Way: TypeAlias = Callable[[FakeClient, Any], SentRequest]


def by_router_tool(client: FakeClient, meta: Any) -> SentRequest:
    return client.routes("echo", _meta=meta)


def by_direct_name(client: FakeClient, meta: Any) -> SentRequest:
    return client.calls("a__echo", {"x": 1}, _meta=meta)


def as_listed(client: FakeClient, meta: Any) -> SentRequest:
    return client.calls("echo", {"x": 1}, _meta=meta)


WAYS = [
    pytest.param("router", by_router_tool, id="mcp.router.call"),
    pytest.param("direct", by_direct_name, id="direct name"),
    pytest.param("a", as_listed, id="transparent view"),
]
ERAS = ["2025-11-25", "2026-07-28"]


def begin(
    view: str, client_era: str, server_era: str, *records: str
) -> tuple[Conversation, FakeClient, FakeUpstream]:
    """A conversation in this view; `records` are the reasons for records."""
    talk = Conversation(view=view, records=frozenset(records))
    talk.configured(spec("a"))
    talk.starting("a")
    upstream = talk.up("a", "echo", revision=server_era)
    client: FakeClient
    if client_era == "2026-07-28":
        client = talk.stateless_client()
    else:
        client = talk.client()
        client.initializes()
    return talk, client, upstream


def trace_in(upstream: FakeUpstream) -> dict[str, Any]:
    """Return what the server is told of the trace with the only frame it got."""
    meta = upstream.sees_one()["params"].get("_meta", {})
    return {key: value for key, value in meta.items() if key in META}


# --- Without traces --------------------------------------------------------------------------


@pytest.mark.parametrize("server_era", ERAS)
@pytest.mark.parametrize("client_era", ERAS)
@pytest.mark.parametrize(("view", "way"), WAYS)
@pytest.mark.parametrize("reasons", [(), ("audit", "metrics")])
def test_without_traces_the_context_passes_as_it_is(
    view: str, way: Way, client_era: str, server_era: str, reasons: tuple[str, ...]
) -> None:
    _, client, upstream = begin(view, client_era, server_era, *reasons)
    for meta in (META, {"traceparent": "no such", "tracestate": 7}, {}):
        way(client, meta)
        assert trace_in(upstream) == meta


# --- With traces -----------------------------------------------------------------------------


@pytest.mark.parametrize("server_era", ERAS)
@pytest.mark.parametrize("client_era", ERAS)
@pytest.mark.parametrize(("view", "way"), WAYS)
def test_the_server_is_a_child_of_the_router_which_is_one_of_the_client(
    view: str, way: Way, client_era: str, server_era: str
) -> None:
    talk, client, upstream = begin(view, client_era, server_era, "traces")
    way(client, META)
    request = upstream.sees_one()
    upstream.answers(request, {"content": []})
    record = the_call(talk)
    assert record.trace == TraceContext(TRACE, f"{1:016x}", SPAN, is_random=False, state="a=1")
    told = {key: value for key, value in request["params"]["_meta"].items() if key in META}
    assert told == META | {"traceparent": f"00-{TRACE}-{1:016x}-01"}


@pytest.mark.parametrize("server_era", ERAS)
@pytest.mark.parametrize("client_era", ERAS)
@pytest.mark.parametrize(("view", "way"), WAYS)
def test_a_trace_begins_where_the_client_has_none(
    view: str, way: Way, client_era: str, server_era: str
) -> None:
    _, client, upstream = begin(view, client_era, server_era, "traces")
    way(client, {})
    assert trace_in(upstream) == {"traceparent": f"00-{1:032x}-{1:016x}-03"}


def test_a_call_without_any_meta_is_traced_too() -> None:
    _, client, upstream = begin("router", *["2025-11-25"] * 2, "traces")
    client.routes("echo")
    assert trace_in(upstream) == {"traceparent": f"00-{1:032x}-{1:016x}-03"}


def test_a_malformed_parent_begins_a_new_trace_without_its_state() -> None:
    _, client, upstream = begin("router", *["2025-11-25"] * 2, "traces")
    by_router_tool(client, META | {"traceparent": PARENT.upper()})
    new = {"traceparent": f"00-{1:032x}-{1:016x}-03", "baggage": "b=2"}
    assert trace_in(upstream) == new


def test_a_call_that_is_not_sampled_says_so_to_the_server() -> None:
    _, client, upstream = begin("router", *["2025-11-25"] * 2, "traces")
    by_router_tool(client, {"traceparent": f"00-{TRACE}-{SPAN}-00"})
    assert trace_in(upstream) == {"traceparent": f"00-{TRACE}-{1:016x}-00"}


def test_a_tracer_that_is_off_leaves_the_context_as_it_is() -> None:
    talk, client, upstream = begin("router", *["2025-11-25"] * 2, "traces")
    talk.tracer.is_on = False
    by_router_tool(client, META)
    assert trace_in(upstream) == META


def test_every_call_has_a_span_of_its_own() -> None:
    _, client, upstream = begin("router", *["2025-11-25"] * 2, "traces")
    for number in (1, 2):
        by_router_tool(client, META)
        assert trace_in(upstream)["traceparent"] == f"00-{TRACE}-{number:016x}-01"


def test_a_call_says_when_it_was_sent() -> None:
    talk = Conversation(records=frozenset({"traces"}))
    talk.configured(spec("a"))
    talk.starting("a")
    client = talk.client()
    client.initializes()
    client.routes("echo")
    talk.time_passes(2.0)
    upstream = talk.up("a", "echo")
    talk.time_passes(3.0)
    upstream.answers(upstream.sees_one(), {"content": []})
    record = the_call(talk)
    assert (record.sent_after_s, record.duration_s) == (2.0, 5.0)


def test_a_call_that_reaches_no_server_was_not_sent_and_has_a_place_in_the_trace() -> None:
    talk, client, upstream = begin("router", *["2025-11-25"] * 2, "traces")
    client.routes("echo", instance="nowhere", _meta=META)
    assert upstream.sees() == []
    record = the_call(talk)
    assert record.sent_after_s is None
    assert record.trace is not None
    assert record.trace.parent_id == SPAN


def the_call(talk: Conversation) -> CallRecord:
    """Return the record of the only call that has ended."""
    (record,) = [one for one in talk.records if isinstance(one, CallRecord)]
    return record
