"""`mcp-router import` at a real terminal, as a new user runs it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import attrs
import pytest

from router.client_files.clients.client import Machine
from tests.e2e.processes import router_command
from tests.router.client_files.shapes import SHAPES, machine_at

if os.name == "posix":
    from tests.e2e.terminal import Terminal

if TYPE_CHECKING:
    from tests.e2e.workspace import Workspace

pytestmark = pytest.mark.skipif(os.name != "posix", reason="terminals are those of POSIX")


def test_servers_of_all_clients_are_asked_for_and_taken_over_once(workspace: Workspace) -> None:
    machine = attrs.evolve(machine_at(workspace.path), platform=Machine.this_one().platform)
    paths = [shape.put(machine) for shape in SHAPES]
    before = [path.read_bytes() for path in paths]
    environ = {
        **dict.fromkeys(("XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR", "CODEX_HOME")),
        "HOME": str(machine.home),
        "NO_COLOR": "1",
    }
    command = router_command("import", *workspace.words)
    with Terminal(command, 40, **environ) as terminal:
        terminal.wait_for(r"13 +LM Studio:")
        terminal.wait_for(r"Which ones\?.*\[all\] ")
        terminal.type("\n")
        terminal.wait_for("files: new\n +from Claude Desktop, Claude Code")
        terminal.wait_for("docs: new\n")
        terminal.wait_for(r"Add 2 servers to .*\? \[y/N\] ")
        terminal.type("y\n")
        terminal.wait_for("Added: files, docs\n")
        assert terminal.wait() == 0
        assert "\x1b[3" not in terminal.raw
    entry = json.loads((workspace.path / "data" / "files" / "mcp_settings.json").read_bytes())
    assert entry["env"] == {"LOG_LEVEL": "debug"}
    with Terminal(router_command("import", "--all", *workspace.words), 80, **environ) as terminal:
        terminal.wait_for(r"Server +From +Reached by")
        terminal.wait_for("There is nothing to import.\n")
        assert terminal.wait() == 0
    assert [path.read_bytes() for path in paths] == before
