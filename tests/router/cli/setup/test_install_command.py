"""`mcp-router install` and `uninstall`: they show, ask, write, say what they did, and undo it."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from typing import TYPE_CHECKING

import pytest

from router.cli.main import main
from tests.router.client_files.shapes import FILES_ENTRY, SHAPES, machine_at

if TYPE_CHECKING:
    from pathlib import Path

CURSOR = SHAPES[2].data
TOKEN = "t" * 40
_FOLDERS = ("XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR", "CODEX_HOME", "GEMINI_CLI_HOME", "COPILOT_HOME")


@pytest.fixture
def user(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of a user whose router has its files in the working directory."""
    for name in _FOLDERS:
        monkeypatch.delenv(name, raising=False)
    user = machine_at(home).home
    monkeypatch.setenv("HOME", str(user))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    (home / "config.json").write_text("{}")
    return user


@pytest.fixture
def cursor(user: Path) -> Path:
    path = user / ".cursor" / "mcp.json"
    path.parent.mkdir()
    path.write_bytes(CURSOR)
    return path


def test_a_client_gets_the_router_and_undo_says_that_it_is_exact(
    cursor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["install", "cursor", "--yes"]) == 0

    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith(f"Cursor: {cursor}\n")
    assert '+\t\t\t"url": "http://127.0.0.1:3000/mcp"\n' in out
    assert out.endswith(
        "Cursor has this router from its next start on.\nTo undo it: mcp-router uninstall cursor\n"
    )

    installed = cursor.read_bytes()
    assert main(["install", "cursor", "--yes"]) == 0
    out = capsys.readouterr().out
    assert out == f"Cursor has this router already; {cursor} stays as it is.\n"
    assert cursor.read_bytes() == installed

    assert main(["uninstall", "cursor", "--yes"]) == 0
    assert capsys.readouterr().out.endswith(f"Cursor: {cursor} is as it was, byte for byte.\n")
    assert cursor.read_bytes() == CURSOR


def test_a_dry_run_writes_nothing_at_all(
    home: Path, cursor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(home.rglob("*"))

    assert main(["install", "--all", "--dry-run"]) == 0

    assert capsys.readouterr().out.endswith("Nothing was written.\n")
    assert sorted(home.rglob("*")) == before
    assert cursor.read_bytes() == CURSOR

    assert main(["install", "cursor", "--yes"]) == 0
    installed = cursor.read_bytes()
    assert main(["uninstall", "--all", "--dry-run"]) == 0
    assert capsys.readouterr().out.endswith("Nothing was written.\n")
    assert cursor.read_bytes() == installed


def test_without_yes_somebody_has_to_agree(
    cursor: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["install", "cursor"]) == 1
    assert "nobody can be asked, since it is no terminal; give --yes" in capsys.readouterr().err

    ours, theirs = os.openpty()
    with open(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        for answer in (b"\n", b"no\n"):
            os.write(ours, answer)
            assert main(["install", "cursor"]) == 0
            out, err = capsys.readouterr()
            assert err == "Change this file? [y/N] "
            assert out.endswith("Nothing was changed.\n")
            assert cursor.read_bytes() == CURSOR
        os.write(ours, b"yes\n")
        assert main(["install", "cursor"]) == 0
        assert cursor.read_bytes() != CURSOR
    os.close(ours)


def test_all_are_those_that_are_here(user: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["install", "--all", "--yes"]) == 1
    assert "none of the clients is on this machine" in capsys.readouterr().err

    (user / ".junie").mkdir()
    (user / ".codex").mkdir()
    assert main(["install", "--all", "--yes"]) == 0

    assert "To undo it: mcp-router uninstall codex junie\n" in capsys.readouterr().out
    assert (user / ".codex" / "config.toml").read_text() == (
        '[mcp_servers.mcp-router]\nurl = "http://127.0.0.1:3000/mcp"\n'
    )
    junie = json.loads((user / ".junie" / "mcp" / "mcp.json").read_text())
    entry = junie["mcpServers"]["mcp-router"]
    assert os.path.isabs(entry["command"])
    assert entry["args"][-2:] == ["-c", str((user.parent / "config.json").resolve())]
    assert "connect" in entry["args"]

    assert main(["uninstall", "--all", "--yes"]) == 0
    assert sorted(user.rglob("*")) == [user / ".codex", user / ".junie"]
    assert main(["uninstall", "--all", "--yes"]) == 0
    assert capsys.readouterr().out.endswith("This router was installed into no client.\n")


def test_a_problem_with_one_client_keeps_no_other_from_being_changed(
    user: Path, cursor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (user / ".junie" / "mcp").mkdir(parents=True)
    broken = user / ".junie" / "mcp" / "mcp.json"
    broken.write_bytes(b'{"mcpServers": ')

    assert main(["install", "junie", "cursor", "--yes"]) == 1

    err = capsys.readouterr().err
    assert err == (f"mcp-router: {broken}: line 1, column 16: invalid JSON: it ends too early\n")
    assert broken.read_bytes() == b'{"mcpServers": '
    assert cursor.read_bytes() != CURSOR


def test_the_token_of_the_router_is_in_no_file_and_not_shown(
    home: Path, cursor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "config.json").write_text(json.dumps({"security": {"bearer_token": TOKEN}}))

    assert main(["install", "cursor", "--yes"]) == 0

    assert b"Bearer ${env:MCP_ROUTER_TOKEN}" in cursor.read_bytes()
    out, err = capsys.readouterr()
    assert "Set MCP_ROUTER_TOKEN to the router's token where Cursor is started." in out
    files = [path for path in home.rglob("*") if path.is_file() and path.name != "config.json"]
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]
    assert TOKEN not in out + err


def test_a_view_is_the_place_of_its_name(
    home: Path, cursor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "config.json").write_text(json.dumps({"profiles": {"work": {}}}))

    assert main(["install", "cursor", "--view", "wrok", "--yes"]) == 1
    assert 'there is no view "wrok"' in capsys.readouterr().err
    assert main(["install", "cursor", "--view", "direct", "--yes"]) == 1
    assert "direct has no place of its own; name a profile" in capsys.readouterr().err
    assert main(["install", "cursor", "--view", "direct", "--standalone", "--dry-run"]) == 0
    assert main(["install", "cursor", "--view", "work", "--yes"]) == 0

    assert b'"http://127.0.0.1:3000/mcp/work"' in cursor.read_bytes()


@pytest.mark.parametrize("kind", ["a profile", "an instance"])
def test_the_name_of_a_kind_of_view_may_be_a_place(home: Path, cursor: Path, kind: str) -> None:
    if kind == "a profile":
        (home / "config.json").write_text(json.dumps({"profiles": {"search": {}}}))
    else:
        (home / "data" / "search").mkdir(parents=True)
        entry = '{"name": "search", "command": "c"}'
        (home / "data" / "search" / "mcp_settings.json").write_text(entry)
    assert main(["install", "cursor", "--view", "search", "--yes"]) == 0
    assert b'"http://127.0.0.1:3000/mcp/search"' in cursor.read_bytes()


def test_standalone_is_a_router_of_its_own(cursor: Path) -> None:
    assert main(["install", "cursor", "--standalone", "--yes"]) == 0

    entry = json.loads(cursor.read_bytes())["mcpServers"]["mcp-router"]
    assert "stdio" in entry["args"]


def test_standalone_finds_the_servers_of_a_user_without_a_config_file_here(
    home: Path, user: Path, cursor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "config.json").unlink()
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "share"))

    assert main(["install", "cursor", "--standalone", "--yes"]) == 0

    args = json.loads(cursor.read_bytes())["mcpServers"]["mcp-router"]["args"]
    config, data = args[args.index("-c") + 1], args[args.index("--data") + 1]
    assert config.endswith("mcp-router/config.json")
    assert data.endswith("mcp-router/data")
    assert os.path.dirname(config) != os.path.dirname(data)


