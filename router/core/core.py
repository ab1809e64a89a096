"""The pure core: every event in, what is to be done out.

Job: `handle(event, now_s) -> list[Effect]`, composed of `from_client`, `from_session` and the
life of clients, sessions and instances, which stands here. Neighbours: the dispatch actor calls
it and performs the effects. Imports neither trio nor mcp nor hypercorn.

Invariants: it never waits and never fails; whatever a peer sends becomes an answer or nothing.
It holds all routing state, and nobody else touches that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from router.core import (
    admin,
    configuring,
    forward,
    from_client,
    from_session,
    held,
    levels,
    listed,
    saving,
    stateless,
    toolbox,
)
from router.core.clients import Client
from router.core.params import printable
from router.core.state import State
from router.errors import OVERLOADED, SESSION_LOST, UNAVAILABLE, RpcError
from router.messages import (
    Abandoned,
    AdminCommand,
    CatalogChanged,
    ClientClosed,
    ClientOpened,
    ClientOverflowed,
    CloseClient,
    CoreSettingsChanged,
    Drain,
    Event,
    FromClient,
    FromSession,
    InstanceDown,
    InstanceFailed,
    InstanceSaved,
    InstancesChanged,
    InstanceStarting,
    Reply,
    Request,
    SessionLost,
    SessionOverflowed,
    SessionUp,
    Tick,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.configured import CoreSettings
    from router.core.instances import Instance
    from router.core.state import Seal
    from router.messages import Effect


class Core:
    """The routing state behind one function."""

    def __init__(self, settings: CoreSettings, seal: Seal) -> None:
        self._state = State(settings, seal)

    def handle(self, event: Event, now_s: float) -> list[Effect]:
        """Take one event and say what is to be done about it, in order.

        Args:
            event: what happened.
            now_s: monotonic seconds; never less than at the call before.
        """
        state = self._state
        state.now_s = now_s
        _HANDLE[type(event)](state, event)
        if state.leaving:
            configuring.see_off(state)
        if state.asking:
            admin.settle(state)
        if state.drained is not None and not state.calls.by_id and not state.saving:
            state.effects.append(Reply(state.drained, None))
            state.drained = None
        if not state.effects:
            return []
        effects, state.effects = state.effects, []
        return effects

    def next_deadline_s(self) -> float | None:
        """When to hand in a `Tick` at the latest; None while nothing is waited for."""
        state = self._state
        calls, parked = state.calls.deadlines.next_s(), state.parked.next_s()
        if state.leaving or state.held or calls is None or parked is None:
            return _earliest(calls, parked, state.leaving_due.next_s(), state.held_due.next_s())
        return min(calls, parked)

    def __repr__(self) -> str:
        state = self._state
        return (
            f"<Core clients={len(state.clients)} calls={len(state.calls.by_id)} "
            f"parked={len(state.parked)} sessions={len(state.sessions)}>"
        )


def _earliest(*deadlines_s: float | None) -> float | None:
    return min((at_s for at_s in deadlines_s if at_s is not None), default=None)


# --- Clients ---------------------------------------------------------------------------------


def _client_opened(state: State, event: ClientOpened) -> None:
    client = Client(
        event.client,
        event.outbox,
        event.principal,
        event.one_shot,
        methods=stateless.REQUESTS if event.era == "stateless" else from_client.REQUESTS,
        era=event.era,
    )
    if client.is_stateless:
        client.selection = stateless.selection_of(state, client.principal)
    state.clients[client.id] = client


def _client_closed(state: State, event: ClientClosed) -> None:
    _forget_client(state, event.client, event.reason)


def _client_overflowed(state: State, event: ClientOverflowed) -> None:
    client = state.clients.get(event.client)
    if client is not None:
        reason = "The client reads too slowly"
        _forget_client(state, client.id, reason)
        state.effects.append(CloseClient(client.id, client.outbox, reason))


def _forget_client(state: State, client_id: str, reason: str) -> None:
    client = state.clients.get(client_id)
    if client is None:
        return
    for row in list(client.requests.values()):
        _forget_client(state, row.id, reason)
    if client.era == "either":
        held.forget(state, client, printable(reason))
    for parked in list(client.parked.values()):
        forward.unpark(state, parked)
        forward.end_reply(state, client, parked.event.reply_to)
    for saving_now in client.saving.values():
        forward.end_reply(state, client, saving_now.event.reply_to)
    for ask_id in list(client.asks):
        forward.fail_ask(state, client, ask_id, "The client is gone")
    for call in list(client.calls.values()):
        forward.finish(state, call)
        forward.cancel_upstream(state, call, printable(reason))
        forward.end_reply(state, client, call.reply_to)
    client.let_go(state.clients)
    state.clients.pop(client_id, None)
    if client.log_level is not None and not client.is_stateless:
        levels.spread(state)


# --- Sessions --------------------------------------------------------------------------------


def _session_up(state: State, event: SessionUp) -> None:
    instance = _begun(state, event.instance)
    if instance is None or event.session in state.lost_early:
        return
    configuring.end_session(state, instance, "another one took its place")
    instance.went_up(event, state.now_s)
    state.sessions[event.session] = instance
    levels.tell(state, event)
    for parked in forward.take_waiting(state, instance):
        client = state.clients[parked.event.client]
        from_client.request(state, client, parked.event, parked.request)
    listed.tell_users(state, instance.name)


def _session_lost(state: State, event: SessionLost) -> None:
    instance = state.sessions.get(event.session)
    if instance is None:
        state.lost_early.append(event.session)
        return
    configuring.end_session(state, instance, event.reason)
    instance.lost(event.reason, state.now_s)


def _session_overflowed(state: State, event: SessionOverflowed) -> None:
    """A frame could not be delivered: a request gets its error, anything else is dropped."""
    request_id = event.frame.id if isinstance(event.frame, Request) else None
    call = state.calls.find(request_id, event.session)
    if call is None:
        return
    forward.finish(state, call)
    if event.lost:
        message = f"Instance '{call.instance}' was lost before the call was sent"
        forward.fail_call(state, call, RpcError(SESSION_LOST, message))
    else:
        message = f"Instance '{call.instance}' is overloaded; try again later"
        forward.fail_call(state, call, RpcError(OVERLOADED, message))


def _catalog_changed(state: State, event: CatalogChanged) -> None:
    instance = state.sessions.get(event.session)
    if instance is not None and instance.session is not None:
        instance.listed(msgspec.structs.replace(instance.session, catalog=event.catalog))
        listed.tell_users(state, instance.name)


# --- Instances -------------------------------------------------------------------------------


def _begun(state: State, name: str) -> Instance | None:
    """The instance an event of the supervisor is about; None when that one is there no more."""
    instance = state.instances.by_name.get(name)
    return instance if instance is not None and instance.begun else None


def _instance_starting(state: State, event: InstanceStarting) -> None:
    instance = state.instances.by_name.get(event.instance)
    if configuring.hurry(state, event.instance, "it was started anew"):
        return  # The one before the change; the one after it has not been asked for yet.
    if instance is not None and instance.is_wanted():
        configuring.end_session(state, instance, "it was started anew")
        instance.began(state.now_s)


def _instance_down(state: State, event: InstanceDown) -> None:
    configuring.hurry(state, event.instance, event.reason)
    instance = _begun(state, event.instance)
    if instance is None:
        return
    configuring.end_session(state, instance, event.reason)
    instance.went_down(event.reason, event.restarts, event.retry_in_s, state.now_s)
    if not instance.may_become_ready():
        forward.fail_waiting(state, instance)


def _instance_failed(state: State, event: InstanceFailed) -> None:
    configuring.hurry(state, event.instance, event.reason)
    instance = _begun(state, event.instance)
    if instance is not None:
        configuring.end_session(state, instance, event.reason)
        instance.gave_up(event.reason, event.restarts, event.probe_in_s, state.now_s)
        forward.fail_waiting(state, instance)


def _instances_changed(state: State, event: InstancesChanged) -> None:
    configuring.configure(state, event.specs)


def _instance_saved(state: State, event: InstanceSaved) -> None:
    if event.specs is not None:
        configuring.configure(state, event.specs)
    saving.ended(state, event)


def _settings_changed(state: State, event: CoreSettingsChanged) -> None:
    before, state.settings = state.settings, event.settings
    if toolbox.items_for(before) is not toolbox.items_for(event.settings):
        listed.tell_everybody(state)


# --- Commands --------------------------------------------------------------------------------


def _abandoned(state: State, event: Abandoned) -> None:
    client_id = admin.abandoned(state, event.reply_to)
    if client_id is not None:
        _forget_client(state, client_id, "Nobody waits for the answer any more")


# --- Time and stopping -----------------------------------------------------------------------


def _tick(state: State, _: Tick) -> None:
    configuring.expire(state)
    forward.expire(state)
    held.expire(state)


def _drain(state: State, event: Drain) -> None:
    state.draining, state.drained = True, event.reply_to
    stateless.end_listening(state)
    for instance in state.instances:
        forward.fail_waiting(state, instance, RpcError(UNAVAILABLE, forward.STOPPING))


_HANDLE: dict[type[Any], Callable[[State, Any], None]] = {
    FromClient: from_client.handle,
    FromSession: from_session.handle,
    ClientOpened: _client_opened,
    ClientClosed: _client_closed,
    ClientOverflowed: _client_overflowed,
    SessionUp: _session_up,
    SessionLost: _session_lost,
    SessionOverflowed: _session_overflowed,
    CatalogChanged: _catalog_changed,
    InstanceStarting: _instance_starting,
    InstanceDown: _instance_down,
    InstanceFailed: _instance_failed,
    InstancesChanged: _instances_changed,
    CoreSettingsChanged: _settings_changed,
    InstanceSaved: _instance_saved,
    AdminCommand: admin.handle,
    Abandoned: _abandoned,
    Drain: _drain,
    Tick: _tick,
}
