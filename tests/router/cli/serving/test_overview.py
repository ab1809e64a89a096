"""`mcp-router` alone, in a terminal."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from router.app import run as app_run
from router.cli.main import main
from router.cli.serving.next_steps import next_steps
from tests.router.cli.rest_api.answering import answering, http_response

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(autouse=True)
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)

    def serves(*_: object) -> int:
        raise AssertionError("nothing is to be started")

    monkeypatch.setattr(app_run, "run", serves)


def test_without_a_config_it_says_how_to_begin(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert "mcp-router init" in shown
    assert "mcp-router import" in shown
    assert not list(home.iterdir())


def test_without_a_router_it_says_how_to_serve(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("config.json").write_text("{}")
    (home / "data" / "a").mkdir(parents=True)
    (home / "data" / "a" / "mcp_settings.json").write_text('{"command": "x"}')
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert "No router runs for " in shown
    assert "which has 1 server." in shown
    assert "mcp-router serve" in shown


def test_of_a_running_router_it_says_what_runs_and_where_clients_connect(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = json.dumps([{"name": "a", "state": "ready", "tools_count": 2}])
    about = json.dumps({"endpoints": {"http": "http://127.0.0.1:3000/mcp"}})
    with answering(http_response("200 OK", rows), http_response("200 OK", about)) as (url, _):
        port = int(url.rpartition(":")[2])
        Path("config.json").write_text(json.dumps({"api": {"enabled": True, "port": port}}))
        assert main([]) == 0
    shown = capsys.readouterr().out
    assert "1 of 1 server ready, 2 tools" in shown
    assert "http://127.0.0.1:3000/mcp" in shown


def test_a_mistake_in_the_config_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    Path("config.json").write_text('{"nonsense": 1}')
    assert main([]) == 1
    assert "config.json: nonsense" in capsys.readouterr().err


def test_next_steps_name_the_doctor_where_a_server_is_down() -> None:
    doctor = ("Find what is wrong", "mcp-router doctor")
    assert doctor in next_steps({}, ["ready", "failed"])
    assert doctor not in next_steps({}, ["ready", "idle", "starting"])
    assert doctor not in next_steps({}, [])
