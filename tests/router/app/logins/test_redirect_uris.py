"""Redirect URIs: the place that a browser comes back to after a login."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from router.app.logins.redirect_uris import check_loopback, own_base_url
from router.app.sockets import Bound
from router.messages.errors import RpcError

NO_SOCKET: Any = None


def bound(mode: Any, host: str, port: int = 3000) -> Bound:
    return Bound(mode, host, port, port, NO_SOCKET)


@pytest.mark.parametrize(
    ("public_url", "listeners", "base"),
    [
        ("https://mcp.example/tools/", [bound("http", "127.0.0.1")], "https://mcp.example/tools"),
        ("", [bound("api", "127.0.0.1", 8001), bound("http", "127.0.0.1")],
         "http://127.0.0.1:3000"),
        ("", [bound("api", "127.0.0.1", 8001)], "http://127.0.0.1:8001"),
        ("", [bound("http", "0.0.0.0")], "http://127.0.0.1:3000"),
        ("", [bound("http", "[::]")], "http://[::1]:3000"),
        ("", [bound("http", "::1")], "http://[::1]:3000"),
        ("", [bound("http", "localhost")], "http://localhost:3000"),
        ("", [bound("http", "192.0.2.1"), bound("sse", "127.0.0.1", 3001)],
         "http://127.0.0.1:3001"),
        ("", [bound("http", "router.example")], None),
        ("", [], None),
    ],
)  # fmt: skip
def test_own_url_is_the_public_one_or_a_listener_of_this_machine(
    public_url: str, listeners: list[Bound], base: str | None
) -> None:
    assert own_base_url(public_url, listeners) == base


def test_unix_socket_is_for_no_browser() -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        one = Bound("http", "/run/x.sock", 0, 0, sock, is_handed_over=True)
        assert own_base_url("", [one]) is None


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:8765/oauth/callback",
        "http://127.3.2.1:1/",
        "http://[::1]:8765/cb",
        "http://localhost:8765/cb",
    ],
)
def test_given_uri_is_on_the_machine_of_the_browser(uri: str) -> None:
    assert check_loopback(uri) == uri


@pytest.mark.parametrize(
    "uri",
    [
        "https://127.0.0.1:8765/cb",
        "http://evil.example:80/cb",
        "http://127.0.0.1.evil.example:80/cb",
        "http://127.0.0.1@evil.example:80/cb",
        "http://user@127.0.0.1:80/cb",
        "http://127.0.0.1:80/cb?next=x",
        "http://127.0.0.1:80/cb#x",
        "http://127.0.0.1/cb",
        "http://127.0.0.1:99999/cb",
        "http://127.0.0.1:80/\ncb",
        "http://2130706433:80/cb",
        "http://0.0.0.0:80/cb",
        "http://[::1:80/cb",
        "javascript:alert(1)",
    ],
)
def test_other_uri_is_refused(uri: str) -> None:
    with pytest.raises(RpcError, match="redirect_uri: expected a URL of this machine"):
        check_loopback(uri)
