"""The command line: what is understood, what is refused, and what is said then."""

from __future__ import annotations

import gc
import json
import logging
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from router.app import run
from router.cli import main as cli
from router.cli.main import UsageError, main, parse
from router.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from router.app.wiring import Router


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of its own to run in; the collector stays on."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MCP_ROUTER_CONFIG", raising=False)
    monkeypatch.delenv("MCP_ROUTER_TOKEN", raising=False)
    yield tmp_path
    gc.enable()


class Ran:
    """Stands for `app.run`."""

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


# --- What is understood ----------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("words", "modes"),
    [
        ([], []),
        (["serve"], []),
        (["stdio"], ["stdio"]),
        (["http"], ["http"]),
        (["serve", "--transport", "http", "--transport", "sse"], ["http", "sse"]),
        (["--transport=sse"], ["sse"]),
    ],
)
def test_modes_are_understood(words: list[str], modes: list[str]) -> None:
    assert list(cli.options_of(parse(words)).modes) == modes


@pytest.mark.parametrize(
    "words",
    [
        ["-c", "f", "--data", "d", "-l", "debug", "--host", "h", "--port", "7", "http"],
        ["http", "--config", "f", "--data=d", "--level", "DEBUG", "--host", "h", "--port=7"],
        ["http", "-c", "f", "--log-level", "DEBUG", "--data=d", "--host", "h", "--port", "7"],
        ["-cf", "-lDebug", "http", "--data", "d", "--host", "h", "--port", "7"],
    ],
)
def test_options_stand_before_or_after_the_command(words: list[str]) -> None:
    options = cli.options_of(parse(words))
    assert options.modes == ("http",)
    assert (options.config, options.data, options.level) == ("f", "d", "DEBUG")
    assert (options.host, options.port) == ("h", 7)


# --- What is not -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["frobnicate"], "there is no command 'frobnicate'; there are serve, stdio, http"),
        (["--no-such-option"], "--no-such-option"),
        (["serve", "--transport", "carrier-pigeon"], "invalid choice: 'carrier-pigeon'"),
        (["http", "sse"], "unexpected 'sse' after http"),
        (["http", "--transport", "sse"], "--transport is for serve"),
        (["-l", "LOUD"], "invalid choice: 'LOUD'"),
        (["--port", "65536"], "expected a port from 0 to 65535, got '65536'"),
        (["--port", "x"], "expected a port from 0 to 65535, got 'x'"),
        (["--port"], "expected one argument"),
        (["--host", "a b"], "expected a host such as 127.0.0.1"),
        (["--host", ""], "expected a host such as 127.0.0.1"),
        (["add", "one"], "add takes an instance, a provider"),
        (["add", "a", "b", "c", "d"], "add takes an instance, a provider"),
        (["--conf", "x"], "--conf"),
        (["serve", "--json"], "--json is for status"),
        (["http", "--token", "x"], "--token is for status and logs"),
        (["check", "--url", "http://x"], "--url is for status and logs"),
        (["status", "-f"], "--follow is for logs"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError):
        parse(words)
    assert main(words) == 2
    shown = capsys.readouterr()
    assert not shown.out
    problem, hint = shown.err.splitlines()
    assert problem.startswith("mcp-router: ")
    assert said in problem
    assert hint == "mcp-router: Try 'mcp-router --help'."


