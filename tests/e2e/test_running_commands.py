"""The commands that look at, use and change a running router, as a person types them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import pytest
from rich.cells import cell_len

from router.cli.main import main
from tests.e2e import peers
from tests.e2e.processes import RouterProcess, router_command
from tests.e2e.workspace import Workspace

if os.name == "posix":
    from tests.e2e.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN: Final = "a-token-of-the-commands"
LIMIT_S: Final = 60
BLOCK: Final = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def environment(**more: str) -> dict[str, str]:
    scripts = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", **more}


@attrs.frozen
class Site:
    """A router that runs in a folder; `run` has commands reach it by its address and a token."""

    workspace: Workspace
    url: str

    @property
    def env(self) -> dict[str, str]:
        return environment(MCP_ROUTER_TOKEN=TOKEN)

    def command(self, *words: str) -> list[str]:
        at = words.index("--") if "--" in words else len(words)
        return router_command(*words[:at], *self.workspace.words, "--url", self.url, *words[at:])

    def run(self, *words: str, status: int = 0) -> tuple[str, str]:
        """Return what a command writes to stdout and stderr."""
        done = subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
            env=self.env,
            cwd=self.workspace.path,
        )
        assert done.returncode == status, (done.stdout, done.stderr)
        return done.stdout, done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    workspace = Workspace(tmp_path_factory.mktemp("commands")).add_example()
    missing = workspace.path / "data" / "missing"
    missing.mkdir()
    entry = {"name": "缺失", "command": "no-such-command-anywhere"}
    (missing / "mcp_settings.json").write_text(json.dumps(entry))
    workspace.configure(
        api={"enabled": True, "port": 0},
        security={"bearer_token": TOKEN},
        watcher={"enabled": True, "debounce_delay": 0.1},
    )
    # The entry that an example adds is a command, which the router looks for as any other program.
    with RouterProcess(["api", *workspace.words], environment()) as router:
        router.stderr.wait_for("example is ready")
        yield Site(workspace, f"http://{router.netloc()}")


def test_the_examples_of_the_page_run_as_they_stand(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (peers.ROOT / "docs" / "commands.md").read_text()
    commands = [shlex.split(line) for block in BLOCK.findall(text) for line in block.splitlines()]
    monkeypatch.chdir(site.workspace.path)
    monkeypatch.delenv("MCP_ROUTER_CONFIG", raising=False)
    Path("arguments.json").write_text('{"a": 1, "b": 2}')
    for program, *words in commands:
        assert program == "mcp-router"
        # In this process: to start Python twenty times takes longer than all that they do.
        assert main(words) == 0, (words, capsys.readouterr())
    said = capsys.readouterr().out
    assert "example  add(a, b)" in said
    assert said.count("\n3\n") == 2
    assert "Counted down from 2." in said
    assert '"structuredContent":{"characters":10,"words":2' in said
    assert "second: ready, 6 tools\nsecond: ready, 6 tools\nsecond: disabled\n" in said
    assert said.endswith("second: removed\n")


def test_a_failed_instance_is_inspected_and_restarted_at_once(site: Site) -> None:
    said, _ = site.run("inspect", "缺失")
    assert re.search(r"^because +command not found", said, re.MULTILINE)
    assert re.search(r"^command +no-such-command-anywhere$", said, re.MULTILINE)
    _, why = site.run("restart", "缺失", status=1)
    assert "Instance '缺失' not connected" in why


def test_a_reference_is_read_by_the_running_router_from_the_file(site: Site) -> None:
    # No --url: a reference is for the router of this folder, whose files are written.
    words = ("add", "third", "--env", "SOME_KEY=${PATH}", *site.workspace.words)
    added = subprocess.run(
        router_command(*words, "--", sys.executable, "-m", "router.example"),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        env=site.env,
    )
    assert (added.returncode, added.stdout) == (0, "third: ready, 6 tools\n"), added.stderr
    said, _ = site.run("inspect", "third")
    assert re.search(r"^entry\.env +SOME_KEY=•••$", said, re.MULTILINE)
    site.run("remove", "third", "--yes")


@pytest.mark.skipif(os.name != "posix", reason="terminals are those of POSIX")
@pytest.mark.parametrize(("columns", "no_color"), [(40, None), (80, "1")])
def test_a_terminal_shows_whole_lines_and_a_bar(
    site: Site, columns: int, no_color: str | None
) -> None:
    env = {"MCP_ROUTER_TOKEN": TOKEN, "NO_COLOR": no_color}
    with Terminal(site.command("tools", "example"), columns, **env) as terminal:
        assert terminal.wait() == 0
        lines = terminal.text.splitlines()
    assert max(map(cell_len, lines)) <= columns
    assert any(line.startswith("example  countdown(start?, interval_s?)") for line in lines)
    words = ("call", "example", "countdown", "start=2", "interval_s=0.05")
    with Terminal(site.command(*words), columns, **env) as terminal:
        assert terminal.wait() == 0
        assert re.search(r"countdown: \w+.* 100%", terminal.text)
        assert terminal.text.endswith("Counted down from 2.\n")
        assert ("\x1b[3" in terminal.raw) == (no_color is None)


@pytest.mark.skipif(os.name != "posix", reason="terminals are those of POSIX")
def test_ctrl_c_cancels_the_call(site: Site) -> None:
    words = ("call", "example", "countdown", "start=900", "interval_s=1")
    with Terminal(site.command(*words), MCP_ROUTER_TOKEN=TOKEN) as terminal:
        terminal.wait_for("countdown: 900 to go")
        terminal.type("\x03")
        assert terminal.wait() == 130
        assert "Traceback" not in terminal.text
    # The router takes the next command after it has heard that the connection was closed.
    said, _ = site.run("inspect", "example")
    assert ", 0 in flight, 0 waiting" in said
