"""Places that refer to secrets and variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.instance_files.reference_uses import find_secret_uses, find_variable_uses
from tests.router.instance_files.providers import put

if TYPE_CHECKING:
    from pathlib import Path


def test_places_are_found_in_both_kinds_of_files(data: Path) -> None:
    config = data.parent / "config.json"
    config.write_text('{"security": {"bearer_token": "${env:T}${secret:A}"}} // ${secret:NOT}')
    put(data, "p", {"mcpServers": {"x": {"args": ["${secret:A}", "${T}${T}", "${U:-1}"]}}})
    (data / "q").mkdir()
    (data / "q" / "mcp_settings.json").write_text("{")
    token = "config.json: security.bearer_token"
    args = "data/p/mcp_settings.json: mcpServers.x.args"
    assert find_secret_uses(config, data) == {"A": (token, f"{args}[0]")}
    assert find_variable_uses(config, data) == {"T": (token, f"{args}[1]")}


def test_without_files_there_are_none(tmp_path: Path) -> None:
    assert find_secret_uses(tmp_path / "config.json", tmp_path / "data") == {}
