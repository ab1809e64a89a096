"""The commands that change instances: with a router of fixed answers, and without one."""

from __future__ import annotations

import getpass
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from router.cli.changing import adding
from router.cli.main import main
from tests.router.cli.changing.data_folder import read, serve_at, write

if TYPE_CHECKING:
    from tests.router.cli.rest_api.fake_router import FakeRouter

pytestmark = pytest.mark.usefixtures("home")

STARTING: Final = {"name": "new", "state": "starting", "connected": False, "tools_count": 0}
BROKEN: Final = {"detail": {"error": "Instance 'new' not connected: no", "code": "UNAVAILABLE"}}


def run(router: FakeRouter, *words: str) -> int:
    at = words.index("--") if "--" in words else len(words)
    return main([*words[:at], "--url", router.url, *words[at:]])


# --- restart, enable, disable ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "target"),
    [
        ("restart", "POST /api/instances/files/restart?wait=ready"),
        ("enable", "POST /api/instances/files/enable?wait=ready"),
        ("disable", "POST /api/instances/files/disable"),
    ],
)
def test_a_server_is_switched_and_its_state_is_told(
    router: FakeRouter, capsys: pytest.CaptureFixture[str], command: str, target: str
) -> None:
    router.answer(target, {"status": "success", "instance": "files"})
    assert run(router, command, "files") == 0
    assert capsys.readouterr().out == "files: ready, 2 tools\n"
    assert len(router.bodies(target)) == 1


def test_several_are_switched_although_one_fails(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    router.answer("POST /api/instances/new/restart", {"instance": "new"})
    router.answer("POST /api/instances/files/restart", BROKEN, 503)
    assert run(router, "restart", "files", "fils", "new", "--no-wait") == 1
    captured = capsys.readouterr()
    assert captured.out == "new: ready, 12 tools\n"
    assert captured.err == (
        "mcp-router: Instance 'new' not connected: no\n"
        "mcp-router: fils: there is no such instance. Did you mean files, new?\n"
    )


def test_without_a_router_the_files_are_switched(
    offline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["disable", "files"]) == 0
    assert read(offline, "files")["isActive"] is False
    assert main(["enable", "files"]) == 0
    assert read(offline, "files")["isActive"] is True
    assert main(["enable", "fils"]) == 1
    assert main(["restart", "files"]) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith(f"files: disabled in {offline}; no router runs\n")
    assert "fils: there is no such instance. Did you mean files?" in captured.err
    assert (
        "restart: no router runs; start one with mcp-router serve --transport http" in captured.err
    )


def test_a_router_that_was_named_has_to_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["disable", "files", "--url", "http://127.0.0.1:9"]) == 1
    assert "http://127.0.0.1:9: no answer (Connection refused)" in capsys.readouterr().err


# --- remove ----------------------------------------------------------------------------------


