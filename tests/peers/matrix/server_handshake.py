"""A server of one handshake revision: that of the SDK in whose environment it runs.

Usage: PYTHON server_handshake.py stdio, or PYTHON server_handshake.py http|sse PORT
It sends everything that belongs to a call on the stream of that call, as far as its SDK can.
With `SDK_AS_IS` set, it keeps the faults of its SDK that `mend_session_ends` mends, and on stdio a
last line of stdout says when its session has ended.
"""

import contextlib
import json
import os
import sys

import anyio
import words
from mcp import types
from mcp.server.fastmcp import FastMCP
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.session import ServerSession
from mcp.shared.session import RequestResponder

try:
    from mcp.shared.message import ServerMessageMetadata
except ImportError:  # before 1.8, when there was only one stream
    ServerMessageMetadata = None

HAS_ELICITATION = hasattr(types, "ElicitRequest")
IS_AS_IS = "SDK_AS_IS" in os.environ

SESSION_ENDED = b'{"jsonrpc":"2.0","method":"notifications/session_ended"}\n'
"""After its session has ended, the process still waits for a line on stdin."""


def mend_session_ends():
    """Have only that end which is to end, as in later SDKs.

    In SDK 1.6 and 1.9, a cancelled request ends its whole session; in 1.9, a client that ends its
    session over HTTP ends those of all others.
    """
    receive = ServerSession._receive_loop

    def leave(responder, *error):
        if responder._completed:
            responder._on_complete(responder)
        responder._entered = False
        return responder._cancel_scope.__exit__(*error)

    async def receive_until_closed(session):
        with contextlib.suppress(anyio.ClosedResourceError):
            await receive(session)

    RequestResponder.__exit__ = leave
    ServerSession._receive_loop = receive_until_closed


class MatrixServer(Server):
    """Declares all that the handlers below can do; the SDK would leave some of it out."""

    def get_capabilities(self, *_):
        told = super().get_capabilities(NotificationOptions(tools_changed=True), {})
        told.resources.subscribe = True
        if types.LATEST_PROTOCOL_VERSION >= "2025-03-26":
            told.completions = getattr(types, "CompletionsCapability", dict)()
        return told

    async def run(self, *args, **options):
        try:
            await super().run(*args, **options)
        finally:
            if IS_AS_IS and transport == "stdio":
                os.write(1, SESSION_ENDED)  # The SDK's own writer may still be busy, or be gone.


