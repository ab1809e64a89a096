"""A server made with the SDK, which speaks both eras: over stdio when run, or as an application.

`grow` adds a tool and says that the list has changed; `where` wants an argument in a header.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import anyio
from mcp.server.mcpserver import Context, MCPServer
from pydantic import Field

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def build() -> MCPServer:
    """A server of its own, with no more tools than it begins with."""
    server = MCPServer("sdk", instructions="Ask nicely")
    cancelled = anyio.Event()

    @server.tool()
    def echo(text: str) -> str:
        return text

    @server.tool()
    def where(region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
        return region

    @server.tool()
    async def hang(ctx: Context) -> None:
        try:
            await ctx.report_progress(1)
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    @server.tool()
    async def was_cancelled() -> str:
        await cancelled.wait()
        return "yes"

    @server.tool()
    async def grow(ctx: Context) -> None:
        server.add_tool(_named("grown"))
        await ctx.notify_tools_changed()

    @server.prompt()
    def greeting(name: str) -> str:
        return f"Hello {name}"

    @server.resource("memo://one")
    def memo() -> str:
        return "remember"

    for tool in (echo, where, hang, was_cancelled, grow, greeting, memo):
        assert callable(tool)
    return server


def _named(name: str) -> Callable[[], Awaitable[str]]:
    async def tool() -> str:
        return name

    tool.__name__ = name
    return tool


if __name__ == "__main__":
    anyio.run(build().run_stdio_async)
