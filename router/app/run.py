"""The composition root: opens the channels, nests the nurseries, says in what order to stop.

Job: from settings and bound sockets to a running router. Neighbours: `cli` calls `run`;
`listeners`, `upstreams` and `stopping` make the parts.

Invariants:

- What starts first stops last: the dispatch actor, then the sessions, then the listeners. To stop
  is to leave that nesting: no new calls, wait for those in flight, end the listeners, then the
  sessions, then the actor.
- The storekeeper ends when the listeners have: a change that was asked for is made.
- Whatever is not needed for the first answer happens after the listeners are there.
- The end of the client on stdio is the end of the program; a failure of anything else that is
  supervised is not. A failure of the actor or a supervisor is a bug, and ends it.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs
import trio

from router.access.request_state_seal import ProcessSeal
from router.app.listeners import STDIO
from router.app.shutdown import Stop, obey_signals
from router.app.upstreams import COMMANDS_SIZE, Upstreams
from router.core.core import Core
from router.core.startup import EarlyCore
from router.dispatch import INBOX_SIZE, Inbound, dispatch
from router.messages.effects import SaveInstance
from router.messages.events import Drain
from router.reload.config_file import core_settings
from supervisors.child import ChildEvent, Command, Down, GaveUp, Stuck, Up
from supervisors.supervisor import supervise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.config.settings import Settings
    from supervisors.child import ChildSpec

log = logging.getLogger("mcp_router.app")

EVENTS_SIZE: Final = 16
"""Events of the listeners' supervisor: a few for each listener."""

RELISTEN_SIZE: Final = 16
"""Commands to it, which it takes at once: one for each listener in a change of `config.json`."""

SAVES_SIZE: Final = 64
"""Changes that wait for the disk; each takes it some milliseconds."""

GC_THRESHOLDS: Final = (10_000, 20, 20)
"""Messages make no cycles, and a burst of them is thousands of live objects: the default of 700
would look at them dozens of times for nothing, and a full collection is the slowest call of all."""


Announce: TypeAlias = Callable[
    [trio.MemoryReceiveChannel[None], Callable[[], None], trio.MemorySendChannel[Inbound]],
    Awaitable[None],
]
MakeListeners: TypeAlias = Callable[
    [trio.MemorySendChannel[Inbound], trio.MemorySendChannel[Command]], "Sequence[ChildSpec]"
]
Keep: TypeAlias = Callable[
    [trio.MemoryReceiveChannel[SaveInstance], trio.MemorySendChannel[Inbound]], Awaitable[None]
]


@attrs.frozen
class Plan:
    """What to run.

    Attributes:
        settings: all of them.
        listeners: makes the listeners' children, given the inbox they send to, and where to
            send commands to their supervisor. The end of the one called `STDIO` ends the program.
        announce: tells the actor of the instances, in its own time, and again of what changes;
            is given hints to look for changes, and what gives such a hint.
        keep: makes the changes of instances that the actor asks for.
        is_for_people: say how to stop.
        mask: takes known secrets out of a text.
    """

    settings: Settings
    listeners: MakeListeners
    announce: Announce
    keep: Keep
    is_for_people: bool = False
    mask: Callable[[str], str] = str


def run(plan: Plan) -> int:
    """Run the router until it is told to stop; the exit status (see `stopping`).

    Raises:
        ExceptionGroup: there is a bug in the actor or a supervisor.
    """
    stop = Stop(plan.settings.server.drain_s)
    try:
        trio.run(_until_stopped, plan, stop)
    finally:
        stop.ended()
    return stop.status


async def _until_stopped(plan: Plan, stop: Stop) -> None:
    with stop.scope:
        async with trio.open_nursery() as nursery:
            await nursery.start(obey_signals, stop)
            await serve(plan, stop)
            nursery.cancel_scope.cancel("the program has stopped")


