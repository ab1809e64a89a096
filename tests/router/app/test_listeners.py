"""Sockets: bound all or none, and what is said when they cannot be."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.testing

from router.app import listeners, sockets
from router.app.listeners import STDIO, Listeners
from router.app.sockets import Bound, address, bind
from router.config.settings import Api, HttpListener, Security, Server, Settings, SseListener
from router.messages.errors import ConfigError
from supervisors.child import Restart

if TYPE_CHECKING:
    from collections.abc import Iterator


def _settings(
    http: int = 0, sse: int = 0, host: str = "127.0.0.1", *, auto: bool = False, token: str = ""
) -> Settings:
    return Settings(
        server=Server(
            host=host,
            http=HttpListener(port=http, auto_find_port=auto),
            sse=SseListener(port=sse),
        ),
        security=Security(bearer_token=token),
    )


@pytest.fixture
def taken() -> Iterator[int]:
    """A port somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock.getsockname()[1]


def test_stdio_needs_no_socket() -> None:
    assert bind(_settings(host="0.0.0.0"), ["stdio"]) == ()


def test_each_mode_listens_on_a_port_of_its_own() -> None:
    http, sse = bind(_settings(), ["http", "sse"])
    with http.sock, sse.sock:
        assert (http.url, sse.url) == (
            f"http://127.0.0.1:{http.port}/mcp",
            f"http://127.0.0.1:{sse.port}/sse",
        )
        for one in (http, sse):
            socket.create_connection(("127.0.0.1", one.port)).close()


def test_port_in_use_is_named_with_the_ways_out(taken: int) -> None:
    with pytest.raises(ConfigError) as caught:
        bind(_settings(http=taken), ["http"])
    text = str(caught.value)
    assert text.startswith(f"127.0.0.1:{taken}: already in use. ")
    assert "server.http.port" in text
    assert "server.http.auto_find_port" in text


def test_all_sockets_or_none(taken: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ConfigError):
        bind(_settings(http=port, sse=taken), ["http", "sse"])
    socket.create_server(("127.0.0.1", port)).close()


def test_port_may_be_looked_for_upwards(taken: int) -> None:
    (bound,) = bind(_settings(http=taken, auto=True), ["http"])
    with bound.sock:
        assert taken < bound.port < taken + sockets.PORTS_TRIED
        assert bound.wanted_port == taken


def test_port_that_was_taken_is_named_with_the_one_taken_instead(
    taken: int, caplog: pytest.LogCaptureFixture
) -> None:
    settings = _settings(http=taken, auto=True)
    (bound,) = bind(settings, ["http"])
    with bound.sock:
        inbox: Any = None
        Listeners.open(settings, ["http"], [bound]).children(inbox)
    assert caplog.messages == [
        f"Port {taken} is taken, so http listens on {bound.port}, "
        "as server.http.auto_find_port allows"
    ]


def test_every_host_that_needs_a_token_is_named() -> None:
    settings = attrs.evolve(_settings(host="0.0.0.0"), api=Api(enabled=True, host="0.0.0.0"))
    with pytest.raises(ConfigError) as caught:
        bind(settings, ["http", "sse"])
    assert [line.rpartition(': "')[0] for line in str(caught.value).splitlines()] == [
        "config.json: server.host",
        "config.json: api.host",
    ]


def test_looking_for_a_port_ends(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "PORTS_TRIED", 1)
    with pytest.raises(ConfigError, match="already in use"):
        bind(_settings(http=taken, auto=True), ["http"])


def test_listener_that_may_choose_leaves_the_others_their_ports() -> None:
    http, sse, taken = _http_below_sse()
    with http.sock, sse.sock:
        assert (http.mode, sse.port) == ("http", taken + 1)
        assert http.port > taken + 1


def _http_below_sse() -> tuple[Bound, Bound, int]:
    """Both bound, where a port is taken and sse wants the next one, which has to be free."""
    for _ in range(100):
        with socket.create_server(("127.0.0.1", 0)) as sock:
            taken = sock.getsockname()[1]
            try:
                http, sse = bind(_settings(http=taken, sse=taken + 1, auto=True), ["http", "sse"])
            except ConfigError:
                continue
            return http, sse, taken
    raise AssertionError("no two ports in a row are free")


@pytest.mark.parametrize("host", ["0.0.0.0", "no.such.host.example", "::"])
def test_beyond_this_machine_a_token_is_needed(host: str) -> None:
    with pytest.raises(ConfigError, match=r"security\.bearer_token"):
        bind(_settings(host=host), ["http"])


def test_host_of_another_machine_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        bind(_settings(host="192.0.2.1", token="secret"), ["http"])
    assert "192.0.2.1" in str(caught.value)


def test_name_that_is_no_address_is_named() -> None:
    with pytest.raises(ConfigError, match="is no address of this machine"):
        bind(_settings(host="a..b", token="secret"), ["http"])


def test_localhost_is_ipv4() -> None:
    (bound,) = bind(_settings(host="localhost"), ["http"])
    with bound.sock:
        assert bound.sock.getsockname()[0] == "127.0.0.1"


def test_ipv6_address_is_in_brackets() -> None:
    assert address("::1", 3000) == address("[::1]", 3000) == "[::1]:3000"


def test_children_are_the_listeners(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin, stdout = trio.testing.memory_stream_one_way_pair()
    monkeypatch.setattr(listeners, "open_stdio", lambda: (stdout, stdin))
    bound = bind(_settings(), ["stdio", "http", "sse"])
    send, _receive = trio.open_memory_channel[Any](0)
    children = Listeners.open(_settings(), ["stdio", "http", "sse"], bound).children(send)
    assert {child.name: child.restart for child in children} == {
        "http": Restart.ALWAYS,
        "sse": Restart.ALWAYS,
        STDIO: Restart.NEVER,
    }
    for one in bound:
        one.sock.close()


def test_without_stdin_there_is_no_stdio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ConfigError, match="started without stdin or stdout"):
        Listeners.open(_settings(), ["stdio"], ())


@pytest.mark.parametrize("mode", ["http", "sse"])
async def test_network_listener_serves_until_it_is_told_to_stop(mode: Any) -> None:
    bound = bind(_settings(), [mode])
    send, _receive = trio.open_memory_channel[Any](16)
    (child,) = Listeners.open(_settings(), [mode], bound).children(send)
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
    assert "transports.listen.serving.hosting" in sys.modules
