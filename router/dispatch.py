"""The dispatch actor: receive, let the core decide, perform.

Job: the one task that owns the routing state. Neighbours: everyone sends into its inbox; the
core decides; it sends out with `send_nowait` only.

Invariants:

- It waits for nothing but its inbox and the core's next deadline. What does not fit is shed: a
  full session inbox is an overload error for that call, a full client outbox ends that client,
  a change for which the storekeeper has no room is refused.
- It takes what else is in the inbox before it yields, so that a burst costs one wake-up and the
  writers it feeds write once.
- Effects are performed in order, and what follows from them (something did not fit) is handled
  when all of them are: so a call is never cancelled before it was sent.
- An event the core fails on (a bug) is logged and skipped: one bad message ends nobody else.
- What a server says when it fails is for everybody to read: known secrets in it are masked here,
  before it reaches the core.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import msgspec
import trio

from router.messages.effects import (
    CloseClient,
    CloseReply,
    Reply,
    SaveInstance,
    StartSession,
    StopSession,
    ToClient,
    ToSession,
)
from router.messages.errors import OVERLOADED, UNAVAILABLE, RpcError
from router.messages.events import (
    ClientOverflowed,
    Event,
    InstanceDown,
    InstanceFailed,
    InstanceSaved,
    InstanceStarting,
    SessionLost,
    SessionOverflowed,
    Tick,
)
from supervisors.child import (
    ChildEvent,
    ChildSpec,
    Command,
    Down,
    GaveUp,
    StartChild,
    Starting,
    StopChild,
    Stuck,
    Up,
)

if TYPE_CHECKING:
    from router.messages.effects import Effect
    from router.messages.instance_spec import InstanceSpec

log = logging.getLogger("mcp_router.dispatch")

INBOX_SIZE: Final = 1024
"""Events that may wait for the actor before their senders are held back."""

BATCH_SIZE: Final = 256
"""Events taken in one go before other tasks get their turn."""

Inbound: TypeAlias = Event | ChildEvent
"""What the inbox holds: our own events, and those of the supervisor as they are."""

Mask: TypeAlias = Callable[[str], str]
"""A text -> the same without the secrets that are known."""


class Deciding(Protocol):
    """The core, as the actor sees it."""

    def handle(self, event: Event, now_s: float) -> list[Effect]: ...

    def next_deadline_s(self) -> float | None: ...


async def dispatch(
    core: Deciding,
    inbox: trio.MemoryReceiveChannel[Inbound],
    commands: trio.MemorySendChannel[Command],
    child_of: Callable[[InstanceSpec], ChildSpec],
    saves: trio.MemorySendChannel[SaveInstance],
    mask: Mask = str,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run the actor until every sender of its inbox has closed.

    Args:
        core: decides.
        inbox: all events.
        commands: to the supervisor of upstream sessions; what does not fit waits here, the last
            command for each instance.
        child_of: how the session of an instance is run.
        saves: to the storekeeper, which sends an `InstanceSaved` into the inbox for each; what
            does not fit is refused.
        mask: takes known secrets out of a text.
    """
    actor = _Actor(core, commands, child_of, saves, mask)
    task_status.started()
    with inbox, commands, saves:
        scope = await _take_all(actor, core, inbox)
        while scope.cancelled_caught:
            actor.tick()
            scope = await _take_all(actor, core, inbox)


async def _take_all(
    actor: _Actor, core: Deciding, inbox: trio.MemoryReceiveChannel[Inbound]
) -> trio.CancelScope:
    """Handle events until all senders have closed, or until something may be overdue.

    Then the returned scope was cancelled. It is one for many events, because opening a scope
    costs more than handling an event; so its deadline is only ever made earlier, and it may be
    cancelled for nothing, once in the time of a call.
    """
    with trio.CancelScope() as scope:
        wake_at_s = _set_earlier(scope, math.inf, core.next_deadline_s())
        async for inbound in inbox:
            actor.take(inbound)
            _take_batch(actor, inbox)
            # Not only when the scope is cancelled: under load there is always another event.
            actor.tick()
            wake_at_s = _set_earlier(scope, wake_at_s, core.next_deadline_s())
    return scope


def _set_earlier(scope: trio.CancelScope, wake_at_s: float, deadline_s: float | None) -> float:
    if deadline_s is None or deadline_s >= wake_at_s:
        return wake_at_s
    scope.deadline = deadline_s
    return deadline_s


