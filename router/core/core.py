"""Decides what follows from each event: `handle(event, now_s)` returns the effects, in order.

The beginnings and ends of clients, sessions and instances are handled here; the frames that they
send are handled in `peers`, and changes of the configuration in `management`.

Invariants:

- The core never waits and never fails; whatever a peer sends becomes an answer or is dropped.
- The core alone reads and changes the routing state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from router.core.calls import (
    forwarding,
    input_required,
    log_levels,
    resource_subscriptions,
    retries,
)
from router.core.limits import turns
from router.core.management import client_session_ends, idle_stops, reconfigure, saving
from router.core.peers import (
    admin_commands,
    client_requests,
    failed_requests,
    server_messages,
    stateless_requests,
)
from router.core.sessions import idle_times, lazy_starts
from router.core.state.clients import Client
from router.core.state.routing_state import RoutingState
from router.core.state.session_rows import Replica, show_in_instance
from router.core.tasks import listening
from router.core.text.raw_json import printable
from router.core.views import audience, list_changes
from router.messages.effects import CloseClient, Reply
from router.messages.errors import OVERLOADED, SESSION_LOST, UNAVAILABLE, RpcError
from router.messages.events import (
    Abandoned,
    AdminCommand,
    CatalogChanged,
    CataloguesRead,
    ClientClosed,
    ClientOpened,
    ClientOverflowed,
    CoreSettingsChanged,
    Drain,
    Event,
    FromClient,
    FromSession,
    InstanceDelayed,
    InstanceDown,
    InstanceFailed,
    InstanceSaved,
    InstancesChanged,
    InstanceStarting,
    RequestFailed,
    SessionLost,
    SessionOverflowed,
    SessionUp,
    Tick,
)
from router.messages.frames import Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.core.state.instances import Instance
    from router.core.state.routing_state import Seal
    from router.messages.core_settings import CoreSettings
    from router.messages.effects import Effect
    from router.messages.frames import ClientId


class Core:
    """The routing state and the function that changes it."""

    def __init__(self, settings: CoreSettings, seal: Seal) -> None:
        self._state = RoutingState(settings, seal)

    def handle(self, event: Event, now_s: float) -> list[Effect]:
        """Decide about one event and return the effects to perform, in order.

        Args:
            event: tells what happened.
            now_s: monotonic seconds; never less than at the call before.
        """
        state = self._state
        state.now_s = now_s
        _HANDLERS[type(event)](state, event)
        if state.queues:
            for request in turns.take_turns(state):
                client_requests.carry_out(state, request)
        # Any event may end the last call on a leaving session, or the last of all.
        if state.leaving:
            reconfigure.complete_replacements(state)
        if state.asking:
            admin_commands.reply_to_askers(state)
        if state.drain_reply_to is not None and not state.calls.by_id and not state.saving:
            state.effects.append(Reply(state.drain_reply_to, None))
            state.drain_reply_to = None
        if not state.effects:
            return []
        effects, state.effects = state.effects, []
        return effects

    def next_deadline_s(self) -> float | None:
        """Return the second at which a `Tick` is due; None while no deadline runs."""
        state = self._state
        deadlines_s = (
            state.calls.deadlines.next_s(),
            state.parked.next_s(),
            state.questions_due.next_s(),
            state.leaving_due.next_s(),
            state.input_required_due.next_s(),
            state.listens_due.next_s(),
            state.client_sessions.idle_due.next_s(),
            state.idle_due.next_s(),
            state.confirmations_due.next_s(),
            state.kept_results.next_s(),
        )
        return min((at_s for at_s in deadlines_s if at_s is not None), default=None)

    def needs_instances(self, client_id: ClientId) -> bool:
        """Return whether even the handshake of a client is a matter of an instance.

        It is in a transparent view, and in one that may prove to be transparent once the instances
        are known.
        """
        client = self._state.clients.get(client_id)
        if client is None:
            return False
        view = self._state.find_view(client)
        return view is None or view.is_transparent

    def __repr__(self) -> str:
        state = self._state
        return (
            f"<Core clients={len(state.clients)} calls={len(state.calls.by_id)} "
            f"parked={len(state.parked)} sessions={len(state.sessions)}>"
        )


# --- Clients ---------------------------------------------------------------------------------


def _client_opened(state: RoutingState, event: ClientOpened) -> None:
    state.clients[event.client] = Client(
        event.client,
        event.outbox,
        event.principal,
        event.one_shot,
        era=event.era,
        place=event.view,
    )


def _client_closed(state: RoutingState, event: ClientClosed) -> None:
    _forget_client(state, event.client, event.reason)


def _client_overflowed(state: RoutingState, event: ClientOverflowed) -> None:
    client = state.clients.get(event.client)
    if client is not None:
        reason = "The client reads too slowly"
        _forget_client(state, client.id, reason)
        state.effects.append(CloseClient(client.id, client.outbox, reason))


def _forget_client(state: RoutingState, client_id: str, reason: str) -> None:
    """Remove a client, end all that waits for it, and cancel its calls upstream."""
    client = state.clients.get(client_id)
    if client is None:
        return
    # Requests without a session are clients of their own, and end with their connection.
    for row in list(client.requests.values()):
        _forget_client(state, row.id, reason)
    if client.era == "either":
        # Calls that wait for a retry belong to their connection: nobody else may retry them.
        input_required.forget_connection(state, client, printable(reason))
    for parked in list(client.parked.values()):
        forwarding.unpark(state, parked)
        forwarding.end_reply(state, client, parked.request.reply_to)
    for saving_now in client.saving.values():
        forwarding.end_reply(state, client, saving_now.request.reply_to)
    for request_id in list(client.server_requests):
        forwarding.fail_server_request(state, client, request_id, "The client is gone")
    for call in list(client.calls.values()):
        forwarding.close_call(state, call)
        forwarding.cancel_upstream(state, call, printable(reason))
        forwarding.end_reply(state, client, call.reply_to)
    resource_subscriptions.forget_client(state, client)
    if client.subscription is not None:  # Few have one, and this walks over those of all.
        listening.forget_client(state, client)
    client_session_ends.forget_client(state, client)
    server_messages.forget_elicitations(state, client)
    client.drop_request_row(state.clients)
    state.clients.pop(client_id, None)
    client.request = None  # Breaks the reference cycle of row and request.
    if client.log_level is not None and not client.is_stateless:
        log_levels.broadcast_log_level(state)


# --- Sessions --------------------------------------------------------------------------------


def _session_up(state: RoutingState, event: SessionUp) -> None:
    instance = _started_instance(state, event.instance)
    if instance is None:
        return
    listed = instance.listed_as
    before = listed.offers.catalog
    reconfigure.end_session(state, instance, "another one took its place")
    instance.record_session_up(event, state.now_s)
    show_in_instance(instance, state.now_s)
    state.sessions[event.session] = instance
    reconfigure.save_catalogue(state, listed)
    log_levels.send_log_level(state, event)
    # Taken before: a `mcp.router.use` among the requests that waited notifies its client itself.
    listed_before = audience.clients_that_list(state, instance)
    resource_subscriptions.session_up(state, instance)
    listening.session_up(state, instance)
    for request in forwarding.take_waiting(state, instance.awaited_as):
        client_requests.carry_out(state, request)
    if not listed.is_per_client:
        idle_times.arm(state, listed)
    differing = list_changes.kinds_that_differ(before, listed.offers.catalog)
    list_changes.notify_clients(state, listed_before, differing)


def _session_lost(state: RoutingState, event: SessionLost) -> None:
    instance = state.sessions.get(event.session)
    if instance is None:
        return
    with list_changes.noticing(state, instance):
        if instance.session is not None:
            retries.park_safe_calls(state, instance, instance.session, event.reason)
        reconfigure.end_session(state, instance, event.reason)
        instance.record_session_lost(event.reason, state.now_s)
        show_in_instance(instance, state.now_s)
    if instance.awaited_as is not instance:
        # What waits for its turn, or is sent once more, need not wait for this very replica.
        for request in forwarding.take_waiting(state, instance):
            client_requests.carry_out(state, request)


def _session_overflowed(state: RoutingState, event: SessionOverflowed) -> None:
    """Answer the call whose request could not be delivered; any other frame is dropped."""
    request_id = event.frame.id if isinstance(event.frame, Request) else None
    call = state.calls.find(request_id, event.session)
    if call is None:
        resource_subscriptions.not_sent(state, event.session, request_id)
        return
    forwarding.close_call(state, call)
    if event.lost:
        message = f"Instance '{call.instance}' was lost before the call was sent"
        forwarding.fail_call(state, call, RpcError(SESSION_LOST, message))
    else:
        message = f"Instance '{call.instance}' is overloaded; try again later"
        forwarding.fail_call(state, call, RpcError(OVERLOADED, message))


def _catalog_changed(state: RoutingState, event: CatalogChanged) -> None:
    instance = state.sessions.get(event.session)
    if instance is not None and instance.session is not None:
        listed = instance.listed_as
        before, own_before = listed.offers.catalog, instance.offers.catalog
        instance.record_catalog(msgspec.structs.replace(instance.session, catalog=event.catalog))
        show_in_instance(instance, state.now_s)
        reconfigure.save_catalogue(state, listed)
        differing = list_changes.kinds_that_differ(before, listed.offers.catalog)
        clients = audience.clients_that_list(state, instance)
        list_changes.notify_clients(state, clients, differing)
        announced = event.announced - differing
        if isinstance(instance, Replica):
            # Each replica announces a change that the first one has brought to all clients.
            announced -= list_changes.kinds_that_differ(own_before, instance.offers.catalog)
        # What no list shows may have changed for those alone whom this server serves.
        served = [one for one in clients if audience.is_served_by(one, instance)]
        list_changes.notify_clients(state, served, announced)


# --- Instances -------------------------------------------------------------------------------


def _started_instance(state: RoutingState, name: str) -> Instance | None:
    """Return the instance that a report is about; None if it is gone, or has not started yet."""
    instance = state.row_named(name)
    return instance if instance is not None and instance.has_started else None


def _instance_starting(state: RoutingState, event: InstanceStarting) -> None:
    instance = state.row_named(event.instance)
    if reconfigure.fail_leaving_calls(state, event.instance, "it was started anew"):
        # This incarnation has the configuration before a change; its successor comes later.
        return
    if instance is not None and instance.is_startable() and not instance.stop_pending:
        with list_changes.noticing(state, instance):
            reconfigure.end_session(state, instance, "it was started anew")
            instance.record_starting(state.now_s)
            show_in_instance(instance, state.now_s)


def _instance_delayed(state: RoutingState, event: InstanceDelayed) -> None:
    instance = _started_instance(state, event.instance)
    if instance is not None:
        instance.doing = printable(event.doing) or None
        show_in_instance(instance, state.now_s)


def _instance_down(state: RoutingState, event: InstanceDown) -> None:
    reconfigure.fail_leaving_calls(state, event.instance, event.reason)
    ending = state.row_named(event.instance)
    if ending is not None and ending.stop_pending and event.retry_in_s is None:
        lazy_starts.stopped(state, ending)
    instance = _started_instance(state, event.instance)
    if instance is None:
        return
    with list_changes.noticing(state, instance):
        reconfigure.end_session(state, instance, event.reason)
        instance.record_down(event.reason, event.restarts, event.retry_in_s, state.now_s)
        show_in_instance(instance, state.now_s)
    _fail_waiting_in_vain(state, instance)


def _fail_waiting_in_vain(state: RoutingState, instance: Instance) -> None:
    """Fail what waits for an instance, unless this or another session may become ready."""
    if not instance.awaited_as.may_become_ready():
        forwarding.fail_waiting(state, instance.awaited_as)
        forwarding.fail_waiting(state, instance)  # what waits for its turn at a replica


def _instance_failed(state: RoutingState, event: InstanceFailed) -> None:
    reconfigure.fail_leaving_calls(state, event.instance, event.reason)
    instance = _started_instance(state, event.instance)
    if instance is not None:
        with list_changes.noticing(state, instance):
            reconfigure.end_session(state, instance, event.reason)
            instance.record_failed(event.reason, event.restarts, event.probe_in_s, state.now_s)
            show_in_instance(instance, state.now_s)
        _fail_waiting_in_vain(state, instance)


def _instances_changed(state: RoutingState, event: InstancesChanged) -> None:
    reconfigure.configure(state, event.specs)


def _catalogues_read(state: RoutingState, event: CataloguesRead) -> None:
    """Keep what is known of servers until their instances are configured."""
    state.known = dict(event.known)


def _instance_saved(state: RoutingState, event: InstanceSaved) -> None:
    if event.specs is not None:
        reconfigure.configure(state, event.specs)
    saving.saved(state, event)


def _settings_changed(state: RoutingState, event: CoreSettingsChanged) -> None:
    before = state.settings
    list_changes.notify_settings_changed(state, event.settings)
    idle_stops.settings_changed(state, before)


# --- Commands --------------------------------------------------------------------------------


def _abandoned(state: RoutingState, event: Abandoned) -> None:
    # The call or change of a command ends as if its client had left.
    client_id = admin_commands.take_abandoned(state, event.reply_to)
    if client_id is not None:
        _forget_client(state, client_id, "Nobody waits for the answer any more")


# --- Time and stopping -----------------------------------------------------------------------


def _tick(state: RoutingState, _: Tick) -> None:
    reconfigure.expire(state)
    client_requests.expire_questions(state)
    forwarding.expire(state)
    input_required.expire(state)
    resource_subscriptions.expire(state)
    client_session_ends.expire(state)
    state.kept_results.expire(state.now_s)
    idle_stops.expire(state)


def _drain(state: RoutingState, event: Drain) -> None:
    state.draining, state.drain_reply_to = True, event.reply_to
    stateless_requests.end_subscriptions(state)
    rows = (*state.client_sessions.by_name.values(), *state.replicas.values())
    for instance in (*state.instances, *rows):
        forwarding.fail_waiting(state, instance, RpcError(UNAVAILABLE, forwarding.STOPPING))


_HANDLERS: dict[type[Any], Callable[[RoutingState, Any], None]] = {
    FromClient: client_requests.handle,
    FromSession: server_messages.handle,
    RequestFailed: failed_requests.handle,
    ClientOpened: _client_opened,
    ClientClosed: _client_closed,
    ClientOverflowed: _client_overflowed,
    SessionUp: _session_up,
    SessionLost: _session_lost,
    SessionOverflowed: _session_overflowed,
    CatalogChanged: _catalog_changed,
    InstanceStarting: _instance_starting,
    InstanceDelayed: _instance_delayed,
    InstanceDown: _instance_down,
    InstanceFailed: _instance_failed,
    InstancesChanged: _instances_changed,
    CataloguesRead: _catalogues_read,
    CoreSettingsChanged: _settings_changed,
    InstanceSaved: _instance_saved,
    AdminCommand: admin_commands.handle,
    Abandoned: _abandoned,
    Drain: _drain,
    Tick: _tick,
}
