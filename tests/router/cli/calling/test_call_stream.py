"""A call over the REST API, with what comes of it while it runs."""

from __future__ import annotations

import io
from typing import Any

import attrs
import pytest

from router.cli.calling.call_stream import ENDED, call, events_in, shown_progress
from router.cli.rest_api.requests import Refused
from router.cli.rest_api.rest_client import RestApi
from router.messages.errors import ConfigError
from tests.router.cli.rest_api.fake_router import event, fake_router

BODY = {"instance": "files", "tool": "read", "params": {}}


@attrs.define
class Notes:
    """Keeps what a call tells."""

    notes: list[Any] = attrs.field(factory=list[Any])

    def progressed(self, done: float, total: float | None, message: str) -> None:
        self.notes.append((done, total, message))

    def logged(self, level: str, text: str) -> None:
        self.notes.append((level, text))


def called(*events: bytes) -> tuple[bytes, list[Any]]:
    """Return the result of a call for which these events come, and what was told before."""
    notes = Notes()
    with fake_router() as router:
        router.answer("POST /api/call", b"".join(events))
        data = call(RestApi(router.url), BODY, notes)
        assert router.bodies("POST /api/call") == [BODY]
    return data, notes.notes


def test_progress_and_log_are_told_before_the_result() -> None:
    data, notes = called(
        b": keep-alive\n",
        event("progress", {"progress": 1, "total": 3, "message": "one\x1b"}),
        event("progress", {"progress": 2}),
        event("progress", {"progress": "odd", "total": None, "message": 1}),
        event("log", {"level": "warning", "data": "hm"}),
        event("log", {"level": "info", "data": {"a": 1}}),
        event("new", {}),
        b'event: result\ndata: {"content": [],\ndata:  "x": 1.10}\n\n',
    )
    assert data == b'{"content": [],\n "x": 1.10}'
    assert notes == [
        (1.0, 3.0, "one\\x1b"),
        (2.0, None, ""),
        (0.0, None, ""),
        ("warning", "hm"),
        ("info", '{"a":1}'),
    ]


def test_an_error_at_last_is_worded_as_one_at_once() -> None:
    body = {"detail": {"error": "Timeout exceeded: 1s", "code": "TIMEOUT"}, "status": 504}
    with pytest.raises(Refused) as caught:
        called(event("progress", {"progress": 1}), event("error", body))
    assert (caught.value.status, str(caught.value)) == (504, "Timeout exceeded: 1s")


def test_a_connection_that_ends_early_is_an_error() -> None:
    with pytest.raises(ConfigError, match=ENDED):
        called(event("progress", {"progress": 1}))


def test_a_router_without_streams_answers_with_json() -> None:
    with fake_router() as router:
        router.answer("POST /api/call", {"content": []})
        assert call(RestApi(router.url), BODY, Notes()) == b'{"content": []}'


def test_events_end_with_an_empty_line_and_lines_may_end_in_two_ways() -> None:
    lines = [b"event: a\r\n", b"data: 1\r\n", b"\r\n", b"data:2\n", b"\n", b"data: cut\n"]
    assert list(events_in(lines)) == [("a", b"1"), ("message", b"2")]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_a_bar_from_the_first_report_on(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    with shown_progress("count", terminal) as progress:
        assert terminal.getvalue() == ""
        progress.progressed(1.0, 2.0, r"[half] \[/]")
        progress.logged("info", "[red]text")
    written = terminal.getvalue()
    assert r"count: [half] \[/]" in written
    assert "50%" in written
    assert "info: [red]text" in written


def test_a_file_has_the_log_alone() -> None:
    stream = io.StringIO()
    with shown_progress("count", stream) as progress:
        progress.progressed(1.0, 2.0, "half")
        progress.logged("info", "text")
    assert stream.getvalue() == "info: text\n"
