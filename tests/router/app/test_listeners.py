"""The listeners as supervised children, and their moves while the others stay."""

from __future__ import annotations

import logging
import socket
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.testing

from router.app.listeners import STDIO, Listeners, UpListeners
from router.app.listening import stdio_streams
from router.app.listening.stdio_streams import take_stdio
from router.app.sockets import Bound, bind
from router.config.security.security import Security
from router.config.settings import Api, HttpListener, Server, Settings, SseListener
from router.messages.errors import ConfigError
from router.service_manager.activation import HandedOver
from supervisors.child import Restart
from tests.router.app.parts import listeners_of

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = Settings(
    api=Api(port=0),
    server=Server(http=HttpListener(port=0), sse=SseListener(port=0)),
)


# --- Children --------------------------------------------------------------------------------


def test_children_are_the_listeners(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin, stdout = trio.testing.memory_stream_one_way_pair()
    monkeypatch.setattr(stdio_streams, "open_stdio", lambda: (stdout, stdin))
    bound = bind(SETTINGS, ["http", "sse"])
    ours = listeners_of(SETTINGS, bound)
    ours.stdio = take_stdio(["stdio", "http", "sse"])
    assert {child.name: child.restart for child in ours.children()} == {
        "http": Restart.ALWAYS,
        "sse": Restart.ALWAYS,
        STDIO: Restart.NEVER,
    }
    for one in bound:
        one.sock.close()


def test_stdio_is_taken_only_where_it_is_a_mode() -> None:
    assert take_stdio(["http", "sse"]) is None


def test_without_stdin_there_is_no_stdio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ConfigError, match="started without stdin or stdout"):
        take_stdio(["stdio"])


def test_port_that_was_taken_is_named_with_the_one_taken_instead(
    taken: int, caplog: pytest.LogCaptureFixture
) -> None:
    http = HttpListener(port=taken, auto_find_port=True)
    settings = Settings(server=Server(http=http))
    (bound,) = bind(settings, ["http"])
    with bound.sock:
        listeners_of(settings, [bound]).children()
    assert caplog.messages == [
        f"Port {taken} is taken, so http listens on {bound.port}, "
        "as server.http.auto_find_port allows"
    ]


