"""What requests say, and what listeners read of messages."""

from __future__ import annotations

import pytest
from msgspec import Raw

from transports.listen.serving.exchange import accepts, code_of, event, is_json, revision_of


@pytest.mark.parametrize(
    ("header", "json", "events"),
    [
        (None, True, False),
        ("", False, False),
        ("*/*", True, False),
        ("application/json", True, False),
        ("text/event-stream", False, True),
        ("Application/JSON;q=0.9 , text/event-stream", True, True),
        ("application/*, text/*", True, True),
        ("text/html, */*;q=0.8", True, False),
        ("text/html", False, False),
    ],
)
def test_accept_is_read(header: str | None, json: bool, events: bool) -> None:
    assert (accepts(header).json, accepts(header).events) == (json, events)


@pytest.mark.parametrize(
    ("kind", "is_it"),
    [
        ("application/json", True),
        ("application/JSON ; charset=utf-8", True),
        ("application/json-patch+json", False),
        (None, False),
    ],
)
def test_content_type_is_read(kind: str | None, is_it: bool) -> None:
    assert is_json(kind) is is_it


def test_event_is_one_line_of_data() -> None:
    assert event(b"{}\n", event_id=b"1-2") == b"event: message\nid: 1-2\ndata: {}\n\n"
    assert event(b"/x", kind=b"endpoint") == b"event: endpoint\ndata: /x\n\n"


def test_result_and_error_of_odd_shapes_say_nothing() -> None:
    assert revision_of(Raw(b'{"protocolVersion":"2025-06-18","x":1}')) == "2025-06-18"
    assert revision_of(Raw(b"[]")) == ""
    assert code_of(Raw(b'{"code":-32022}')) == -32022
    assert code_of(Raw(b'"no"')) == 0
