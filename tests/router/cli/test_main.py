"""Commands, as `main` carries them out: what is printed where, and the exit status."""

from __future__ import annotations

import io
import json
import logging
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from router.app import run
from router.cli.main import main
from router.cli.running import follow_log
from router.config import settings
from router.doctor.system import processes
from router.version import VERSION
from tests.router.cli.rest_api.answering import (
    answering,
    answering_locally,
    http_response,
    unused_url,
)

if TYPE_CHECKING:
    from pathlib import Path

    from router.app.wiring import Router
    from router.cli.rest_api.rest_client import RestApi

pytestmark = pytest.mark.usefixtures("home")


class Ran:
    """Stands for `app.run`, and notes what it was given."""

    def __init__(self) -> None:
        self.router: Router | None = None
        self.level = 0
        self.listening: list[str] = []
        self.error: BaseException | None = None

    def __call__(self, router: Router) -> int:
        self.router = router
        self.level = logging.getLogger("mcp_router").level
        for child in router.listeners.children():
            self.listening.append(child.name)
            bound = getattr(child.run, "bound", None)
            if bound is not None:
                bound.sock.close()
        if self.error is not None:
            raise self.error
        return 0


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Ran:
    ran = Ran()
    monkeypatch.setattr(run, "run", ran)
    return ran


def _configure(**sections: Any) -> None:
    usual = {"server": {"http": {"port": 0}, "sse": {"port": 0}}}
    with open("config.json", "w") as file:
        json.dump(usual | sections, file)


