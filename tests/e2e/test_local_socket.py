"""A router is reached by commands of its user without any setting, whatever it listens on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from router.files.local_sockets import sockets_of
from tests.e2e.processes import router_command, run_command
from tests.e2e.raw_client import StdioRouter

if TYPE_CHECKING:
    from tests.e2e.workspace import Workspace

REACHED = r"Commands of this user reach the router at (\S+)"


def states(workspace: Workspace) -> dict[str, str]:
    """Return the states that `status` shows, by instance."""
    done = run_command("status", "--json", *workspace.words)
    assert (done.returncode, done.stderr) == (0, "")
    return {row["name"]: row["state"] for row in json.loads(done.stdout)}


def sockets(workspace: Workspace) -> list[Path]:
    return list(sockets_of(workspace.config_file, os.environ))


def test_router_on_stdio_is_asked_for_its_status_and_its_log(workspace: Workspace) -> None:
    workspace.configure(security={"bearer_token": "a-token-of-the-tests"})
    workspace.add_command("off", "true", isActive=False)
    log = router_command("logs", *workspace.words)
    with StdioRouter(workspace.stdio_command) as router:
        router.initialize()
        assert states(workspace) == {"off": "disabled"}
        with subprocess.Popen(log, stdout=subprocess.PIPE, text=True) as follower:
            assert follower.stdout is not None
            assert follower.stdout.readline().startswith("Connected to MCP Router API v")
            router.end_stdin()
            assert "Stopping (the client on stdio is gone)" in follower.stdout.read()
            assert follower.wait(30) == 0
    assert sockets(workspace) == []
    done = run_command("status", *workspace.words)
    assert done.returncode == 1
    assert done.stderr.endswith(", or name another one with --url\n")
    assert len(done.stderr.splitlines()) == 1


def test_second_router_of_a_file_works_and_takes_the_socket_over(workspace: Workspace) -> None:
    with StdioRouter(workspace.stdio_command) as first:
        first.initialize()
        (path,) = sockets(workspace)
        with workspace.serve("http") as second:
            second.stderr.wait_for("Another router runs for ")
            first.end_stdin()
            assert first.popen.wait(30) == 0
            assert second.stderr.wait_for(REACHED)[1] == str(path)
            assert states(workspace) == {}
    assert sockets(workspace) == []


def test_socket_of_a_killed_router_is_replaced(workspace: Workspace) -> None:
    with workspace.serve("http") as killed:
        path = killed.stderr.wait_for(REACHED)[1]
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
    assert sockets(workspace) == [Path(path)]
    assert run_command("status", *workspace.words).returncode == 1
    with workspace.serve("http") as router:
        assert router.stderr.wait_for(REACHED)[1] == path
        assert states(workspace) == {}
    assert sockets(workspace) == []
