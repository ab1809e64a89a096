"""An upstream made with the SDK: it offers the same tools at 2026-07-28 and with a handshake.

Run as `sdk_upstream.py http PORT`, or as `sdk_upstream.py stdio MARK`, where MARK is only there to
find the process by. The tool `ask` asks by `input_required` at 2026-07-28, and by requests after a
handshake. Either way its answer is one text, the JSON list of the replies.
"""

from __future__ import annotations

import itertools
import json
import sys
from typing import TYPE_CHECKING, Any, Final

import anyio
import attrs
import hypercorn.config
import hypercorn.trio
import mcp_types as types
import trio
from mcp import MCPError
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    ServerEvent,
    ToolsListChanged,
)
from mcp.shared.message import ServerMessageMetadata

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp.server.context import ServerRequestContext

REVISION_2026: Final = "2026-07-28"

LEVELS: Final[list[types.LoggingLevel]] = ["debug", "info", "warning", "error"]

QUESTIONS: Final[dict[str, types.InputRequest]] = {
    "form": types.ElicitRequest(
        params=types.ElicitRequestFormParams(
            message="Who are you?",
            requested_schema={"type": "object", "properties": {"name": {"type": "string"}}},
        )
    ),
    "url": types.ElicitRequest(
        params=types.ElicitRequestURLParams(
            message="Log in there", url="https://login.example.test/device?code=1"
        )
    ),
    "sampling": types.CreateMessageRequest(
        params=types.CreateMessageRequestParams(
            messages=[
                types.SamplingMessage(role="user", content=types.TextContent(text="whisper"))
            ],
            max_tokens=10,
        )
    ),
    "roots": types.ListRootsRequest(),
}

ROUNDS: Final = {kind: [[kind]] for kind in QUESTIONS} | {
    "both": [["form", "sampling"]],
    "twice": [["form"], ["form"]],
    "state": [[]],
}
"""What `ask` asks: the questions of a round at once, the next round after their answers."""

STATE: Final = '/<\u017c\u00f3\u0142\u0107 \U0001f600 "\\/">\n\t\u2028+=%2F'
"""What each state ends with: characters that can be written in several ways."""

ANSWERS: Final[dict[str, type[Any]]] = {
    "elicitation/create": types.ElicitResult,
    "sampling/createMessage": types.CreateMessageResult,
    "roots/list": types.ListRootsResult,
}


def _tool(name: str, *, output: dict[str, Any] | None = None, **properties: Any) -> types.Tool:
    schema = {"type": "object", "properties": properties}
    return types.Tool(name=name, input_schema=schema, output_schema=output)


TEXT: Final = {"type": "string"}
SUM: Final = {"type": "object", "properties": {"sum": {"type": "number"}}, "required": ["sum"]}

TOOLS: Final = [
    _tool("echo", text=TEXT),
    _tool("object", output=SUM),
    _tool("fail"),
    _tool("refuse"),
    _tool("steps", count={"type": "integer"}),
    _tool("hang", label=TEXT),
    _tool("await_cancelled", label=TEXT),
    _tool("logs"),
    _tool("ask", what=TEXT),
    _tool("meta"),
    _tool("await_listener"),
    _tool("grow"),
]

TOOLS_OF_2026: Final = [
    _tool("numbers", output={"type": "array", "items": {"type": "integer"}}),
    _tool("region", where=TEXT | {"x-mcp-header": "Region"}),
    _tool("needy"),
]
"""Tools that no handshake revision can express."""


def _text(text: str, **more: Any) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=text)], **more)


@attrs.frozen
class Call:
    """One request of a client."""

    ctx: ServerRequestContext[Any]
    params: types.CallToolRequestParams

    @property
    def is_2026(self) -> bool:
        return self.ctx.protocol_version == REVISION_2026

    def argument(self, name: str) -> Any:
        return (self.params.arguments or {})[name]


class Bus(InMemorySubscriptionBus):
    """Sets an event when the first client listens."""

    def __init__(self) -> None:
        super().__init__()
        self.listened = anyio.Event()

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        self.listened.set()
        return super().subscribe(listener)


