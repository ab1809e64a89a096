"""Sockets: all are bound or none, and what is said when they cannot be."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

import attrs
import pytest

from router.app import sockets
from router.app.sockets import Bound, address, bind, rebind
from router.config.security.security import Security
from router.config.settings import Api, HttpListener, Server, Settings, SseListener
from router.messages.errors import ConfigError
from router.service_manager.activation import HandedOver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
        bind(_settings(host="192.0.2.1", token="s" * 16), ["http"])
    assert "192.0.2.1" in str(caught.value)


def test_name_that_is_no_address_is_named() -> None:
    with pytest.raises(ConfigError, match="is no address of this machine"):
        bind(_settings(host="a..b", token="s" * 16), ["http"])


def test_localhost_is_ipv4() -> None:
    (bound,) = bind(_settings(host="localhost"), ["http"])
    with bound.sock:
        assert bound.sock.getsockname()[0] == "127.0.0.1"


def test_ipv6_address_is_in_brackets() -> None:
    assert address("::1", 3000) == address("[::1]", 3000) == "[::1]:3000"


# --- Sockets of the service manager ------------------------------------------------------------


@pytest.fixture
def handed_over() -> Iterator[HandedOver]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield HandedOver("http", sock)


def test_handed_over_socket_is_used_and_the_configured_address_is_not(
    handed_over: HandedOver, taken: int
) -> None:
    http, sse = bind(_settings(http=taken), ["http", "sse"], [handed_over])
    with sse.sock:
        assert (http.sock, http.port, http.host) == (
            handed_over.sock,
            handed_over.port,
            "127.0.0.1",
        )
        assert (http.is_handed_over, sse.is_handed_over) == (True, False)
        assert http.url == f"http://127.0.0.1:{handed_over.port}/mcp"


def test_handed_over_socket_never_moves(handed_over: HandedOver, taken: int) -> None:
    bound = bind(_settings(), ["http"], [handed_over])
    assert rebind(_settings(http=taken, host="0.0.0.0", token="a-token-of-tests"), bound) == ()


def test_real_address_of_a_handed_over_socket_decides_about_its_exposure() -> None:
    with socket.create_server(("0.0.0.0", 0)) as sock:
        with pytest.raises(ConfigError, match=r'for http: "0\.0\.0\.0" can be reached'):
            bind(_settings(), ["http"], [HandedOver("http", sock)])
        (http,) = bind(_settings(token="a-token-of-tests"), ["http"], [HandedOver("http", sock)])
        assert http.reach == "0.0.0.0"


def test_configured_host_of_a_handed_over_socket_does_not_matter(handed_over: HandedOver) -> None:
    (http,) = bind(_settings(host="0.0.0.0"), ["http"], [handed_over])
    assert http.reach == "127.0.0.1"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no systemd")
def test_unix_socket_is_reached_from_this_machine_only(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        (http,) = bind(_settings(), ["http"], [HandedOver("http", sock)])
        assert http.url == f"http://unix:{path}:/mcp"
        assert (http.reach, http.port, http.is_unix) == ("localhost", 0, True)
