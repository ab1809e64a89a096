"""Sockets of the service manager: which are taken, and which mode gets which."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from router.messages.errors import ConfigError
from router.service_manager import activation
from router.service_manager.activation import HandedOver, assign, take_sockets, take_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from router.config.values import Mode

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no systemd")

PORTS: dict[Mode, int] = {"http": 3000, "sse": 3001, "api": 8001}


@pytest.fixture
def listening() -> Iterator[Callable[..., HandedOver]]:
    """Makes sockets that listen."""
    with ExitStack() as stack:

        def listen(name: str = "", host: str = "127.0.0.1") -> HandedOver:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            sock = stack.enter_context(socket.create_server((host, 0), family=family))
            return HandedOver(name, sock)

        yield listen


# --- Taking ----------------------------------------------------------------------------------


def test_variables_for_this_process_alone_are_taken_out() -> None:
    environ = {"NOTIFY_SOCKET": "/n", "LISTEN_FDS": "1", "PATH": "/bin"}
    assert take_variables(environ) == {"NOTIFY_SOCKET": "/n", "LISTEN_FDS": "1"}
    assert environ == {"PATH": "/bin"}


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A listening socket at the first descriptor, inheritable as systemd leaves it."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        fd = os.dup(sock.fileno())
        os.set_inheritable(fd, True)
        monkeypatch.setattr(activation, "FIRST_FD", fd)
        yield sock


def variables(count: str, *names: str, pid: int | None = None) -> dict[str, str]:
    pid = os.getpid() if pid is None else pid
    return {"LISTEN_FDS": count, "LISTEN_PID": str(pid), "LISTEN_FDNAMES": ":".join(names)}


def test_socket_comes_with_its_name_and_is_not_inherited(handed_over: socket.socket) -> None:
    (taken,) = take_sockets(variables("1", "http"))
    with taken.sock:
        assert (taken.name, taken.port) == ("http", handed_over.getsockname()[1])
        assert taken.place == f"127.0.0.1:{taken.port}"
        assert not taken.sock.get_inheritable()


def test_socket_without_a_name_has_an_empty_one(handed_over: socket.socket) -> None:
    (taken,) = take_sockets({name: variables("1")[name] for name in ("LISTEN_FDS", "LISTEN_PID")})
    with taken.sock:
        assert taken.name == ""


def test_sockets_of_another_process_are_left_alone() -> None:
    assert take_sockets(variables("1", pid=1)) == ()
    assert take_sockets({}) == ()


@pytest.mark.parametrize("count", ["many", "-1", "99999"])
def test_number_of_sockets_that_is_none_is_refused(count: str) -> None:
    with pytest.raises(ConfigError, match="LISTEN_FDS: expected a number of sockets"):
        take_sockets(variables(count))


def test_descriptor_that_is_not_open_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activation, "FIRST_FD", 1_000_000)
    with pytest.raises(ConfigError, match="LISTEN_FDS: descriptor 1000000: is no socket"):
        take_sockets(variables("1"))


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (socket.SOCK_DGRAM, "is no stream socket; use ListenStream="),
        (socket.SOCK_STREAM, "does not listen; set Accept=no"),
    ],
)
def test_socket_of_another_kind_is_refused_with_the_way_out(
    kind: Any, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        monkeypatch.setattr(activation, "FIRST_FD", os.dup(sock.fileno()))
        with pytest.raises(ConfigError, match=problem):
            take_sockets(variables("1"))


def test_unix_socket_has_its_path_and_no_port(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        one = HandedOver("http", sock)
        assert (one.host, one.port, one.place) == (path, None, path)


# --- Modes -----------------------------------------------------------------------------------


def test_name_says_the_mode_whatever_the_port(listening: Any) -> None:
    http, api = listening("http"), listening("api", "::1")
    assert assign([api, http], PORTS) == {"http": http, "api": api}
    assert api.place.startswith("[::1]:")


def test_port_says_the_mode_of_a_socket_with_another_name(listening: Any) -> None:
    first, second = listening("mcp-router.socket"), listening("mcp-router.socket")
    ports: dict[Mode, int] = {"http": second.port, "sse": first.port}
    assert assign([first, second], ports) == {"sse": first, "http": second}


def test_last_mode_gets_the_last_socket(listening: Any) -> None:
    one, http = listening("mcp-router.socket"), listening("http")
    assert assign([one], {"http": 3000}) == {"http": one}
    assert assign([one, http], {"http": 3000, "api": 8001}) == {"http": http, "api": one}


def test_mode_without_a_socket_binds_its_own(listening: Any) -> None:
    http = listening("http")
    assert assign([http], PORTS) == {"http": http}


def test_socket_that_may_be_for_several_modes_is_refused(listening: Any) -> None:
    with pytest.raises(ConfigError, match=r"FileDescriptorName= in its unit to one of http, sse"):
        assign([listening("mcp-router.socket")], PORTS)


def test_socket_for_a_mode_that_is_not_to_listen_is_refused(listening: Any) -> None:
    with pytest.raises(ConfigError, match=r"is for sse, which is not to listen; add --transport s"):
        assign([listening("sse")], {"http": 3000})
    with pytest.raises(ConfigError, match=r"set api.enabled in config.json or add --transport api"):
        assign([listening("api")], {"http": 3000})


def test_two_sockets_for_one_mode_are_refused(listening: Any) -> None:
    with pytest.raises(ConfigError, match=r"are both for http, which has one socket; remove one"):
        assign([listening("http"), listening("http")], PORTS)
