"""`mcp-router import`: what it shows, asks, writes, and its exit status."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from router.cli.main import main
from router.cli.setup.import_report import files_chosen
from router.client_files.clients.client import Machine
from router.client_files.reading.discovery import ReadFile
from router.secret_store.store import SecretStore
from tests.router.client_files.shapes import SHAPES

CURSOR = {"mcpServers": {"db": {"command": "db-server", "env": {"DB_PASSWORD": "hunter2"}}}}


@pytest.fixture(autouse=True)
def _user(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        *("XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR", "CODEX_HOME", "COLUMNS"),
        *("APPDATA", "LOCALAPPDATA"),
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home / "user"))
    monkeypatch.setenv("USERPROFILE", str(home / "user"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    (home / "config.json").write_text("{}")


def put(home: Path, name: str, content: object) -> Path:
    path = home / "user" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def entry(home: Path, name: str) -> dict[str, Any]:
    return json.loads((home / "data" / name / "mcp_settings.json").read_text("utf-8"))


class Terminal(io.StringIO):
    """A terminal at which somebody types."""

    def isatty(self) -> bool:
        return True


def type_in(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(text))


# --- Importing -------------------------------------------------------------------------------


def test_servers_of_a_client_become_instances_and_their_secrets_are_kept_apart(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = put(home, ".cursor/mcp.json", CURSOR)
    before = path.read_bytes()
    assert main(["import", "cursor", "--yes"]) == 0
    assert entry(home, "db") == {
        "provider": "db",
        "name": "db",
        "command": "db-server",
        "env": {"DB_PASSWORD": "${secret:DB_PASSWORD}"},
    }
    assert SecretStore(home / "secrets.json", {}).get("DB_PASSWORD") == "hunter2"
    assert path.read_bytes() == before
    out = "".join(capsys.readouterr())
    assert "Added: db\n" in out
    assert "not encrypted: DB_PASSWORD\n" in out
    assert "hunter2" not in out


def test_second_import_does_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(home, ".cursor/mcp.json", CURSOR)
    main(["import", "--all", "--yes"])
    written = entry(home, "db"), (home / "secrets.json").read_bytes()
    capsys.readouterr()
    assert main(["import", "--all"]) == 0
    assert (entry(home, "db"), (home / "secrets.json").read_bytes()) == written
    assert "There is nothing to import.\n" in capsys.readouterr().out


def test_dry_run_shows_all_and_writes_nothing(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(home, ".cursor/mcp.json", CURSOR)
    assert main(["import", "--dry-run"]) == 0
    assert not (home / "data").exists()
    assert not (home / "secrets.json").exists()
    out = capsys.readouterr().out
    assert "db" in out
    assert "Nothing was written: this was a dry run.\n" in out


def test_file_of_any_client_can_be_named(home: Path) -> None:
    path = put(home, "elsewhere/codex.toml", '[mcp_servers.db]\ncommand = "db-server"')
    assert main(["import", str(path), "--yes"]) == 0
    assert entry(home, "db")["command"] == "db-server"


def test_broken_file_and_what_cannot_be_imported_are_problems(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = put(home, ".cursor/mcp.json", "{")
    put(home, ".lmstudio/mcp.json", {"mcpServers": {"a": {"command": "x"}, "b": {}}})
    assert main(["import", "cursor", "lm-studio", "--yes"]) == 1
    assert entry(home, "a")["command"] == "x"
    captured = capsys.readouterr()
    assert f"{broken}: line 1, column 2" in captured.err
    assert "b of LM Studio: there is neither a command nor a url\n" in captured.out


def test_failure_midway_says_what_was_done(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(home, ".cursor/mcp.json", {"mcpServers": {"a": {"command": "x"}, "b": {"command": "y"}}})
    (home / "data" / "a").mkdir(parents=True)
    (home / "data" / "a" / "mcp_settings.json").write_text("{")
    assert main(["import", "cursor", "--yes"]) == 1
    captured = capsys.readouterr()
    assert "a was not imported: data/a/mcp_settings.json: " in captured.err
    assert "Added: b\n" in captured.out
    assert captured.out.endswith("To see whether they run: mcp-router\n")


# --- Questions -------------------------------------------------------------------------------


def test_without_a_yes_nothing_is_written(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put(home, ".cursor/mcp.json", CURSOR)
    type_in(monkeypatch, "n\n")
    assert main(["import", "cursor"]) == 0
    assert not (home / "data").exists()
    captured = capsys.readouterr()
    assert f"Add 1 server to {home / 'data'}? [y/N] " in captured.err
    assert "Nothing was changed.\n" in captured.out


def test_new_servers_are_asked_for_once_and_each_replacement_by_itself(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    servers = {name: {"command": name} for name in ("a", "b")}
    put(home, ".cursor/mcp.json", {"mcpServers": servers})
    main(["import", "cursor", "--yes"])
    servers = {name: {"command": f"{name}2"} for name in ("a", "b", "c", "d")}
    put(home, ".cursor/mcp.json", {"mcpServers": servers})
    capsys.readouterr()
    type_in(monkeypatch, "y\nn\ny\n")
    assert main(["import", "cursor"]) == 0
    assert [entry(home, name)["command"] for name in "abcd"] == ["a", "b2", "c2", "d2"]
    captured = capsys.readouterr()
    assert captured.err.count("[y/N]") == 3
    assert '    - command: "a"\n    + command: "a2"\n' in captured.out
    assert "Added: c, d\nChanged: b\n" in captured.out


def test_nobody_to_ask_is_an_error_that_names_the_way_out(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(home, ".cursor/mcp.json", CURSOR)
    assert main(["import", "cursor"]) == 1
    assert "give --yes" in capsys.readouterr().err
    assert main(["import"]) == 2
    assert "name them, or give --all" in capsys.readouterr().err
    assert not (home / "data").exists()


def test_without_arguments_the_clients_are_asked_for(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put(home, ".cursor/mcp.json", CURSOR)
    put(home, ".lmstudio/mcp.json", {"mcpServers": {"a": {"command": "x"}}})
    type_in(monkeypatch, "3\n2\ny\n")
    assert main(["import"]) == 0
    captured = capsys.readouterr()
    assert f" 2  LM Studio: {Path('~/.lmstudio/mcp.json')} (1 server)\n" in captured.out
    assert "expected numbers from 1 to 2" in captured.err
    assert [folder.name for folder in (home / "data").iterdir() if folder.is_dir()] == ["a"]


def test_end_of_input_takes_no_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(home, ".cursor/mcp.json", CURSOR)
    type_in(monkeypatch, "")
    assert main(["import"]) == 0
    assert not (home / "data").exists()


def test_answers_are_numbers_or_words(tmp_path: Path) -> None:
    files = [ReadFile(tmp_path / name, "") for name in "abc"]
    a, b, c = files
    assert files_chosen(files, "\n") == files_chosen(files, "ALL\n") == [a, b, c]
    assert files_chosen(files, "none") == []
    assert files_chosen(files, "3, 1 1") == [c, a]
    for answer in ("0", "4", "1,x", "1-2", "²"):
        assert files_chosen(files, answer) is None


# --- Usage -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["curser"], "there is no client 'curser'. Did you mean 'cursor'"),
        (["cursor", "--all"], "name clients and files, or give --all, but not both"),
    ],
)
def test_words_that_make_no_sense_are_usage_errors(
    words: list[str], problem: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import", *words]) == 2
    assert problem in capsys.readouterr().err


def test_missing_file_is_an_error(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "./nothing.json"]) == 1
    assert f"{home / 'nothing.json'}: there is no such file\n" in capsys.readouterr().err


def test_client_without_a_file_is_said(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "jetbrains"]) == 0
    captured = capsys.readouterr()
    assert "JetBrains Junie and GitHub Copilot in JetBrains IDEs: there is no file" in captured.err
    assert "No servers were found.\n" in captured.out


# --- What is shown ---------------------------------------------------------------------------


def put_much(home: Path) -> None:
    put(
        home,
        ".cursor/mcp.json",
        {
            "mcpServers": {
                "Brave Search": {"command": "npx", "args": ["brave"], "env": {"KEY": "${NO_KEY}"}},
                "文件服务": {"url": "https://x.example", "headers": {"X-Api-Key": "hunter2"}},
                "evil\x1b[31m": {"command": "x\x1b]0;y\x07", "args": ["[red]z"]},
                "router": {"url": "http://127.0.0.1:3000/mcp"},
            }
        },
    )
    for shape in SHAPES[-2:]:
        shape.put(Machine.this_one())


@pytest.mark.parametrize("columns", [40, 80, 120, 0])
def test_everything_is_said_at_any_width(
    columns: int, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_much(home)
    if columns:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr("router.cli.terminal.is_for_a_person", lambda _: True)
    assert main(["import", "--all", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "hunter2" not in out
    lines = out.splitlines()
    if columns:
        assert max(map(_cells, lines)) <= columns
    squeezed = "".join(out.split())
    for text in (
        *("Brave-Search", "文件服务", "variable NO_KEY", "NO_KEY", "[red]z", "skipped"),
        *("Cursor", "GitHub", "router of Cursor: is this router"),
        '"Brave Search" is called Brave-Search here',
    ):
        assert text.replace(" ", "") in squeezed


def _cells(line: str) -> int:
    return sum(2 if "\u2e80" <= character <= "\uffef" else 1 for character in line)


def test_columns_are_aligned_with_chinese_names(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_much(home)
    main(["import", "cursor", "--dry-run"])
    header, *rows = capsys.readouterr().out.splitlines()[:4]
    column = header.index("From")
    starts = {_cells(row[: row.index("Cursor")]) for row in rows}
    assert starts == {column}


def test_command_for_each_missing_secret_is_shown(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(
        home,
        ".lmstudio/mcp.json",
        {"mcpServers": {"db": {"command": "x", "args": ["${input:db-url}"]}}},
    )
    assert main(["import", "lm-studio", "--yes"]) == 0
    assert "Missing: mcp-router secret set db-url\n" in capsys.readouterr().out
    assert entry(home, "db")["args"] == ["${secret:db-url}"]


def test_many_clients_of_one_server_are_counted_and_projects_named(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    servers = {"mcpServers": {"a": {"command": "x"}}}
    for name in (".cursor", ".lmstudio", ".gemini"):
        put(home, f"{name}/{'settings' if name == '.gemini' else 'mcp'}.json", servers)
    put(home, ".codeium/windsurf/mcp_config.json", servers)
    (home / ".mcp.json").write_text(json.dumps({"mcpServers": {"b": {"command": "y"}}}))
    assert main(["import", "--all", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "  Cursor, Windsurf and 2 more  " in out
    assert "  Claude Code (project)  " in out


def test_json_says_everything_and_nothing_secret(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_much(home)
    assert main(["import", "--all", "--yes", "--json"]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert captured.err == ""
    assert "hunter2" not in captured.out
    assert [file["client"] for file in document["files"]] == [
        "Cursor",
        "GitHub Copilot in JetBrains IDEs",
        "LM Studio",
    ]
    servers = {server["name"]: server for server in document["servers"]}
    assert servers["文件服务"] == {
        "name": "文件服务",
        "state": "new",
        "reason": None,
        "from": [
            {
                "client": "cursor",
                "path": str(home / "user" / ".cursor" / "mcp.json"),
                "scope": "user",
                "place": "mcpServers.文件服务",
            }
        ],
        "entry": {
            "url": "https://x.example",
            "headers": {"X-Api-Key": "${secret:SERVER_X_API_KEY}"},
        },
        "missing": [],
        "notes": [],
        "differences": [],
        "secrets": ["SERVER_X_API_KEY"],
        "done": True,
        "problem": None,
    }
    assert servers["router"]["done"] is False
    assert servers["Brave-Search"]["missing"] == ["variable NO_KEY"]
    assert [origin["client"] for origin in servers["files"]["from"]] == [
        "copilot-jetbrains",
        "lm-studio",
    ]
