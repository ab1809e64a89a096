"""`mcp-router init`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from router.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("home")


def test_folder_has_a_config_and_an_example_that_check_finds_good(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", "a b"]) == 0
    assert f"mcp-router serve -c '{home}/a b/config.json'" in capsys.readouterr().out
    assert main(["init", "mcp"]) == 0
    shown = capsys.readouterr()
    assert f"mcp-router serve -c {home}/mcp/config.json" in shown.out
    assert "// Where clients connect" in (home / "mcp" / "config.json").read_text()
    assert main(["check", "-c", "mcp/config.json"]) == 0
    assert "1 instance that can be started" in capsys.readouterr().out


def test_what_is_there_stays(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "config.json").write_text("{}")
    assert main(["init"]) == 1
    assert "config.json: is there already" in capsys.readouterr().err
    assert [path.name for path in home.iterdir()] == ["config.json"]
    (home / "config.json").unlink()
    entry = home / "data" / "example" / "mcp_settings.json"
    entry.parent.mkdir(parents=True)
    entry.write_text(json.dumps({"command": "mine"}))
    assert main(["init"]) == 0
    assert json.loads(entry.read_text()) == {"command": "mine"}
