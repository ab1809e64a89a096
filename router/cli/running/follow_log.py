"""`mcp-router logs -f`: prints the log of a running router while it is written.

Invariant: text from the router is data: it cannot forge lines or move the cursor.
"""

from __future__ import annotations

import math
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
    wrap_client_stream,
)

from router.cli.rest_api.rest_client import ANSWER_S, OTHER_PORT, no_answer, refusal
from router.logs.record_text import one_line
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from router.cli.rest_api.rest_client import RestApi

Stream: TypeAlias = "trio.SocketStream | trio.SSLStream[trio.SocketStream]"

CLOSE_S: Final = 1.0
"""How long the end waits for a router that does not answer the closing handshake."""

PING_S: Final = 20.0
"""Between two pings: a proxy closes a WebSocket that is silent for longer (30 s and more)."""

# RFC 6455 section 7.4.1
GOING_AWAY: Final = 1001
NORMAL: Final = 1000

_WAYS_OUT: Final = {
    404: f"Set api.enable_realtime_logs to true in its config.json; {OTHER_PORT}",
}


def follow(api: RestApi, level: str = "DEBUG") -> int:
    """Print the log to stdout until the router ends or nobody reads stdout any more.

    Args:
        api: of the router.
        level: the lowest level to print.

    Returns:
        The exit status.

    Raises:
        ConfigError: the router cannot be reached or refuses, or the connection broke.
        KeyboardInterrupt: the user pressed Ctrl+C.
    """
    problems: list[str] = []
    is_interrupted = False
    try:
        trio.run(_follow, api, level)
    except* KeyboardInterrupt:
        is_interrupted = True  # raised here, it would be wrapped again
    except* (
        HandshakeError,
        ConnectionClosed,
        OSError,
        trio.TooSlowError,
        trio.BrokenResourceError,
    ) as group:
        # `_follow` opens a single nursery, so no group is inside this group.
        problems += filter(None, (_describe(api, one) for one in group.exceptions))
    if is_interrupted:
        raise KeyboardInterrupt
    if problems:
        raise ConfigError(api.place, "; ".join(dict.fromkeys(problems)))
    return 0


async def _follow(api: RestApi, level: str) -> None:
    with trio.fail_after(ANSWER_S) as answer:
        async with await _connect(api) as stream, trio.open_nursery() as nursery:
            answer.deadline = trio.current_time() + ANSWER_S
            target = api.target(f"/ws?level={level}")
            headers = [(key.encode(), value.encode()) for key, value in api.headers.items()]
            socket = await wrap_client_stream(
                nursery, stream, api.authority, target, extra_headers=headers
            )
            nursery.start_soon(_keep_alive, socket, answer)
            while _print(await socket.get_message()):
                pass
            with trio.move_on_after(CLOSE_S):
                await socket.aclose()
            nursery.cancel_scope.cancel("nobody reads any more")


async def _connect(api: RestApi) -> Stream:
    if api.socket:
        return await trio.open_unix_socket(api.socket)
    host = api.parts.hostname or ""
    if api.is_secure:
        port = api.parts.port or 443
        stream = await trio.open_ssl_over_tcp_stream(host, port, https_compatible=True)
        try:
            await stream.do_handshake()  # here, where its failure has a reason
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return stream
    return await trio.open_tcp_stream(host, api.parts.port or 80)


async def _keep_alive(socket: WebSocketConnection, answer: trio.CancelScope) -> None:
    """Ping the router; `answer` ends the connection when there is no answer to a ping."""
    while True:
        answer.deadline = math.inf
        await trio.sleep(PING_S)
        answer.deadline = trio.current_time() + ANSWER_S
        try:
            await socket.ping()
        except ConnectionClosed:
            return  # the task that waits for a message gets the same error


def _print(message: str | bytes) -> bool:
    """Print a message; return False when nobody reads stdout any more."""
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


def _describe(api: RestApi, error: Exception) -> str:
    """Return the problem and the way out; nothing if the router closed the connection itself."""
    if isinstance(error, ConnectionRejected):
        status = error.status_code
        said = refusal(status, error.body or b"")
        return f"{said}. {_WAYS_OUT[status]}" if status in _WAYS_OUT else said
    if isinstance(error, ConnectionClosed):
        code = error.reason.code if error.reason else None
        return "" if code in (NORMAL, GOING_AWAY) else f"the connection broke (code {code})"
    return no_answer(api, _cause(error))


def _cause(error: Exception) -> Exception:
    """Return the exception of the system, as blocking code would get it."""
    if isinstance(error, trio.TooSlowError):
        return TimeoutError("timed out")
    cause = error.__cause__
    if isinstance(cause, ExceptionGroup):
        # Trio groups the failures to connect, since it may try several addresses.
        failures = cast("ExceptionGroup[Exception]", cause).exceptions
        numbers = (one.errno for one in failures if isinstance(one, OSError) and one.errno)
        return next((OSError(number, os.strerror(number)) for number in numbers), error)
    return cause if isinstance(cause, OSError) else error
