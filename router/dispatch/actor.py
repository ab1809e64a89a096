"""The dispatch actor: receives events, lets the core decide, and performs the effects.

It is the one task that owns the routing state. Everybody else sends into its inbox.

Invariants:

- The actor waits for nothing but its inbox and its next deadline; it sends with
  `send_nowait` only. A frame that does not fit into a session's inbox is an overload error for its
  call. A frame that does not fit into a client's outbox ends that client. A change that does not
  fit into the instance store's inbox is refused. A catalogue that does not fit into its store's
  inbox is dropped.
- It empties the inbox before it yields, so that a burst costs one wake-up and each writer writes
  once, after the burst (see `after_batch`).
- Effects are performed in order. The events that follow from them (something did not fit) are
  handled after all of them, so a call is never cancelled before it was sent.
- An event on which the core fails, and an effect that cannot be performed, is a bug: it is logged
  and skipped, so one bad message or outbox ends nobody else.
- Every client may read the reason why a server failed. So known secrets are masked in the reason
  before it reaches the core.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import trio
import trio.lowlevel

from router.dispatch.elsewhere import HANDED_ON, NOWHERE, hand_on
from router.dispatch.reports import TRANSLATE, Mask
from router.dispatch.start_report import StartReport
from router.messages.effects import (
    CloseClient,
    CloseReply,
    LogLine,
    Reply,
    SaveCatalogue,
    SaveInstance,
    StartSession,
    StopSession,
    ToClient,
    ToSession,
    WriteRecord,
)
from router.messages.errors import OVERLOADED, UNAVAILABLE, RpcError
from router.messages.events import (
    Barrier,
    ClientOverflowed,
    Drain,
    Event,
    InstanceSaved,
    SessionOverflowed,
    Tick,
)
from router.messages.observability.log_fields import about
from supervisors.child import (
    ChildEvent,
    ChildSpec,
    Command,
    StartChild,
    StopChild,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.dispatch.after_batch import AfterBatch
    from router.dispatch.elsewhere import Elsewhere, HandedOn
    from router.messages.effects import Effect
    from router.messages.instances.instance_spec import InstanceSpec
    from router.messages.observability.metrics import ActorCounts
    from router.messages.observability.records import Record

log = logging.getLogger("mcp_router.dispatch")

INBOX_SIZE: Final = 1024
"""Events that may wait for the actor before their senders are held back."""

BATCH_SIZE: Final = 256
"""Events taken in one go before other tasks get their turn."""

LATE_S: Final = 0.25
"""A deadline that is noticed so late passed while this process did not run: it was stopped, or the
machine was too busy."""

CATCH_UP_S: Final = 0.05
"""Time to read then what came in meanwhile: an answer in a pipe was in time."""

Inbound: TypeAlias = Event | ChildEvent | Barrier
"""The inbox holds the core's events, those of the supervisor until they are translated, and the
barriers of sessions that measure how busy the actor is with their events."""


class PureCore(Protocol):
    """The core as the actor sees it: events in, effects out; it waits for nothing."""

    def handle(self, event: Event, now_s: float, /) -> list[Effect]: ...

    def next_deadline_s(self) -> float | None: ...


async def dispatch(
    core: PureCore,
    inbox: trio.MemoryReceiveChannel[Inbound],
    commands: trio.MemorySendChannel[Command],
    child_of: Callable[[InstanceSpec], ChildSpec],
    saves: trio.MemorySendChannel[SaveInstance],
    catalogues: trio.MemorySendChannel[SaveCatalogue],
    mask: Mask,
    write_record: Callable[[Record], None],
    counts: ActorCounts,
    after_batch: AfterBatch,
    *,
    elsewhere: Elsewhere = NOWHERE,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run the actor until every sender of its inbox has closed.

    Args:
        core: decides about each event.
        inbox: brings all events.
        commands: takes commands to the supervisor of upstream sessions. When it is full, the last
            command for each instance waits here.
        child_of: returns how the session of an instance is run.
        saves: takes changes to the instance store, which sends an `InstanceSaved` into the inbox
            for each. When it is full, the change is refused.
        catalogues: takes catalogues to be kept on disk. When it is full, the catalogue is dropped.
        mask: takes known secrets out of a text.
        write_record: hands a record to those who keep it; it neither waits nor fails.
        counts: is told what was done.
        after_batch: holds what is to be done after each batch of events.
        elsewhere: takes effects that tasks of their own perform.
    """
    actor = _Actor(core, commands, child_of, saves, catalogues, mask, write_record, elsewhere)
    task_status.started()
    with inbox, commands, saves, catalogues, ExitStack() as closing:
        for channel in elsewhere.values():
            closing.enter_context(channel)
        while await _take_all(actor, inbox, counts, after_batch):
            pass


