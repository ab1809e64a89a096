"""A login on a device lives on: past its first token, a restart, and beside another router.

The server behind the login is a router, too, whose people come from a real identity provider.
"""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from tests.e2e.identity_provider import (
    CLIENT_ID,
    IdentityProvider,
    approve_device,
    identity_provider,
)
from tests.e2e.ports import free_port
from tests.e2e.processes import Lines, router_command
from tests.e2e.raw_client import HttpClient
from tests.e2e.workspace import CONFIG, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.processes import RouterProcess

LIMIT_S: Final = 30.0
TOKEN_S: Final = 3
"""A token is too old to be sent all the time, so that each call takes a new one."""

CALLS: Final = 6


@attrs.frozen
class Server:
    """An MCP server that asks for a login, and its authorization server."""

    url: str
    idp: IdentityProvider

    def refreshes(self) -> list[str | None]:
        """Return the error of each refresh so far, None for those that went well."""
        rows = self.idp.token_requests()
        return [row["error"] for row in rows if row["grant"] == "refresh_token"]

    def wait_for_refresh(self, number: int) -> None:
        """Wait until so many tokens have been refreshed."""
        ends_at_s = time.monotonic() + LIMIT_S
        while len(self.refreshes()) < number:
            assert time.monotonic() < ends_at_s, self.idp.said.text
            time.sleep(0.05)  # the provider says it, and wakes nobody


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    port = free_port()
    url = f"http://127.0.0.1:{port}/mcp"
    with identity_provider(access_token_s=TOKEN_S) as idp:
        issuer = {
            "issuer": idp.issuer,
            "audience": url,
            "permissions": {"scope:mcp.call": ["call"]},
        }
        workspace = Workspace(tmp_path / "server").add_chaos("plain")
        http = {"http": {"port": port, "auto_find_port": False}}
        workspace.configure(
            server={**CONFIG["server"], **http}, security={"oauth": {"issuers": [issuer]}}
        )
        with workspace.serve("http"):
            yield Server(url, idp)


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
    server: Server, tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path / "router")
    workspace.add("notes", url=server.url, oauth={"client_id": CLIENT_ID})
    with workspace.serve("http") as router:
        router.stderr.wait_for("notes needs a login")
        assert log_in_on_a_device(workspace).startswith(
            f"notes: logged in at {server.idp.issuer}, scopes mcp.call, renewed by itself"
        )
        router.stderr.wait_for("notes is ready")
        server.wait_for_refresh(len(server.refreshes()) + 1)
    with workspace.serve("http") as router, workspace.serve("http") as other:
        for one in (router, other):
            one.stderr.wait_for("notes is ready")
        with ThreadPoolExecutor() as pool:
            answers = [answer for part in pool.map(call, (router, other)) for answer in part]
        assert not [answer for answer in answers if answer.get("isError")]
    assert set(server.refreshes()) == {None}
    assert len(server.refreshes()) > CALLS
    assert [row["grant"] for row in server.idp.token_requests()].count("authorization_code") == 0
