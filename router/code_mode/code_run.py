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
from msgspec import UNSET, Raw, Struct

from router.code_mode.inner_client import ToolFailed
from router.code_mode.sandboxes import SandboxLost
from router.config.code_extra import EXTRA

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from router.code_mode.sandboxes import Line

log = logging.getLogger("mcp_router.code_mode")

MAX_CALLS: Final = 50

MAX_PRINTED_BYTES: Final = 64 * 1024
"""As in `sandbox_program`, which sends one byte more where there is more."""

MAX_SHOWN_NAME: Final = 128
"""Characters of a name in the list of calls, which code may make up."""

LOST_HINT: Final = "It may have had more in hand than fits into memory, such as long results"


class Sandbox(Protocol):
    """See `sandboxes.Sandbox`."""

    async def send(self, line: Mapping[str, Any]) -> None: ...

    async def receive(self) -> Line: ...


class Tools(Protocol):
    """See `inner_client.InnerClient`."""

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> dict[str, str]: ...

    async def search(self, query: str, limit: int) -> dict[str, str]: ...


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

    result: Any = UNSET
    error: str | None = None
    printed: str = ""
    calls: list[MadeCall] = []

    def fail(self, reason: str) -> None:
        """Note why the run failed, unless its end is known already."""
        if self.result is UNSET and self.error is None:
            self.error = reason

    @property
    def as_result(self) -> Raw:
        """The result of the tool: one text of compact JSON (MCP 2025-11-25, Tools, Tool Result)."""
        text = msgspec.json.encode(self).decode()
        content = [{"type": "text", "text": text}]
        return Raw(msgspec.json.encode({"content": content, "isError": self.result is UNSET}))


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
                    if line.printed is not UNSET:
                        self._print(line.printed)
                    else:
                        self._open_calls += 1
                        await self._begin_call(nursery, line)
            except SandboxLost as lost:
                log.warning("%s during a run. If it does each time, install %s anew", lost, EXTRA)
                self._report.fail(f"{lost}, and the code with it. {LOST_HINT}")
                self._open_calls += 1
            nursery.cancel_scope.cancel("the code has ended, and waits for no call")
        return self._open_calls == 0

    def _ends_with(self, line: Line) -> bool:
        if line.failed is not UNSET:
            self._report.error = line.failed
            return True
        self._report.result = line.result
        return line.result is not UNSET

    def _print(self, text: str) -> None:
        if self._room_bytes < 0:
            return
        encoded = text.encode(errors="replace")
        self._report.printed += encoded[: self._room_bytes].decode(errors="ignore")
        self._room_bytes -= len(encoded)
        if self._room_bytes < 0:
            self._report.printed += f"\n… cut: more than {MAX_PRINTED_BYTES:,} bytes were printed"

    async def _begin_call(self, nursery: trio.Nursery, line: Line) -> None:
        await trio.lowlevel.checkpoint()
        if line.search is not UNSET:
            key, name = line.search, "search"
            call = self._tools.search, line.query, line.limit
        elif line.call is not UNSET:
            key, name = line.call, line.name
            call = self._tools.call_tool, name, line.arguments
        else:
            raise SandboxLost("The sandbox makes no sense")
        if len(self._report.calls) < MAX_CALLS:
            made = MadeCall(name[:MAX_SHOWN_NAME])
            self._report.calls.append(made)
            nursery.start_soon(self._call, key, made, *call)
        else:
            # Here, so that a sandbox that does not take its answers is not heard any further.
            error = f"a run makes at most {MAX_CALLS} calls and searches"
            await self._sandbox.send({"answer": key, "error": error})
            self._open_calls -= 1

    async def _call(
        self,
        key: int,
        made: MadeCall,
        method: Callable[..., Awaitable[dict[str, str]]],
        *arguments: Any,
    ) -> None:
        """Carry out a call, and send the code its answer."""
        await trio.lowlevel.checkpoint()
        began_s = trio.current_time()
        try:
            answer = {"answer": key, **await method(*arguments)}
        except ToolFailed as failed:
            answer = {"answer": key, "error": str(failed)}
        made.ok = "error" not in answer
        made.ms = round((trio.current_time() - began_s) * 1000, 1)
        with suppress(SandboxLost):  # Whoever receives from it hears of that as well.
            await self._sandbox.send(answer)
            self._open_calls -= 1
