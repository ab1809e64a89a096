"""FastMCP 4 as a client of a direct view; prints what it saw as one JSON object.

Usage: ASKED=JSON PYTHON client_fastmcp.py http URL, or ... stdio COMMAND ARGUMENT...
`ASKED` holds the names and URIs to ask for (`test_direct_view_clients.ASKED`).
"""

import asyncio
import json
import os
import sys

from fastmcp import Client
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport

TRANSPORT, ADDRESS, *ARGS = sys.argv[1:]
ASKED = json.loads(os.environ["ASKED"])


def wire():
    if TRANSPORT == "stdio":
        return StdioTransport(command=ADDRESS, args=ARGS, keep_alive=False)
    return StreamableHttpTransport(ADDRESS)


async def main():
    async with Client(wire(), timeout=60) as client:
        saw = {"tools": [tool.name for tool in await client.list_tools()]}
        echoed = await client.call_tool(ASKED["echo"], {"text": ASKED["text"]})
        saw["echo"] = echoed.content[0].text
        counted = await client.call_tool(ASKED["count"], {"text": ASKED["text"]})
        saw["count"] = counted.structured_content
        saw["resource"] = (await client.read_resource(ASKED["resource"]))[0].text
        prompt = await client.get_prompt(ASKED["prompt"], {"text": ASKED["text"]})
        saw["prompt"] = prompt.messages[0].content.text
        saw["prompts"] = [prompt.name for prompt in await client.list_prompts()]
        saw["resources"] = [str(resource.uri) for resource in await client.list_resources()]
    print(json.dumps(saw))


asyncio.run(main())
