"""The instances of a running router, as text."""

from __future__ import annotations

import json

import pytest
from rich.cells import cell_len

from router.cli.rest_api.rest_client import RestApi
from router.cli.running.status import (
    MAX_VIEWS,
    Row,
    SessionRow,
    ViewRow,
    duration,
    status_text,
    table,
    views_text,
)
from router.messages.errors import ConfigError
from tests.router.cli.rest_api.answering import answering, http_response


def asked(body: str, *, as_json: bool = False) -> str:
    """Return what is printed when the router answers with this body."""
    with answering(http_response("200 OK", body)) as (url, requests):
        text = status_text(RestApi(url), as_json=as_json)
    assert requests[0].startswith(b"GET /api/status HTTP/1.1\r\n")
    return text


def test_rows_of_other_versions_are_understood() -> None:
    body = '[{"name": "a", "state": "ready", "since_s": 1.5, "calls": 2, "new": [1]}]'
    assert asked(body) == table([Row("a", "ready", 1.5, calls=2)])


def test_json_is_the_answer_itself() -> None:
    body = '[{"name":"a","state":"ready","more":1}]'
    assert asked(body, as_json=True) == body + "\n"


@pytest.mark.parametrize("as_json", [False, True])
def test_answers_cannot_move_the_cursor(*, as_json: bool) -> None:
    rows = [{"name": "a\u9b00", "last_error": "\x9b2J\u202e\xad\U000e0041\x7f\n"}]
    body = json.dumps(rows, ensure_ascii=False).replace(", ", ",\r")
    said = asked(body, as_json=as_json)
    assert said.replace("\n", "").isprintable()
    if as_json:
        assert "\\u009b2J\\u202e\\u00ad\\udb40\\udc41\\u007f" in said
        assert json.loads(said) == rows


@pytest.mark.parametrize("body", ["", "{}", "<html>", '[{"state": 1}]'])
def test_other_programs_are_no_router(body: str) -> None:
    with pytest.raises(ConfigError, match="what answers there is no MCP Router"):
        asked(body)


def test_table_has_a_line_for_each_instance() -> None:
    rows = [
        Row("files", "ready", 4021.4, 0, 11, 1234, 2),
        Row("\u5de5\u5177", "backoff", 1.2, 3, 0, 7, 0, 2.6, "exited with status 1"),
        Row("old", "disabled"),
    ]
    assert table(rows).splitlines() == [
        "INSTANCE  STATE     SINCE  RESTARTS  TOOLS  CALLS          NEXT RETRY  LAST ERROR",
        "files     ready     1h 7m  0         11     1234 (2 open)  -           -",
        "\u5de5\u5177      backoff   1s     3         0      7              in 3s       "
        "exited with status 1",
        "old       disabled  0s     0         0      0              -           -",
        "",
        "1 of 3 ready",
    ]


def test_tokens_have_a_column_where_they_were_counted() -> None:
    replica = SessionRow("files#1")
    rows = [
        Row("files", "ready", tools_count=3, tokens=1_200, replicas=(replica,)),
        Row("new", "starting"),
    ]
    lines = table(rows).splitlines()
    assert [line.split()[4:6] for line in lines[:4]] == [
        ["TOOLS", "TOKENS"],
        ["3", "1,200"],
        ["-", "-"],
        ["0", "-"],
    ]
    assert lines[-1] == "listing all tools costs a model about 1,200 tokens"


def test_views_have_a_line_for_each_choice() -> None:
    rows = [
        ViewRow("claude-code 2.1.7", "direct", "it searches by itself", 3),
        ViewRow("odd\x1b[2J", "search", "more than 10,000 tokens", 1, "work"),
        *[ViewRow("x", "direct", "0 of 1 tokens", 0)] * MAX_VIEWS,
    ]
    lines = views_text(rows).splitlines()
    assert lines[:4] == [
        "",
        "auto views:",
        "claude-code 2.1.7: direct: it searches by itself (3 sessions)",
        "odd\\x1b[2J, view work: search: more than 10,000 tokens",
    ]
    assert lines[-1] == "and 2 more; GET /api/views has them"
    assert views_text([]) == ""


def test_calls_that_wait_are_shown_beside_those_in_flight() -> None:
    rows = [Row("a", calls=9, in_flight=2, waiting=1), Row("b", waiting=3)]
    lines = table(rows).splitlines()
    assert "9 (2 open, 1 waiting)" in lines[1]
    assert "0 (3 waiting)" in lines[2]


def test_sessions_of_clients_stand_below_their_instance() -> None:
    sessions = (SessionRow("a#1", "editor", "ready", 61), SessionRow("a#2", "", "backoff", 1, 2))
    rows = [Row("a", "ready", 61, 2, 11, sessions=sessions), Row("b", "idle")]
    assert table(rows).splitlines() == [
        "INSTANCE        STATE    SINCE  RESTARTS  TOOLS  CALLS  NEXT RETRY  LAST ERROR",
        "a               ready    1m 1s  2         11     0      -           -",
        "  a#1 (editor)  ready    1m 1s  0         -      -      -           -",
        "  a#2           backoff  1s     2         -      -      -           -",
        "b               idle     0s     0         0      0      -           -",
        "",
        "1 of 2 ready, 1 idle",
    ]


