"""URLs that come through the API reach no private address (SSRF), however they are written."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.processes import run_command
from tests.e2e.recording_upstream import RecordingUpstream
from tests.e2e.rest_client import TOKEN, configure_rest, rest_router
from tests.e2e.threaded_server import serving_in_thread

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from tests.e2e.workspace import Workspace

THIS_MACHINE: Final = (
    *("127.0.0.1", "127.1", "localhost", "LOCALHOST", "user@127.0.0.1", "8.8.8.8@127.0.0.1"),
    *("2130706433", "0x7f000001", "0x7f.1", "017700000001", "0", "0.0.0.0"),
    *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]"),
    *("[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]"),
)
ODD_SPELLINGS: Final = ("127.0.0.1.", "localhost.", "0177.0.0.1", "[fe80::1%25lo]", "①②⑦.⓪.⓪.①")
"""Read by some systems, and by others not at all."""

OTHERS: Final = ("169.254.169.254", "10.0.0.1", "192.168.0.1", "100.100.100.200", "[fd00::1]")
NOT_PUBLIC: Final = (
    'its address is not public; set "allow_private": true for this instance in its file'
)


class CountingUpstream(RecordingUpstream):
    """An upstream that counts its connections."""

    connections = 0

    def get_request(self) -> tuple[socket.socket, Any]:
        self.connections += 1
        return super().get_request()


class Redirecting(CountingUpstream):
    """An upstream that sends each request on to another URL."""

    location = ""

    def finish_request(self, request: Any, client_address: Any) -> None:
        request.recv(65_536)
        head = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {self.location}\r\n"
        request.sendall(f"{head}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())


@contextmanager
def counting_upstream() -> Iterator[CountingUpstream]:
    with serving_in_thread(CountingUpstream()) as server:
        yield server


def test_no_url_that_comes_through_the_api_reaches_a_private_address(workspace: Workspace) -> None:
    configure_rest(workspace)
    workspace.add("changed", type="http", url="https://mcp.invalid/mcp", allow_private=True)
    with counting_upstream() as server, rest_router(workspace) as (_, api):
        urls = {f"http://{host}:{server.server_port}/mcp": NOT_PUBLIC for host in THIS_MACHINE}
        urls |= {f"http://{host}/mcp": NOT_PUBLIC for host in OTHERS}
        for host in ODD_SPELLINGS:
            urls[f"http://{host}:{server.server_port}/mcp"] = "cannot connect to"
        for number, (url, reason) in enumerate(urls.items()):
            entry = {"name": f"n{number}", "url": url, "type": "sse" if number % 3 else "http"}
            answer = api.ask("POST", "/api/instances?wait=ready", entry)
            assert answer.status == 503
            assert reason in answer.json["detail"]["error"]
        answer = api.ask("PATCH", "/api/instances/changed?wait=ready", {"url": server.url})
        assert answer.status == 503
        assert NOT_PUBLIC in answer.json["detail"]["error"]
        assert server.connections == 0
    file = workspace.path / "data" / "changed" / "mcp_settings.json"
    assert json.loads(file.read_text())["allow_private"] is False


def test_an_admin_may_allow_private_addresses_and_a_redirect_still_leads_nowhere(
    workspace: Workspace,
) -> None:
    configure_rest(workspace)
    with (
        counting_upstream() as server,
        counting_upstream() as other,
        serving_in_thread(Redirecting()) as redirecting,
        rest_router(workspace) as (_, api),
    ):
        entry = {"name": "own", "url": server.url, "type": "http", "allow_private": True}
        assert api.ask("POST", "/api/instances?wait=ready", entry).status == 201
        redirecting.location = other.url
        entry = {"name": "on", "url": redirecting.url, "type": "http", "allow_private": True}
        answer = api.ask("POST", "/api/instances?wait=ready", entry)
        assert answer.status == 503
        assert f"Redirect to {other.url} not followed" in answer.json["detail"]["error"]
        assert redirecting.connections > 0
        assert other.connections == 0


@pytest.mark.parametrize(("setting", "status"), [("with_token", 0), ("never", 1)])
def test_the_user_of_this_machine_adds_what_is_private_where_the_api_may(
    workspace: Workspace, setting: str, status: int
) -> None:
    security = {"bearer_token": TOKEN, "allow_stdio_via_api": setting}
    workspace.configure(api={"enabled": True, "port": 0}, security=security)
    with counting_upstream() as server, rest_router(workspace) as (_, api):
        entry = {"name": "x", "url": server.url, "allow_private": True}
        if setting == "never":
            refused = api.ask("POST", "/api/instances", entry)
            assert refused.status == 403
            assert "it belongs in the file" in refused.json["detail"]["error"]
        done = run_command("add", "mine", server.url, *workspace.words)
        assert done.returncode == status
        assert ("mine: ready, 1 tool" in done.stdout) == (status == 0)
        assert (NOT_PUBLIC in done.stderr) == (status == 1)
        assert bool(server.connections) == (status == 0)