async def serve(plan: Plan, stop: Stop) -> None:
    """Start everything, wait until `stop` is asked for, and stop everything."""
    settings = plan.settings.mcp_client
    inbox_in, inbox = trio.open_memory_channel[Inbound](INBOX_SIZE)
    sessions_in, sessions = trio.open_memory_channel[Command](COMMANDS_SIZE)
    saves_in, saves = trio.open_memory_channel[SaveInstance](SAVES_SIZE)
    upstreams = Upstreams(settings, inbox_in)
    async with trio.open_nursery() as actor_nursery:
        with inbox_in:
            core = EarlyCore(Core(core_settings(plan.settings), ProcessSeal()))
            await actor_nursery.start(
                dispatch, core, inbox, sessions_in, upstreams.child_of, saves_in, plan.mask
            )
            async with trio.open_nursery() as sessions_nursery:
                with sessions_in:
                    run = partial(supervise, max_starting=settings.max_starting)
                    await sessions_nursery.start(run, (), sessions, inbox_in.clone())
                    async with trio.open_nursery() as keeping:
                        keeping.start_soon(plan.keep, saves, inbox_in.clone())
                        await _listen(plan, inbox_in, stop)
                        keeping.cancel_scope.cancel("nobody is left to ask for a change")


async def _listen(plan: Plan, inbox: trio.MemorySendChannel[Inbound], stop: Stop) -> None:
    """Run the listeners until the stop; the calls they brought in come to their end first."""
    commands_in, commands = trio.open_memory_channel[Command](RELISTEN_SIZE)
    children = plan.listeners(inbox, commands_in)
    events_in, events = trio.open_memory_channel[ChildEvent](EVENTS_SIZE)
    async with trio.open_nursery() as nursery:
        with commands_in:
            nursery.start_soon(_follow, events, len(children), plan, stop)
            await nursery.start(supervise, children, commands, events_in)
            async with trio.open_nursery() as announcing:
                hints_in, hints = trio.open_memory_channel[None](1)
                stop.reload = partial(_hint, hints_in)
                announcing.start_soon(plan.announce, hints, stop.reload, inbox)
                await stop.asked.wait()
                announcing.cancel_scope.cancel("the program stops")
            await _drain(inbox, plan.settings.server.drain_s)


def _hint(hints: trio.MemorySendChannel[None]) -> None:
    with suppress(trio.WouldBlock):  # One is waiting, which is as good as two.
        hints.send_nowait(None)


async def _drain(inbox: trio.MemorySendChannel[Inbound], limit_s: float) -> None:
    """Have no new calls taken, and wait for those in flight."""
    done_in, done = trio.open_memory_channel[None](1)
    with done_in, done:
        await inbox.send(Drain(done_in))
        with trio.move_on_after(limit_s) as scope:
            await done.receive()
    if scope.cancelled_caught:
        log.warning("Calls in flight have not ended within %g s; they are cancelled", limit_s)


async def _follow(
    events: trio.MemoryReceiveChannel[ChildEvent], expected: int, plan: Plan, stop: Stop
) -> None:
    """Say what becomes of the listeners."""
    up: set[str] = set()
    async for event in events:
        match event:
            case Up(name, where):
                log.info("Listening on %s", where)
                is_new = name not in up
                up.add(name)
                if is_new and len(up) == expected:
                    _tune_garbage_collection(plan)
            case Down(name, error) if name == STDIO:
                _stdio_ended(error, stop)
            case Down(name, error, _, retry_in_s) if retry_in_s:  # 0: it was told to
                log.error(
                    "The %s listener failed; next try in %.1f s", name, retry_in_s, exc_info=error
                )
            case GaveUp(name, error, _, probe_in_s):
                log.error(
                    "The %s listener failed; next try in %.0f s", name, probe_in_s, exc_info=error
                )
            case Stuck(name):
                log.error("The %s listener does not end, although it was cancelled", name)
            case _:
                pass


def _stdio_ended(error: Exception | None, stop: Stop) -> None:
    if error is None:
        stop.ask("the client on stdio is gone")
    else:
        log.error("The stdio listener failed", exc_info=error)
        stop.ask("it was for stdio", status=1)


def _tune_garbage_collection(plan: Plan) -> None:
    """All listeners are up."""
    if plan.is_for_people:
        log.info("Press Ctrl+C to stop")
    # What lives by now lives for good: no collection need look at it again.
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()
