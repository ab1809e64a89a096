"""Runs code once: passes its calls on, and makes the result of `mcp.router.run`.

Invariants:

- A run makes at most `MAX_CALLS` calls and searches, and ends within its time.
- What was printed and called until the end comes along, however the run ends.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
import trio
from msgspec import Raw, Struct

from router.code_mode.inner_client import ToolFailed
from router.code_mode.sandboxes import SandboxLost
from router.config.code_extra import EXTRA

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

log = logging.getLogger("mcp_router.code_mode")

MAX_CALLS: Final = 50

MAX_PRINTED_BYTES: Final = 64 * 1024
"""As in `sandbox_program`, which sends one byte more where there is more."""

MAX_SHOWN_NAME: Final = 128
"""Characters of a name in the list of calls, which code may make up."""


class Sandbox(Protocol):
    """See `sandboxes.Sandbox`."""

    async def send(self, line: Mapping[str, Any]) -> None: ...

    async def receive(self) -> dict[str, Any]: ...


class Tools(Protocol):
    """See `inner_client.InnerClient`."""

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> Any: ...

    async def search(self, query: str, limit: int) -> Any: ...


class MadeCall(Struct):
    """One call that code made; `ok` and `ms` are None until its end.

    Attributes:
        tool: the name of the tool; "search" for a search.
        ok: True if it gave a result.
        ms: the milliseconds that it took.
    """

    tool: str
    ok: bool | None = None
    ms: float | None = None


class RunReport(Struct, omit_defaults=True):
    """Everything about a run that is worth telling the model.

    Attributes:
        result: what the code returned, as JSON; absent if it failed.
        error: the reason why it failed.
        printed: what it printed.
        calls: the calls that it made, in their order.
    """

    result: Any = msgspec.UNSET
    error: str | None = None
    printed: str = ""
    calls: list[MadeCall] = []

    def fail(self, reason: str) -> None:
        """Note why the run failed, unless its end is known already."""
        if self.result is msgspec.UNSET and self.error is None:
            self.error = reason

    @property
    def as_result(self) -> Raw:
        """The result of the tool: one text of compact JSON (MCP 2025-11-25, Tools, Tool Result)."""
        text = msgspec.json.encode(self).decode()
        content = [{"type": "text", "text": text}]
        return Raw(
            msgspec.json.encode({"content": content, "isError": self.result is msgspec.UNSET})
        )


class CodeRun:
    """One run of code in a sandbox."""

    def __init__(self, sandbox: Sandbox, tools: Tools, report: RunReport) -> None:
        """Make a run that fills in the report as it goes."""
        self._sandbox, self._tools, self._report = sandbox, tools, report
        self._room_bytes = MAX_PRINTED_BYTES
        self._open_calls = 0

    async def run(self, code: str, timeout_s: float) -> bool:
        """Run the code until its end; the report tells how it went.

        Returns:
            True if nothing of the run is on its way, so the sandbox can be used again.
        """
        async with trio.open_nursery() as nursery:
            try:
                await self._sandbox.send({"run": {"code": code, "timeout_s": timeout_s}})
                while not self._ends_with(line := await self._sandbox.receive()):
                    if "printed" in line:
                        self._print(line["printed"])
                    else:
                        self._open_calls += 1
                        self._begin_call(nursery, line)
            except SandboxLost as lost:
                log.warning("%s during a run. If it does each time, install %s anew", lost, EXTRA)
                self._report.fail(f"{lost}, and the code with it")
                self._open_calls += 1
            nursery.cancel_scope.cancel("the code has ended, and waits for no call")
        return self._open_calls == 0

    def _ends_with(self, line: dict[str, Any]) -> bool:
        if "result" in line:
            self._report.result = line["result"]
        elif "failed" in line:
            self._report.error = line["failed"]
        else:
            return False
        return True

    def _print(self, text: str) -> None:
        if self._room_bytes < 0:
            return
        encoded = text.encode(errors="replace")
        self._report.printed += encoded[: self._room_bytes].decode(errors="ignore")
        self._room_bytes -= len(encoded)
        if self._room_bytes < 0:
            self._report.printed += f"\n… cut: more than {MAX_PRINTED_BYTES:,} bytes were printed"

    def _begin_call(self, nursery: trio.Nursery, line: dict[str, Any]) -> None:
        if "search" in line:
            key, name = line["search"], "search"
            call = self._tools.search, line["query"], line["limit"]
        else:
            key, name = line["call"], line["name"]
            call = self._tools.call_tool, name, line["arguments"]
        nursery.start_soon(self._call, key, name[:MAX_SHOWN_NAME], *call)

    async def _call(
        self, key: int, name: str, method: Callable[..., Awaitable[Any]], *arguments: Any
    ) -> None:
        """Carry out a call, and send the code its answer."""
        answer = await self._answer(key, name, method, *arguments)
        with suppress(SandboxLost):  # Whoever receives from it hears of that as well.
            await self._sandbox.send(answer)
            self._open_calls -= 1

    async def _answer(
        self, key: int, name: str, method: Callable[..., Awaitable[Any]], *arguments: Any
    ) -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        if len(self._report.calls) >= MAX_CALLS:
            return {"answer": key, "error": f"a run makes at most {MAX_CALLS} calls and searches"}
        made = MadeCall(name)
        self._report.calls.append(made)
        began_s = trio.current_time()
        try:
            answer = {"answer": key, "value": await method(*arguments)}
        except ToolFailed as failed:
            answer = {"answer": key, "error": str(failed)}
        made.ok = "value" in answer
        made.ms = round((trio.current_time() - began_s) * 1000, 1)
        return answer