def test_a_server_is_removed_after_a_question(
    router: FakeRouter, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    router.answer("DELETE /api/instances/files", {"status": "success", "removed": "files"})
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert run(router, "remove", "files") == 1
    assert "give --yes" in capsys.readouterr().err
    assert run(router, "remove", "files", "--yes") == 0
    assert capsys.readouterr().out == "files: removed\n"
    assert len(router.bodies("DELETE /api/instances/files")) == 1


def test_a_wrong_name_among_several_removes_nothing(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(router, "remove", "files", "nwe", "--yes") == 1
    assert "nwe: there is no such instance. Did you mean new, files?" in capsys.readouterr().err
    assert not any(target.startswith("DELETE") for target, _ in router.asked)


def test_without_a_router_an_entry_is_removed_from_its_file(
    offline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["remove", "files", "--yes"]) == 0
    assert capsys.readouterr().out == f"files: removed from {offline}\n"
    assert list(offline.glob("*/mcp_settings.json")) == []


# --- add -------------------------------------------------------------------------------------


def test_a_command_is_added_by_the_router(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    target = "POST /api/instances?wait=ready"
    router.answer(target, {"status": "success", "instance_name": "new"}, 201)
    assert run(router, "add", "new", "--env", "LEVEL=debug", "--", "npx", "-y", "x", "--url") == 0
    assert capsys.readouterr().out == "new: ready, 12 tools\n"
    assert router.bodies(target) == [
        {
            "name": "new",
            "provider": "new",
            "type": "stdio",
            "command": "npx",
            "args": ["-y", "x", "--url"],
            "env": {"LEVEL": "debug"},
        }
    ]


def test_a_url_is_added_and_what_keeps_it_from_being_ready_is_told(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    target = "POST /api/instances?wait=ready"
    router.answer(target, BROKEN, 503)
    words = ("add", "文件", "https://x.test/mcp", "--type", "sse", "--header", "X-Team: a")
    assert run(router, *words) == 1
    assert capsys.readouterr().err == (
        "mcp-router: 文件 was added, and is not ready: Instance 'new' not connected: no\n"
    )
    assert router.bodies(target) == [
        {
            "name": "文件",
            "provider": "servers",
            "url": "https://x.test/mcp",
            "type": "sse",
            "headers": {"X-Team": "a"},
        }
    ]


@pytest.mark.parametrize(
    ("status", "detail", "said"),
    [
        (409, {"error": "Instance 'new' already exists", "code": "CONFIG_ERROR"}, "already exists"),
        (422, [{"loc": ["body", "name"], "msg": "no", "type": "x"}], "body.name: no"),
    ],
)
def test_an_entry_that_is_refused_says_why(
    router: FakeRouter, capsys: pytest.CaptureFixture[str], status: int, detail: Any, said: str
) -> None:
    router.answer("POST /api/instances?wait=ready", {"detail": detail}, status)
    assert run(router, "add", "new", "--", "x") == 1
    assert said in capsys.readouterr().err


def test_without_a_router_the_entry_is_written(
    offline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["add", "new", "--env", "API_KEY=${KEY}", "--cwd", ".", "--", "npx", "x"]) == 0
    assert capsys.readouterr().out == f"new: added in {offline}; no router runs\n"
    assert read(offline, "new") == {
        "provider": "new",
        "name": "new",
        "type": "stdio",
        "command": "npx",
        "args": ["x"],
        "cwd": str(Path.cwd()),
        "env": {"API_KEY": "${KEY}"},
    }
    assert main(["add", "new", "--", "y"]) == 1
    assert main(["add", "work", "--", "y"]) == 1
    assert main(["add", "a/b", "--", "y"]) == 1
    said = capsys.readouterr().err
    assert "Instance 'new' already exists" in said
    assert "work: is the name of a profile" in said
    assert "a/b: expected letters, digits" in said
    assert read(offline, "new")["command"] == "npx"


def test_a_typed_secret_is_kept_apart_from_the_entry(
    offline: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr(getpass, "getpass", lambda _: "canary-secret")
    assert main(["add", "new", "--env", "API_KEY", "--", "npx", "x"]) == 0
    assert read(offline, "new")["env"] == {"API_KEY": "${secret:new.API_KEY}"}
    captured = capsys.readouterr()
    assert "canary" not in captured.out + captured.err
    assert "API_KEY is kept as the secret new.API_KEY in" in captured.err
    assert main(["secret", "list"]) == 0
    assert "new.API_KEY" in capsys.readouterr().out
    # Removed and added again, it is replaced; one that something uses is not.
    assert main(["remove", "new", "--yes"]) == 0
    assert main(["add", "new", "--env", "API_KEY", "--", "npx"]) == 0
    assert main(["remove", "new", "--yes"]) == 0
    write(offline, "other", {"command": "x", "env": {"X": "${secret:new.API_KEY}"}})
    assert main(["add", "new", "--env", "API_KEY", "--", "npx"]) == 1
    assert "the secret new.API_KEY: is used in" in capsys.readouterr().err
    assert main(["add", "work", "--env", "API_KEY", "--", "npx"]) == 1
    assert "work: is the name of a profile" in capsys.readouterr().err
    assert "work.API_KEY" not in (offline.parent / "secrets.json").read_text()


def test_a_typed_secret_inside_a_header_is_kept_apart_too(
    offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr(getpass, "getpass", lambda _: "canary-secret")
    variables = {"key": {"isRequired": True, "isSecret": True}}
    header = {"name": "Authorization", "value": "Bearer {key}", "variables": variables}
    remote = {"type": "sse", "url": "https://x.test/sse", "headers": [header]}
    Path("server.json").write_text(json.dumps({"name": "a.b/docs", "remotes": [remote]}))
    assert main(["add", "--from-registry", "server.json"]) == 0
    assert read(offline, "docs")["headers"] == {"Authorization": "Bearer ${secret:docs.key}"}


def test_a_reference_is_written_to_the_file_and_the_router_is_waited_for(
    offline: Path,
    router: FakeRouter,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    serve_at(router, offline)
    target = "POST /api/instances/new/enable?wait=ready"
    router.answer(target, {"status": "success", "instance": "new", "active": True})
    assert main(["add", "new", "--env", "API_KEY=${KEY}", "--", "npx"]) == 0
    assert capsys.readouterr().out == "new: ready, 12 tools\n"
    assert len(router.bodies(target)) == 1
    monkeypatch.setattr(adding, "SEEN_S", 0.0)
    assert main(["add", "other", "--env", "API_KEY=${KEY}", "--", "npx"]) == 1
    assert "other was added in" in capsys.readouterr().err
    assert read(offline, "other")["env"] == {"API_KEY": "${KEY}"}


def test_a_router_elsewhere_gets_no_references(
    router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(router, "add", "new", "--env", "API_KEY=${KEY}", "--", "npx") == 1
    assert "a router elsewhere cannot be given references" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["add"], "add takes a name, and then a URL or -- and a command"),
        (["add", "one"], "add takes a name, and then a URL or -- and a command"),
        (["add", "a", "https://x", "--", "y"], "add takes a URL or -- and a command, not both"),
        (["add", "a", "https://x", "b"], "unexpected 'b' after the URL"),
        (["add", "a", "ftp://x", "--header", "X: y"], "ftp://x is no URL that begins with http"),
        (["add", "a", "b", "--from-registry", "x"], "--from-registry takes a name at most"),
        (["add", "--from-registry", "x", "--cwd", "/"], "takes neither --cwd nor --type"),
        (["add", "a", "https://x", "--cwd", "/"], "--cwd is for a server that is started by"),
        (["add", "a", "--type", "sse", "--", "x"], "--type is for a server behind a URL"),
    ],
)
def test_words_without_sense_are_refused(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(words) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["add", "a", "--header", "X: y", "--", "z"], "X: a command has no headers"),
        (["add", "a", "https://x", "--env", "X=y"], "X: a server behind a URL has no variables"),
    ],
)
def test_values_that_nothing_takes_are_refused(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(words) == 1
    assert said in capsys.readouterr().err


def test_the_old_form_still_brings_a_file_into_shape(
    offline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(offline, "pasted", {"mcpServers": {"x": {"command": "y"}}})
    assert main(["add", "nice", "pasted", "My server"]) == 0
    assert read(offline, "pasted")["metadata"] == {"display_name": "My server"}
    assert "nice (provider: pasted) is ready in" in capsys.readouterr().err


# --- The registry ----------------------------------------------------------------------------


SERVER: Final[dict[str, Any]] = {
    "name": "io.github.acme/weather",
    "description": "The weather",
    "version": "1.0.0",
    "packages": [
        {
            "registryType": "npm",
            "identifier": "weather",
            "version": "1.0.0",
            "transport": {"type": "stdio"},
            "environmentVariables": [{"name": "API_KEY", "isRequired": True, "isSecret": True}],
        }
    ],
    "remotes": [{"type": "sse", "url": "https://x.test/sse"}],
}


@pytest.fixture
def has_npx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adding, "_has_program", lambda name: name == "npx")


@pytest.mark.usefixtures("has_npx")
def test_a_server_of_a_file_is_added(offline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("server.json").write_text(json.dumps(SERVER))
    words = ["add", "--from-registry", "server.json"]
    assert main(words) == 1
    assert "API_KEY: needs a value, and nobody can be asked" in capsys.readouterr().err
    assert not (offline / "weather").exists()
    assert main([*words, "--env", "API_KEY=${KEY}"]) == 0
    assert "io.github.acme/weather 1.0.0: taking weather" in capsys.readouterr().err
    entry = read(offline, "weather")
    assert (entry["command"], entry["args"]) == ("npx", ["-y", "weather@1.0.0"])
    assert entry["env"] == {"API_KEY": "${KEY}"}
    assert entry["metadata"]["registry"] == "io.github.acme/weather"
    assert main([*words, "--env", "API_KEY=${KEY}", "--env", "API_URL=x"]) == 1
    assert "does not ask for it. Did you mean 'API_KEY'?" in capsys.readouterr().err
    assert main([*words, "--env", "API_KEY=${KEY}", "--header", "X: y"]) == 1
    assert "X: io.github.acme/weather does not ask for it" in capsys.readouterr().err


@pytest.mark.usefixtures("offline")
def test_a_server_of_the_registry_is_looked_up_by_its_name(
    router: FakeRouter, offline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = "GET /v0.1/servers/io.github.acme%2Fweather/versions/latest"
    router.answer(target, {"server": SERVER, "_meta": {}})
    words = ["--registry", router.url, "--package", "remote"]
    assert main(["add", "w", "--from-registry", "io.github.acme/weather", *words]) == 0
    entry = read(offline, "w")
    assert (entry["url"], entry["allow_private"]) == ("https://x.test/sse", False)
    assert main(["add", "v", "--from-registry", "io.github.acme/nosuch", *words]) == 1
    assert "answered 404; the registry knows no server of this name" in capsys.readouterr().err
    assert main(["add", "v", "--from-registry", f"{router.url}/health"]) == 1
    assert "is no server.json of the MCP registry" in capsys.readouterr().err
    assert main(["add", "v", "--from-registry", "./nosuch.json"]) == 1
    assert "./nosuch.json: there is no such file" in capsys.readouterr().err
    assert main(["add", "v", "--from-registry", "https://[::1/server.json"]) == 1
    assert "https://[::1/server.json: is no URL" in capsys.readouterr().err
