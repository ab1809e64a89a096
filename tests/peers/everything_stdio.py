"""The everything-server of the Python SDK, over stdio: as it comes, it only listens on a port.

It runs in the environment `sdk-examples`, with the server's folder on the path.
"""

from mcp_everything_server.server import mcp

mcp.run("stdio")