async def _take_all(
    actor: _Actor,
    inbox: trio.MemoryReceiveChannel[Inbound],
    counts: ActorCounts,
    after_batch: AfterBatch,
) -> bool:
    """Handle events until all senders have closed, or until a deadline may be overdue.

    One scope serves many events, because to open a scope costs more than to handle an event. So its
    deadline is only ever made earlier, and it may be cancelled for nothing, at most once in the
    time of a call.

    Returns:
        True if it was cancelled: there may be more events.
    """
    with trio.CancelScope() as scope:
        wake_at_s = _end_batch(actor, after_batch, scope, math.inf)
        async for inbound in inbox:
            actor.take(inbound)
            counts.batches += 1
            counts.events += 1 + _take_batch(actor, inbox)
            # Not only when the scope is cancelled: under load there is always another event.
            wake_at_s = _end_batch(actor, after_batch, scope, wake_at_s)
    return scope.cancelled_caught


def _end_batch(
    actor: _Actor, after_batch: AfterBatch, scope: trio.CancelScope, wake_at_s: float
) -> float:
    """Do what is due and what was put off; return when the scope wakes the actor next."""
    deadline_s = actor.tick()
    after_batch.run()
    if deadline_s is None or deadline_s >= wake_at_s:
        return wake_at_s
    scope.deadline = deadline_s
    return deadline_s


def _take_batch(actor: _Actor, inbox: trio.MemoryReceiveChannel[Inbound]) -> int:
    """Handle the events that are in the inbox already, up to `BATCH_SIZE`; return how many."""
    for number in range(BATCH_SIZE):
        try:
            event = inbox.receive_nowait()
        except (trio.WouldBlock, trio.EndOfChannel):
            return number
        actor.take(event)
    return BATCH_SIZE


