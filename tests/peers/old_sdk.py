"""The client of an older Python SDK; does what `scenario.mjs` does and prints what it saw.

Usage: PYTHON old_sdk.py http|sse URL, or PYTHON old_sdk.py stdio COMMAND ARGUMENT...
Without arguments, it does what search_plan.py says.
It runs in the environment of that SDK, so it imports nothing of ours.
"""

import json
import os
import sys
from contextlib import AsyncExitStack
from datetime import timedelta

import anyio
import search_plan
from mcp import ClientSession, StdioServerParameters, types
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client

PLACE = sys.argv[1:]
ASKED = json.loads(os.environ.get("ASKED", "null"))


def wire(transport, address, *args):
    if transport == "stdio":
        return stdio_client(StdioServerParameters(command=address, args=args))
    if transport == "sse":
        return sse_client(address)
    from mcp.client.streamable_http import streamablehttp_client  # from 1.8 on

    return streamablehttp_client(address)


class Scenario:
    def __init__(self):
        self.list_changed = anyio.Event()

    async def noted(self, message):
        root = getattr(message, "root", None)
        if isinstance(root, types.ToolListChangedNotification):
            self.list_changed.set()

    async def call(self, session, tool, **arguments):
        wanted = {"instance_name": "plain", "tool_name": tool, "arguments": arguments}
        return await session.call_tool("mcp.router.call", wanted)

    async def own(self, session, tool, **arguments):
        result = await session.call_tool(f"mcp.router.{tool}", arguments)
        return json.loads(result.content[0].text)

    async def play(self, session):
        hello = await session.initialize()
        saw = {"server": hello.serverInfo.name, "revision": hello.protocolVersion}
        saw["tools"] = await self.names(session)
        saw["echo"] = (await self.call(session, "echo", text="zażółć")).content[0].text
        rows = await self.own(session, "list")
        saw["list"] = [[row["name"], row["state"]] for row in rows]
        shown = await self.own(session, "help")
        saw["help"] = [tool["name"] for tool in shown["plain"]["tools"]]
        saw["used"] = (await self.own(session, "use", instance_name="plain"))["tools"]
        await self.list_changed.wait()
        saw["tools_after_use"] = await self.names(session)
        saw["own_name"] = (await session.call_tool("echo", {"text": "mine"})).content[0].text
        image = (await self.call(session, "image")).content[1]
        saw["image"] = image.model_dump(by_alias=True, exclude_none=True)
        structured = await self.call(session, "structured")
        saw["structured"] = structured.model_dump(by_alias=True).get("structuredContent")
        saw["failed"] = (await self.call(session, "fail")).model_dump(by_alias=True, exclude_none=True)
        saw["unknown"] = await self.own(session, "use", instance_name="nobody")
        await session.send_ping()
        return saw

    async def search(self, session):
        async def call(name, arguments):
            return (await session.call_tool(name, arguments)).content[0].text

        hello = await session.initialize()
        saw = {"revision": hello.protocolVersion, "tools": await self.names(session)}
        return await search_plan.play(ASKED, saw, call)

    async def names(self, session):
        return [tool.name for tool in (await session.list_tools()).tools]


async def main(*place):
    scenario = Scenario()
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            read, write, *_ = await stack.enter_async_context(wire(*place))
            session = ClientSession(
                read,
                write,
                read_timeout_seconds=timedelta(seconds=30),
                message_handler=scenario.noted,
            )
            play = scenario.play if PLACE else scenario.search
            return await play(await stack.enter_async_context(session))


saw = anyio.run(main, *PLACE) if PLACE else anyio.run(search_plan.at_each_place, ASKED, main)
print(json.dumps(saw))
