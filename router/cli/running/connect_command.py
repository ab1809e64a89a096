"""`mcp-router connect`: bridges a client on stdin and stdout to a running router; starts none."""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import SplitResult, urlsplit

from router.cli.arguments import options_of
from router.cli.rest_api.how_to_serve import how_to_serve
from router.cli.terminal import complain
from router.config.options import locate
from router.files.local_sockets import has_local_sockets, sockets_of
from router.files.names import NAME_RULE, is_name
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    import trio

    from transports.bridge.endpoint import Endpoint
    from transports.bridge.http_connection import Router

DESCRIPTION: Final = """\
Be an MCP server on stdin and stdout for one client, and carry its messages to the router that runs
for config.json. It starts no router: while there is none, it waits for a moment, and answers with
an error that says how to start one. A router that restarts is joined again."""

EXAMPLES: Final = """
mcp-router connect -c ~/mcp/config.json
mcp-router connect --view work
MCP_ROUTER_TOKEN=… mcp-router connect --url https://mcp.example.org/mcp"""

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

MCP_PATH: Final = "/mcp"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `connect`."""
    parser.add_argument(
        "--view", metavar="NAME", help="the profile or instance to show, in place of the default"
    )
    parser.add_argument(
        "--url", help="the MCP endpoint of a router elsewhere, instead of that of config.json here"
    )
    parser.add_argument("--token", help="the token for --url; else $MCP_ROUTER_TOKEN")


def run(arguments: argparse.Namespace) -> int:
    """Carry messages until the client ends; return the exit status.

    Raises:
        ConfigError: the URL or the name of the view is none.
    """
    # For start-up time: its help needs no Trio.
    import trio

    if arguments.view is not None and not is_name(arguments.view):
        raise ConfigError("--view", f"{NAME_RULE}, got {arguments.view!r}")
    if arguments.url is None:
        endpoint, how_to_start = _local_endpoint(arguments)
    else:
        endpoint, how_to_start = _remote_endpoint(arguments)
    if None in (sys.stdin, sys.stdout):
        raise ConfigError("connect", "it was started without stdin or stdout")
    gc.enable()  # a client may stay for days
    trio.run(_run, endpoint, how_to_start)
    return 0


async def _run(endpoint: Endpoint, how_to_start: str) -> None:
    import trio

    from transports.bridge.bridge import Bridge
    from transports.listen.stdio.streams import open_stdio

    stdin, stdout = open_stdio()
    bridge = Bridge(endpoint, stdin, stdout, _say, how_to_start)
    async with stdin, stdout, trio.open_nursery() as nursery:
        nursery.start_soon(_stop_on_signal, nursery.cancel_scope)
        await bridge.run()
        nursery.cancel_scope.cancel("the client has ended")


async def _stop_on_signal(scope: trio.CancelScope) -> None:
    import trio

    with trio.open_signal_receiver(*STOP_SIGNALS) as numbers:
        async for number in numbers:
            scope.cancel(signal.Signals(number).name)


def _say(text: str) -> None:
    with suppress(OSError):  # a client may have closed the other end of stderr
        complain(f"connect: {text}")


# --- Where the router is ---------------------------------------------------------------------


def _local_endpoint(arguments: argparse.Namespace) -> tuple[Endpoint, str]:
    """Return the place of the router of `config.json`, and how to start that."""
    from transports.bridge.endpoint import Endpoint
    from transports.bridge.http_connection import Router

    config = locate(options_of(arguments), os.environ, Path.cwd()).config
    router = Router(partial(_open_local, config), "localhost")
    if not has_local_sockets():
        router.connect = partial(_open_local_port, config, router)
    how_to_start = f"Start it with `{how_to_serve(config)}`"
    return Endpoint(router, _at_view(MCP_PATH, arguments.view)), how_to_start


async def _open_local(config: Path) -> trio.abc.Stream:
    """Connect to the router of a `config.json`.

    Raises:
        OSError: there is none.
    """
    import trio

    for path in sockets_of(config, os.environ):
        try:
            return await trio.open_unix_socket(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            continue  # of a router that has ended
    raise _no_router(config)


async def _open_local_port(config: Path, router: Router) -> trio.abc.Stream:
    """Connect to the router of a `config.json`, as `_open_local` does.

    Each router has a port and a token of its own, which this one's requests get from now on.
    """
    import trio

    # For start-up time: most systems have local sockets.
    from router.cli.rest_api.rest_client import RestApi
    from router.files.local_ports import local_port_of

    found = await trio.to_thread.run_sync(local_port_of, config)
    if found is None:
        raise _no_router(config)
    api = RestApi(found.url, found.token)
    router.authority, router.headers = api.authority, api.headers
    return await _open_remote(api.parts)


def _no_router(config: Path) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, f"no router of yours runs for {config}")


def _remote_endpoint(arguments: argparse.Namespace) -> tuple[Endpoint, str]:
    """Return the place of the router behind `--url`, and what to look at if it is not there."""
    # For start-up time: a router on this machine needs no token.
    from router.cli.rest_api.running_router import TOKEN_VARIABLE
    from transports.bridge.endpoint import Endpoint
    from transports.bridge.http_connection import Router

    parts = _split(arguments.url)
    token = arguments.token or os.environ.get(TOKEN_VARIABLE, "")
    if not (token.isascii() and token.isprintable()):
        raise ConfigError("--token", "expected printable ASCII characters")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    authority = parts.netloc.rpartition("@")[2]
    router = Router(partial(_open_remote, parts), authority, headers)
    path = _at_view(parts.path.rstrip("/") or MCP_PATH, arguments.view)
    target = f"{path}?{parts.query}" if parts.query else path
    return Endpoint(router, target), f"Is there a router at {arguments.url}?"


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        (parts.hostname or "").encode("idna")  # as whoever looks it up does
        is_usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        if is_usable and url.isascii() and url.isprintable() and " " not in url:
            return parts
    except ValueError:
        pass
    raise ConfigError("--url", f"expected a URL such as http://127.0.0.1:3000/mcp, got {url}")


async def _open_remote(parts: SplitResult) -> trio.abc.Stream:
    """Connect to a router; raises `OSError`."""
    import trio

    host = cast("str", parts.hostname)
    if parts.scheme == "http":
        return await trio.open_tcp_stream(host, parts.port or 80)
    stream = await trio.open_ssl_over_tcp_stream(host, parts.port or 443, https_compatible=True)
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError as exc:
        await trio.aclose_forcefully(stream)
        cause = exc.__cause__  # of the system, or of the certificate
        raise cause if isinstance(cause, OSError) else OSError(str(exc)) from None
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


def _at_view(path: str, view: str | None) -> str:
    if view is None:
        return path
    # For start-up time: names with letters beyond ASCII are few.
    from urllib.parse import quote

    return f"{path}/{quote(view)}"
