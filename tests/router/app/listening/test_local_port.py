"""The router's local port: made, kept by one router, replaced after a dead one, and guarded."""

from __future__ import annotations

import http.client
import logging
import os
from typing import TYPE_CHECKING

import pytest
import trio

from router.app.listening import local_port as module
from router.app.listening.local_port import LocalPort, local_port, open_local_port
from router.config.settings import Settings
from router.files import local_ports
from router.files.local_ports import file_name, local_port_of
from tests.router.app.parts import listeners_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMIT_S = 30


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(local_ports, "state_folder", lambda: tmp_path / "state")
    monkeypatch.setattr(module, "LOCK_WAIT_S", 0.0)
    return tmp_path / "config.json"


@pytest.fixture
def local(config: Path) -> Iterator[LocalPort]:
    with local_port(config) as opened:
        assert opened is not None
        yield opened


def test_commands_find_its_url_and_token_until_it_is_closed(
    local: LocalPort, config: Path, tmp_path: Path
) -> None:
    found = local_port_of(config)
    assert found is not None
    assert (found.url, found.token, found.pid) == (local.address, local.token, os.getpid())
    assert len(bytes.fromhex(local.token)) * 8 == 256
    assert local.token not in repr(local)
    local.close()
    local.close()
    assert local_port_of(config) is None
    assert not (tmp_path / "state" / "run" / file_name(config)).exists()
    assert local.sock.fileno() == -1


def test_port_of_a_living_router_stays_the_one_that_is_found(
    local: LocalPort, config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with local_port(config) as second:
        assert second is None
    text = f"Another router runs for {config} and has its local port; commands reach that one"
    assert caplog.messages == [text]
    found = local_port_of(config)
    assert found is not None
    assert found.token == local.token


def test_file_of_a_dead_router_is_replaced_by_one_for_this_user_alone(
    config: Path, tmp_path: Path
) -> None:
    dead = open_local_port(config)
    assert dead is not None
    os.close(dead._lock or 0)  # as the system does for a process that was killed
    dead.sock.close()
    file = tmp_path / "state" / "run" / file_name(config)
    file.chmod(0o644)
    with local_port(config) as opened:
        assert opened is not None
        found = local_port_of(config)
        assert found is not None
        assert found.token == opened.token != dead.token
        if os.name == "posix":
            assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("in_the_way", ["state", "file"])
def test_router_starts_without_one_where_it_cannot_be_made(
    tmp_path: Path, config: Path, caplog: pytest.LogCaptureFixture, in_the_way: str
) -> None:
    caplog.set_level(logging.INFO)
    if in_the_way == "state":
        (tmp_path / "state").write_text("no folder")
    else:
        (tmp_path / "state" / "run" / file_name(config)).mkdir(parents=True)
    assert open_local_port(config) is None
    (line,) = caplog.messages
    assert line.startswith("There is no local port (")


def ask(
    local: LocalPort, method: str, path: str, headers: dict[str, str], *, token: str = ""
) -> int:
    """Send a request on a new connection; return the status."""
    connection = http.client.HTTPConnection(local.address.removeprefix("http://"), timeout=LIMIT_S)
    sent = {"Authorization": f"Bearer {token or local.token}"} | headers
    try:
        connection.request(method, path, b"{}" if method == "POST" else None, sent)
        return connection.getresponse().status
    finally:
        connection.close()


async def test_nothing_is_answered_without_the_token_nor_to_a_page(local: LocalPort) -> None:
    listeners = listeners_of(Settings(), ())
    listeners.local = local
    (child,) = listeners.children()
    stopping = trio.Event()

    async def status(method: str, path: str, *, token: str = "", **headers: str) -> int:
        def request() -> int:
            return ask(local, method, path, headers, token=token)

        return await trio.to_thread.run_sync(request)

    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            assert await nursery.start(child.run, stopping) == local.address
            assert await status("GET", "/") == 200
            asked = [("GET", path) for path in ("/", "/health", "/docs", "/livez", "/api/status")]
            for method, path in [*asked, ("POST", "/mcp"), ("GET", "/ws"), ("OPTIONS", "/")]:
                assert await status(method, path, token="f" * 64) == 401, path
                assert await status(method, path, Origin="http://localhost") == 403, path
                assert await status(method, path, Host="localhost:1") == 403, path
            stopping.set()
    assert local.sock.fileno() == -1