def test_words_cannot_forge_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-c", "no\x1b[31m/such", "serve", "--transport", "http", "--port", "x\ny"]) == 2
    assert "\x1b" not in capsys.readouterr().err


# --- serve -----------------------------------------------------------------------------------


def test_without_a_word_the_mode_is_that_of_the_config(ran: Ran, at_home: Path) -> None:
    _configure(server={"http": {"port": 0}, "transport_type": "http"})
    assert main([]) == 0
    assert (at_home / "logs" / "latest-http.txt").exists()


def test_log_is_called_after_all_modes(ran: Ran, at_home: Path) -> None:
    _configure()
    assert main(["serve", "--transport", "sse", "--transport", "http"]) == 0
    assert (at_home / "logs" / "latest-http+sse.txt").exists()


def test_level_of_the_command_line_wins(ran: Ran) -> None:
    _configure(logging={"level": "ERROR"})
    main(["http", "-l", "debug"])
    assert ran.level == logging.DEBUG


def test_off_leaves_no_files(ran: Ran, at_home: Path) -> None:
    _configure()
    assert main(["http", "-l", "OFF"]) == 0
    assert not (at_home / "logs").exists()


def test_missing_config_is_written_with_its_defaults(ran: Ran, at_home: Path) -> None:
    assert main(["-c", "new/config.json", "http", "--port", "0"]) == 0
    written = json.loads((at_home / "new" / "config.json").read_text())
    assert written["server"]["http"]["port"] == 3000


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
        (["api"], False, ["api"]),
        (["serve", "--transport", "http", "--transport", "api"], False, ["http", "api"]),
        (["http"], True, ["http", "api"]),
        (["http"], False, ["http"]),
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


def test_port_in_use_leaves_no_log(capsys: pytest.CaptureFixture[str], at_home: Path) -> None:
    _configure()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["http", "--port", str(port)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"mcp-router: 127.0.0.1:{port}: already in use")
    assert not (at_home / "logs").exists()


# --- add -------------------------------------------------------------------------------------


def test_add_brings_an_entry_into_shape(at_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _configure()
    file = at_home / "data" / "git" / "mcp_settings.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"mcpServers": {"x": {"command": "git-server"}}}')
    assert main(["add", "mine", "git", "My Git"]) == 0
    entry = json.loads(file.read_text())
    assert (entry["name"], entry["provider"], entry["type"]) == ("mine", "git", "stdio")
    assert entry["metadata"]["display_name"] == "My Git"
    assert "mine (provider: git) is ready in data/git/mcp_settings.json" in capsys.readouterr().err


def test_add_looks_where_watch_path_has_the_instances(at_home: Path) -> None:
    _configure(watcher={"watch_path": "servers"})
    file = at_home / "servers" / "git" / "mcp_settings.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"command": "git"}')
    assert main(["add", "mine", "git"]) == 0
    assert json.loads(file.read_text())["name"] == "mine"


def test_add_of_nothing_says_so_and_where(
    at_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _configure()
    assert main(["add", "mine", "nowhere"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "data/nowhere/mcp_settings.json: there is no such file" in line
    assert str(at_home / "data") in line


# --- Start-up time ---------------------------------------------------------------------------

FORBIDDEN = ("mcp", "pydantic", "quart", "starlette", "hypercorn", "anyio", "httpx2", "asyncio")

LOADED_AT_FIRST_ANSWER = f"""
import os, sys
from router.cli import main as cli
from transports.listen.stdio.outbox import StdioOutbox

put = StdioOutbox.put

def note(self, line):
    loaded = [name for name in {FORBIDDEN!r} if name in sys.modules]
    os.write(2, f"loaded: {{loaded}}\\n".encode())  # at once: the log writes there too
    put(self, line)

StdioOutbox.put = note
sys.exit(cli.main(["stdio"]))
"""


@pytest.mark.parametrize("kind", ["none", "stdio"])
def test_first_answer_needs_none_of_the_heavy_libraries(at_home: Path, kind: str) -> None:
    if kind == "stdio":
        (at_home / "data" / "p").mkdir(parents=True)
        entry = {"command": sys.executable, "args": ["-c", ""]}
        (at_home / "data" / "p" / "mcp_settings.json").write_text(json.dumps(entry))
    _configure()
    done = subprocess.run(
        [sys.executable, "-c", LOADED_AT_FIRST_ANSWER],
        input=b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n',
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout) == {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert b"loaded: []" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="a shell of POSIX")
@pytest.mark.parametrize(
    ("closed", "status", "answers"),
    [("<&-", 1, 0), (">&-", 1, 0), ("2>&-", 0, 1), ("2>/dev/full", 0, 1)],
)
def test_closed_descriptors_are_not_mistaken_for_others(
    closed: str, status: int, answers: int
) -> None:
    _configure()
    command = f'"$0" -m router stdio {closed}'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable],
        input=b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n',
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.count(b"\n")) == (status, answers)
    assert b"Traceback" not in done.stderr
    if status:
        assert done.stderr.endswith(b"stdio: the router was started without stdin or stdout\n")


def test_it_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "router", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=dict(os.environ),
    )
    assert done.stdout == f"MCP Router v{VERSION}\n"
