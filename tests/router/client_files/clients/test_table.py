from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from router.client_files.clients.client import Machine
from router.client_files.clients.table import (
    CLIENTS,
    UnknownClient,
    client_named,
    files_of,
    find_clients,
)

if TYPE_CHECKING:
    from router.client_files.clients.client import Platform

HOME, CWD = Path("/home/me"), Path("/code/project")


def machine(platform: Platform = "linux", **environ: str) -> Machine:
    return Machine(platform, environ, HOME, CWD)


def first_path(name: str, at: Machine) -> str:
    return files_of(client_named(name), at)[0].path.as_posix()


@pytest.mark.parametrize(
    ("name", "linux", "mac", "windows"),
    [
        (
            "claude-desktop",
            ".config/Claude/claude_desktop_config.json",
            "Library/Application Support/Claude/claude_desktop_config.json",
            "AppData/Roaming/Claude/claude_desktop_config.json",
        ),
        ("claude-code", ".claude.json", ".claude.json", ".claude.json"),
        ("cursor", ".cursor/mcp.json", ".cursor/mcp.json", ".cursor/mcp.json"),
        (
            "vscode",
            ".config/Code/User/mcp.json",
            "Library/Application Support/Code/User/mcp.json",
            "AppData/Roaming/Code/User/mcp.json",
        ),
        ("windsurf", *[".codeium/windsurf/mcp_config.json"] * 3),
        (
            "zed",
            ".config/zed/settings.json",
            ".config/zed/settings.json",
            "AppData/Roaming/Zed/settings.json",
        ),
        ("codex", ".codex/config.toml", ".codex/config.toml", ".codex/config.toml"),
        ("gemini", ".gemini/settings.json", ".gemini/settings.json", ".gemini/settings.json"),
        ("opencode", *[".config/opencode/opencode.jsonc"] * 3),
        ("cline", *[".cline/data/settings/cline_mcp_settings.json"] * 3),
        ("junie", ".junie/mcp/mcp.json", ".junie/mcp/mcp.json", ".junie/mcp/mcp.json"),
        (
            "copilot-jetbrains",
            ".config/github-copilot/intellij/mcp.json",
            ".config/github-copilot/intellij/mcp.json",
            "AppData/Local/github-copilot/intellij/mcp.json",
        ),
        ("lm-studio", ".lmstudio/mcp.json", ".lmstudio/mcp.json", ".lmstudio/mcp.json"),
    ],
)
def test_first_file_of_each_client_is_where_its_documentation_says(
    name: str, linux: str, mac: str, windows: str
) -> None:
    assert first_path(name, machine("linux")) == f"/home/me/{linux}"
    assert first_path(name, machine("darwin")) == f"/home/me/{mac}"
    assert first_path(name, machine("win32")) == f"/home/me/{windows}"


@pytest.mark.parametrize(
    ("name", "variable", "path"),
    [
        ("claude-desktop", "XDG_CONFIG_HOME", "/own/Claude/claude_desktop_config.json"),
        ("claude-code", "CLAUDE_CONFIG_DIR", "/own/.claude.json"),
        ("vscode", "XDG_CONFIG_HOME", "/own/Code/User/mcp.json"),
        ("zed", "FLATPAK_XDG_CONFIG_HOME", "/own/zed/settings.json"),
        ("codex", "CODEX_HOME", "/own/config.toml"),
        ("gemini", "GEMINI_CLI_HOME", "/own/.gemini/settings.json"),
        ("opencode", "XDG_CONFIG_HOME", "/own/opencode/opencode.jsonc"),
        ("opencode", "OPENCODE_CONFIG", "/own"),
        ("cline", "CLINE_MCP_SETTINGS_PATH", "/own"),
        ("cline", "CLINE_DATA_DIR", "/own/settings/cline_mcp_settings.json"),
        ("cline", "CLINE_DIR", "/own/data/settings/cline_mcp_settings.json"),
    ],
)
def test_variable_of_a_client_moves_its_file(name: str, variable: str, path: str) -> None:
    assert first_path(name, Machine("linux", {variable: "/own"}, HOME, CWD)) == path


def test_xdg_folder_that_is_relative_or_empty_is_ignored() -> None:
    for value in ("own", ""):
        at = machine(XDG_CONFIG_HOME=value)
        assert first_path("vscode", at) == "/home/me/.config/Code/User/mcp.json"


def test_roaming_folder_of_windows_is_taken_from_its_variable() -> None:
    at = machine("win32", APPDATA="/roaming", LOCALAPPDATA="/local")
    assert first_path("zed", at) == "/roaming/Zed/settings.json"
    assert first_path("copilot-jetbrains", at) == "/local/github-copilot/intellij/mcp.json"


def test_each_client_has_a_name_of_its_own_and_a_file_of_its_user() -> None:
    names = [client.name for client in CLIENTS]
    assert len(set(names)) == len(names)
    for client in CLIENTS:
        files = files_of(client, machine())
        assert files[0].scope == "user"
        assert {file.client for file in files} == {client.name}


def test_no_two_clients_claim_the_same_table_of_a_file() -> None:
    places = [
        (file.path, file.servers_at) for client in CLIENTS for file in files_of(client, machine())
    ]
    assert len(set(places)) == len(places)


def test_project_files_are_below_the_working_folder_or_in_a_table_of_projects() -> None:
    for client in CLIENTS:
        for file in files_of(client, machine()):
            is_below = file.path.is_relative_to(CWD) or "projects" in file.servers_at
            assert is_below == (file.scope == "project")


def test_family_stands_for_all_its_clients() -> None:
    assert [client.name for client in find_clients("jetbrains")] == ["junie", "copilot-jetbrains"]
    assert [client.name for client in find_clients("zed")] == ["zed"]


@pytest.mark.parametrize("name", ["curser", "", "JETBRAINS"])
def test_unknown_client_is_an_error_that_names_the_known_ones(name: str) -> None:
    with pytest.raises(UnknownClient, match=r"there is no client .*There are claude-desktop, "):
        find_clients(name)


def test_misspelled_client_gets_the_nearest_name() -> None:
    with pytest.raises(UnknownClient, match="Did you mean 'cursor'"):
        find_clients("curser")


def test_reference_of_a_dialect_names_the_variable() -> None:
    assert client_named("cursor").dialect.reference_to("TOKEN") == "${env:TOKEN}"
    assert client_named("gemini").dialect.reference_to("TOKEN") == "$TOKEN"
    assert client_named("claude-desktop").dialect.reference_to("TOKEN") is None
