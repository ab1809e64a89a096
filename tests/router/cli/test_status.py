"""The table of `mcp-router status`, and what is said when there is none."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from router.cli.status import Row, duration, fetch, rows_of, table, whom_to_ask
from router.config.settings import Api, Security
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

URL = "http://127.0.0.1:8001"


# --- The table -------------------------------------------------------------------------------


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


def test_table_of_nothing_says_so() -> None:
    assert table([]) == "There are no instances.\n"


def test_what_a_server_says_cannot_forge_lines_or_fill_the_screen() -> None:
    error = "gone\n\x1b[2Jroot  ready\u202e" + "x" * 200
    (line,) = table([Row("a", last_error=error)]).splitlines()[1:-2]
    assert "gone\\n\\x1b[2Jroot  ready\\u202exx" in line
    assert line.endswith("x\u2026")
    assert len(line) < 220


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


# --- Whom to ask -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8001"),
        ("0.0.0.0", "http://127.0.0.1:8001"),
        ("::", "http://[::1]:8001"),
        ("[fd00::1]", "http://[fd00::1]:8001"),
        ("mcp.example.org", "http://mcp.example.org:8001"),
    ],
)
def test_api_is_asked_where_it_can_be_reached(host: str, url: str) -> None:
    assert whom_to_ask(Api(host=host), Security(bearer_token="s3cret")) == (url, "s3cret")


def test_digest_of_a_token_is_no_token() -> None:
    assert whom_to_ask(Api(), Security(bearer_token=f"sha256:{'0f' * 32}")) == (URL, "")


# --- Asking ----------------------------------------------------------------------------------


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives one answer, whatever it is asked; its URL and what it was sent."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(30)
                asked.append(connection.recv(1 << 16))
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", asked
        thread.join(30)


def answer_of(status: str, body: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


@pytest.mark.parametrize("token", ["", "s3cret"])
def test_rows_are_those_of_the_router(token: str) -> None:
    body = '[{"name": "a", "state": "ready", "since_s": 1.5, "calls": 2, "new": [1]}]'
    with answering(answer_of("200 OK", body)) as (url, asked):
        answer = fetch(url + "/", token)
    assert rows_of(answer, url) == [Row("a", "ready", 1.5, calls=2)]
    assert asked[0].startswith(b"GET /api/status HTTP/1.1\r\n")
    assert (b"Authorization: Bearer s3cret\r\n" in asked[0]) is bool(token)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (
            answer_of("401 Unauthorized", '{"detail": "Invalid bearer token"}'),
            "Invalid bearer token. Give --token, or set $MCP_ROUTER_TOKEN",
        ),
        (
            answer_of("403 Forbidden", '{"detail": {"error": "no\\nway", "code": "X"}}'),
            "answered 403: no\\nway",
        ),
        (answer_of("302 Found", "elsewhere"), "answered 302"),
        (
            answer_of("404 Not Found", "another program"),
            "answered 404, so it is no REST API of an MCP Router. Where api.port was taken, the "
            "router has another, which its log names: give it with --url",
        ),
        (answer_of("500 Oops", "[]"), "answered 500"),
        (b"SSH-2.0-nothing\r\n", "no answer (SSH-2.0-nothing"),
        (b"", "no answer (Remote end closed connection without response)"),
    ],
)
def test_other_answers_are_one_line(answer: bytes, problem: str) -> None:
    with answering(answer) as (url, _), pytest.raises(ConfigError) as raised:
        fetch(url, "wrong")
    assert f"{url}: {problem}" in str(raised.value)
    assert len(str(raised.value).strip().splitlines()) == 1


def test_nobody_there_is_one_line_with_a_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(ConfigError) as raised:
        fetch(url, "")
    assert str(raised.value) == (
        f"{url}: no answer (Connection refused). Is the router running, and api.enabled true in "
        "its config.json?"
    )


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b'[{"state": 1}]'])
def test_what_is_no_status_is_no_router(body: bytes) -> None:
    with pytest.raises(ConfigError, match="what answers there is no MCP Router"):
        rows_of(body, URL)


@pytest.mark.parametrize("url", ["127.0.0.1:8001", "ftp://x", "http://", "http://[", "http://x:y"])
def test_what_is_no_url_is_said(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^--url: expected a URL such as http://127\.0\.0\.1"):
        fetch(url, "")