def test_of_a_family_those_that_are_here_are_changed(
    user: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["install", "jetbrains", "--yes"]) == 1
    assert capsys.readouterr().err.count("seems not to be installed") == 2

    (user / ".junie").mkdir()
    assert main(["install", "jetbrains", "--yes"]) == 0

    out, err = capsys.readouterr()
    assert err == ""
    assert "AI Assistant: paste this" in out
    assert (user / ".junie" / "mcp" / "mcp.json").exists()


def test_servers_that_the_router_has_are_moved_out_and_come_back(
    home: Path, cursor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "data" / "files").mkdir(parents=True)
    (home / "data" / "files" / "mcp_settings.json").write_text(json.dumps(FILES_ENTRY))

    assert main(["install", "cursor", "--move", "--yes"]) == 0

    assert list(json.loads(cursor.read_bytes())["mcpServers"]) == ["docs", "mcp-router"]
    assert "npx" not in capsys.readouterr().out
    assert main(["uninstall", "cursor", "--yes"]) == 0
    assert cursor.read_bytes() == CURSOR


def test_another_entry_for_this_router_is_named(
    cursor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cursor.write_bytes(b'{"mcpServers": {"old": {"url": "http://localhost:3000/mcp"}}}')

    assert main(["install", "cursor", "--dry-run"]) == 0
    assert "'old' leads to this router as well; take it out by hand" in capsys.readouterr().err

    assert main(["install", "cursor", "--move", "--yes"]) == 0
    assert list(json.loads(cursor.read_bytes())["mcpServers"]) == ["mcp-router"]


def test_an_entry_that_install_did_not_put_in_is_left_to_its_owner(
    cursor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["uninstall", "cursor", "--yes"]) == 0
    assert capsys.readouterr().out == "Cursor does not have this router.\n"

    by_hand = b'{"mcpServers": {"mcp-router": {"url": "http://127.0.0.1:3000/mcp"}}}'
    cursor.write_bytes(by_hand)
    for chosen in ("cursor", "--all"):
        assert main(["uninstall", chosen, "--yes"]) == 1
        output = capsys.readouterr()
        assert "mcpServers.mcp-router is there, but nothing says that `install`" in output.err
        assert "no client" not in output.out
    assert cursor.read_bytes() == by_hand


def test_an_entry_that_was_changed_is_told_and_left(
    cursor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["install", "cursor", "--yes"]) == 0
    changed = cursor.read_bytes().replace(b":3000", b":4000")
    cursor.write_bytes(changed)

    assert main(["uninstall", "cursor", "--yes"]) == 1
    assert "take it out by hand" in capsys.readouterr().err
    assert cursor.read_bytes() == changed


def test_a_client_that_is_not_here_is_refused_with_a_way_out(
    user: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["install", "zed", "--yes"]) == 1
    folder = user / ".config" / "zed"
    if sys.platform == "linux":
        assert f"there is no {folder}; start it once, or make that folder" in (
            capsys.readouterr().err
        )


def test_text_for_ai_assistant_is_printed(user: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["install", "ai-assistant"]) == 0

    head, _, text = capsys.readouterr().out.partition("\n")
    assert head.startswith("AI Assistant: paste this in Settings")
    assert json.loads(text)["mcpServers"]["mcp-router"]["url"] == "http://127.0.0.1:3000/mcp"


@pytest.mark.parametrize("command", ["install", "uninstall"])
@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["cursro"], "there is no client 'cursro'. Did you mean 'cursor'"),
        ([], "give --all, or clients; there are claude-desktop,"),
        (["cursor", "--all"], "give either clients or --all; there are claude-desktop,"),
    ],
)
def test_a_wrong_name_gets_the_nearest_one(
    command: str, words: list[str], problem: str, user: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, *words]) == 2
    assert problem in capsys.readouterr().err


