"""The program at a real terminal, as a person sees it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.e2e.processes import router_command

if os.name == "posix":
    from tests.e2e.terminal import CONTROL, Terminal

if TYPE_CHECKING:
    from tests.e2e.workspace import Workspace

pytestmark = pytest.mark.skipif(os.name != "posix", reason="terminals are those of POSIX")


def test_serve_shows_the_servers_as_they_come_up_then_what_to_do_next(
    workspace: Workspace,
) -> None:
    workspace.add_example()
    (workspace.path / "data" / "missing").mkdir()
    entry = {"name": "缺失", "command": "no-such-command-anywhere"}
    (workspace.path / "data" / "missing" / "mcp_settings.json").write_text(json.dumps(entry))
    with Terminal(router_command("serve", "--transport", "http", *workspace.words)) as terminal:
        terminal.wait_for(r"缺失 +failed +command not found")
        terminal.wait_for(r"example +ready +\d+ tools")
        terminal.wait_for(r"1 of 2 servers ready, \d+ tools \(1 failed\)")
        url = terminal.wait_for(r"Clients \(streamable HTTP\) +(http://\S+/mcp)")[1]
        terminal.wait_for("Press Ctrl")
        assert f"Listening on {url}" in terminal.text  # the log is there as well
        assert CONTROL.search(terminal.raw)
        terminal.type("\x03")
        assert terminal.wait() == 0
        assert "Traceback" not in terminal.text


@pytest.mark.parametrize("columns", [40, 80])
def test_the_program_alone_says_what_to_do_next_also_without_colours(
    workspace: Workspace, columns: int
) -> None:
    workspace.add_example()
    with Terminal(router_command(*workspace.words), columns, NO_COLOR="1") as terminal:
        assert terminal.wait() == 0
        assert "which has 1 server." in terminal.text
        assert "mcp-router serve" in terminal.text
        assert "\x1b[3" not in terminal.raw


def test_stdin_that_is_no_terminal_is_still_mcp(workspace: Workspace) -> None:
    ask = 'echo \'{"jsonrpc":"2.0","id":1,"method":"ping"}\' | exec "$@"'
    command = ["sh", "-c", ask, "sh", *router_command(*workspace.words)]
    with Terminal(command) as terminal:
        assert terminal.wait() == 0
        assert '{"jsonrpc":"2.0","id":1,"result":{}}' in terminal.text
