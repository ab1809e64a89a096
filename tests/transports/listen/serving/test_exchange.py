"""Headers of requests."""

from __future__ import annotations

import pytest

from transports.listen.serving.exchange import is_json, parse_accept


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
    assert (parse_accept(header).json, parse_accept(header).events) == (json, events)


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