class _Actor:
    """Handles one event at a time and performs its effects."""

    def __init__(
        self,
        core: PureCore,
        commands: trio.MemorySendChannel[Command],
        child_of: Callable[[InstanceSpec], ChildSpec],
        saves: trio.MemorySendChannel[SaveInstance],
        catalogues: trio.MemorySendChannel[SaveCatalogue],
        mask: Mask,
        write_record: Callable[[Record], None],
        elsewhere: Elsewhere,
    ) -> None:
        self._core = core
        self._elsewhere = elsewhere
        self._write_record = write_record
        self._mask = mask
        self._commands = commands
        self._child_of = child_of
        self._saves = saves
        self._catalogues = catalogues
        self._follow_ups: deque[Event] = deque()
        self._unsent: dict[str, Command] = {}
        self._caught_up_at_s: float | None = None
        # `trio.current_time` looks for the clock each time.
        self._now_s = trio.lowlevel.current_clock().current_time
        self._start_report: StartReport | None = StartReport(self._now_s())

    def take(self, inbound: Inbound) -> None:
        """Handle one event and the events that follow from its effects."""
        translate = TRANSLATE.get(type(inbound))
        if translate is None:
            if self._start_report is not None and isinstance(inbound, Drain):
                self._start_report = None  # what is up from now on tells nothing
            self._handle(inbound)
        else:
            event = translate(inbound, self._mask)
            if self._start_report is not None and isinstance(inbound, ChildEvent):
                self._start_report.take(inbound, self._now_s())
            if event is not None:
                self._handle(event)
        if self._unsent:
            self._send_commands()

    def tick(self) -> float | None:
        """Do what is due: let the core end what is overdue, and say how the starts went.

        Returns:
            The monotonic second of the next `tick` that has something to do; None if there is none.
        """
        deadline_s, now_s = self._core.next_deadline_s(), self._now_s()
        if deadline_s is None or deadline_s > now_s:
            self._caught_up_at_s = None
        else:
            self._end_overdue(deadline_s, now_s)
            deadline_s = self._core.next_deadline_s()
            if deadline_s is not None and self._caught_up_at_s is not None:
                deadline_s = max(deadline_s, self._caught_up_at_s)
        if self._start_report is not None:
            report_s = self._report_starts(self._start_report, now_s)
            if deadline_s is None or report_s is None:
                return report_s if deadline_s is None else deadline_s
            return min(deadline_s, report_s)
        return deadline_s

    def _end_overdue(self, deadline_s: float, now_s: float) -> None:
        """Let the core end what is overdue; if that is noticed late, after what has come in."""
        if self._caught_up_at_s is None and now_s - deadline_s > LATE_S:
            self._caught_up_at_s = now_s + CATCH_UP_S
        elif self._caught_up_at_s is None or now_s >= self._caught_up_at_s:
            self._caught_up_at_s = None
            self._handle(Tick())
            if self._unsent:
                self._send_commands()

    def _report_starts(self, report: StartReport, now_s: float) -> float | None:
        """Say how the starts went, if it is time; return the second of the next time."""
        line = report.line(now_s)
        if line is not None:
            level = logging.INFO if report.is_over else logging.WARNING
            passed_s = round(now_s - report.started_at_s, 3)
            log.log(level, line, extra={"duration_s": passed_s})
        if report.is_over:
            self._start_report = None
        return report.next_deadline_s()

    def _handle(self, event: Any) -> None:
        while event is not None:
            try:
                effects = self._core.handle(event, self._now_s())
            except Exception:
                log.exception("skipped %s: the core failed on it", type(event).__name__)
                effects = ()
            for effect in effects:
                try:
                    _PERFORM[type(effect)](self, effect)
                except Exception:
                    # An outbox is a listener's or a session's own code: its faults end it alone.
                    log.exception("could not perform %s", type(effect).__name__)
            event = self._follow_ups.popleft() if self._follow_ups else None

    def _send_commands(self) -> None:
        """Send the supervisor the waiting commands, as far as it has room.

        The rest is tried again with the next event, such as the report on a command it took.
        """
        for name in list(self._unsent):
            try:
                self._commands.send_nowait(self._unsent[name])
            except trio.WouldBlock:
                return
            except trio.BrokenResourceError:
                log.debug("the supervisor is gone; %s is left as it is", name)
            del self._unsent[name]

    def _put_command(self, name: str, command: Command) -> None:
        # Removed first, so that a command that replaces an earlier one goes to the back.
        self._unsent.pop(name, None)
        self._unsent[name] = command

    def to_client(self, effect: ToClient) -> None:
        try:
            effect.outbox.send_nowait(effect.frame)
        except trio.WouldBlock:
            # The reader of this outbox must not wait for ever for the frame that did not fit.
            effect.outbox.close()
            self._follow_ups.append(ClientOverflowed(effect.client))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            log.debug("client %.8s is gone; dropped a frame for it", effect.client)

    def to_session(self, effect: ToSession) -> None:
        try:
            effect.inbox.send_nowait(effect.frame)
        except trio.WouldBlock:
            self._follow_ups.append(SessionOverflowed(effect.session, effect.frame))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._follow_ups.append(SessionOverflowed(effect.session, effect.frame, lost=True))

    def close_client(self, effect: CloseClient) -> None:
        log.info("client %.8s closed: %s", effect.client, effect.reason)
        effect.outbox.close()

    def close_reply(self, effect: CloseReply) -> None:
        effect.outbox.close()

    def start_session(self, effect: StartSession) -> None:
        self._put_command(effect.spec.name, StartChild(self._child_of(effect.spec)))
        if self._start_report is not None and effect.spec.sessions == "shared":
            self._start_report.expect(effect.spec.name, self._now_s())

    def stop_session(self, effect: StopSession) -> None:
        self._put_command(effect.instance, StopChild(effect.instance))

    def save_instance(self, effect: SaveInstance) -> None:
        try:
            self._saves.send_nowait(effect)
        except trio.WouldBlock:
            problem = RpcError(OVERLOADED, "Too many changes are being saved; try again later")
        except trio.BrokenResourceError:
            problem = RpcError(UNAVAILABLE, "Nothing can be saved any more")
        else:
            return
        self._follow_ups.append(InstanceSaved(effect.key, problem=problem))

    def save_catalogue(self, effect: SaveCatalogue) -> None:
        try:
            self._catalogues.send_nowait(effect)
        except (trio.WouldBlock, trio.BrokenResourceError):
            log.debug("the catalogue of %s is not kept this time", effect.spec.name)

    def hand_on(self, effect: HandedOn) -> None:
        hand_on(self._elsewhere, effect)

    def log_line(self, effect: LogLine) -> None:
        log.log(effect.level, "%s", effect.text, extra=about(effect.instance))

    def write_record(self, effect: WriteRecord) -> None:
        self._write_record(effect.record)

    def reply(self, effect: Reply) -> None:
        try:
            effect.reply_to.send_nowait(effect.value)
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            log.debug("nobody waits for a reply any more")


_PERFORM: Final[dict[type[Any], Callable[[_Actor, Any], None]]] = {
    ToClient: _Actor.to_client,
    ToSession: _Actor.to_session,
    CloseClient: _Actor.close_client,
    CloseReply: _Actor.close_reply,
    StartSession: _Actor.start_session,
    StopSession: _Actor.stop_session,
    SaveInstance: _Actor.save_instance,
    SaveCatalogue: _Actor.save_catalogue,
    **dict.fromkeys(HANDED_ON, _Actor.hand_on),
    LogLine: _Actor.log_line,
    WriteRecord: _Actor.write_record,
    Reply: _Actor.reply,
}
