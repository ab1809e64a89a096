"""`check`, `status` and `logs` on the command line."""

from __future__ import annotations

import gc
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from router.cli import follow_log as router_follow
from router.cli import status
from router.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of its own to run in; the collector stays on."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MCP_ROUTER_CONFIG", raising=False)
    monkeypatch.delenv("MCP_ROUTER_TOKEN", raising=False)
    yield tmp_path
    gc.enable()


def _configure(**sections: Any) -> None:
    with open("config.json", "w") as file:
        json.dump(sections, file)


def test_check_of_good_files_is_0_and_writes_nothing(
    at_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("No problem in ")
    assert not shown.err
    assert not list(at_home.iterdir())


def test_check_tells_every_problem_on_stderr_and_is_1(capsys: pytest.CaptureFixture[str]) -> None:
    _configure(api={"port": "x"}, nonsense={})
    assert main(["check", "-c", "config.json"]) == 1
    shown = capsys.readouterr()
    assert [line.partition(": ")[2].split(":")[1] for line in shown.err.splitlines()] == [
        " api.port",
        " nonsense",
    ]
    assert shown.out.startswith("2 problems in ")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Stands for a router; whom `status` asked, and with which token."""
    asked: list[tuple[str, str]] = []

    def fetch(url: str, token: str) -> bytes:
        asked.append((url, token))
        return b'[{"name":"a","state":"ready","more":1}]'

    monkeypatch.setattr(status, "fetch", fetch)
    return asked


def test_status_asks_the_router_of_the_config(
    asked: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    _configure(api={"port": 4711}, security={"bearer_token": "s3cret"})
    assert main(["status"]) == 0
    assert asked == [("http://127.0.0.1:4711", "s3cret")]
    shown = capsys.readouterr()
    assert shown.out.splitlines()[1].split()[:2] == ["a", "ready"]
    assert not shown.err


def test_status_gives_the_token_of_the_config_to_no_other_url(
    asked: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _configure(security={"bearer_token": "s3cret"})
    main(["status", "--url", "http://other.test"])
    main(["status", "--url", "http://other.test", "--token", "given"])
    monkeypatch.setenv("MCP_ROUTER_TOKEN", "by-variable")
    main(["status"])
    assert asked == [
        ("http://other.test", ""),
        ("http://other.test", "given"),
        ("http://127.0.0.1:8001", "by-variable"),
    ]


def test_status_as_json_is_what_the_router_said(
    asked: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--json", "--url", "http://x"]) == 0
    assert capsys.readouterr().out == '[{"name":"a","state":"ready","more":1}]\n'


def test_status_cannot_move_the_cursor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"name": "a\u9b00", "last_error": "\x9b2J\u202e\xad\U000e0041\x7f\n"}]
    answer = json.dumps(rows, ensure_ascii=False).replace(", ", ",\r").encode()
    monkeypatch.setattr(status, "fetch", lambda url, token: answer)
    assert main(["status", "--json", "--url", "http://x"]) == 0
    said = capsys.readouterr().out
    assert said.replace("\n", "").isprintable()
    assert "\\u009b2J\\u202e\\u00ad\\udb40\\udc41\\u007f" in said
    assert json.loads(said) == rows
    assert main(["status", "--url", "http://x"]) == 0
    assert capsys.readouterr().out.replace("\n", "").isprintable()


def test_status_of_nobody_is_one_line_and_1(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    assert main(["status", "--url", url]) == 1
    shown = capsys.readouterr()
    assert not shown.out
    (line,) = shown.err.splitlines()
    assert line.startswith(f"mcp-router: {url}: no answer (Connection refused)")


@pytest.mark.parametrize("words", [["logs", "-f"], ["logs", "--follow"], ["logs"]])
def test_logs_follows_the_router_of_the_config(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    followed: list[tuple[str, ...]] = []

    def follow(*whom: str) -> int:
        followed.append(whom)
        return 0

    monkeypatch.setattr(router_follow, "follow", follow)
    _configure(security={"bearer_token": "s3cret"})
    assert main(words) == 0
    assert main([*words, "--url", "http://other.test", "--token", "x", "-l", "error"]) == 0
    assert followed == [
        ("http://127.0.0.1:8001", "s3cret", "DEBUG"),
        ("http://other.test", "x", "ERROR"),
    ]
