"""Starts MCP Router 1.1 in the current folder: `python start_mcp_router_1.py stdio|http|sse PORT`.

Its package has all parts of the router, but not the `main.py` that its README starts. This file puts
the parts together as that one does, without the watcher of its files. It runs in an environment of
its own, with `config.json` and `data/` in the current folder.
"""

import asyncio
import sys

from src.core.config import ConfigManager
from src.core.logger import setup_logging
from src.mcp.client import MCPClientManager
from src.mcp.router import MCPRouter
from src.mcp.server import MCPServer


async def main():
    mode, port = sys.argv[1], int(sys.argv[2])
    config = ConfigManager("config.json")
    setup_logging(level=config.get("logging.level"), transport_mode=mode)
    clients = MCPClientManager(config.get("watcher.watch_path", "data"))
    await clients.load_configurations()
    server = MCPServer(MCPRouter(clients), transport_type=mode)
    await server.run("127.0.0.1", port)


asyncio.run(main())
