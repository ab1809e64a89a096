"""Real sandboxes, with tools that are not, for the tests of code mode."""

from __future__ import annotations

import json
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from router.code_mode.code_run import CodeRun, RunReport
from router.code_mode.inner_client import ToolFailed
from router.code_mode.sandboxes import Sandbox, SandboxPool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TIMEOUT_S = 60.0
MEETING = 5
"""Calls of `meet` wait for so many."""

ODD = {
    "deep": "[" * 100_000 + "]" * 100_000,
    "long number": "1" * 5000,
    "no JSON": '{"a":',
    "half a character": r'{"text": "\ud83d cut", "\uD83D": "\ud83d\ude00"}',
}
"""Name of a tool -> a result as a server may send it."""


class FakeTools:
    """Tools that answer with what they were called with."""

    def __init__(self) -> None:
        self.called: list[tuple[str, dict[str, Any]]] = []
        self.all_met = trio.Event()

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> dict[str, str]:
        self.called.append((name, arguments))
        if len(self.called) == MEETING:
            self.all_met.set()
        if name == "broken":
            raise ToolFailed("it is broken")
        if name == "endless":
            await trio.sleep_forever()
        if name == "meet":
            await self.all_met.wait()
        await trio.lowlevel.checkpoint()
        return {"json": ODD.get(name) or json.dumps({"name": name, **arguments})}

    async def search(self, query: str, limit: int) -> dict[str, str]:
        await trio.lowlevel.checkpoint()
        return {"json": json.dumps({"tools": [{"name": f"{query}-{limit}"}]})}


@asynccontextmanager
async def open_pool() -> AsyncIterator[SandboxPool]:
    with trio.fail_after(TIMEOUT_S):
        async with trio.open_nursery() as nursery:
            yield SandboxPool(nursery)
            await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()


async def run_in(
    sandbox: Sandbox, code: str, tools: FakeTools | None = None, timeout_s: float = 10
) -> RunReport:
    report = RunReport()
    run = CodeRun(sandbox, tools or FakeTools(), report)
    await run.run(code, timeout_s)
    return report


async def run_all(*codes: str) -> list[RunReport]:
    async with open_pool() as pool:
        sandbox = await pool.take()
        try:
            return [await run_in(sandbox, code) for code in codes]
        finally:
            with trio.move_on_after(TIMEOUT_S, shield=True):
                await sandbox.end()


async def until_it_runs(sandbox: Sandbox) -> None:
    """Wait for the process below that of the sandbox."""
    while len(group_of(sandbox)) < 2:  # noqa: ASYNC110
        await trio.sleep(0.01)  # the system tells nobody but the parent


async def until_it_is_gone(sandbox: Sandbox) -> None:
    """Wait until the system has ended what was killed."""
    while group_of(sandbox):  # noqa: ASYNC110
        await trio.sleep(0.01)  # the system tells nobody but the parent


def group_of(sandbox: Sandbox) -> list[int]:
    """Return the living processes of the group of a sandbox."""
    found: list[int] = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as stat:
                    fields = stat.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == sandbox.pid and fields[0] != "Z":
                found.append(int(entry))
    return found