@pytest.mark.parametrize("mode", ["http", "sse"])
async def test_network_listener_serves_until_it_is_told_to_stop(mode: Any) -> None:
    bound = bind(SETTINGS, [mode])
    (child,) = listeners_of(SETTINGS, bound).children()
    stopping = trio.Event()
    with trio.fail_after(30), bound[0].sock:
        async with trio.open_nursery() as nursery:
            where = await nursery.start(child.run, stopping)
            assert where == bound[0].url
            stream = await trio.open_tcp_stream("127.0.0.1", bound[0].port)
            await stream.send_all(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 404")
            await stream.aclose()
            stopping.set()
    assert "transports.listen.serving.hosting.listener" in sys.modules


# --- Moves -----------------------------------------------------------------------------------


@attrs.define
class Running:
    """Listeners of all kinds, bound but not started; what their supervisor was told."""

    listeners: Listeners
    told: trio.MemoryReceiveChannel[Any]

    @property
    def ports(self) -> dict[str, int]:
        return {one.mode: one.port for one in self.listeners.bound}

    def move(self, new: Settings) -> None:
        self.listeners.prepare(new)
        self.listeners.apply(new)

    def restarted(self) -> list[str]:
        found: list[str] = []
        while self.told.statistics().current_buffer_used:
            found.append(self.told.receive_nowait().spec.name)
        return found


@pytest.fixture
def running() -> Iterator[Running]:
    bound = bind(SETTINGS, ["http", "sse", "api"])
    commands, told = trio.open_memory_channel[Any](16)
    listeners = listeners_of(SETTINGS, bound, commands=commands)
    yield Running(listeners, told)
    for one in listeners.bound:
        one.sock.close()


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as sock:
        return sock.getsockname()[1]


def with_http(host: str = "127.0.0.1", **http: Any) -> Settings:
    server = attrs.evolve(SETTINGS.server, host=host, http=HttpListener(**http))
    return attrs.evolve(SETTINGS, server=server)


def answers(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def test_a_listener_that_does_not_move_is_left_alone(running: Running) -> None:
    before = running.ports
    running.move(attrs.evolve(SETTINGS, security=Security(bearer_token="a-token-of-tests")))
    assert running.ports == before
    assert running.restarted() == []


def test_only_the_listener_that_moves_restarts(running: Running) -> None:
    before, port = running.ports, free_port()
    running.move(with_http(port=port))
    assert running.ports == before | {"http": port}
    assert running.restarted() == ["http"]
    assert answers(port)
    assert not answers(before["http"])
    endpoints = running.listeners.about()["endpoints"]
    assert endpoints["http"] == f"http://127.0.0.1:{port}/mcp"


def test_port_in_use_leaves_everything_as_it_was(running: Running, taken: int) -> None:
    before, port = running.ports, free_port()
    new = attrs.evolve(with_http(port=port), api=Api(port=taken, auto_find_port=False))
    with pytest.raises(ConfigError, match=rf"^127\.0\.0\.1:{taken}: already in use\. .*api\.port"):
        running.listeners.prepare(new)
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
        running.listeners.prepare(new)


def test_listener_does_not_move_to_where_others_reach_it_without_a_token(running: Running) -> None:
    with pytest.raises(ConfigError, match=r"server\.host.*security\.bearer_token"):
        running.listeners.prepare(with_http("0.0.0.0", port=0))


@pytest.mark.parametrize("change", [{"cors_origin": "x"}, {"enable_realtime_logs": True}])
def test_a_value_that_the_api_reads_at_its_start_restarts_the_api_on_its_socket(
    running: Running, change: dict[str, Any]
) -> None:
    before = running.ports
    new = attrs.evolve(SETTINGS, api=attrs.evolve(SETTINGS.api, **change))
    running.move(new)
    running.move(new)
    assert running.ports == before
    assert running.restarted() == ["api"]


def test_the_last_token_of_an_exposed_listener_cannot_be_removed() -> None:
    sock: Any = None
    exposed = [Bound("http", "0.0.0.0", 1, 1, sock)]
    settings = attrs.evolve(SETTINGS, security=Security(bearer_token="t0ken"))
    with pytest.raises(ConfigError, match="can be reached from other machines"):
        listeners_of(settings, exposed).prepare(SETTINGS)


# --- Sockets of the service manager ------------------------------------------------------------


@pytest.fixture
def handed_over() -> Iterator[Listeners]:
    """Listeners of which `http` has a socket of the service manager."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        bound = bind(SETTINGS, ["http", "sse"], [HandedOver("http", sock)])
        yield listeners_of(SETTINGS, bound)
        bound[1].sock.close()


def test_configured_address_of_a_handed_over_socket_is_said_not_to_matter(
    handed_over: Listeners, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    handed_over.children()
    said = (
        "The service manager opened the socket for http (127.0.0.1): server.host and "
        "server.http.port do not matter"
    )
    assert caplog.messages == [said]
    sock = handed_over.bound[0].sock
    handed_over.prepare(SETTINGS)
    handed_over.apply(SETTINGS)
    assert caplog.messages == [said]
    handed_over.prepare(with_http(port=free_port()))
    handed_over.apply(with_http(port=free_port()))
    assert caplog.messages == [said, said]
    assert handed_over.bound[0].sock is sock
    assert sock.fileno() != -1


def test_token_of_a_handed_over_socket_that_others_reach_cannot_be_removed() -> None:
    secured = attrs.evolve(SETTINGS, security=Security(bearer_token="a-token-of-tests"))
    with socket.create_server(("0.0.0.0", 0)) as sock:
        bound = bind(secured, ["http"], [HandedOver("http", sock)])
        listeners = listeners_of(secured, bound)
        with pytest.raises(ConfigError, match="can be reached from other machines"):
            listeners.prepare(SETTINGS)


async def test_listener_that_hands_over_refuses_last(handed_over: Listeners) -> None:
    http, sse = handed_over.bound
    handed_over.is_draining = True
    assert [handed_over.is_refusing(one) for one in (http, sse)] == [False, True]
    await handed_over.hand_over()
    assert [handed_over.is_refusing(one) for one in (http, sse)] == [True, True]


async def test_hand_over_that_takes_too_long_is_over_for_new_requests(
    handed_over: Listeners,
) -> None:
    (http, _) = handed_over.bound
    hand_over = handed_over.hand_over_of(http)
    assert hand_over is not None
    handed_over.is_draining = True
    with hand_over.taking_part(), trio.move_on_after(0):
        await handed_over.hand_over()
    assert handed_over.is_refusing(http)


def test_listeners_are_up_once_all_are_and_while_none_is_down() -> None:
    up = UpListeners()
    up.expect(["http", "api"])
    assert not up.note_up("http")
    assert not up.are_all_up()
    assert up.note_up("api")
    assert (up.are_all_up(), up.all_were_up.is_set()) == (True, True)
    up.note_down("api")
    assert not up.are_all_up()
    assert not up.note_up("api")
    assert up.are_all_up()