@attrs.define(eq=False)
class Tools:
    """The tools, and the state that all clients share."""

    bus: Bus = attrs.field(factory=Bus)
    _grown: list[types.Tool] = attrs.field(factory=list[types.Tool])
    _cancelled: dict[str, anyio.Event] = attrs.field(factory=dict[str, anyio.Event])
    _states: dict[str, tuple[int, Any, list[Any]]] = attrs.field(factory=dict[str, Any])
    _serial: Any = attrs.field(factory=itertools.count)

    def listed(self, revision: str) -> list[types.Tool]:
        return [*TOOLS, *(TOOLS_OF_2026 if revision == REVISION_2026 else []), *self._grown]

    async def call(self, call: Call) -> types.CallToolResult | types.InputRequiredResult:
        tool = getattr(self, f"_{call.params.name}", None)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {call.params.name}")
        return await tool(call)

    async def _echo(self, call: Call) -> types.CallToolResult:
        return _text(call.argument("text"))

    async def _object(self, _: Call) -> types.CallToolResult:
        return _text('{"sum": 3}', structured_content={"sum": 3})

    async def _numbers(self, _: Call) -> types.CallToolResult:
        return _text("[1, 2, 3]", structured_content=[1, 2, 3])

    async def _fail(self, _: Call) -> types.CallToolResult:
        return _text("It did not work", is_error=True)

    async def _refuse(self, _: Call) -> types.CallToolResult:
        raise MCPError(types.INVALID_PARAMS, "I refuse", {"because": [1, "of it"]})

    async def _needy(self, _: Call) -> types.CallToolResult:
        data = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(types.MISSING_REQUIRED_CLIENT_CAPABILITY, "I need samples", data)

    async def _steps(self, call: Call) -> types.CallToolResult:
        count = call.argument("count")
        for step in range(1, count + 1):
            await call.ctx.session.report_progress(step, count)
        return _text("done")

    async def _hang(self, call: Call) -> types.CallToolResult:
        try:
            await call.ctx.session.report_progress(0, 1)
            await anyio.Event().wait()
            raise AssertionError("nobody sets it")
        finally:
            self._when_cancelled(call).set()

    async def _await_cancelled(self, call: Call) -> types.CallToolResult:
        await self._when_cancelled(call).wait()
        return _text("cancelled")

    def _when_cancelled(self, call: Call) -> anyio.Event:
        return self._cancelled.setdefault(call.argument("label"), anyio.Event())

    async def _logs(self, call: Call) -> types.CallToolResult:
        for level in LEVELS:
            await call.ctx.session.send_log_message(
                level=level, data=f"a {level}", related_request_id=call.ctx.request_id
            )
        return _text("logged")

    async def _meta(self, call: Call) -> types.CallToolResult:
        """Return the `_meta` of the request."""
        return _text(json.dumps(dict((call.ctx.params or {}).get("_meta") or {})))

    async def _region(self, call: Call) -> types.CallToolResult:
        return _text(call.argument("where"))

    async def _await_listener(self, call: Call) -> types.CallToolResult:
        """Answer once a client listens for changes of the list."""
        if call.is_2026:
            await self.bus.listened.wait()
        return _text("somebody listens")

    async def _grow(self, call: Call) -> types.CallToolResult:
        """Add a tool of a new name, and say so."""
        name = f"grown-{next(self._serial)}"
        self._grown.append(_tool(name))
        await self.bus.publish(ToolsListChanged())
        if not call.is_2026:
            await call.ctx.session.send_tool_list_changed()
        return _text(name)

    # --- Asking ------------------------------------------------------------------------------

    async def _ask(self, call: Call) -> types.CallToolResult | types.InputRequiredResult:
        rounds = ROUNDS[call.argument("what")]
        if not call.is_2026:
            said = [answer for one in rounds for answer in await _ask_all(call, one)]
            return _text(json.dumps(said))
        number, said = self._progress_of(call, rounds)
        if number == len(rounds):
            return _text(json.dumps(said))
        return types.InputRequiredResult(
            input_requests={kind: QUESTIONS[kind] for kind in rounds[number]},
            request_state=self._mint(call, number, said),
        )

    def _progress_of(self, call: Call, rounds: list[list[str]]) -> tuple[int, list[Any]]:
        """Return the number of rounds that are over, and the replies so far."""
        state = call.params.request_state
        if state is None:
            return 0, []
        known = self._states.pop(state, None)
        if known is None or known[1] != call.params.arguments:
            raise MCPError(types.INVALID_PARAMS, f"I never made this state: {state!r}")
        number, _, said = known
        answers = call.params.input_responses or {}
        return number + 1, [*said, *(_dumped(answers[kind]) for kind in rounds[number])]

    def _mint(self, call: Call, number: int, said: list[Any]) -> str:
        """Return a new state; each is valid once."""
        state = f"{next(self._serial)}{STATE}"
        self._states[state] = (number, call.params.arguments, said)
        return state


async def _ask_all(call: Call, kinds: list[str]) -> list[Any]:
    """Ask with requests, all at once; the answers in the order of the questions."""
    said: dict[str, Any] = dict.fromkeys(kinds)
    refused: list[MCPError] = []

    async def ask(kind: str) -> None:
        question = QUESTIONS[kind]
        metadata = ServerMessageMetadata(related_request_id=call.ctx.request_id)
        answer = ANSWERS[question.method]
        try:
            given = await call.ctx.session.send_request(question, answer, metadata=metadata)
            said[kind] = _dumped(given)
        except MCPError as error:
            refused.append(error)

    async with anyio.create_task_group() as tasks:
        for kind in kinds:
            tasks.start_soon(ask, kind)
    if refused:
        raise refused[0]
    return list(said.values())


def _dumped(answer: Any) -> dict[str, Any]:
    return answer.model_dump(mode="json", by_alias=True, exclude_none=True)


# --- Serving ---------------------------------------------------------------------------------


def build() -> Server[Any]:
    """Return a new server."""
    tools = Tools()

    async def list_tools(ctx: ServerRequestContext[Any], _: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=tools.listed(ctx.protocol_version))

    async def call_tool(ctx: ServerRequestContext[Any], params: Any) -> Any:
        return await tools.call(Call(ctx, params))

    async def set_level(_: Any, __: Any) -> types.EmptyResult:
        return types.EmptyResult()  # the router is to leave out what was not asked for

    return Server(
        "sdk",
        version="1",
        instructions="Ask nicely",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_set_logging_level=set_level,
        on_subscriptions_listen=ListenHandler(tools.bus),
    )


async def serve_stdio() -> None:
    server = build()
    options = server.create_initialization_options(NotificationOptions(tools_changed=True))
    async with stdio_server() as (read, write):
        await server.run(read, write, options)


async def serve_http(port: int) -> None:
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{port}"]
    app: Any = build().streamable_http_app()
    await hypercorn.trio.serve(app, config)


if __name__ == "__main__":
    if sys.argv[1] == "http":
        trio.run(serve_http, int(sys.argv[2]))
    else:
        trio.run(serve_stdio)
