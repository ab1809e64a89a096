"""The client of revision 2026-07-28: `mcp.Client` of the SDK 2.x.

Usage: PYTHON client_2026.py; `scenario.play` says what is on stdin and stdout.
"""

from contextlib import asynccontextmanager

import anyio
import mcp_types as types
import scenario
import words
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.subscriptions import ResourceUpdated, ToolsListChanged

REVISION = "2026-07-28"
LOG_LEVEL = "io.modelcontextprotocol/logLevel"


class Peer:
    """A server, as this client sees it."""

    has_elicitation = True

    def __init__(self):
        self.notes = scenario.Notes()
        self.client = None
        self._meta = {}

    # --- Answering ---------------------------------------------------------------------------

    async def note_log(self, params):
        kept = {"level": params.level, "data": params.data, "logger": params.logger}
        self.notes.take("log", kept)

    async def note_progress(self, progress, *_):
        self.notes.take("progress", progress)

    @staticmethod
    async def sample(_, params):
        assert params.messages[0].content.text == words.SAMPLE["messages"][0]["content"]["text"]
        return types.CreateMessageResult.model_validate(words.SAMPLED)

    @staticmethod
    async def elicit(_, params):
        assert params.message == words.FORM["message"]
        asked = params.model_dump(mode="json", by_alias=True, exclude_none=True)
        assert asked["requestedSchema"] == words.FORM["requestedSchema"], asked
        return types.ElicitResult.model_validate(words.FORM_FILLED)

    @staticmethod
    async def list_roots(_):
        return types.ListRootsResult.model_validate(words.ROOTS)

    # --- Asking ------------------------------------------------------------------------------

    async def tools(self):
        return [tool.name for tool in (await self.client.list_tools()).tools]

    async def call(self, tool, _progress=False, **arguments):
        note = self.note_progress if _progress else None
        result = await self.client.call_tool(
            tool, arguments, progress_callback=note, meta=self._meta or None
        )
        text = result.content[0].text
        if result.is_error:
            raise RuntimeError(text)
        return text

    @asynccontextmanager
    async def cancelled_at_exit(self, tool, **arguments):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._call_that_is_cancelled, tool, arguments)
            yield
            tasks.cancel_scope.cancel()

    async def _call_that_is_cancelled(self, tool, arguments):
        answer = await self.call(tool, **arguments)
        raise AssertionError(f"A call that was to be cancelled was answered: {answer}")

    async def set_log_level(self, level):
        self._meta[LOG_LEVEL] = level  # each request has a level of its own at this revision

    async def resources(self):
        return [str(one.uri) for one in (await self.client.list_resources()).resources]

    async def read(self, uri):
        (contents,) = (await self.client.read_resource(uri)).contents
        return contents.text

    @asynccontextmanager
    async def _listening(self, **wanted):
        async with self.client.listen(**wanted) as subscription, anyio.create_task_group() as tasks:
            tasks.start_soon(self._note_events, subscription)
            yield
            tasks.cancel_scope.cancel()

    async def _note_events(self, subscription):
        async for event in subscription:
            if isinstance(event, ResourceUpdated):
                self.notes.take("updated", str(event.uri))
            elif isinstance(event, ToolsListChanged):
                self.notes.take("tools")

    def subscribed(self, uri):
        return self._listening(resource_subscriptions=[uri])

    def told_of_tools(self):
        return self._listening(tools_list_changed=True)

    async def prompts(self):
        return [prompt.name for prompt in (await self.client.list_prompts()).prompts]

    async def prompt(self, name, argument):
        result = await self.client.get_prompt(name, {words.PROMPT_ARGUMENT: argument})
        return result.messages[0].content.text

    async def complete(self, prompt, begun):
        ref = types.PromptReference(name=prompt)
        argument = {"name": words.PROMPT_ARGUMENT, "value": begun}
        return (await self.client.complete(ref, argument)).completion.values


@asynccontextmanager
async def connect(transport, address, *arguments):
    """Connect to a server, which must choose 2026-07-28."""
    peer = Peer()
    if transport == "stdio":
        server = stdio_client(StdioServerParameters(command=address, args=list(arguments)))
    else:
        server = address
    client = Client(
        server,
        logging_callback=peer.note_log,
        sampling_callback=peer.sample,
        elicitation_callback=peer.elicit,
        list_roots_callback=peer.list_roots,
    )
    async with client:
        peer.client = client
        scenario.expect(client.protocol_version, REVISION)
        yield peer


if __name__ == "__main__":
    scenario.play(connect, "trio")