class Fixture:
    """The handlers, and the state that all clients share."""

    def __init__(self, server):
        self.server = server
        self.grown = []
        self.text = "It has not changed yet"
        self.subscribers = []
        self.log_level = "debug"
        self.events = {}
        server.request_handlers |= {
            types.ListToolsRequest: self.list_tools,
            types.CallToolRequest: self.call_tool,
            types.ListResourcesRequest: self.list_resources,
            types.ReadResourceRequest: self.read_resource,
            types.SubscribeRequest: self.subscribe,
            types.UnsubscribeRequest: self.unsubscribe,
            types.ListPromptsRequest: self.list_prompts,
            types.GetPromptRequest: self.get_prompt,
            types.CompleteRequest: self.complete,
            types.SetLevelRequest: self.set_level,
        }

    @property
    def session(self):
        return self.server.request_context.session

    @property
    def request_id(self):
        return self.server.request_context.request_id

    def event(self, name, label):
        return self.events.setdefault((name, label), anyio.Event())

    # --- Tools -------------------------------------------------------------------------------

    async def list_tools(self, _):
        names = [*words.TOOLS, *self.grown]
        if not HAS_ELICITATION:
            names.remove("elicit")
        tools = [types.Tool(name=name, inputSchema=words.input_schema(name)) for name in names]
        return types.ServerResult(types.ListToolsResult(tools=tools))

    async def call_tool(self, request):
        tool = getattr(self, f"tool_{request.params.name}")
        try:
            text = await tool(**(request.params.arguments or {}))
        except Exception as error:
            return self.result(str(error), is_error=True)
        return self.result(text)

    @staticmethod
    def result(text, is_error=False):
        content = [types.TextContent(type="text", text=text)]
        return types.ServerResult(types.CallToolResult(content=content, isError=is_error))

    async def tool_echo(self, text):
        return text

    async def tool_steps(self):
        token = self.server.request_context.meta.progressToken
        for step in range(1, words.STEPS + 1):
            params = {"progressToken": token, "progress": step, "total": words.STEPS}
            await self.notify("notifications/progress", params)
        return "done"

    async def tool_log(self):
        for log in words.logs_from(self.log_level):
            await self.notify("notifications/message", log)
        return "logged"

    async def tool_wait(self, label):
        self.event("begun", label).set()
        try:
            await anyio.Event().wait()
        finally:
            self.event("cancelled", label).set()

    async def tool_await_begun(self, label):
        await self.event("begun", label).wait()
        return "begun"

    async def tool_await_cancelled(self, label):
        await self.event("cancelled", label).wait()
        return "cancelled"

    async def tool_sample(self):
        params = types.CreateMessageRequestParams.model_validate(words.SAMPLE)
        request = types.CreateMessageRequest(method="sampling/createMessage", params=params)
        return (await self.ask(request, types.CreateMessageResult)).content.text

    async def tool_elicit(self):
        request = types.ElicitRequest.model_validate(
            {"method": "elicitation/create", "params": words.FORM}
        )
        answer = await self.ask(request, types.ElicitResult)
        return json.dumps({"action": answer.action, "content": answer.content})

    async def tool_roots(self):
        answer = await self.ask(types.ListRootsRequest(method="roots/list"), types.ListRootsResult)
        return str(answer.roots[0].uri)

    async def tool_touch(self, text):
        self.text = text
        for session in list(self.subscribers):
            with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await session.send_resource_updated(words.CHANGING)
        return "touched"

    async def tool_grow(self, name):
        self.grown.append(name)
        await self.session.send_tool_list_changed()
        return "grown"

    # --- Resources ---------------------------------------------------------------------------

    async def list_resources(self, _):
        uris = (words.FIXED, words.CHANGING)
        resources = [types.Resource(uri=uri, name=uri.rpartition("/")[2]) for uri in uris]
        return types.ServerResult(types.ListResourcesResult(resources=resources))

    async def read_resource(self, request):
        uri = str(request.params.uri)
        text = {words.FIXED: words.FIXED_TEXT, words.CHANGING: self.text}[uri]
        contents = [types.TextResourceContents(uri=uri, text=text, mimeType="text/plain")]
        return types.ServerResult(types.ReadResourceResult(contents=contents))

    async def subscribe(self, request):
        assert str(request.params.uri) == words.CHANGING
        self.subscribers.append(self.session)
        return types.ServerResult(types.EmptyResult())

    async def unsubscribe(self, request):
        assert str(request.params.uri) == words.CHANGING
        self.subscribers.remove(self.session)
        return types.ServerResult(types.EmptyResult())

    # --- Prompts, completions, logs ----------------------------------------------------------

    async def list_prompts(self, _):
        argument = types.PromptArgument(name=words.PROMPT_ARGUMENT, required=True)
        prompt = types.Prompt(name=words.PROMPT, arguments=[argument])
        return types.ServerResult(types.ListPromptsResult(prompts=[prompt]))

    async def get_prompt(self, request):
        assert request.params.name == words.PROMPT
        text = words.welcome(request.params.arguments[words.PROMPT_ARGUMENT])
        content = types.TextContent(type="text", text=text)
        message = types.PromptMessage(role="user", content=content)
        return types.ServerResult(types.GetPromptResult(messages=[message]))

    async def complete(self, request):
        assert request.params.ref.name == words.PROMPT
        assert request.params.argument.name == words.PROMPT_ARGUMENT
        values = words.completions(request.params.argument.value)
        return types.ServerResult(types.CompleteResult(completion=types.Completion(values=values)))

    async def set_level(self, request):
        self.log_level = request.params.level
        return types.ServerResult(types.EmptyResult())

    # --- To the client -----------------------------------------------------------------------

    async def notify(self, method, params):
        message = {"method": method, "params": params}
        notification = types.ServerNotification.model_validate(message)
        related = {} if ServerMessageMetadata is None else {"related_request_id": self.request_id}
        await self.session.send_notification(notification, **related)

    async def ask(self, request, result_type):
        related = {}
        if ServerMessageMetadata is not None:
            related["metadata"] = ServerMessageMetadata(related_request_id=self.request_id)
        return await self.session.send_request(types.ServerRequest(request), result_type, **related)


if types.LATEST_PROTOCOL_VERSION < "2025-06-18" and not IS_AS_IS:
    mend_session_ends()

transport, *port = sys.argv[1:]
host = FastMCP("matrix", **({"host": "127.0.0.1", "port": int(port[0])} if port else {}))
host._mcp_server = MatrixServer("matrix")
Fixture(host._mcp_server)
host.run({"http": "streamable-http"}.get(transport, transport))
