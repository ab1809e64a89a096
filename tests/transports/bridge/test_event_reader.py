"""Server-sent events from bytes that come in any pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transports.bridge import event_reader
from transports.bridge.event_reader import Event, EventReader, TooLarge

STREAM = (
    b": keep-alive\n\n"
    b"id: 0-0\nretry: 1000\ndata: \n\n"
    b"id: 0-1\r\ndata: one\r\ndata:two\r\n\r\n"
    b"event: ping\rdata: {}\r\r"
    b"id: \0\nunknown: x\ndata: last\n\n"
    b"data: never ended"
)
EVENTS = [
    Event("0-1", b"one\ntwo"),
    Event("0-1", b"{}", "ping"),
    Event("0-1", b"last"),
]


@given(st.lists(st.integers(0, len(STREAM))))
def test_events_are_the_same_however_the_bytes_come(cuts: list[int]) -> None:
    reader = EventReader()
    edges = [0, *sorted(cuts), len(STREAM)]
    found = [event for begin, end in pairwise(edges) for event in reader.feed(STREAM[begin:end])]
    assert found == EVENTS
    assert (reader.last_id, reader.retry_ms) == ("0-1", 1000)


def test_event_without_an_end_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_reader, "EVENT_LIMIT_BYTES", 100)
    reader = EventReader()
    for _ in range(16):
        reader.feed(b"data: 456\n")
    with pytest.raises(TooLarge):
        reader.feed(b"data: " + b"x" * 50)
