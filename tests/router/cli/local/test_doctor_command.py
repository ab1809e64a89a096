"""`mcp-router doctor`: a line for each finding, and the exit status."""

from __future__ import annotations

import io
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from router.cli.local import doctor_command
from router.cli.main import main
from router.doctor import diagnosis
from router.version import VERSION
from tests.router.cli.rest_api.answering import unused_url

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at no other process and no other file of this machine."""
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(diagnosis, "find_routers", lambda: ())
    monkeypatch.setattr(diagnosis, "find_owners", lambda _: ())
    (home / "config.json").write_text("{}")
    home.chmod(0o700)


class RouterWithLogin(BaseHTTPRequestHandler):
    """Answers as a router with a remote instance, whose login is not renewed."""

    def do_GET(self) -> None:
        row = {"name": "a", "state": "ready", "transport_type": "http"}
        login = {"instance": "a", "logged_in": True, "expires_at_s": 1.7e9, "renewed": False}
        answers = {"/": {"version": VERSION}, "/api/status": [row, {"name": "b"}]}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answers.get(self.path, login)).encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as its base names it
        """Say nothing."""


class OldRouter(BaseHTTPRequestHandler):
    """Answers as a router with one instance, which is down."""

    def do_GET(self) -> None:
        rows = [{"name": "a", "state": "failed", "last_error": "exited with status 3"}]
        answer = {"version": "1.1.0"} if self.path == "/" else rows
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as its base names it
        """Say nothing."""


def add(home: Path, **entry: Any) -> None:
    (home / "data" / "p").mkdir(parents=True)
    (home / "data" / "p" / "mcp_settings.json").write_text(json.dumps(entry))


def test_notes_alone_are_no_failure(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--url", unused_url()]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:-1] == [
        "note: the router: does not run, so its instances were not looked at; "
        "fix: start it: mcp-router serve --transport http",
        "note: clients: no client of this machine is linked to this router; "
        "fix: mcp-router install CLIENT",
    ]
    assert lines[-1].startswith("2 notes (")


def test_error_has_its_fix_in_the_same_line_and_exit_status_2(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(home, command="x\u202e", env={"T": "${secret:T}"})
    assert main(["doctor", "--url", unused_url()]) == 2
    first = capsys.readouterr().out.splitlines()[0]
    assert first == (
        "error: data/p/mcp_settings.json: env.T: ${secret:T}: there is no secret T; fix: set it "
        "with: mcp-router secret set T"
    )


def test_json_has_every_finding(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "config.json").write_text('{"server": {"tool_names": "dotted"}}')
    assert main(["doctor", "--json", "--url", unused_url()]) == 1
    findings = json.loads(capsys.readouterr().out)
    assert [one["severity"] for one in findings] == ["warning", "note", "note"]
    assert findings[0].keys() == {"severity", "topic", "subject", "problem", "fix"}


def test_instances_of_the_running_router_are_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with HTTPServer(("127.0.0.1", 0), OldRouter) as server:
        thread = threading.Thread(target=lambda: [server.handle_request() for _ in range(2)])
        thread.start()
        assert main(["doctor", "--url", f"http://127.0.0.1:{server.server_port}"]) == 2
        thread.join(30)
    out = capsys.readouterr().out
    assert "error: a: has failed: exited with status 3; fix: mend what the reason says" in out
    assert "is MCP Router 1.1.0, and this program is" in out


def test_login_of_the_running_router_that_ends_is_a_note(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with HTTPServer(("127.0.0.1", 0), RouterWithLogin) as server:
        thread = threading.Thread(target=lambda: [server.handle_request() for _ in range(3)])
        thread.start()
        assert main(["doctor", "--url", f"http://127.0.0.1:{server.server_port}"]) == 0
        thread.join(30)
    assert "note: a: its login ends at 2023-11-14 22:13 UTC" in capsys.readouterr().out


@pytest.mark.parametrize("columns", [40, 80])
def test_in_a_terminal_the_fix_stands_below_its_finding(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    out = io.StringIO()
    terminal = Console(file=out, width=columns, force_terminal=True, color_system=None)
    monkeypatch.setattr(doctor_command, "is_for_a_person", lambda _: True)
    monkeypatch.setattr(doctor_command, "console", lambda: terminal)
    assert main(["doctor", "--url", unused_url()]) == 0
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("note the router: does not run,")
    assert any(line.startswith("     → start it: mcp-router serve") for line in lines)
    assert max(map(len, lines)) <= columns
