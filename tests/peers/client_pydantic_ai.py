"""Pydantic AI as a client of a direct view; prints what it saw as one JSON object.

An agent of a model that is played here calls a tool. The tools are printed as they would be sent to
OpenAI. Usage is that of client_fastmcp.py.
"""

import asyncio
import json
import os
import sys

from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.profiles.openai import OpenAIJsonSchemaTransformer

TRANSPORT, ADDRESS, *ARGS = sys.argv[1:]
ASKED = json.loads(os.environ["ASKED"])
saw = {}


def wire():
    if TRANSPORT == "stdio":
        return StdioTransport(command=ADDRESS, args=ARGS, keep_alive=False)
    return StreamableHttpTransport(ADDRESS)


def play(messages, info):
    """Call the tool `echo`, then end."""
    saw["sent"] = [
        {
            "name": tool.name,
            "parameters": OpenAIJsonSchemaTransformer(tool.parameters_json_schema).walk(),
        }
        for tool in info.function_tools
    ]
    returned = [part for part in messages[-1].parts if isinstance(part, ToolReturnPart)]
    if not returned:
        return ModelResponse([ToolCallPart(ASKED["echo"], {"text": ASKED["text"]})])
    saw["echo"] = returned[0].content
    return ModelResponse([TextPart("done")])


async def main():
    toolset = MCPToolset(wire(), init_timeout=60)
    async with toolset:
        await Agent(FunctionModel(play), toolsets=[toolset]).run("Echo the text")
        saw["tools"] = [tool.name for tool in await toolset.list_tools()]
        saw["count"] = await toolset.direct_call_tool(ASKED["count"], {"text": ASKED["text"]})
        saw["resource"] = await toolset.read_resource(ASKED["resource"])
        prompt = await toolset.get_prompt(ASKED["prompt"], {"text": ASKED["text"]})
        saw["prompt"] = prompt.messages[0].content.content
        saw["prompts"] = [prompt.name for prompt in await toolset.list_prompts()]
        saw["resources"] = [str(one.uri) for one in await toolset.list_resources()]
    print(json.dumps(saw))


asyncio.run(main())