def _take_batch(actor: _Actor, inbox: trio.MemoryReceiveChannel[Inbound]) -> None:
    """Handle what else is there already."""
    for _ in range(BATCH_SIZE):
        try:
            event = inbox.receive_nowait()
        except (trio.WouldBlock, trio.EndOfChannel):
            return
        actor.take(event)


class _Actor:
    """One step of the actor: an event in, its effects performed."""

    def __init__(
        self,
        core: Deciding,
        commands: trio.MemorySendChannel[Command],
        child_of: Callable[[InstanceSpec], ChildSpec],
        saves: trio.MemorySendChannel[SaveInstance],
        mask: Mask,
    ) -> None:
        self._core = core
        self._mask = mask
        self._commands = commands
        self._child_of = child_of
        self._saves = saves
        self._follow_ups: deque[Event] = deque()
        self._owed: dict[str, Command] = {}

    def take(self, inbound: Inbound) -> None:
        """Handle one event and whatever follows from performing its effects."""
        translate = _TRANSLATE.get(type(inbound))
        event = inbound if translate is None else translate(inbound, self._mask)
        if event is not None:
            self._handle(event)
        if self._owed:
            self._give_commands()

    def tick(self) -> None:
        """Let the core end what is overdue."""
        deadline_s = self._core.next_deadline_s()
        if deadline_s is not None and deadline_s <= trio.current_time():
            self._handle(Tick())

    def _handle(self, event: Any) -> None:
        self._step(event)
        while self._follow_ups:
            self._step(self._follow_ups.popleft())

    def _step(self, event: Any) -> None:
        try:
            effects = self._core.handle(event, trio.current_time())
        except Exception:
            log.exception("skipped %s: the core failed on it", type(event).__name__)
            return
        for effect in effects:
            _PERFORM[type(effect)](self, effect)

    def _give_commands(self) -> None:
        """Give the supervisor what it is owed, as far as it has room; its events come back here."""
        for name in list(self._owed):
            try:
                self._commands.send_nowait(self._owed[name])
            except trio.WouldBlock:
                return
            except trio.BrokenResourceError:
                log.debug("the supervisor is gone; %s is left as it is", name)
            del self._owed[name]

    def _owe(self, name: str, command: Command) -> None:
        # To the back: a later command for the same child takes the place of an earlier one.
        self._owed.pop(name, None)
        self._owed[name] = command

    def to_client(self, effect: ToClient) -> None:
        try:
            effect.outbox.send_nowait(effect.frame)
        except trio.WouldBlock:
            # Whoever reads this one must not wait for ever for the frame that did not fit.
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
        self._owe(effect.spec.name, StartChild(self._child_of(effect.spec)))

    def stop_session(self, effect: StopSession) -> None:
        self._owe(effect.instance, StopChild(effect.instance))

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
    Reply: _Actor.reply,
}


# --- What others say of instances, in the words of the core ----------------------------------


def _up(event: Up, _: Mask) -> Event | None:
    log.info("%s is ready", event.name)
    return None


def _starting(event: Starting, _: Mask) -> Event | None:
    return InstanceStarting(event.name)


def _lost(event: SessionLost, mask: Mask) -> Event | None:
    return msgspec.structs.replace(event, reason=mask(event.reason))


def _down(event: Down, mask: Mask) -> Event | None:
    reason = "" if event.error is None else mask(str(event.error))
    if event.retry_in_s == 0:
        log.info("%s is started anew", event.name)
    elif event.retry_in_s is not None:
        log.warning("%s is down (%s); next try in %.1f s", event.name, reason, event.retry_in_s)
    return InstanceDown(event.name, reason, event.restarts, event.retry_in_s)


def _gave_up(event: GaveUp, mask: Mask) -> Event | None:
    reason = mask(str(event.error))
    log.error("%s failed (%s); next probe in %.0f s", event.name, reason, event.probe_in_s)
    return InstanceFailed(event.name, reason, event.restarts, event.probe_in_s)


def _stuck(event: Stuck, _: Mask) -> Event | None:
    log.error("%s does not stop, although it was cancelled; it is left behind", event.name)
    return None


_TRANSLATE: Final[dict[type[Any], Callable[[Any, Mask], Event | None]]] = {
    Up: _up,
    Starting: _starting,
    SessionLost: _lost,
    Down: _down,
    GaveUp: _gave_up,
    Stuck: _stuck,
}
