"""`mcp-router systemd` prints units for the installation that it is called from."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from router.cli.local import print_units
from router.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def printed(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Any:
    """Runs the command as it is called in this folder; returns what it prints."""
    program = home / "bin" / "mcp-router"
    program.parent.mkdir()
    program.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(program)])
    monkeypatch.setenv("PATH", "/somewhere/bin:/usr/bin")
    monkeypatch.setattr(print_units, "SYSTEM_CONFIG", home / "etc" / "config.json")

    def run(*words: str) -> str:
        assert main(["systemd", *words]) == 0
        return capsys.readouterr().out

    return run


def _configure(folder: Path, **sections: Any) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(sections))


def test_service_of_the_machine_has_its_files_in_folders_of_the_system(
    printed: Any, home: Path
) -> None:
    text = printed()
    assert f"\nExecStart={home}/bin/mcp-router serve --transport http\n" in text
    assert "Environment=XDG_CONFIG_HOME=%E XDG_DATA_HOME=%S" in text
    assert "/somewhere/bin" not in text
    assert not (home / "config.json").exists()


def test_service_of_a_user_has_this_configuration_and_these_commands(
    printed: Any, home: Path
) -> None:
    _configure(home)
    text = printed("--user", "--data", "elsewhere")
    command = f"{home}/bin/mcp-router serve --transport http --config {home}/config.json"
    assert f"\nExecStart={command} --data {home}/elsewhere\n" in text
    assert "\nEnvironment=PATH=/somewhere/bin:/usr/bin\n" in text


def test_options_are_those_of_the_service(printed: Any, home: Path) -> None:
    text = printed("--transport", "http", "--transport", "sse", "--level", "debug", "-c", "my.json")
    wanted = f"--transport http --transport sse --config {home}/my.json --level DEBUG"
    assert f"mcp-router serve {wanted}\n" in text
    assert f"\nReadWritePaths={home}\n" in text


def test_sockets_are_those_of_the_configuration(printed: Any, home: Path) -> None:
    _configure(home, server={"http": {"port": 4000}}, api={"enabled": True, "host": "::1"})
    text = printed("--socket", "-c", "config.json")
    assert "\nListenStream=127.0.0.1:4000\nListenStream=[::1]:8001\n" in text


def test_service_of_the_machine_has_the_sockets_of_its_own_configuration(
    printed: Any, home: Path
) -> None:
    _configure(home, server={"http": {"port": 4000}})
    _configure(print_units.SYSTEM_CONFIG.parent, server={"http": {"port": 5000}})
    assert "\nListenStream=127.0.0.1:5000\n" in printed("--socket")
    assert "\nListenStream=127.0.0.1:4000\n" in printed("--socket", "--user")


def test_credentials_of_the_service_are_not_asked_for(printed: Any, home: Path) -> None:
    _configure(home / "etc", security={"bearer_token": "${credential:router-token}"})
    assert "serve --transport http\n" in printed()


def test_port_is_for_the_listener_of_the_service(printed: Any) -> None:
    assert "serve --transport http --port 4000\n" in printed("--port", "4000")
    assert "\nListenStream=127.0.0.1:4000\n" in printed("--port", "4000", "--socket")


def test_python_of_this_installation_has_to_be_in_sight(
    printed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/root/python/bin/python3")
    assert "# /root/python/bin/python3 is in a home folder" in printed()


def test_service_on_stdio_is_refused(capsys: Any) -> None:
    assert main(["systemd", "--transport", "stdio"]) == 1
    assert "--transport: a service has no stdio; name http, sse or api" in capsys.readouterr().err


def test_configuration_with_a_mistake_is_said(home: Path, capsys: Any) -> None:
    _configure(home, server={"http": {"port": "x"}})
    assert main(["systemd", "-c", "config.json"]) == 1
    assert "config.json: server.http.port: expected" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--user", "--socket"])
def test_options_of_units_are_for_this_command(home: Path, option: str, capsys: Any) -> None:
    assert main(["serve", option]) == 2
    assert f"{option} is for systemd" in capsys.readouterr().err
