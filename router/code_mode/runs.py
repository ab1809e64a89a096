"""Runs the code of all callers: a bounded number at a time, the others in turn.

Invariants:

- Each `RunCode` gets exactly one `CodeEnded`, unless the router ends first.
- A run that fails, or whose sandbox ends, is an error of that run alone.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

import trio

from router.code_mode.code_run import CodeRun, RunReport
from router.code_mode.inner_client import InnerClient, ToolFailed
from router.code_mode.sandboxes import KILLED_WITHIN_S, SandboxLost, SandboxPool
from router.messages.own_tools.code_runs import CodeEnded, EndCode

if TYPE_CHECKING:
    from router.dispatch.actor import Inbound
    from router.messages.own_tools.code_runs import RunCode

log = logging.getLogger("mcp_router.code_mode")

RUNS_PER_CPU: Final = 2
"""Runs at a time: most of them wait for tools."""


class Runs:
    """All runs that are under way or wait for their turn."""

    def __init__(self, nursery: trio.Nursery, inbox: trio.MemorySendChannel[Inbound]) -> None:
        # It has a task for each run.
        self._nursery, self._inbox = nursery, inbox
        self._sandboxes = SandboxPool(nursery)
        self._turns = trio.CapacityLimiter(RUNS_PER_CPU * (os.cpu_count() or 1))
        self._scopes: dict[int, trio.CancelScope] = {}
        self._reasons: dict[int, str] = {}

    def take(self, command: RunCode | EndCode) -> None:
        """Begin a run, or end one."""
        if isinstance(command, EndCode):
            scope = self._scopes.get(command.key)
            if scope is not None:
                self._reasons[command.key] = command.reason
                scope.cancel()
            return
        scope = self._scopes[command.key] = trio.CancelScope()
        self._nursery.start_soon(self._run, command, scope)

    async def _run(self, command: RunCode, scope: trio.CancelScope) -> None:
        report = RunReport()
        try:
            with scope, trio.move_on_after(command.timeout_s) as in_time:
                async with self._turns:
                    await self._run_now(command, report)
            if in_time.cancelled_caught:
                report.fail(f"TimeoutError: the code did not end within {command.timeout_s:g} s")
            elif scope.cancelled_caught:
                report.fail(self._reasons.get(command.key, "The run was cancelled"))
        except SandboxLost as lost:
            report.fail(str(lost))
        except Exception:
            # Whatever code of models leads to must not end the router.
            log.exception("A run of code failed")
            report.fail("The router could not run this code; its log says why")
        finally:
            del self._scopes[command.key]
            self._reasons.pop(command.key, None)
        await self._inbox.send(CodeEnded(command.key, report.as_result))

    async def _run_now(self, command: RunCode, report: RunReport) -> None:
        client = InnerClient(self._inbox, command)
        sandbox = await self._sandboxes.take()
        is_reusable = False
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(client.run)
                try:
                    await client.introduce()
                except ToolFailed as failed:
                    report.fail(str(failed))
                else:
                    run = CodeRun(sandbox, client, report)
                    is_reusable = await run.run(command.code, command.timeout_s)
                nursery.cancel_scope.cancel("the code has ended")
        finally:
            if is_reusable:
                self._sandboxes.give_back(sandbox)
            else:
                with trio.move_on_after(KILLED_WITHIN_S, shield=True):
                    await sandbox.end()
