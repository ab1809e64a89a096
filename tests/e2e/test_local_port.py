"""Where there are no Unix sockets, a router is reached by commands of its user through a port."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from router.files.local_ports import SUBFOLDER, LocalPortFile, local_port_of, state_folder
from tests.e2e.processes import RouterProcess, kill_all
from tests.e2e.raw_client import StdioRouter

if TYPE_CHECKING:
    from tests.e2e.workspace import Workspace

PROGRAM: Final = [sys.executable, "-P", str(Path(__file__).with_name("without_unix_sockets.py"))]

REACHED: Final = r"Commands of this user reach the router at (http://127\.0\.0\.1:\d+)"


@pytest.fixture(autouse=True)
def state(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the file with URL and token, which every system has below the home."""
    monkeypatch.setenv("HOME", str(workspace.path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    return state_folder() / SUBFOLDER


def serve(workspace: Workspace) -> RouterProcess:
    return RouterProcess(["serve", "--transport", "http", *workspace.words], program=PROGRAM)


def status(workspace: Workspace) -> subprocess.CompletedProcess[str]:
    words = [*PROGRAM, "status", "--json", *workspace.words]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def port_of(workspace: Workspace) -> LocalPortFile:
    found = local_port_of(workspace.config_file)
    assert found is not None
    return found


def answer_to(port: LocalPortFile, **headers: str) -> int:
    """Return the HTTP status that `GET /api/status` gets with the token and these headers."""
    sent = {"Authorization": f"Bearer {port.token}"} | headers
    with closing(HTTPConnection(port.url.removeprefix("http://"), timeout=30)) as connection:
        connection.request("GET", "/api/status", None, sent)
        with connection.getresponse() as response:
            return response.status


def echoed(bridge: StdioRouter, text: str) -> str:
    return bridge.call("plain", "echo", text=text)["content"][0]["text"]


def test_commands_and_clients_go_on_with_the_next_router_after_a_killed_one(
    workspace: Workspace, state: Path
) -> None:
    workspace.add_chaos("plain")
    bridge_words = [*PROGRAM, "connect", "-c", str(workspace.config_file)]
    with StdioRouter(bridge_words, stderr=subprocess.DEVNULL) as bridge:
        with serve(workspace) as killed:
            url = killed.stderr.wait_for(REACHED)[1]
            port = port_of(workspace)
            assert (port.url, port.pid) == (url, killed.pid)
            assert [row["name"] for row in json.loads(status(workspace).stdout)] == ["plain"]
            assert answer_to(port) == 200
            assert answer_to(port, Authorization="Bearer wrong") == 401
            assert answer_to(port, Origin=url) == 403
            bridge.initialize()
            assert echoed(bridge, "one") == "one"
            children = killed.children()
            os.kill(killed.pid, signal.SIGKILL)
            killed.wait()
            kill_all(children)
        (file,) = state.glob("*.json")
        assert str(killed.pid) in file.read_text()
        assert status(workspace).returncode == 1
        with serve(workspace) as router:
            router.stderr.wait_for(REACHED)
            assert port_of(workspace).token != port.token
            assert echoed(bridge, "two") == "two"
        assert not file.exists()
