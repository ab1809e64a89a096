"""langchain-mcp-adapters as a client of a direct view; prints what it saw as one JSON object.

The tools are printed as LangChain would send them to OpenAI, with strict schemas. Usage is that of
client_fastmcp.py.
"""

import asyncio
import json
import os
import sys

from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.prompts import load_mcp_prompt
from langchain_mcp_adapters.resources import load_mcp_resources
from langchain_mcp_adapters.tools import load_mcp_tools

TRANSPORT, ADDRESS, *ARGS = sys.argv[1:]
ASKED = json.loads(os.environ["ASKED"])


def connection():
    if TRANSPORT == "stdio":
        return {"transport": "stdio", "command": ADDRESS, "args": ARGS}
    return {"transport": "streamable_http", "url": ADDRESS}


async def main():
    client = MultiServerMCPClient({"router": connection()})
    async with client.session("router") as session:
        tools = {tool.name: tool for tool in await load_mcp_tools(session)}
        sent = [convert_to_openai_tool(tool, strict=True)["function"] for tool in tools.values()]
        saw = {"tools": list(tools), "sent": sent}
        echoed = await tools[ASKED["echo"]].ainvoke({"text": ASKED["text"]})
        saw["echo"] = echoed if isinstance(echoed, str) else echoed[0]["text"]
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
    print(json.dumps(saw))


asyncio.run(main())
