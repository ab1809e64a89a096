"""A login on a device lives on: past its first token, a restart, and beside another router."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.identity_provider import CLIENT_ID, approve_device
from tests.e2e.processes import Lines, router_command
from tests.e2e.protected_router import LIMIT_S, ProtectedRouter, protected_router
from tests.e2e.raw_client import HttpClient
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.processes import RouterProcess

TOKEN_S: Final = 3
"""A token is too old to be sent all the time, so that each call takes a new one."""

CALLS: Final = 4


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ProtectedRouter]:
    with protected_router(tmp_path / "server", access_token_s=TOKEN_S) as server:
        yield server


def call(router: RouterProcess) -> list[Any]:
    """Call a tool of the server, again and again; return the answers."""
    client = HttpClient(router.url("/mcp"))
    with closing(client):
        client.initialize()
        return [client.call(number, "notes", "mcp.router.list") for number in range(CALLS)]


def log_in_on_a_device(workspace: Workspace) -> str:
    """Log in; return the last line of the command."""
    command = router_command("login", "notes", "--device", *workspace.words)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as login:
        assert login.stdout is not None
        said = Lines(login.stdout)
        shown = said.wait_for(r"Open (\S+) on any device, and type in the code (\S+)")
        approve_device(shown[1], shown[2])
        assert login.wait(LIMIT_S) == 0
        said.join()
    return said.text.splitlines()[-1]


def test_login_on_a_device_outlives_its_tokens_a_restart_and_the_other_router(
    server: ProtectedRouter, tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path / "router")
    workspace.add("notes", url=server.url, oauth={"client_id": CLIENT_ID})
    with workspace.serve("http") as router:
        router.stderr.wait_for("notes needs a login")
        assert log_in_on_a_device(workspace).startswith(
            f"notes: logged in at {server.idp.issuer}, scopes mcp.call, renewed by itself"
        )
        router.stderr.wait_for("notes is ready")
        server.wait_for_results("refresh_token", len(server.results("refresh_token")) + 1)
    with workspace.serve("http") as router, workspace.serve("http") as other:
        for one in (router, other):
            one.stderr.wait_for("notes is ready")
        with ThreadPoolExecutor() as pool:
            answers = [answer for part in pool.map(call, (router, other)) for answer in part]
        assert not [answer for answer in answers if answer.get("isError")]
    refreshes = server.results("refresh_token")
    assert set(refreshes) == {None}
    assert len(refreshes) > CALLS
    assert server.results("device_code").count(None) == 1