def test_a_ledger_that_cannot_be_written_changes_no_client(
    home: Path, cursor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "state").write_text("in the way")

    assert main(["install", "cursor", "--yes"]) == 1

    assert f"{cursor} is as it was" in capsys.readouterr().err
    assert cursor.read_bytes() == CURSOR


@pytest.mark.parametrize(("no_color", "has_color"), [("", True), ("1", False)])
def test_a_terminal_gets_colours_unless_they_are_not_wanted(
    no_color: str, has_color: bool, cursor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", no_color)
    ours, theirs = os.openpty()
    with open(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        assert main(["install", "cursor", "--dry-run"]) == 0
        shown = b""
        while not shown.endswith(b"Nothing was written.\r\n"):
            shown += os.read(ours, 65536)
    os.close(ours)

    assert (b"\x1b[32m" in shown) is has_color
    assert b"http://127.0.0.1:3000/mcp" in shown


def _fail_to_replace(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let the disk be full when a file of this name is put in place."""
    replace = os.replace

    def fail(source: str, target: str, **folders: int) -> None:
        if target == name:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target, **folders)

    monkeypatch.setattr(os, "replace", fail)


@pytest.mark.parametrize("name", ["mcp.json", "installed.json"])
def test_a_full_disk_leaves_the_client_as_it_was(
    name: str, cursor: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        _fail_to_replace(patch, name)
        assert main(["install", "cursor", "--yes"]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert cursor.read_bytes() == CURSOR

    assert main(["install", "cursor", "--yes"]) == 0
    installed = cursor.read_bytes()
    with monkeypatch.context() as patch:
        _fail_to_replace(patch, name)
        assert main(["uninstall", "cursor", "--yes"]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert cursor.read_bytes() == (installed if name == "mcp.json" else CURSOR)

    assert main(["uninstall", "cursor", "--yes"]) == 0
    assert cursor.read_bytes() == CURSOR


def test_undo_asks_as_well_and_tells_of_a_file_that_it_cannot_read(
    cursor: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["install", "cursor", "--yes"]) == 0
    installed = cursor.read_bytes()
    ours, theirs = os.openpty()
    with open(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        os.write(ours, b"\n")
        assert main(["uninstall", "cursor"]) == 0
    os.close(ours)
    assert capsys.readouterr().out.endswith("Nothing was changed.\n")
    assert cursor.read_bytes() == installed

    cursor.write_bytes(b"{")
    assert main(["uninstall", "cursor", "--yes"]) == 1
    assert "ends too early" in capsys.readouterr().err


def test_a_file_without_an_install_that_cannot_be_read_is_told(
    cursor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cursor.write_bytes(b"{")
    assert main(["uninstall", "cursor", "--yes"]) == 1
    assert f"{cursor}: line 1, column 2: invalid JSON" in capsys.readouterr().err


def test_an_entry_that_somebody_took_out_is_forgotten(
    cursor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["install", "cursor", "--yes"]) == 0
    cursor.write_bytes(CURSOR)

    assert main(["uninstall", "cursor"]) == 0
    assert capsys.readouterr().out.endswith("Cursor does not have this router any more.\n")
    assert main(["uninstall", "cursor"]) == 0
    assert capsys.readouterr().out == "Cursor does not have this router.\n"


def test_of_a_file_that_is_gone_the_backup_is_named(
    cursor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["install", "cursor", "--yes"]) == 0
    cursor.unlink()
    capsys.readouterr()

    assert main(["uninstall", "cursor"]) == 0

    backup = capsys.readouterr().out.rpartition(" it was ")[2].strip()
    with open(backup, "rb") as file:
        assert file.read() == CURSOR
