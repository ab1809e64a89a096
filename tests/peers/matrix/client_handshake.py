"""The client of one handshake revision: that of the SDK in whose environment it runs.

Usage: PYTHON client_handshake.py; `scenario.play` says what is on stdin and stdout.
"""

from contextlib import asynccontextmanager

import anyio
import scenario
import words
from mcp import ClientSession, StdioServerParameters, types
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client

HAS_ELICITATION = hasattr(types, "ElicitRequest")

TOKEN = "of the steps"


def wire(transport, address, *arguments):
    """Return the SDK's context manager for a transport."""
    if transport == "stdio":
        return stdio_client(StdioServerParameters(command=address, args=list(arguments)))
    if transport == "sse":
        return sse_client(address)
    from mcp.client.streamable_http import streamablehttp_client  # from 1.8 on

    return streamablehttp_client(address)


class Peer:
    """A server, as this client sees it."""

    has_elicitation = HAS_ELICITATION

    def __init__(self):
        self.notes = scenario.Notes()
        self.session = None

    # --- Answering -------------------------------------------------------------------------------

    async def note(self, message):
        """Note what belongs to a notification (the SDK's `message_handler`)."""
        root = getattr(message, "root", None)
        if isinstance(root, types.ProgressNotification):
            if root.params.progressToken == TOKEN:
                self.notes.take("progress", root.params.progress)
        elif isinstance(root, types.LoggingMessageNotification):
            self.notes.take("log", root.params.model_dump(mode="json", include=set(words.LOG)))
        elif isinstance(root, types.ResourceUpdatedNotification):
            self.notes.take("updated", str(root.params.uri))
        elif isinstance(root, types.ToolListChangedNotification):
            self.notes.take("tools")

    @staticmethod
    async def sample(_, params):
        assert params.messages[0].content.text == words.SAMPLE["messages"][0]["content"]["text"]
        return types.CreateMessageResult.model_validate(words.SAMPLED)

    @staticmethod
    async def elicit(_, params):
        assert params.message == words.FORM["message"]
        assert params.requestedSchema == words.FORM["requestedSchema"]
        return types.ElicitResult.model_validate(words.FORM_FILLED)

    @staticmethod
    async def list_roots(_):
        return types.ListRootsResult.model_validate(words.ROOTS)

    # --- Asking ------------------------------------------------------------------------------

    async def tools(self):
        return [tool.name for tool in (await self.session.list_tools()).tools]

    async def call(self, tool, _progress=False, **arguments):
        # By hand, since the older SDKs know no progress of a call.
        meta = {"_meta": {"progressToken": TOKEN}} if _progress else {}
        params = types.CallToolRequestParams(name=tool, arguments=arguments, **meta)
        request = types.CallToolRequest(method="tools/call", params=params)
        result = await self.session.send_request(types.ClientRequest(request), types.CallToolResult)
        text = result.content[0].text
        if result.isError:
            raise RuntimeError(text)
        return text

    @asynccontextmanager
    async def cancelled_at_exit(self, tool, **arguments):
        async with anyio.create_task_group() as tasks:
            request_id = self.session._request_id  # the SDKs have no public way to cancel
            tasks.start_soon(self._call_that_is_cancelled, tool, arguments)
            while self.session._request_id == request_id:
                await anyio.lowlevel.checkpoint()
            yield
            params = types.CancelledNotificationParams(requestId=request_id)
            cancelled = types.CancelledNotification(method="notifications/cancelled", params=params)
            await self.session.send_notification(types.ClientNotification(cancelled))
            tasks.cancel_scope.cancel()

    async def _call_that_is_cancelled(self, tool, arguments):
        answer = await self.call(tool, **arguments)
        raise AssertionError(f"A call that was to be cancelled was answered: {answer}")

    async def set_log_level(self, level):
        await self.session.set_logging_level(level)

    async def resources(self):
        return [str(one.uri) for one in (await self.session.list_resources()).resources]

    async def read(self, uri):
        (contents,) = (await self.session.read_resource(uri)).contents
        return contents.text

    @asynccontextmanager
    async def subscribed(self, uri):
        await self.session.subscribe_resource(uri)
        yield
        await self.session.unsubscribe_resource(uri)

    @asynccontextmanager
    async def told_of_tools(self):
        yield

    async def prompts(self):
        return [prompt.name for prompt in (await self.session.list_prompts()).prompts]

    async def prompt(self, name, argument):
        result = await self.session.get_prompt(name, {words.PROMPT_ARGUMENT: argument})
        return result.messages[0].content.text

    async def complete(self, prompt, begun):
        ref = types.PromptReference(type="ref/prompt", name=prompt)
        argument = {"name": words.PROMPT_ARGUMENT, "value": begun}
        return (await self.session.complete(ref, argument)).completion.values


@asynccontextmanager
async def connect(*address):
    """Connect to a server; the revision agreed on must be this SDK's."""
    peer = Peer()
    options = {
        "message_handler": peer.note,
        "sampling_callback": peer.sample,
        "list_roots_callback": peer.list_roots,
    }
    if HAS_ELICITATION:
        options["elicitation_callback"] = peer.elicit
    async with (
        wire(*address) as (read, write, *_),
        ClientSession(read, write, **options) as session,
    ):
        peer.session = session
        hello = await session.initialize()
        scenario.expect(hello.protocolVersion, types.LATEST_PROTOCOL_VERSION)
        yield peer


if __name__ == "__main__":
    scenario.play(connect)
