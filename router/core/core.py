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

from router.core import forward, from_client, from_session
from router.core.clients import Client
from router.core.instances import State as InstanceState
from router.core.instances import new_instance
from router.core.params import printable
from router.core.state import CoreSettings, State
from router.errors import OVERLOADED, SESSION_LOST, UNAVAILABLE, RpcError
from router.messages import (
    CatalogChanged,
    ClientClosed,
    ClientOpened,
    ClientOverflowed,
    CloseClient,
    Drain,
    Event,
    FromClient,
    FromSession,
    InstanceDown,
    InstanceFailed,
    InstancesChanged,
    InstanceStarting,
    Reply,
    Request,
    SessionLost,
    SessionOverflowed,
    SessionUp,
    StartSession,
    StopSession,
    Tick,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.core.instances import Instance
    from router.messages import Effect, InstanceSpec


class Core:
    """The routing state behind one function."""

    def __init__(self, settings: CoreSettings) -> None:
        self._state = State(settings)

    def handle(self, event: Event, now_s: float) -> list[Effect]:
        """Take one event and say what is to be done about it, in order.

        Args:
            event: what happened.
            now_s: monotonic seconds; never less than at the call before.
        """
        state = self._state
        state.now_s = now_s
        _HANDLE[type(event)](state, event)
        if state.drained is not None and not state.calls.by_id:
            state.effects.append(Reply(state.drained, None))
            state.drained = None
        if not state.effects:
            return []
        effects, state.effects = state.effects, []
        return effects

    def next_deadline_s(self) -> float | None:
        """When to hand in a `Tick` at the latest; None while nothing is waited for."""
        calls, parked = self._state.calls.deadlines.next_s(), self._state.parked.next_s()
        if calls is None or parked is None:
            return parked if calls is None else calls
        return min(calls, parked)

    def __repr__(self) -> str:
        state = self._state
        return (
            f"<Core clients={len(state.clients)} calls={len(state.calls.by_id)} "
            f"parked={len(state.parked)} sessions={len(state.sessions)}>"
        )


# --- Clients ---------------------------------------------------------------------------------


def _client_opened(state: State, event: ClientOpened) -> None:
    state.clients[event.client] = Client(
        event.client, event.outbox, event.principal, event.one_shot
    )


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
    for parked in list(client.parked.values()):
        forward.unpark(state, parked)
        forward.end_reply(state, client, parked.event.reply_to)
    for ask_id in list(client.asks):
        forward.fail_ask(state, client, ask_id, "The client is gone")
    for call in list(client.calls.values()):
        forward.finish(state, call)
        forward.cancel_upstream(state, call, printable(reason))
        forward.end_reply(state, client, call.reply_to)
    del state.clients[client_id]
    if client.log_level is not None:
        from_client.spread_log_level(state)


# --- Sessions --------------------------------------------------------------------------------


def _session_up(state: State, event: SessionUp) -> None:
    instance = _begun(state, event.instance)
    if instance is None or event.session in state.lost_early:
        return
    _end_session(state, instance, "another one took its place")
    instance.went_up(event, state.now_s)
    state.sessions[event.session] = instance
    from_client.tell_log_level(state, event)
    for parked in forward.take_waiting(state, instance):
        client = state.clients[parked.event.client]
        from_client.request(state, client, parked.event, parked.request)
    _tell_users(state, instance)


def _session_lost(state: State, event: SessionLost) -> None:
    instance = state.sessions.get(event.session)
    if instance is None:
        state.lost_early.append(event.session)
        return
    _end_session(state, instance, event.reason)
    instance.lost(event.reason, state.now_s)


def _end_session(state: State, instance: Instance, reason: str) -> None:
    """Let go of an instance's session, if it has one; its calls in flight fail.

    The caller says what state the instance is in now.
    """
    if instance.session is not None:
        session, instance.session = instance.session.session, None
        del state.sessions[session]
        forward.fail_session(state, session, instance, reason)
        _tell_users(state, instance)


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
        _tell_users(state, instance)


def _tell_users(state: State, instance: Instance) -> None:
    """Who selected this instance gets `list_changed`, once until it lists again."""
    for client in state.clients.values():
        if client.selected == instance.name and not client.owes_listing:
            from_client.tell_list_changed(state, client)


# --- Instances -------------------------------------------------------------------------------


def _begun(state: State, name: str) -> Instance | None:
    """The instance an event of the supervisor is about; None when that one is there no more."""
    instance = state.instances.by_name.get(name)
    return instance if instance is not None and instance.begun else None


def _instance_starting(state: State, event: InstanceStarting) -> None:
    instance = state.instances.by_name.get(event.instance)
    if instance is not None and instance.is_wanted():
        _end_session(state, instance, "it was started anew")
        instance.began(state.now_s)


def _instance_down(state: State, event: InstanceDown) -> None:
    instance = _begun(state, event.instance)
    if instance is None:
        return
    _end_session(state, instance, event.reason)
    instance.went_down(event.reason, event.restarts, event.retry_in_s, state.now_s)
    if not instance.may_become_ready():
        forward.fail_waiting(state, instance)


def _instance_failed(state: State, event: InstanceFailed) -> None:
    instance = _begun(state, event.instance)
    if instance is not None:
        _end_session(state, instance, event.reason)
        instance.gave_up(event.reason, event.restarts, event.probe_in_s, state.now_s)
        forward.fail_waiting(state, instance)


def _instances_changed(state: State, event: InstancesChanged) -> None:
    present = state.instances.by_name
    wanted = {spec.name: spec for spec in event.specs}
    for name in [name for name in present if name not in wanted]:
        _stop(state, present.pop(name))
    # Rebuilt so that the order of listing is always the order of configuration.
    state.instances.by_name = {
        name: _configured(state, present.get(name), spec) for name, spec in wanted.items()
    }


def _configured(state: State, instance: Instance | None, spec: InstanceSpec) -> Instance:
    if instance is not None and instance.spec.starts_like(spec):
        instance.spec = spec
        return instance
    fresh = new_instance(spec, state.now_s)
    if fresh.state is InstanceState.STARTING:
        if instance is not None:
            _let_go(state, instance)
        state.effects.append(StartSession(spec))
    elif instance is not None:
        _stop(state, instance)
    return fresh


def _stop(state: State, instance: Instance) -> None:
    """Have it stopped if it runs or may be about to run."""
    if instance.is_wanted():
        state.effects.append(StopSession(instance.name))
    _let_go(state, instance)


def _let_go(state: State, instance: Instance) -> None:
    """Answer everything that was waiting for this row, which is about to be replaced."""
    _end_session(state, instance, "its configuration changed")
    instance.enter(InstanceState.STOPPING, state.now_s)
    forward.fail_waiting(state, instance)


# --- Time and stopping -----------------------------------------------------------------------


def _tick(state: State, _: Tick) -> None:
    forward.expire(state)


def _drain(state: State, event: Drain) -> None:
    state.draining, state.drained = True, event.reply_to
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
    Drain: _drain,
    Tick: _tick,
}
