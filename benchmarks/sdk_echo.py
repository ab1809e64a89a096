"""The echo as a server of the MCP SDK, which takes about as long to start as other such servers."""

from __future__ import annotations

from mcp.server.mcpserver import MCPServer

server = MCPServer("echo", log_level="WARNING")


@server.tool()
def echo(text: str) -> str:
    """Give back the text."""
    return text


if __name__ == "__main__":
    server.run()
