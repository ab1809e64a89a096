"""`mcp-router logs -f`: the log of a running router, as it is written.

Job: follow the REST API's WebSocket and print what comes. Neighbours: `cli` says whom to follow;
`transports.listen.rest` has the other end.

Invariants: what comes from the router is data: it cannot forge lines or move the cursor. The token
goes in a header, never in a URL.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

import msgspec
import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
    wrap_client_stream,
)

from router.logs.record_text import one_line
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECT_S: Final = 10.0
"""How long a router may take to answer; it answers from memory."""

CLOSE_S: Final = 1.0
"""How long the end waits for a router that does not say goodbye."""

PING_S: Final = 20.0
"""Proxies take a WebSocket for dead over which nothing goes for longer (30 s and more)."""

GOING_AWAY: Final = 1001
NORMAL: Final = 1000

_PORTS: Final = {"http": 80, "https": 443}
_IS_IT_THERE: Final = "Is the router running, and api.enabled true in its config.json?"
_WAY_OUT: Final = {
    401: "Give --token, or set $MCP_ROUTER_TOKEN",
    404: "Set api.enable_realtime_logs to true in its config.json; where api.port was taken, the "
    "router has another, which its log names: give it with --url",
}


def follow(url: str, token: str, level: str = "DEBUG") -> int:
    """Print the log to stdout until the router or the reader ends; the exit status.

    Args:
        url: of the REST API, such as `http://127.0.0.1:8001`.
        token: for it; empty for none.
        level: the lowest that is of interest.

    Raises:
        ConfigError: nobody answers there, or not with that; or the connection broke.
        KeyboardInterrupt: the reader has seen enough.
    """
    headers = [(b"Authorization", f"Bearer {token}".encode())] if token else []
    problems: list[str] = []
    try:
        trio.run(_follow, _split(url), level, headers)
    except* (HandshakeError, ConnectionClosed, OSError, trio.TooSlowError) as group:
        problems += filter(None, map(_described, _leaves(group)))
    if problems:
        raise ConfigError(url, "; ".join(dict.fromkeys(problems)))
    return 0


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        if parts.scheme in _PORTS and parts.hostname and parts.port != 0:
            return parts
    except ValueError:
        pass
    raise ConfigError("--url", f"expected a URL such as http://127.0.0.1:8001, got {url}")


async def _follow(url: SplitResult, level: str, headers: list[tuple[bytes, bytes]]) -> None:
    with trio.fail_after(CONNECT_S):
        stream = await _connect(url)
    async with stream:
        await _talk(stream, url, f"{url.path.rstrip('/')}/ws?level={level}", headers)


async def _connect(url: SplitResult) -> trio.SocketStream | trio.SSLStream[trio.SocketStream]:
    host, port = url.hostname or "", url.port or _PORTS[url.scheme]
    if url.scheme == "https":
        return await trio.open_ssl_over_tcp_stream(host, port, https_compatible=True)
    return await trio.open_tcp_stream(host, port)


async def _talk(
    stream: trio.SocketStream | trio.SSLStream[trio.SocketStream],
    url: SplitResult,
    resource: str,
    headers: list[tuple[bytes, bytes]],
) -> None:
    host = url.netloc.rpartition("@")[2]
    async with trio.open_nursery() as nursery:
        with trio.fail_after(CONNECT_S):
            socket = await wrap_client_stream(
                nursery, stream, host, resource, extra_headers=headers
            )
        nursery.start_soon(_keep_alive, socket)
        while _print(await socket.get_message()):
            pass
        with trio.move_on_after(CLOSE_S):
            await socket.aclose()
        nursery.cancel_scope.cancel("nobody reads any more")


async def _keep_alive(socket: WebSocketConnection) -> None:
    """Notice when the router is gone, and let no proxy think that this is."""
    while True:
        await trio.sleep(PING_S)
        with trio.fail_after(CONNECT_S):
            await socket.ping()


def _leaves(group: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _described(error: Exception) -> str:
    """What is wrong; nothing where the router has said goodbye."""
    if isinstance(error, ConnectionRejected):
        return _refusal(error)
    if isinstance(error, ConnectionClosed):
        code = error.reason.code if error.reason else None
        return "" if code in (NORMAL, GOING_AWAY) else f"the connection broke (code {code})"
    return _no_answer(error)


def _no_answer(error: Exception) -> str:
    why = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return f"no answer ({one_line(why)}). {_IS_IT_THERE}"


def _print(message: str | bytes) -> bool:
    """Print it; False when nobody reads any more."""
    text = message if isinstance(message, str) else repr(message)
    try:
        for line in text.removesuffix("\n").split("\n"):
            sys.stdout.write(f"{one_line(line)}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        with suppress(OSError):
            sys.stdout.close()  # or its own flush at the exit would complain
        return False
    return True


def _refusal(rejected: ConnectionRejected) -> str:
    status, detail = rejected.status_code, _detail_of(rejected.body or b"")
    said = f"answered {status}: {detail}" if detail else f"answered {status}"
    return f"{said}. {_WAY_OUT[status]}" if status in _WAY_OUT else said


def _detail_of(body: bytes) -> str:
    """The `detail` of an error, which is a text or has its text in `error`."""
    for kind in (_Refusal, _Error):
        try:
            found = msgspec.json.decode(body, type=kind).detail
        except msgspec.MsgspecError:
            continue
        return one_line(found if isinstance(found, str) else found.error)
    return ""


class _Reason(msgspec.Struct):
    error: str


class _Refusal(msgspec.Struct):
    detail: str


class _Error(msgspec.Struct):
    detail: _Reason
