"""Begins and ends runs of code as the actor asks, in a task of its own.

The parts, from here to the code:

- `runs` has all runs: so many at a time, each within its time.
- `code_run` is one of them: it stands between an `inner_client`, which is a client of the core like
  any other and makes the calls of the code, and
- a sandbox of `sandboxes`: a process that runs `sandbox_program`, and below it the process of
  pydantic-monty that runs the code.

Invariants:

- Nothing that runs code is imported before the first run.
- Whenever it has its turn it takes all that waits, so that a batch of the actor always has room.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.dispatch.actor import Inbound
    from router.messages.own_tools.code_runs import EndCode, RunCode


async def keep_running_code(
    commands: trio.MemoryReceiveChannel[RunCode | EndCode],
    inbox: trio.MemorySendChannel[Inbound],
) -> None:
    """Run what the actor asks for, until its end has closed; then end what still runs."""
    runs = None
    with commands, inbox:
        async with trio.open_nursery() as nursery:
            async for command in commands:
                if runs is None:
                    # For start-up time: few routers run code.
                    from router.code_mode.runs import Runs

                    runs = Runs(nursery, inbox)
                runs.take(command)
                for waiting in _waiting(commands):
                    runs.take(waiting)
            nursery.cancel_scope.cancel("nobody waits for a run any more")


def _waiting(
    commands: trio.MemoryReceiveChannel[RunCode | EndCode],
) -> Iterator[RunCode | EndCode]:
    with suppress(trio.WouldBlock, trio.EndOfChannel):
        while True:
            yield commands.receive_nowait()
