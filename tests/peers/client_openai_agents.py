"""The OpenAI Agents SDK as a client of a direct view; prints what it saw as one JSON object.

An agent of a model that is played here calls a tool. The tools are printed as they would be sent to
OpenAI, with strict schemas. Usage is that of client_fastmcp.py.
"""

import asyncio
import json
import os
import sys

from agents import Agent, ModelResponse, Runner, Usage, set_tracing_disabled
from agents.mcp import MCPServerStdio, MCPServerStreamableHttp
from agents.models.chatcmpl_converter import Converter
from agents.models.interface import Model
from openai.types.responses import (
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)

TRANSPORT, ADDRESS, *ARGS = sys.argv[1:]
ASKED = json.loads(os.environ["ASKED"])
LIMIT_S = 60


def server():
    limit = {"client_session_timeout_seconds": LIMIT_S}
    if TRANSPORT == "stdio":
        return MCPServerStdio({"command": ADDRESS, "args": ARGS}, **limit)
    return MCPServerStreamableHttp({"url": ADDRESS}, **limit)


class Played(Model):
    """Calls the tool `echo`, then ends."""

    def __init__(self):
        self.tools = []
        self.echoed = None

    async def get_response(self, system_instructions, input, model_settings, tools, *_, **__):
        self.tools = tools
        outputs = [item["output"] for item in input if item.get("type") == "function_call_output"]
        if not outputs:
            call = ResponseFunctionToolCall(
                type="function_call",
                call_id="1",
                name=ASKED["echo"],
                arguments=json.dumps({"text": ASKED["text"]}),
            )
            return ModelResponse(output=[call], usage=Usage(), response_id=None)
        self.echoed = outputs[0]
        text = ResponseOutputText(type="output_text", text="done", annotations=[])
        message = ResponseOutputMessage(
            id="1", type="message", role="assistant", status="completed", content=[text]
        )
        return ModelResponse(output=[message], usage=Usage(), response_id=None)

    async def stream_response(self, *_, **__):
        raise NotImplementedError


async def main():
    set_tracing_disabled(True)
    model = Played()
    async with server() as mcp:
        agent = Agent(
            name="agent",
            model=model,
            mcp_servers=[mcp],
            mcp_config={"convert_schemas_to_strict": True},
        )
        await Runner.run(agent, "Echo the text")
        sent = [Converter.tool_to_openai(tool)["function"] for tool in model.tools]
        saw = {
            "tools": [tool.name for tool in await mcp.list_tools()],
            "sent": sent,
            "echo": text_of(model.echoed),
        }
        counted = await mcp.call_tool(ASKED["count"], {"text": ASKED["text"]})
        saw["count"] = getattr(counted, "structured_content", None)
        read = await mcp.read_resource(ASKED["resource"])
        saw["resource"] = read.contents[0].text
        prompt = await mcp.get_prompt(ASKED["prompt"], {"text": ASKED["text"]})
        saw["prompt"] = prompt.messages[0].content.text
        saw["prompts"] = [prompt.name for prompt in (await mcp.list_prompts()).prompts]
        saw["resources"] = [str(one.uri) for one in (await mcp.list_resources()).resources]
    print(json.dumps(saw))


def text_of(output):
    """Return the text of what a tool answered, which the SDK gives in one of two forms."""
    if isinstance(output, str):
        return output
    return output[0]["text"]


asyncio.run(main())