def test_replicas_stand_below_their_instance() -> None:
    replicas = (SessionRow("a#1", "", "ready", 61), SessionRow("a#2", "", "backoff", 1, 2))
    rows = [Row("a", "ready", 61, 2, 11, 5, replicas=replicas)]
    assert table(rows).splitlines() == [
        "INSTANCE  STATE    SINCE  RESTARTS  TOOLS  CALLS  NEXT RETRY  LAST ERROR",
        "a         ready    1m 1s  2         11     5      -           -",
        "  a#1     ready    1m 1s  0         -      -      -           -",
        "  a#2     backoff  1s     2         -      -      -           -",
        "",
        "1 of 1 ready",
    ]


def test_tools_as_they_were_last_are_marked_and_the_mark_is_explained() -> None:
    lines = table(
        [Row("a", "starting", tools_count=12, stale=True), Row("b", "ready")]
    ).splitlines()
    assert "12*" in lines[1].split()
    assert "0" in lines[2].split()
    assert lines[-1] == "* as it was last: the server has yet to list its tools"
    assert "*" not in table([Row("b", "ready")])


def test_warnings_stand_below_the_table() -> None:
    rows = [Row("a", warnings=("tools.allow: no\ntool", "x\x1b[2J")), Row("b", warnings=("y",))]
    assert table(rows).splitlines()[-5:] == [
        "0 of 2 ready",
        "",
        "a: tools.allow: no\\ntool",
        "a: x\\x1b[2J",
        "b: y",
    ]


def test_many_warnings_are_counted() -> None:
    rows = [Row("a", warnings=tuple(map(str, range(23))))]
    lines = table(rows).splitlines()
    assert lines[-2:] == ["a: 19", "and 3 more; --json shows all"]


def test_empty_table_says_that_there_are_no_instances() -> None:
    assert table([]) == "There are no instances.\n"


def test_what_a_long_start_does_is_shown_before_the_last_error() -> None:
    row = Row("a", "starting", last_error="exited with status 1", doing="installing x")
    shown = table([row]).splitlines()[1]
    assert shown.endswith("installing x; before that: exited with status 1")


def test_a_reason_that_does_not_fit_comes_whole_below_the_table() -> None:
    reason = "exited with status 1: " + "word " * 30 + "the end"
    session = SessionRow("a#1", state="backoff", last_error=reason, retry_in_s=2.0)
    replica = SessionRow("b#1", state="failed", last_error=reason)
    rows = [
        Row("a", last_error=reason, sessions=(session,)),
        Row("b", last_error="short", replicas=(replica,)),
    ]
    lines = table(rows).splitlines()
    assert lines[1].endswith("wo\u2026")
    assert "in 2s" in lines[2]
    assert lines[-4:] == ["", f"a: {reason}", f"a#1: {reason}", f"b#1: {reason}"]


def test_a_try_that_is_due_is_called_so() -> None:
    assert "due" in table([Row("a", "backoff", retry_in_s=0.0)]).splitlines()[1].split()


def test_many_long_reasons_are_counted() -> None:
    lines = table([Row(f"a{n}", last_error="x" * 200) for n in range(23)]).splitlines()
    assert lines[-2:] == [f"a19: {'x' * 200}", "and 3 more; --json shows all"]


def test_what_a_server_says_cannot_forge_lines_or_fill_the_screen() -> None:
    error = "gone\n\x1b[2Jroot  ready\u202e" + "x" * 20_000
    line, *rest, whole = table([Row("a", last_error=error)]).splitlines()[1:]
    for shown, characters in (line, 220), (whole, 1_001):
        assert "gone\\n\\x1b[2Jroot  ready\\u202exx" in shown
        assert shown.endswith("x\u2026")
        assert len(shown) < characters
    assert rest == ["", "0 of 1 ready", ""]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-1, "0s"),
        (0.4, "0s"),
        (59.4, "59s"),
        (59.6, "1m"),
        (61, "1m 1s"),
        (3600, "1h"),
        (3661, "1h 1m"),
        (86_399, "23h 59m"),
        (86_400 * 12 + 7200, "12d 2h"),
    ],
)
def test_duration_has_its_two_largest_units(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_table_fits_the_terminal_and_nothing_of_it_is_cut_within_a_word() -> None:
    reason = "command not found: 'npx'; install it, give its full path, or add its folder to PATH"
    rows = [Row("\u5de5\u5177", "failed", last_error=reason), Row("files", "ready")]
    for width in (40, 100):
        lines = table(rows, width).splitlines()
        assert max(map(cell_len, lines)) <= width
        words = [word for line in lines for word in line.split()]
        assert set(reason.split()) <= set(words)
        assert "  -" not in lines
