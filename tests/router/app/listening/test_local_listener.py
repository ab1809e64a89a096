"""The listener on the local socket: what answers there, to whom, and how it ends."""

from __future__ import annotations

import http.client
import json
import os
import socket
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from router.access.local_admission import LOCAL as LOCAL_USER
from router.app.listening import local_listener
from router.app.listening.local_listener import LOCAL, TAKE_OVER_S, may_connect
from router.app.listening.local_socket import LocalSocket, local_socket
from router.config.security.security import Security
from router.config.settings import Settings
from router.files.local_sockets import has_local_sockets
from router.messages.commands import ListInstances
from router.messages.events import AdminCommand, ClientOpened
from tests.router.app.parts import listeners_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from router.app.listeners import Listeners

pytestmark = pytest.mark.skipif(not has_local_sockets(), reason="there are no Unix sockets")

LIMIT_S = 30
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "c", "version": "1"},
    },
}


@attrs.frozen
class Site:
    """A running listener, and what it asks the actor."""

    listeners: Listeners
    local: LocalSocket
    asked: trio.MemoryReceiveChannel[Any]
    stopping: trio.Event

    async def ask(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, bytes]:
        """Send a request on a new connection; return the status and the body."""
        return await trio.to_thread.run_sync(self._ask, method, path, body, headers)

    def _ask(self, method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("localhost", timeout=LIMIT_S)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(LIMIT_S)
        connection.sock.connect(str(self.local.path))
        content = None if body is None else json.dumps(body).encode()
        try:
            connection.request(
                method, path, content, {"Content-Type": "application/json"} | headers
            )
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    settings = Settings(security=Security(bearer_token="s3cret"))
    inbox, asked = trio.open_memory_channel[Any](16)
    listeners = listeners_of(settings, (), inbox=inbox)
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    with local_socket(tmp_path / "config.json", environ) as local, trio.fail_after(LIMIT_S):
        assert local is not None
        listeners.local = local
        (child,) = listeners.children()
        assert child.name == LOCAL
        stopping = trio.Event()
        async with trio.open_nursery() as nursery:
            assert await nursery.start(child.run, stopping) == str(local.path)
            yield Site(listeners, local, asked, stopping)
            stopping.set()


async def answer_as_the_user(asked: trio.MemoryReceiveChannel[Any], answer: Any) -> None:
    """Answer one command, and see whose it is."""
    event = await asked.receive()
    assert isinstance(event, AdminCommand)
    assert event.principal == LOCAL_USER
    assert isinstance(event.what, ListInstances)
    event.reply_to.send_nowait(answer)


async def test_rest_api_answers_without_api_enabled_and_without_a_token(site: Site) -> None:
    assert site.listeners.connections == {}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer_as_the_user, site.asked, [{"name": "files"}])
        assert await site.ask("GET", "/api/instances") == (200, b'[{"name":"files"}]')
    assert (await site.ask("GET", "/"))[0] == 200
    assert (await site.ask("POST", "/api/ws-ticket"))[0] == 200
    assert site.listeners.connections[LOCAL].accepted == 3


async def test_mcp_answers_there_as_well(site: Site) -> None:
    accept = {"Accept": "application/json, text/event-stream"}

    async def see_who_it_is() -> None:
        opened = await site.asked.receive()
        assert isinstance(opened, ClientOpened)
        assert opened.principal == LOCAL_USER
        site.stopping.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(see_who_it_is)
        status, _ = await site.ask("POST", "/mcp", INITIALIZE, **accept)
    assert status == 404  # its session has ended


async def test_place_that_is_not_there_is_404_and_what_is_not_mcp_is_the_api(site: Site) -> None:
    site.listeners.places.take_instances(())
    assert (await site.ask("POST", "/mcp/nobody", INITIALIZE))[0] == 404
    assert (await site.ask("GET", "/mcpx"))[0] == 404
    assert (await site.ask("GET", "/livez", Host="evil.test"))[0] == 403


@pytest.mark.parametrize("path", ["/api/instances", "/mcp"])
async def test_page_of_a_browser_is_refused(site: Site, path: str) -> None:
    for headers in ({"Host": "evil.test"}, {"Origin": "http://localhost"}):
        assert (await site.ask("POST", path, {}, **headers))[0] == 403


async def test_it_ends_without_any_connection_and_takes_its_socket_away(site: Site) -> None:
    site.stopping.set()
    with trio.fail_after(LIMIT_S):
        while site.local.sock.fileno() >= 0:
            await trio.testing.wait_all_tasks_blocked()
    assert not site.local.path.exists()


async def test_it_is_up_once_another_router_with_its_socket_has_ended(
    tmp_path: Path, autojump_clock: trio.abc.Clock
) -> None:
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    config = tmp_path / "config.json"
    with local_socket(config, environ) as first, local_socket(config, environ) as local:
        assert first is not None
        assert local is not None
        listeners = listeners_of(Settings(), (), inbox=trio.open_memory_channel[Any](1)[0])
        listeners.local = local
        (child,) = listeners.children()
        up, stopping = list[str](), trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_note_start, nursery, child.run, stopping, up)
            await trio.sleep(3600)
            assert up == []
            assert child.start_timeout_s > 3600
            first.close()
            await trio.sleep(2 * TAKE_OVER_S)
            assert up == [str(local.path)]
            assert local.path.exists()
            stopping.set()


async def _note_start(nursery: trio.Nursery, run: Any, stopping: trio.Event, up: list[str]) -> None:
    up.append(await nursery.start(run, stopping))


async def test_readiness_does_not_wait_for_it(site: Site) -> None:
    assert site.listeners.up.are_all_up()


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="the system does not tell")
@pytest.mark.parametrize(("other", "is_admitted"), [(0, True), (1, os.geteuid() == 0)])
async def test_only_this_user_and_root_get_an_answer(
    monkeypatch: pytest.MonkeyPatch, other: int, *, is_admitted: bool
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        user = os.geteuid() + other
        monkeypatch.setattr(local_listener.os, "geteuid", lambda: user)
        assert may_connect(stream) == is_admitted


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="the system does not tell")
async def test_a_process_with_a_sandbox_gets_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(local_listener, "_is_confined", lambda pid: not asked.append(pid))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert not may_connect(trio.SocketStream(trio.socket.from_stdlib_socket(ours)))
    assert asked == [os.getpid()]
