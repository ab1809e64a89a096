"""Connects the SDK's own client to a router, over each transport and on each event loop.

Tests write scenarios as coroutines and `run` them. A scenario uses anyio only, so the same scenario
runs on Trio and on asyncio.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import anyio
import attrs
import httpx2
import mcp_types as types
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from tests.e2e.processes import descendants, running_with, still_running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.e2e.processes import RouterProcess
    from tests.e2e.workspace import Workspace

BACKENDS: Final = ("trio", "asyncio")
TRANSPORTS: Final = ("stdio", "http", "sse")

HANDSHAKE: Final = "legacy"
"""The `mode` of `mcp.Client`: a handshake, or the revision without one."""

SCENARIO_LIMIT_S: Final = 60.0


def run(scenario: Callable[[], Awaitable[None]], backend: str = "trio") -> None:
    """Run a coroutine to its end on an event loop of its own, within a limit."""

    async def limited() -> None:
        with anyio.fail_after(SCENARIO_LIMIT_S):
            await scenario()

    anyio.run(limited, backend=backend)


@attrs.define
class Seen:
    """The notifications that a client received."""

    notifications: list[Any] = attrs.field(factory=list[Any])
    _news: anyio.Event = attrs.field(factory=anyio.Event)

    async def take(self, message: Any) -> None:
        """Note a message (the client's `message_handler`)."""
        self.notifications.append(message)
        self._news.set()
        self._news = anyio.Event()
        await anyio.lowlevel.checkpoint()

    async def wait_for(self, kind: type[Any]) -> Any:
        """The first notification of a kind, past or to come."""
        await anyio.lowlevel.checkpoint()
        while True:
            found = [one for one in self.notifications if isinstance(one, kind)]
            if found:
                return found[0]
            await self._news.wait()


@attrs.frozen
class Target:
    """A router to connect to: one that runs (`http`, `sse`) or one the client starts (`stdio`).

    `mode` is that of `mcp.Client`; `auto` asks the router first. `token` is for HTTP.
    """

    transport: str
    workspace: Workspace
    router: RouterProcess | None = None
    mode: str = HANDSHAKE
    token: str | None = None

    @asynccontextmanager
    async def connect(self, **options: Any) -> AsyncIterator[Client]:
        """A client that is ready to ask; `options` are those of `mcp.Client`."""
        options = {"mode": self.mode, **options}
        if self.transport == "stdio":
            async with _over_stdio(self.workspace, options) as client:
                yield client
            return
        assert self.router is not None
        if self.transport == "sse":
            async with Client(sse_client(self.router.url("/sse")), **options) as client:
                yield client
            return
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        async with httpx2.AsyncClient(headers=headers, timeout=SCENARIO_LIMIT_S) as http:
            over = streamable_http_client(self.router.url("/mcp"), http_client=http)
            async with Client(over, **options) as client:
                yield client


@asynccontextmanager
async def _over_stdio(workspace: Workspace, options: dict[str, Any]) -> AsyncIterator[Client]:
    """Have the client start the router; afterwards nothing of it may be left."""
    command, *args = workspace.stdio_command
    params = StdioServerParameters(command=command, args=args)
    log = workspace.path / "stderr.txt"
    others = running_with(str(workspace.path))  # a router that serves this folder on the network
    with log.open("a") as errlog:
        async with Client(stdio_client(params, errlog), **options) as client:
            yield client
    running = running_with(str(workspace.path))
    of_others = [row for other in others for row in descendants(other.pid)]
    left = still_running([row for row in running if row not in [*others, *of_others]])
    assert not left, f"Left running: {left}\n{log.read_text()}"


# --- Calling the router's tools --------------------------------------------------------------


def text_of(result: Any) -> str:
    """The text of a result's first content."""
    (first, *_) = result.content
    assert isinstance(first, types.TextContent)
    return first.text


def value_of(result: Any) -> Any:
    """The JSON value in the text of a result."""
    return json.loads(text_of(result))


def error_of(result: Any) -> tuple[str, str]:
    """The message and the code of an error of the router's own tools."""
    assert result.is_error, result
    told = value_of(result)
    assert sorted(told) == ["code", "error"]
    return told["error"], told["code"]


async def call(
    client: Client, instance: str, tool: str, arguments: dict[str, Any] | None = None, **more: Any
) -> Any:
    """Call a tool of an instance by `mcp.router.call`; waits while the instance starts."""
    wanted = {"instance_name": instance, "tool_name": tool, "arguments": arguments or {}}
    return await client.call_tool("mcp.router.call", wanted, **more)


async def call_text(client: Client, instance: str, tool: str, **arguments: Any) -> str:
    """The text that a tool of an instance answers with."""
    result = await call(client, instance, tool, arguments)
    assert not result.is_error, result
    return text_of(result)


async def listed(client: Client) -> dict[str, dict[str, Any]]:
    """Return the rows of `mcp.router.list`, by name of instance."""
    return {row["name"]: row for row in value_of(await client.call_tool("mcp.router.list", {}))}


async def listed_when(
    client: Client, name: str, is_so: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """The row of an instance once it is as wanted; the caller limits the wait."""
    while True:
        row = (await listed(client))[name]
        if is_so(row):
            return row
        await anyio.sleep(0.02)  # states are asked for, they are not announced


async def tool_names(client: Client) -> list[str]:
    """The names of all tools that are listed to this client."""
    return [tool.name for tool in (await client.list_tools()).tools]


OWN_TOOLS: Final = ["mcp.router.use", "mcp.router.list", "mcp.router.help", "mcp.router.call"]
