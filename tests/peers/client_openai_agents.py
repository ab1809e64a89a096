"""The OpenAI Agents SDK as a client of a direct view, or of views that search; prints what it saw
as JSON.

An agent of a model that is played here calls the tools. They are printed as they would be sent to
OpenAI, with strict schemas. Usage is that of client_fastmcp.py.
"""

import asyncio
import json
import os
import sys

import search_plan
from agents import Agent, ModelResponse, Runner, Usage, set_tracing_disabled
from agents.mcp import MCPServerSse, MCPServerStdio, MCPServerStreamableHttp
from agents.models.chatcmpl_converter import Converter
from agents.models.interface import Model
from openai.types.responses import (
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)

PLACE = sys.argv[1:]
ASKED = json.loads(os.environ["ASKED"])
LIMIT_S = 60


def server(transport, address, *args):
    limit = {"client_session_timeout_seconds": LIMIT_S}
    if transport == "stdio":
        return MCPServerStdio({"command": address, "args": list(args)}, **limit)
    kind = {"http": MCPServerStreamableHttp, "sse": MCPServerSse}[transport]
    return kind({"url": address}, **limit)


class Played(Model):
    """Makes the calls of a plan one after the other, then ends."""

    def __init__(self, plan):
        self.plan = plan
        self.tools = []

    async def get_response(self, system_instructions, input, model_settings, tools, *_, **__):
        self.tools = tools
        outputs = [item["output"] for item in input if item.get("type") == "function_call_output"]
        try:
            name, arguments = self.plan.send(text_of(outputs[-1]) if outputs else None)
        except StopIteration:
            text = ResponseOutputText(type="output_text", text="done", annotations=[])
            message = ResponseOutputMessage(
                id="1", type="message", role="assistant", status="completed", content=[text]
            )
            return ModelResponse(output=[message], usage=Usage(), response_id=None)
        call = ResponseFunctionToolCall(
            type="function_call",
            call_id=str(len(outputs)),
            name=name,
            arguments=json.dumps(arguments),
        )
        return ModelResponse(output=[call], usage=Usage(), response_id=None)

    async def stream_response(self, *_, **__):
        raise NotImplementedError


def text_of(output):
    """Return the text of what a tool answered, which the SDK gives in one of two forms."""
    if isinstance(output, str):
        return output
    return output[0]["text"]


async def run_agent(mcp, plan, saw):
    model = Played(plan)
    agent = Agent(
        name="agent",
        model=model,
        mcp_servers=[mcp],
        mcp_config={"convert_schemas_to_strict": True},
    )
    await Runner.run(agent, "Make the calls")
    saw["sent"] = [Converter.tool_to_openai(tool)["function"] for tool in model.tools]
    saw["tools"] = [tool.name for tool in await mcp.list_tools()]


async def search(*place):
    saw = {}
    async with server(*place) as mcp:
        await run_agent(mcp, search_plan.calls(ASKED, saw), saw)
    return saw


def echo(saw):
    saw["echo"] = yield ASKED["echo"], {"text": ASKED["text"]}


async def ask(*place):
    saw = {}
    async with server(*place) as mcp:
        await run_agent(mcp, echo(saw), saw)
        counted = await mcp.call_tool(ASKED["count"], {"text": ASKED["text"]})
        saw["count"] = getattr(counted, "structured_content", None)
        read = await mcp.read_resource(ASKED["resource"])
        saw["resource"] = read.contents[0].text
        prompt = await mcp.get_prompt(ASKED["prompt"], {"text": ASKED["text"]})
        saw["prompt"] = prompt.messages[0].content.text
        saw["prompts"] = [prompt.name for prompt in (await mcp.list_prompts()).prompts]
        saw["resources"] = [str(one.uri) for one in (await mcp.list_resources()).resources]
    return saw


set_tracing_disabled(True)
saw = asyncio.run(ask(*PLACE) if PLACE else search_plan.at_each_place(ASKED, search))
print(json.dumps(saw))
