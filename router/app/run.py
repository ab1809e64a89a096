"""Runs a router: nests the nurseries, so that the parts stop in the right order.

Invariants:

- The part that starts first stops last: the dispatch actor, then the sessions, then the listeners.
  To stop is to leave that nesting: refuse new calls, wait for those in flight, end the listeners,
  then the sessions, then the actor.
- The task that saves changes ends after the listeners, so a change that was asked for is made.
  The task that keeps catalogues ends after the actor, so the last ones are on disk.
- Work that the first answer does not need happens after the listeners are up.
- The end of the client on stdio ends the program. The failure of another supervised child does not.
  The failure of the actor or a supervisor is a bug, and ends it.
"""

from __future__ import annotations

import gc
import logging
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from router.access.request_state_seal import ProcessSeal
from router.app.listeners import STDIO
from router.app.shutdown import Stop, obey_signals
from router.app.start_turns import start_slots
from router.core.core import Core
from router.core.startup import EarlyCore
from router.dispatch.actor import dispatch
from router.messages.events import Drain
from router.reload.file_watcher import keep_current
from router.reload.instance_store import keep_store
from router.reload.live_settings import core_settings
from router.reload.profile_store import keep_profiles
from supervisors.child import ChildEvent, Down, GaveUp, Stuck, Up
from supervisors.supervisor import supervise

if TYPE_CHECKING:
    from router.app.wiring import Router
    from router.dispatch.actor import Inbound

log = logging.getLogger("mcp_router.app")

EVENTS_SIZE: Final = 16
"""Events of the listeners' supervisor: a few for each listener."""

LATER_S: Final = 0.5
"""The client that started the router on stdio has its first answer by then."""

GC_THRESHOLDS: Final = (10_000, 20, 20)
"""Messages make no cycles, and a burst of them is thousands of live objects: the default of 700
would look at them dozens of times for nothing, and a full collection is the slowest call of all."""


def run(router: Router) -> int:
    """Run the router until it is told to stop; return the exit status (see `shutdown`).

    Raises:
        ExceptionGroup: the actor or a supervisor has a bug.
    """
    stop = Stop(router.settings.current.server.drain_s)
    try:
        trio.run(_until_stopped, router, stop)
    finally:
        router.close(is_hurried=stop.scope.cancel_called)
        stop.ended()
    return stop.status


async def _until_stopped(router: Router, stop: Stop) -> None:
    with stop.scope:
        async with trio.open_nursery() as nursery:
            await nursery.start(obey_signals, stop, router.hang_up)
            await serve(router, stop)
            nursery.cancel_scope.cancel("the program has stopped")


async def serve(router: Router, stop: Stop) -> None:
    """Start everything, wait until `stop` is asked for, and stop everything."""
    channels, settings = router.channels, router.settings.current
    async with trio.open_nursery() as actor_nursery:
        actor_nursery.start_soon(router.catalogues.keep, channels.catalogues)
        with channels.inbox_in:
            tracer = None if router.telemetry is None else router.telemetry.tracer
            at_start = core_settings(settings, router.settings.record_reasons)
            core = EarlyCore(Core(at_start, ProcessSeal(), tracer))
            await actor_nursery.start(
                dispatch,
                core,
                channels.inbox,
                channels.upstream_commands_in,
                router.upstreams.child_of,
                channels.saves_in,
                channels.catalogues_in,
                router.logs.mask,
                router.records.write,
                router.actor_counts,
            )
            async with aclosing(router.upstreams), trio.open_nursery() as sessions_nursery:
                with channels.upstream_commands_in:
                    slots = start_slots(settings.mcp_client.max_starting)
                    sessions = partial(supervise, start_slots=slots)
                    events = channels.inbox_in.clone()
                    await sessions_nursery.start(sessions, (), channels.upstream_commands, events)
                    async with trio.open_nursery() as saving:
                        inbox = channels.inbox_in.clone()
                        saving.start_soon(keep_store, router.instances, channels.saves, inbox)
                        inbox = channels.inbox_in.clone()
                        saving.start_soon(keep_profiles, router.profiles, router.parts, inbox)
                        saving.start_soon(router.refusals.run)
                        await _run_listeners(router, stop)
                        saving.cancel_scope.cancel("nobody is left to ask for a change")


async def _run_listeners(router: Router, stop: Stop) -> None:
    """Run the listeners until the stop; the calls they brought in come to their end first."""
    channels = router.channels
    children = router.listeners.children()
    events_in, events = trio.open_memory_channel[ChildEvent](EVENTS_SIZE)
    all_are_up = trio.Event()
    async with trio.open_nursery() as nursery:
        with channels.listener_commands_in:
            nursery.start_soon(_follow_listeners, events, len(children), router, stop, all_are_up)
            await nursery.start(supervise, children, channels.listener_commands, events_in)
            async with trio.open_nursery() as reloading:
                reloading.start_soon(
                    keep_current,
                    router.settings,
                    router.parts,
                    router.instances,
                    router.reload_request,
                    channels.inbox_in,
                )
                reloading.start_soon(_begin_later, router, all_are_up)
                await stop.asked.wait()
                # First, so that whoever balances load sends nothing more.
                router.listeners.is_draining = True
                reloading.cancel_scope.cancel("the program stops")
            await _drain(channels.inbox_in, stop.drain_s)


async def _drain(inbox: trio.MemorySendChannel[Inbound], limit_s: float) -> None:
    """Have new calls refused, and wait for those in flight."""
    done_in, done = trio.open_memory_channel[None](1)
    with done_in, done:
        await inbox.send(Drain(done_in))
        with trio.move_on_after(limit_s) as scope:
            await done.receive()
    if scope.cancelled_caught:
        log.warning("Calls in flight have not ended within %g s; they are cancelled", limit_s)


async def _follow_listeners(
    events: trio.MemoryReceiveChannel[ChildEvent],
    expected: int,
    router: Router,
    stop: Stop,
    all_are_up: trio.Event,
) -> None:
    """Log the starts and failures of the listeners; the end of stdio is a request to stop."""
    up: set[str] = set()
    async for event in events:
        match event:
            case Up(name, where):
                log.info("Listening on %s", where)
                is_new = name not in up
                up.add(name)
                if is_new and len(up) == expected:
                    _all_are_up(router)
                    all_are_up.set()
            case Down(name, error) if name == STDIO:
                _stdio_ended(error, stop)
            case Down(name, error, _, retry_in_s) if retry_in_s:  # 0: a command restarts it
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


async def _begin_later(router: Router, all_are_up: trio.Event) -> None:
    """Begin what would delay the first answer: the export, and the end of what a run has left.

    That was an earlier run, which was killed.
    """
    await all_are_up.wait()
    await trio.sleep(LATER_S)
    if router.telemetry is not None:
        router.telemetry.start()
    await trio.to_thread.run_sync(router.upstreams.end_leftovers, abandon_on_cancel=True)


def _stdio_ended(error: Exception | None, stop: Stop) -> None:
    if error is None:
        stop.ask("the client on stdio is gone")
    else:
        log.error("The stdio listener failed", exc_info=error)
        stop.ask("it was for stdio", status=1)


def _all_are_up(router: Router) -> None:
    if router.is_for_people:
        log.info("Press Ctrl+C to stop")
    # Objects that live by now live until the end: no collection need look at them again.
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()
