"""`targets`: the file that a client reads is the one that is written to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from tests.router.client_files.installing.bench import Bench

if TYPE_CHECKING:
    from pathlib import Path


def test_of_two_files_the_one_that_exists_is_taken(bench: Bench) -> None:
    folder = bench.machine.home / ".config" / "opencode"
    assert bench.target("opencode").path == folder / "opencode.jsonc"
    folder.mkdir(parents=True)
    (folder / "opencode.json").write_bytes(b"{}")
    assert bench.target("opencode").path == folder / "opencode.json"
    (folder / "opencode.jsonc").write_bytes(b"{}")
    assert bench.target("opencode").path == folder / "opencode.jsonc"


def test_the_older_file_of_cline_is_taken_where_it_is_the_only_one(bench: Bench) -> None:
    name = "cline_mcp_settings.json"
    storage = bench.machine.home / ".config/Code/User/globalStorage/saoudrizwan.claude-dev"
    (storage / "settings").mkdir(parents=True)
    (storage / "settings" / name).write_bytes(b"{}")
    assert bench.target("cline").path == storage / "settings" / name


def test_the_file_of_another_program_is_not_taken_for_vs_code(bench: Bench) -> None:
    copilot = bench.machine.home / ".copilot"
    copilot.mkdir()
    (copilot / "mcp-config.json").write_bytes(b"{}")

    target = bench.target("vscode")

    assert target.path.parts[-3:] == ("Code", "User", "mcp.json")
    assert not target.is_here


@pytest.mark.parametrize(
    ("client", "folder"),
    [
        ("claude-code", ".claude"),
        ("claude-desktop", ".config/Claude"),
        ("vscode", ".config/Code"),
        ("windsurf", ".codeium"),
        ("copilot-jetbrains", ".config/github-copilot"),
        ("junie", ".junie"),
    ],
)
def test_a_client_is_known_by_its_own_folder(client: str, folder: str, bench: Bench) -> None:
    assert bench.target(client).folder == bench.machine.home / folder


def test_a_folder_that_a_variable_names_has_to_exist(bench: Bench, tmp_path: Path) -> None:
    machine = attrs.evolve(bench.machine, environ={"CODEX_HOME": "/srv/codex"})
    target = Bench(machine, bench.ledger).target("codex")

    assert str(target.folder) == "/srv/codex"
    assert not target.is_here
    assert tmp_path not in target.folder.parents
