"""`mcp-router completion`, and what a shell is answered at TAB."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from router.cli.main import main

pytestmark = pytest.mark.usefixtures("home")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_lines_for_the_shell_go_to_stdout(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    shown = capsys.readouterr()
    assert "mcp-router" in shown.out
    assert not shown.err


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "tcsh"]) == 2
    assert "invalid choice: 'tcsh'" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="the shells are those of POSIX")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("mcp-router sta", {"status "}),
        ("mcp-router status --ur", {"--url "}),
        ("mcp-router http --view fi", {"files "}),
        ("mcp-router serve --transport ", {"stdio", "http", "sse", "api"}),
    ],
)
def test_the_shell_is_offered_commands_options_and_names(
    home: Path, line: str, offered: set[str]
) -> None:
    Path("config.json").write_text("{}")
    (home / "data" / "files").mkdir(parents=True)
    (home / "data" / "files" / "mcp_settings.json").write_text('{"command": "x"}')
    asked = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    # The protocol of argcomplete: the answer goes to file descriptor 8.
    command = ["sh", "-c", 'exec "$0" -m router 8>answers', sys.executable]
    environ = {**os.environ, **asked, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(command, env=environ, check=True, timeout=60)
    assert set(Path("answers").read_text().split("\n")) == offered
