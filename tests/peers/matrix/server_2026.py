"""A server of revision 2026-07-28, on the SDK 2.x.

Usage: PYTHON server_2026.py stdio, or PYTHON server_2026.py http PORT
It asks by `input_required`, and has a client ask anew with the answers.
"""

import json
import sys

import anyio
import hypercorn.config
import hypercorn.trio
import mcp_types as types
import trio
import words
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    ResourceUpdated,
    ToolsListChanged,
)

STATE = "asked once"
"""The state of a request that has been asked; it comes back with the answer."""


class Fixture:
    """The handlers, and the state that all clients share."""

    def __init__(self):
        self.grown = []
        self.text = "It has not changed yet"
        self.bus = InMemorySubscriptionBus()
        self.events = {}

    def event(self, name, label):
        return self.events.setdefault((name, label), anyio.Event())

    # --- Tools -------------------------------------------------------------------------------

    async def list_tools(self, _, __):
        names = [*words.TOOLS, *self.grown]
        tools = [types.Tool(name=name, input_schema=words.input_schema(name)) for name in names]
        return types.ListToolsResult(tools=tools)

    async def call_tool(self, context, params):
        tool = getattr(self, f"tool_{params.name}")
        done = await tool(context, params, **(params.arguments or {}))
        if isinstance(done, types.InputRequiredResult):
            return done
        return types.CallToolResult(content=[types.TextContent(text=done)])

    async def tool_echo(self, _, __, text):
        return text

    async def tool_steps(self, context, _):
        for step in range(1, words.STEPS + 1):
            await context.session.report_progress(step, words.STEPS)
        return "done"

    async def tool_log(self, context, _):
        for log in (words.QUIET_LOG, words.LOG):
            await context.session.send_log_message(**log, related_request_id=context.request_id)
        return "logged"

    async def tool_wait(self, _, __, label):
        self.event("begun", label).set()
        try:
            await anyio.Event().wait()
        finally:
            self.event("cancelled", label).set()

    async def tool_await_begun(self, _, __, label):
        await self.event("begun", label).wait()
        return "begun"

    async def tool_await_cancelled(self, _, __, label):
        await self.event("cancelled", label).wait()
        return "cancelled"

    async def tool_sample(self, _, params):
        asked = types.CreateMessageRequestParams.model_validate(words.SAMPLE)
        answer = self.answer(params, types.CreateMessageRequest(params=asked))
        return answer if isinstance(answer, types.InputRequiredResult) else answer.content.text

    async def tool_elicit(self, _, params):
        asked = types.ElicitRequestFormParams.model_validate(words.FORM)
        answer = self.answer(params, types.ElicitRequest(params=asked))
        if isinstance(answer, types.InputRequiredResult):
            return answer
        return json.dumps({"action": answer.action, "content": answer.content})

    async def tool_roots(self, _, params):
        answer = self.answer(params, types.ListRootsRequest())
        return answer if isinstance(answer, types.InputRequiredResult) else str(answer.roots[0].uri)

    @staticmethod
    def answer(params, question):
        """Return the answer that a call brings, or the result that asks for one."""
        if params.input_responses is None:
            asked = {"question": question}
            return types.InputRequiredResult(input_requests=asked, request_state=STATE)
        assert params.request_state == STATE
        return params.input_responses["question"]

    async def tool_touch(self, _, __, text):
        self.text = text
        await self.bus.publish(ResourceUpdated(uri=words.CHANGING))
        return "touched"

    async def tool_grow(self, _, __, name):
        self.grown.append(name)
        await self.bus.publish(ToolsListChanged())
        return "grown"

    # --- Resources, prompts, completions -----------------------------------------------------

    async def list_resources(self, _, __):
        uris = (words.FIXED, words.CHANGING)
        resources = [types.Resource(uri=uri, name=uri.rpartition("/")[2]) for uri in uris]
        return types.ListResourcesResult(resources=resources)

    async def read_resource(self, _, params):
        uri = str(params.uri)
        text = {words.FIXED: words.FIXED_TEXT, words.CHANGING: self.text}[uri]
        contents = types.TextResourceContents(uri=uri, text=text, mime_type="text/plain")
        return types.ReadResourceResult(contents=[contents])

    async def list_prompts(self, _, __):
        argument = types.PromptArgument(name=words.PROMPT_ARGUMENT, required=True)
        return types.ListPromptsResult(
            prompts=[types.Prompt(name=words.PROMPT, arguments=[argument])]
        )

    async def get_prompt(self, _, params):
        assert params.name == words.PROMPT
        text = words.welcome(params.arguments[words.PROMPT_ARGUMENT])
        message = types.PromptMessage(role="user", content=types.TextContent(text=text))
        return types.GetPromptResult(messages=[message])

    async def complete(self, _, params):
        assert params.ref.name == words.PROMPT
        assert params.argument.name == words.PROMPT_ARGUMENT
        values = words.completions(params.argument.value)
        return types.CompleteResult(completion=types.Completion(values=values))


def build():
    fixture = Fixture()
    return Server(
        "matrix",
        version="1",
        on_list_tools=fixture.list_tools,
        on_call_tool=fixture.call_tool,
        on_list_resources=fixture.list_resources,
        on_read_resource=fixture.read_resource,
        on_list_prompts=fixture.list_prompts,
        on_get_prompt=fixture.get_prompt,
        on_completion=fixture.complete,
        on_subscriptions_listen=ListenHandler(fixture.bus),
    )


async def serve_stdio():
    server = build()
    options = server.create_initialization_options(NotificationOptions(tools_changed=True))
    async with stdio_server() as (read, write):
        await server.run(read, write, options)


async def serve_http(port):
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{port}"]
    await hypercorn.trio.serve(build().streamable_http_app(), config)


if __name__ == "__main__":
    if sys.argv[1] == "http":
        trio.run(serve_http, int(sys.argv[2]))
    else:
        trio.run(serve_stdio)
