"""An upstream of 2026-07-28 with the Tasks extension, made with the SDK; it runs on stdio.

The tool `greet` becomes a task that asks for a name, and `wait` one that ends when it is cancelled;
clients without the extension get no task. The ids of the tasks are as easy to guess as can be, so
that nothing but the router keeps clients from each other's tasks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mcp import MCPError
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver import MCPServer
from mcp_types import INVALID_PARAMS, CallToolRequestParams, RequestParams
from pydantic import ConfigDict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp.server.context import CallNext, HandlerResult

EXTENSION: Final = "io.modelcontextprotocol/tasks"
CAPABILITIES: Final = "io.modelcontextprotocol/clientCapabilities"
REVISION: Final = frozenset({"2026-07-28"})
FORM: Final = {
    "method": "elicitation/create",
    "params": {
        "mode": "form",
        "message": "Who are you?",
        "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}},
    },
}


class TaskParams(RequestParams):
    """The `params` of a request about a task."""

    model_config = ConfigDict(extra="allow")

    taskId: str


class Tasks(Extension):
    """Makes a task of every call of `greet` and `wait`."""

    identifier = EXTENSION

    def __init__(self) -> None:
        self._tasks: dict[str, dict[str, Any]] = {}

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: Any, call_next: CallNext
    ) -> HandlerResult:
        declared = ctx.params["_meta"][CAPABILITIES].get("extensions", {})
        if EXTENSION not in declared:
            return await call_next(ctx)
        task_id = str(len(self._tasks) + 1)
        task = self._tasks[task_id] = {
            "taskId": task_id,
            "status": "working",
            "createdAt": "2026-07-28T12:00:00Z",
            "lastUpdatedAt": "2026-07-28T12:00:00Z",
            "ttlMs": None,
            "pollIntervalMs": 10,
        }
        created = {"resultType": "task", **task}
        if params.name == "greet":
            task |= {"status": "input_required", "inputRequests": {"name": FORM}}
        return created

    def methods(self) -> Sequence[MethodBinding]:
        served = {"get": self._get, "update": self._update, "cancel": self._cancel}
        return [
            MethodBinding(f"tasks/{name}", TaskParams, handler, REVISION)
            for name, handler in served.items()
        ]

    def _task(self, params: TaskParams) -> dict[str, Any]:
        if params.taskId not in self._tasks:
            raise MCPError(INVALID_PARAMS, f"I have no task {params.taskId}")
        return self._tasks[params.taskId]

    async def _get(self, _: Any, params: TaskParams) -> dict[str, Any]:
        return {"resultType": "complete", **self._task(params)}

    async def _update(self, _: Any, params: TaskParams) -> dict[str, Any]:
        task = self._task(params)
        responses: Any = (params.model_extra or {})["inputResponses"]
        name = responses["name"]["content"]["name"]
        del task["inputRequests"]
        content = [
            {"type": "text", "text": f"Hello, {name}!"},
            {"type": "resource_link", "uri": "ui://card", "name": "card"},
        ]
        task |= {"status": "completed", "result": {"resultType": "complete", "content": content}}
        return {"resultType": "complete"}

    async def _cancel(self, _: Any, params: TaskParams) -> dict[str, Any]:
        self._task(params)["status"] = "cancelled"
        return {"resultType": "complete"}


server = MCPServer("tasks", extensions=[Tasks()])


@server.tool()
def greet() -> str:
    """Greet whoever answers."""
    return "Hello, whoever you are!"


@server.tool()
def wait() -> str:
    """Wait until somebody cancels this."""
    return "I only wait in tasks"


if __name__ == "__main__":
    server.run("stdio")
