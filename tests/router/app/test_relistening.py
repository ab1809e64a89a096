"""Listeners that move while the others stay."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from router.app.listeners import Listeners
from router.app.relistening import Relistening
from router.app.sockets import bind
from router.config.settings import Api, HttpListener, Security, Server, Settings, SseListener
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = Settings(
    api=Api(port=0),
    server=Server(http=HttpListener(port=0), sse=SseListener(port=0)),
)


@attrs.define
class Running:
    """Listeners of all kinds, bound but not started; what their supervisor was told."""

    relistening: Relistening
    told: trio.MemoryReceiveChannel[Any]

    @property
    def ports(self) -> dict[str, int]:
        return {one.mode: one.port for one in self.relistening.listeners.bound}

    def move(self, new: Settings) -> None:
        self.relistening.prepare(new)
        self.relistening.apply(new)

    def restarted(self) -> list[str]:
        found: list[str] = []
        while self.told.statistics().current_buffer_used:
            found.append(self.told.receive_nowait().spec.name)
        return found


@pytest.fixture
def running() -> Iterator[Running]:
    bound = bind(SETTINGS, ["http", "sse", "api"])
    relistening = Relistening(Listeners.open(SETTINGS, ["http", "sse", "api"], bound))
    commands, told = trio.open_memory_channel[Any](16)
    inbox, _ = trio.open_memory_channel[Any](0)
    relistening.children(inbox, commands)
    yield Running(relistening, told)
    for one in relistening.listeners.bound:
        one.sock.close()


@pytest.fixture
def taken() -> Iterator[int]:
    """A port somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock.getsockname()[1]


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as sock:
        return sock.getsockname()[1]


def with_http(host: str = "127.0.0.1", **http: Any) -> Settings:
    server = attrs.evolve(SETTINGS.server, host=host, http=HttpListener(**http))
    return attrs.evolve(SETTINGS, server=server)


def answers(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def test_what_stays_where_it_is_is_left_alone(running: Running) -> None:
    before = running.ports
    running.move(attrs.evolve(SETTINGS, security=Security(bearer_token="t")))
    assert running.ports == before
    assert running.restarted() == []


def test_only_the_listener_that_moves_restarts(running: Running) -> None:
    before, port = running.ports, free_port()
    running.move(with_http(port=port))
    assert running.ports == before | {"http": port}
    assert running.restarted() == ["http"]
    assert answers(port)
    assert not answers(before["http"])
    endpoints = running.relistening.listeners.about()["endpoints"]
    assert endpoints["http"] == f"http://127.0.0.1:{port}/mcp"


def test_port_in_use_leaves_everything_as_it_was(running: Running, taken: int) -> None:
    before, port = running.ports, free_port()
    new = attrs.evolve(with_http(port=port), api=Api(port=taken, auto_find_port=False))
    with pytest.raises(ConfigError, match=rf"^127\.0\.0\.1:{taken}: already in use\. .*api\.port"):
        running.relistening.prepare(new)
    assert running.ports == before
    assert running.restarted() == []
    assert answers(before["api"])
    assert not answers(port)


def test_another_port_is_taken_where_that_is_allowed(running: Running, taken: int) -> None:
    running.move(with_http(port=taken, auto_find_port=True))
    found = running.ports["http"]
    assert found > taken
    assert running.restarted() == ["http"]
    running.move(with_http(port=taken, auto_find_port=True))
    assert running.ports["http"] == found
    with pytest.raises(ConfigError, match="already in use"):
        running.move(with_http(port=taken))


def test_port_of_the_router_itself_takes_a_restart_of_the_program(running: Running) -> None:
    new = with_http(port=running.ports["sse"], auto_find_port=True)
    with pytest.raises(ConfigError, match=r"this router itself has that port; restart it to apply"):
        running.relistening.prepare(new)


def test_listener_does_not_move_to_where_others_reach_it_without_a_token(running: Running) -> None:
    with pytest.raises(ConfigError, match=r"server\.host.*security\.bearer_token"):
        running.relistening.prepare(with_http("0.0.0.0", port=0))


@pytest.mark.parametrize("change", [{"cors_origin": "x"}, {"enable_realtime_logs": True}])
def test_what_the_api_is_told_at_its_start_restarts_it_where_it_is(
    running: Running, change: dict[str, Any]
) -> None:
    before = running.ports
    new = attrs.evolve(SETTINGS, api=attrs.evolve(SETTINGS.api, **change))
    running.move(new)
    running.move(new)
    assert running.ports == before
    assert running.restarted() == ["api"]
