"""A server on an older Python SDK; runs in the environment of that SDK.

Usage: PYTHON old_server.py stdio, or PYTHON old_server.py http|sse PORT
"""

import sys

from mcp.server.fastmcp import Context, FastMCP, Image

TRANSPORT, *PORT = sys.argv[1:]
server = FastMCP("old", **({"host": "127.0.0.1", "port": int(PORT[0])} if PORT else {}))

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c02"
    "0000000b4944415478da6364f80f00010501012718e3660000000049454e44ae426082"
)


@server.tool()
def greet(name: str) -> str:
    """Greet somebody."""
    return f"Hello, {name}!"


@server.tool()
def picture() -> Image:
    """One pixel."""
    return Image(data=PIXEL, format="png")


@server.tool()
def fail() -> str:
    """Fail."""
    raise ValueError("on purpose")


@server.tool()
async def steps(ctx: Context) -> str:
    """Report progress twice."""
    for step in (1, 2):
        await ctx.report_progress(step, 2)
    return "done"


server.run({"http": "streamable-http"}.get(TRANSPORT, TRANSPORT))
