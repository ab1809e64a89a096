"""FastMCP 4 as a client of a direct view, or of views that search; prints what it saw as JSON.

Usage: ASKED=JSON PYTHON client_fastmcp.py http URL, or ... stdio COMMAND ARGUMENT...
`ASKED` holds the names and URIs to ask for (`test_direct_view_clients.ASKED`). Without arguments, it
is as search_plan.py says.
"""

import asyncio
import json
import os
import sys

import search_plan
from fastmcp import Client
from fastmcp.client.transports import SSETransport, StdioTransport, StreamableHttpTransport

PLACE = sys.argv[1:]
ASKED = json.loads(os.environ["ASKED"])


def wire(transport, address, *args):
    if transport == "stdio":
        return StdioTransport(command=address, args=args, keep_alive=False)
    return {"http": StreamableHttpTransport, "sse": SSETransport}[transport](address)


async def search(*place):
    async with Client(wire(*place), timeout=60) as client:

        async def call(name, arguments):
            return (await client.call_tool(name, arguments)).content[0].text

        saw = {"tools": [tool.name for tool in await client.list_tools()]}
        return await search_plan.play(ASKED, saw, call)


async def ask(*place):
    async with Client(wire(*place), timeout=60) as client:
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
        return saw


saw = asyncio.run(ask(*PLACE) if PLACE else search_plan.at_each_place(ASKED, search))
print(json.dumps(saw))
