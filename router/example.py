"""A small MCP server to try the router with.

It serves a few tools, a resource, a resource template and a prompt. It speaks every protocol
revision of the SDK over stdio. Run it as `mcp-router-example` or `python -m router.example`, as the
shipped `data/example/mcp_settings.json` does. It is an upstream like any other, in a process of its
own: neither it nor the router imports the other.

The docstrings of tools, resources and prompts are the descriptions that clients see.

Invariants: stdout carries MCP only; nothing is remembered between two calls.
"""

from __future__ import annotations

import datetime
import zoneinfo
from typing import Annotated

import trio
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel, Field

server = MCPServer(
    "mcp-router-example",
    title="MCP Router example",
    version="1.0.0",
    instructions="A few small tools to try an MCP client with. Nothing here touches your data.",
    log_level="WARNING",
)

GUIDE = """\
# The example server

Call `add`, `echo`, `now`, `word_count`, `countdown` (it reports progress and can be cancelled) or
`fail` (it always does). Read `example://greeting/{name}`, or ask for the prompt `summarize`.
"""


class TextCounts(BaseModel):
    """The length of a text."""

    characters: int = Field(description="Unicode code points, line ends included")
    words: int = Field(description="Runs of anything but white space")
    lines: int = Field(description="Lines; the last one need not end")


@server.tool(structured_output=False)
def add(a: float, b: float) -> str:
    """Add two numbers."""
    return f"{a + b:g}"


@server.tool(structured_output=False)
def echo(text: str) -> str:
    """Give back the text, unchanged."""
    return text


@server.tool(structured_output=False)
def now(
    timezone: Annotated[str, Field(description="An IANA name such as Europe/Berlin")] = "UTC",
) -> str:
    """Tell the time in a time zone, in ISO 8601, to the second."""
    try:
        zone = zoneinfo.ZoneInfo(timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ToolError(f"Unknown time zone: {timezone!r}. Use a name like 'Asia/Tokyo'") from None
    return datetime.datetime.now(zone).isoformat(timespec="seconds")


@server.tool()
def word_count(text: str) -> TextCounts:
    """Count the characters, words and lines of a text."""
    return TextCounts(characters=len(text), words=len(text.split()), lines=len(text.splitlines()))


@server.tool(structured_output=False)
async def countdown(
    ctx: Context,
    start: Annotated[int, Field(ge=0, le=1000)] = 3,
    interval_s: Annotated[float, Field(ge=0, le=60, description="Seconds a step")] = 1.0,
) -> str:
    """Count down to zero and report progress at each step. It can be cancelled."""
    for done in range(start):
        await ctx.report_progress(done, start, f"{start - done} to go")
        await trio.sleep(interval_s)
    await ctx.report_progress(start, start, "Done")
    return f"Counted down from {start}."


@server.tool(structured_output=False)
def fail(reason: str = "because it was asked to") -> str:
    """Fail, to see what a failing tool looks like."""
    raise ToolError(f"The tool failed {reason}")


@server.resource("example://guide", mime_type="text/markdown")
def guide() -> str:
    """Guide to everything this server offers."""
    return GUIDE


@server.resource("example://greeting/{name}", mime_type="text/plain")
def greeting(name: str) -> str:
    """A greeting for somebody."""
    return f"Hello, {name}!"


@server.prompt()
def summarize(text: str, sentences: str = "3") -> str:
    """Ask for a summary of a text."""
    return f"Summarize the following text in at most {sentences} sentences.\n\n{text}"


def main() -> None:
    """Serve over stdio until stdin ends."""
    trio.run(server.run_stdio_async)


if __name__ == "__main__":
    main()
