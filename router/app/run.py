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
from router.app.listening.local_listener import LOCAL
from router.app.shutdown import STOP_MARGIN_S, Stop, obey_signals
from router.app.start_turns import start_slots
from router.code_mode.code_task import keep_running_code
from router.core.core import Core
from router.core.startup import EarlyCore
from router.dispatch.actor import dispatch
from router.messages.commands import Principal, ShowReadiness
from router.messages.events import AdminCommand, Drain, LoginChanged
from router.reload.file_watcher import keep_current
from router.reload.instance_store import keep_store
from router.reload.live_settings import core_settings
from router.reload.profile_store import keep_profiles
from router.search.index_task import keep_index
from supervisors.child import ChildEvent, Down, GaveUp, Stuck, Up
from supervisors.supervisor import supervise

if TYPE_CHECKING:
    from router.app.wiring import Router, ShowStart
    from router.dispatch.actor import Inbound
    from router.service_manager.notifications import RouterState

log = logging.getLogger("mcp_router.app")

EVENTS_SIZE: Final = 16
"""Events of the listeners' supervisor: a few for each listener."""

LATER_S: Final = 0.5
"""The client that started the router on stdio has its first answer by then."""

ANSWER_S: Final = 0.5
"""Time for the actor to say how many calls are in flight, or that none is. It takes that time only
before the instances are known, when it answers no commands."""

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
            router.settings.warn_of_extra()
            at_start = core_settings(settings, router.settings.record_reasons)
            core = EarlyCore(Core(at_start, ProcessSeal(), tracer))
            await actor_nursery.start(
                partial(dispatch, elsewhere=channels.elsewhere),
                core,
                channels.inbox,
                channels.upstream_commands_in,
                router.upstreams.child_of,
                channels.saves_in,
                channels.catalogues_in,
                router.logs.mask,
                router.records.write,
                router.actor_counts,
                router.after_batch,
            )
            async with trio.open_nursery() as telling:
                if router.service_manager is not None:
                    state = _state_for_manager(router, stop)
                    telling.start_soon(router.service_manager.keep_informed, state)
                await _run_sessions(router, stop)
                telling.cancel_scope.cancel("all but the actor has stopped")
    log.info("%s", stop.summary())


async def _run_sessions(router: Router, stop: Stop) -> None:
    """Run the sessions, and within them the listeners, until the stop."""
    channels, settings = router.channels, router.settings.current
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
                saving.start_soon(router.pins.keep, channels.pins, channels.inbox_in.clone())
                saving.start_soon(keep_running_code, channels.runs, channels.inbox_in.clone())
                asked = (channels.searches, channels.inbox_in.clone(), router.reranker)
                saving.start_soon(keep_index, *asked)
                saving.start_soon(keep_profiles, router.profiles, router.parts, inbox)
                saving.start_soon(router.refusals.run)
                saving.start_soon(
                    router.logins.lazy.run, partial(_tell_of_login, channels.inbox_in)
                )
                await _run_listeners(router, stop)
                saving.cancel_scope.cancel("nobody is left to ask for a change")


async def _tell_of_login(
    inbox: trio.MemorySendChannel[Inbound], name: str, person: str | None
) -> None:
    await inbox.send(LoginChanged(name, person))


async def _run_listeners(router: Router, stop: Stop) -> None:
    """Run the listeners until the stop; the calls they brought in come to their end first."""
    channels = router.channels
    children = router.listeners.children()
    events_in, events = trio.open_memory_channel[ChildEvent](EVENTS_SIZE)
    async with trio.open_nursery() as nursery:
        with channels.listener_commands_in:
            nursery.start_soon(_follow_listeners, events, router, stop)
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
                reloading.start_soon(_begin_later, router)
                if router.show_start is not None:
                    reloading.start_soon(_show_start, router.show_start, router)
                await stop.asked.wait()
                # First, so that whoever balances load sends nothing more.
                router.listeners.is_draining = True
                reloading.cancel_scope.cancel("the program stops")
            await _drain(router, stop)


async def _drain(router: Router, stop: Stop) -> None:
    """Have new calls refused, and wait for those in flight."""
    inbox = router.channels.inbox_in
    ends_at_s = trio.current_time() + stop.drain_s
    in_flight = await _count_calls(inbox)
    with trio.move_on_at(ends_at_s):
        await router.listeners.hand_over()
    done_in, done = trio.open_memory_channel[None](1)
    with done_in, done:
        await inbox.send(Drain(done_in))
        # A moment at least, to hear that there is nothing to wait for.
        with trio.move_on_at(max(ends_at_s, trio.current_time() + ANSWER_S)) as scope:
            await done.receive()
    if scope.cancelled_caught:
        text = "Calls in flight have not ended within %g s; they are cancelled"
        log.warning(text, stop.drain_s)
        stop.calls_cut = await _count_calls(inbox)
    stop.calls_finished = max(0, in_flight - stop.calls_cut)


async def _count_calls(inbox: trio.MemorySendChannel[Inbound]) -> int:
    """Return the number of calls in flight; 0 if the actor does not say."""
    count_in, count = trio.open_memory_channel[dict[str, int]](1)
    with count_in, count, trio.move_on_after(ANSWER_S):
        await inbox.send(AdminCommand(Principal(), ShowReadiness(), count_in))
        return (await count.receive())["in_flight"]
    return 0


async def _follow_listeners(
    events: trio.MemoryReceiveChannel[ChildEvent], router: Router, stop: Stop
) -> None:
    """Log the starts and failures of the listeners; the end of stdio is a request to stop."""
    up = router.listeners.up
    async for event in events:
        if isinstance(event, (Down, GaveUp)):
            up.note_down(event.name)
        match event:
            case Up(name, where) if name == LOCAL:
                log.info("Commands of this user reach the router at %s", where)
            case Up(name, where):
                log.info("Listening on %s", where)
                if up.note_up(name):
                    _all_are_up(router)
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


async def _begin_later(router: Router) -> None:
    """Begin what would delay the first answer: the export, and the end of what a run has left.

    That was an earlier run, which was killed.
    """
    await router.listeners.up.all_were_up.wait()
    await trio.sleep(LATER_S)
    if router.telemetry is not None:
        router.telemetry.start()
    await trio.to_thread.run_sync(router.upstreams.end_leftovers, abandon_on_cancel=True)


async def _show_start(show_start: ShowStart, router: Router) -> None:
    await router.listeners.up.all_were_up.wait()
    await show_start(router.channels.inbox_in, router.listeners.about()["endpoints"])


def _stdio_ended(error: Exception | None, stop: Stop) -> None:
    if error is None:
        stop.ask("the client on stdio is gone")
    else:
        log.error("The stdio listener failed", exc_info=error)
        stop.ask("it was for stdio", status=1)


def _state_for_manager(router: Router, stop: Stop) -> RouterState:
    # For start-up time: only a service needs it.
    from router.service_manager.notifications import RouterState

    return RouterState(
        inbox=router.channels.inbox_in,
        all_are_up=router.listeners.up.all_were_up,
        stopping=stop.asked,
        stop_limit_s=stop.drain_s + STOP_MARGIN_S,
        reloaded=router.reload_request.settled,
        problems=lambda: router.settings.problems,
    )


def _all_are_up(router: Router) -> None:
    if router.is_for_people and router.show_start is None:
        log.info("Press Ctrl+C to stop")
    # Objects that live by now live until the end: no collection need look at them again.
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()
