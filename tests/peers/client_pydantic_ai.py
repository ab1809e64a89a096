"""Pydantic AI as a client of a direct view, or of views that search; prints what it saw as JSON.

An agent of a model that is played here calls the tools. They are printed as they would be sent to
OpenAI. Usage is that of client_fastmcp.py.
"""

import asyncio
import json
import os
import sys

import search_plan
from fastmcp.client.transports import SSETransport, StdioTransport, StreamableHttpTransport
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.profiles.openai import OpenAIJsonSchemaTransformer

PLACE = sys.argv[1:]
ASKED = json.loads(os.environ["ASKED"])


def wire(transport, address, *args):
    if transport == "stdio":
        return StdioTransport(command=address, args=args, keep_alive=False)
    return {"http": StreamableHttpTransport, "sse": SSETransport}[transport](address)


async def run_agent(toolset, plan, saw):
    """Have the agent of a model that is played here make the calls of a plan."""

    def play(messages, info):
        saw["sent"] = [
            {
                "name": tool.name,
                "parameters": OpenAIJsonSchemaTransformer(tool.parameters_json_schema).walk(),
            }
            for tool in info.function_tools
        ]
        returned = [part for part in messages[-1].parts if isinstance(part, ToolReturnPart)]
        answer = text_of(returned[0].content) if returned else None
        try:
            return ModelResponse([ToolCallPart(*plan.send(answer))])
        except StopIteration:
            return ModelResponse([TextPart("done")])

    await Agent(FunctionModel(play), toolsets=[toolset]).run("Make the calls")
    saw["tools"] = [tool.name for tool in await toolset.list_tools()]


def text_of(answer):
    """Return the text of an answer; of JSON, the SDK gives the value."""
    return answer if isinstance(answer, str) else json.dumps(answer)


async def search(*place):
    saw = {}
    async with MCPToolset(wire(*place), init_timeout=60) as toolset:
        await run_agent(toolset, search_plan.calls(ASKED, saw), saw)
    return saw


def echo(saw):
    saw["echo"] = yield ASKED["echo"], {"text": ASKED["text"]}


async def ask(*place):
    saw = {}
    async with MCPToolset(wire(*place), init_timeout=60) as toolset:
        await run_agent(toolset, echo(saw), saw)
        saw["count"] = await toolset.direct_call_tool(ASKED["count"], {"text": ASKED["text"]})
        saw["resource"] = await toolset.read_resource(ASKED["resource"])
        prompt = await toolset.get_prompt(ASKED["prompt"], {"text": ASKED["text"]})
        saw["prompt"] = prompt.messages[0].content.content
        saw["prompts"] = [prompt.name for prompt in await toolset.list_prompts()]
        saw["resources"] = [str(one.uri) for one in await toolset.list_resources()]
    return saw


saw = asyncio.run(ask(*PLACE) if PLACE else search_plan.at_each_place(ASKED, search))
print(json.dumps(saw))