def test_reader_that_is_gone_is_no_error(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    gone, end = os.pipe()
    os.close(gone)
    with open(end, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert main(["--help"]) == 141
    assert not capfd.readouterr().err


# --- help and usage errors -------------------------------------------------------------------


@pytest.mark.parametrize("words", [["-h"], ["--help"], ["help"], ["serve", "--help"]])
def test_help_goes_to_stdout(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    shown = capsys.readouterr()
    assert "mcp-router serve --transport http --transport sse" in shown.out
    assert not shown.err


@pytest.mark.parametrize("words", [["-v"], ["--version"], ["stdio", "-v"]])
def test_version_goes_to_stdout(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    assert capsys.readouterr() == (f"MCP Router v{VERSION}\n", "")


def test_url_of_another_scheme_is_not_taken_for_a_folder(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["add", "x", "ftp://foo"]) == 2
    assert "ftp://foo is no URL that begins with http:// or https://" in capsys.readouterr().err


def test_characters_that_stdout_cannot_write_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii"))
    assert main(["init", "caf\u00e9"]) == 0
    assert b"caf\\xe9/config.json is ready" in written.getvalue()


def test_usage_error_is_a_line_with_a_hint_and_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["frobnicate"]) == 2
    shown = capsys.readouterr()
    assert not shown.out
    problem, hint = shown.err.splitlines()
    assert problem.startswith("mcp-router: there is no command 'frobnicate'")
    assert hint == "mcp-router: Try 'mcp-router --help'."


def test_words_cannot_forge_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-c", "no\x1b[31m/such", "serve", "--transport", "http", "--port", "x\ny"]) == 2
    assert "\x1b" not in capsys.readouterr().err


# --- serve -----------------------------------------------------------------------------------


def test_without_a_word_the_mode_is_that_of_the_config(ran: Ran, home: Path) -> None:
    _configure(server={"http": {"port": 0}, "transport_type": "http"})
    assert main([]) == 0
    assert (home / "logs" / "latest-http.txt").exists()


def test_log_is_called_after_all_modes(ran: Ran, home: Path) -> None:
    _configure()
    assert main(["serve", "--transport", "sse", "--transport", "http"]) == 0
    assert (home / "logs" / "latest-http+sse.txt").exists()


def test_data_folder_of_the_command_line_that_is_missing_is_a_warning(
    ran: Ran, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _configure()
    for folder, warnings in (("none", [f"--data: there is no folder {home}/none yet"]), (".", [])):
        caplog.clear()
        assert main(["http", "--data", folder]) == 0
        said = [one.message for one in caplog.records if one.levelno == logging.WARNING]
        assert said == warnings


def test_level_of_the_command_line_wins(ran: Ran) -> None:
    _configure(logging={"level": "ERROR"})
    main(["http", "-l", "debug"])
    assert ran.level == logging.DEBUG


def test_off_leaves_no_files(ran: Ran, home: Path) -> None:
    _configure()
    assert main(["http", "-l", "OFF"]) == 0
    assert not (home / "logs").exists()


def test_missing_config_is_written_with_its_defaults(ran: Ran, home: Path) -> None:
    assert main(["-c", "new/config.json", "http", "--port", "0"]) == 0
    written = json.loads((home / "new" / "config.json").read_text())
    assert written["server"]["http"]["port"] == 3000


def test_missing_config_shows_the_tools_themselves_in_this_run_as_in_later_ones(
    ran: Ran, home: Path
) -> None:
    for _ in range(2):
        assert main(["-c", "new/config.json", "http", "--port", "0"]) == 0
        assert ran.router is not None
        assert ran.router.settings.current.server.view == "auto"
    assert json.loads((home / "new" / "config.json").read_text())["server"]["view"] == "auto"


def _add_instance(home: Path, name: str) -> None:
    (home / "data" / name).mkdir(parents=True)
    (home / "data" / name / "mcp_settings.json").write_text('{"command": "x"}')


@pytest.mark.parametrize("view", ["router", "direct", "work", "git"])
def test_view_is_a_default_one_a_profile_or_an_instance(ran: Ran, home: Path, view: str) -> None:
    _configure(profiles={"work": {}})
    _add_instance(home, "git")
    assert main(["http", "--view", view]) == 0
    assert ran.router is not None
    assert ran.router.settings.current.server.view == view


@pytest.mark.parametrize("mode", ["stdio", "http"])
def test_unknown_view_is_one_line_that_names_those_there_are_and_1(
    ran: Ran, home: Path, mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _configure(profiles={"work": {}})
    _add_instance(home, "git")
    assert main([mode, "--view", "wrok"]) == 1
    assert ran.router is None
    assert capsys.readouterr() == (
        "",
        'mcp-router: --view: there is no view "wrok"; there are router, direct, search, auto, '
        "profiles: work; instances: git\n",
    )
    assert not (home / "logs").exists()


@pytest.mark.parametrize("level", ["INFO", "OFF"])
def test_fault_in_the_router_is_one_line(
    ran: Ran, level: str, capfd: pytest.CaptureFixture[str]
) -> None:
    _configure()
    ran.error = ValueError("oh")
    assert main(["http", "-l", level]) == 1
    shown = capfd.readouterr()
    assert not shown.out
    (line,) = shown.err.splitlines()
    assert "because of a fault in itself" in line
    assert "ValueError" in line


def test_interrupt_before_anything_runs_is_quiet(
    ran: Ran, capfd: pytest.CaptureFixture[str]
) -> None:
    _configure()
    ran.error = KeyboardInterrupt()
    assert main(["http"]) == 130
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("words", "enabled", "listening"),
    [
        (["api"], False, ["api", "local"]),
        (["serve", "--transport", "http", "--transport", "api"], False, ["http", "api", "local"]),
        (["http"], True, ["http", "api", "local"]),
        (["http"], False, ["http", "local"]),
    ],
)
def test_rest_api_listens_alone_beside_others_or_where_it_is_enabled(
    ran: Ran, words: list[str], *, enabled: bool, listening: list[str]
) -> None:
    _configure(api={"enabled": enabled, "port": 0})
    assert main(words) == 0
    assert ran.listening == listening


def test_every_problem_of_a_config_has_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    _configure(api={"port": "x"}, nonsense={})
    assert main(["http"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("mcp-router: config.json: ") for line in lines)


def test_errors_of_the_start_are_json_where_the_logs_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _configure(logging={"format": "json"}, server={"host": "0.0.0.0"})
    assert main(["serve", "--transport", "http"]) == 1
    (line,) = map(json.loads, capsys.readouterr().err.splitlines())
    assert (line["level"], line["logger"]) == ("ERROR", "mcp_router.cli")
    assert line["message"].startswith('config.json: server.host: "0.0.0.0" can be reached')


def test_warning_before_there_are_logs_is_their_first_line(
    ran: Ran, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(settings, "write_atomically", fails)
    assert main(["serve", "--transport", "api", "-c", str(home / "config.json")]) == 0
    (log_file,) = (home / "logs").iterdir()
    first, *_ = log_file.read_text().splitlines()
    assert "config.json cannot be written (Permission denied)" in first
    assert "mcp_router.settings - WARNING" in first
    assert capsys.readouterr().err.count("cannot be written") == 1


def test_port_in_use_leaves_no_log(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    _configure()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["http", "--port", str(port)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"mcp-router: 127.0.0.1:{port}: already in use")
    assert not (home / "logs").exists()


# --- add -------------------------------------------------------------------------------------


def test_add_brings_an_entry_into_shape(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _configure()
    file = home / "data" / "git" / "mcp_settings.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"mcpServers": {"x": {"command": "git-server"}}}')
    assert main(["add", "mine", "git", "My Git"]) == 0
    entry = json.loads(file.read_text())
    assert (entry["name"], entry["provider"], entry["type"]) == ("mine", "git", "stdio")
    assert entry["metadata"]["display_name"] == "My Git"
    assert "mine (provider: git) is ready in data/git/mcp_settings.json" in capsys.readouterr().err


def test_add_looks_where_watch_path_has_the_instances(home: Path) -> None:
    _configure(watcher={"watch_path": "servers"})
    file = home / "servers" / "git" / "mcp_settings.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"command": "git"}')
    assert main(["add", "mine", "git"]) == 0
    assert json.loads(file.read_text())["name"] == "mine"


def test_add_of_nothing_says_so_and_where(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _configure()
    assert main(["add", "mine", "nowhere"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "data/nowhere/mcp_settings.json: there is no such file" in line
    assert str(home / "data") in line


def test_add_under_the_name_of_a_profile_is_refused(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _configure(profiles={"work": {}})
    _add_instance(home, "git")
    before = (home / "data" / "git" / "mcp_settings.json").read_bytes()
    assert main(["add", "work", "git"]) == 1
    assert capsys.readouterr().err == (
        "mcp-router: instance: work is the name of a profile; choose another name\n"
    )
    assert (home / "data" / "git" / "mcp_settings.json").read_bytes() == before


# --- check -----------------------------------------------------------------------------------


def test_check_of_good_files_is_0_and_writes_nothing(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("No problem in ")
    assert not shown.err
    assert not list(home.iterdir())


def test_check_tells_every_problem_on_stderr_and_is_1(capsys: pytest.CaptureFixture[str]) -> None:
    _configure(api={"port": "x"}, nonsense={})
    assert main(["check", "-c", "config.json"]) == 1
    shown = capsys.readouterr()
    assert [line.partition(": ")[2].split(":")[1] for line in shown.err.splitlines()] == [
        " api.port",
        " nonsense",
    ]
    assert shown.out.startswith("2 problems in ")


def test_check_says_which_instances_a_profile_shows(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _configure(profiles={"work": {"instances": ["g*"]}, "empty": {"instances": []}})
    _add_instance(home, "git")
    assert main(["check"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == [
        "Profile work (direct) shows git",
        "Profile empty (direct) shows no instance",
    ]


def test_check_tells_notes_on_stdout_and_is_0(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _configure()
    entry = home / "data" / "a" / "mcp_settings.json"
    entry.parent.mkdir(parents=True)
    entry.write_text('{"command": "a", "autoApprove": ["x"]}')
    assert main(["check", "-c", "config.json"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("Note: ")
    assert "No problem in " in shown.out.splitlines()[1]
    assert not shown.err


# --- status and logs -------------------------------------------------------------------------


ROWS = '[{"name":"a","state":"ready"}]'


def test_status_is_a_table_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(http_response("200 OK", ROWS)) as (url, _):
        assert main(["status", "--url", url]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[1].split()[:2] == ["a", "ready"]
    assert not shown.err


def test_status_as_json_is_what_the_router_said(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(http_response("200 OK", ROWS)) as (url, _):
        assert main(["status", "--json", "--url", url]) == 0
    assert capsys.readouterr().out == ROWS + "\n"


def test_status_of_nobody_is_one_line_and_1(capsys: pytest.CaptureFixture[str]) -> None:
    url = unused_url()
    assert main(["status", "--url", url]) == 1
    shown = capsys.readouterr()
    assert not shown.out
    (line,) = shown.err.splitlines()
    assert line.startswith(f"mcp-router: {url}: no answer (Connection refused)")


@pytest.mark.parametrize(
    ("words", "variable", "sent"),
    [
        ([], "", "configured"),
        ([], "by-variable", "by-variable"),
        (["--token", "given"], "by-variable", "given"),
        # Another router than that of the config: it does not get the token there.
        (["--url"], "", None),
        (["--url"], "by-variable", "by-variable"),
        (["--token", "given", "--url"], "", "given"),
    ],
)
def test_token_of_the_config_is_for_the_router_of_the_config_alone(
    words: list[str], variable: str, sent: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_ROUTER_TOKEN", variable)
    with answering(http_response("200 OK", ROWS)) as (url, requests):
        port = int(url.rpartition(":")[2])
        api = {"enabled": True, "port": port}
        _configure(api=api, security={"bearer_token": "configured"})
        assert main(["status", *words, *([url] if "--url" in words else [])]) == 0
    (request,) = requests
    header = f"Authorization: Bearer {sent}\r\n".encode()
    assert header in request if sent else b"Authorization" not in request


def test_status_asks_the_local_socket_first(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _configure(security={"bearer_token": "${UNSET_HERE}"})
    with answering_locally(home, http_response("200 OK", "[]")) as requests:
        assert main(["status", "--json"]) == 0
    assert requests[0].startswith(b"GET /api/status HTTP/1.1\r\nHost: localhost\r\n")
    assert capsys.readouterr() == ("[]\n", "")


def test_where_no_router_runs_one_line_says_how_to_start_one(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(processes, "find_routers", lambda: ())
    _configure()
    config = home / "config.json"
    assert main(["status"]) == 1
    assert capsys.readouterr() == (
        "",
        f"mcp-router: {config}: no router of yours runs for it; start one with `mcp-router serve "
        f"--transport http -c {config}`, or name another one with --url\n",
    )


def test_token_for_the_service_alone_is_needed_here_only_if_none_is_given(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    security = {"bearer_token": "${ROUTER_TEST_TOKEN}"}
    _configure(api={"enabled": True}, security=security)
    assert main(["status"]) == 1
    assert capsys.readouterr().err == (
        "mcp-router: config.json: security.bearer_token: ${ROUTER_TEST_TOKEN} is not set; or give "
        "a token with --token or MCP_ROUTER_TOKEN\n"
    )
    for words, sent in ((["--token", "given"], b"given"), ([], b"from-the-environment")):
        with answering(http_response("200 OK", ROWS)) as (url, requests):
            api = {"enabled": True, "port": int(url.rpartition(":")[2])}
            _configure(api=api, security=security)
            assert main(["status", *words]) == 0
        assert b"Authorization: Bearer " + sent + b"\r\n" in requests[0]
        monkeypatch.setenv("ROUTER_TEST_TOKEN", "from-the-environment")


@pytest.mark.parametrize("words", [["logs", "-f"], ["logs", "--follow"], ["logs"]])
def test_logs_follows_the_router_of_the_config(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    followed: list[tuple[str, str, str]] = []

    def follow(api: RestApi, level: str) -> int:
        followed.append((api.url, api.token, level))
        return 0

    monkeypatch.setattr(follow_log, "follow", follow)
    _configure(api={"enabled": True}, security={"bearer_token": "s3cret"})
    assert main(words) == 0
    assert main([*words, "--url", "http://other.test", "--token", "x", "-l", "error"]) == 0
    assert followed == [
        ("http://127.0.0.1:8001", "s3cret", "DEBUG"),
        ("http://other.test", "x", "ERROR"),
    ]


def test_command_whose_room_is_left_out_of_the_installation_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("router.client_files")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "router.client_files", None)
    assert main(["import", "--dry-run"]) == 1
    assert "mcp-router import: is not part of this installation" in capsys.readouterr().err
