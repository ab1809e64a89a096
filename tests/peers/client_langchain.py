"""langchain-mcp-adapters as a client of a direct view, or of views that search; prints what it saw
as JSON.

The tools are printed as LangChain would send them to OpenAI: those of a direct view with strict
schemas, which cannot say that a tool takes any arguments. Usage is that of client_fastmcp.py.
"""

import asyncio
import json
import os
import sys

import search_plan
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.prompts import load_mcp_prompt
from langchain_mcp_adapters.resources import load_mcp_resources
from langchain_mcp_adapters.tools import load_mcp_tools

PLACE = sys.argv[1:]
ASKED = json.loads(os.environ["ASKED"])


def session_at(transport, address, *args):
    if transport == "stdio":
        connection = {"transport": "stdio", "command": address, "args": list(args)}
    else:
        name = {"http": "streamable_http", "sse": "sse"}[transport]
        connection = {"transport": name, "url": address}
    return MultiServerMCPClient({"router": connection}).session("router")


async def listed(session, strict=None):
    tools = {tool.name: tool for tool in await load_mcp_tools(session)}
    sent = [convert_to_openai_tool(tool, strict=strict)["function"] for tool in tools.values()]
    return tools, {"tools": list(tools), "sent": sent}


def text_of(answer):
    return answer if isinstance(answer, str) else answer[0]["text"]


async def search(*place):
    async with session_at(*place) as session:
        tools, saw = await listed(session)

        async def call(name, arguments):
            return text_of(await tools[name].ainvoke(arguments))

        return await search_plan.play(ASKED, saw, call)


async def ask(*place):
    async with session_at(*place) as session:
        tools, saw = await listed(session, strict=True)
        saw["echo"] = text_of(await tools[ASKED["echo"]].ainvoke({"text": ASKED["text"]}))
        call = {"type": "tool_call", "id": "1", "args": {"text": ASKED["text"]}}
        counted = await tools[ASKED["count"]].ainvoke(call | {"name": ASKED["count"]})
        saw["count"] = counted.artifact["structured_content"]
        (blob,) = await load_mcp_resources(session, uris=ASKED["resource"])
        saw["resource"] = blob.as_string()
        (message,) = await load_mcp_prompt(
            session, ASKED["prompt"], arguments={"text": ASKED["text"]}
        )
        saw["prompt"] = message.content
        saw["prompts"] = [prompt.name for prompt in (await session.list_prompts()).prompts]
        saw["resources"] = [str(one.uri) for one in (await session.list_resources()).resources]
        return saw


saw = asyncio.run(ask(*PLACE) if PLACE else search_plan.at_each_place(ASKED, search))
print(json.dumps(saw))
