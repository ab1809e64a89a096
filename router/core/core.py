"""Decides what follows from each event: `handle(event, now_s)` returns the effects, in order.

The beginnings and ends of clients, sessions and instances are handled here; the frames that they
send are handled in `peers`, and changes of the configuration in `management`.

Invariants:

- The core never waits and never fails; whatever a peer sends becomes an answer or is dropped.
- The core alone reads and changes the routing state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from router.core import session_events
from router.core.calls import (
    call_ends,
    forwarding,
    input_required,
    log_levels,
    resource_subscriptions,
)
from router.core.limits import rates, turns
from router.core.management import (
    client_session_ends,
    idle_stops,
    login_changes,
    reconfigure,
    saving,
)
from router.core.peers import (
    admin_commands,
    client_requests,
    server_messages,
    stateless_requests,
)
from router.core.peers.own_tools import on_demand
from router.core.records import session_records
from router.core.state.clients import Client
from router.core.state.routing_state import NoTracer, RoutingState
from router.core.tasks import listening
from router.core.text.raw_json import printable
from router.core.views import list_changes
from router.messages.effects import CloseClient, Reply
from router.messages.errors import UNAVAILABLE, RpcError
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
    InstanceQueued,
    InstanceSaved,
    InstancesChanged,
    InstanceStarting,
    LoginChanged,
    RequestFailed,
    SessionLost,
    SessionOverflowed,
    SessionUp,
    Tick,
)
from router.messages.instances.pin_events import PinsRead, ToolsPinned
from router.messages.own_tools.code_runs import CodeEnded
from router.messages.own_tools.search import ToolsFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.core.pinning.pin_table import PinTable
    from router.core.state.deadlines import Deadlines
    from router.core.state.routing_state import Seal, Tracer
    from router.messages.core_settings import CoreSettings, PinningSetting
    from router.messages.effects import Effect
    from router.messages.frames import ClientId


class Core:
    """The routing state and the function that changes it."""

    def __init__(self, settings: CoreSettings, seal: Seal, tracer: Tracer | None = None) -> None:
        self._state = state = RoutingState(settings, seal, tracer or NoTracer())
        if settings.pinning != "off":
            _pinning_changed(state, settings.pinning)
        self._deadlines: tuple[Deadlines[Any], ...] = (
            state.calls.deadlines,
            state.parked,
            state.questions_due,
            state.leaving_due,
            state.input_required_due,
            state.listens_due,
            state.client_sessions.idle_due,
            state.idle_due,
            state.confirmations_due,
            state.approvals.due,
        )

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
        if state.code_runs:
            on_demand.end_forgotten_runs(state)
        if state.drain_reply_to is not None and not state.is_busy:
            state.effects.append(Reply(state.drain_reply_to, None))
            state.drain_reply_to = None
        if state.pins is not None and state.pins.is_pending:
            _report_and_save_pins(state, state.pins)
        effects, state.effects = state.effects, []
        return effects

    def next_deadline_s(self) -> float | None:
        """Return the second at which a `Tick` is due; None while no deadline runs."""
        next_s = self._state.kept_results.next_s()
        for deadlines in self._deadlines:
            # Asked at each event, and most have no key, so those are not even called.
            if deadlines.armed:
                at_s = deadlines.next_s()
                if at_s is not None and (next_s is None or at_s < next_s):
                    next_s = at_s
        return next_s

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
        address=event.address,
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
        forwarding.end_reply(state, parked.request, "gone")
    _forget_held(state, client)
    for awaiting in client.awaited.values():
        forwarding.end_reply(state, awaiting.request, "gone")
    for request_id in list(client.server_requests):
        forwarding.fail_server_request(state, client, request_id, "The client is gone")
    for call in list(client.calls.values()):
        forwarding.close_call(state, call)
        forwarding.cancel_upstream(state, call, printable(reason))
        forwarding.end_reply(state, call, "gone")
    resource_subscriptions.forget_client(state, client)
    if client.subscription is not None:  # Few have one, and this walks over those of all.
        listening.forget_client(state, client)
    client_session_ends.forget_client(state, client)
    server_messages.forget_elicitations(state, client)
    client.drop_request_row(state.clients)
    state.clients.pop(client_id, None)
    session_records.end(state, client, printable(reason))
    client.request = None  # Breaks the reference cycle of row and request.
    if client.log_level is not None and not client.is_stateless:
        log_levels.broadcast_log_level(state)


def _forget_held(state: RoutingState, client: Client) -> None:
    if client.held:
        from router.core.approvals import holding  # For start-up time: few calls need a yes.

        holding.forget_client(state, client)


# --- The configuration -------------------------------------------------------------------------


def _instances_changed(state: RoutingState, event: InstancesChanged) -> None:
    reconfigure.configure(state, event.specs)
    _end_changed_approvals(state)
    _forget_gone_tools(state)


def _forget_gone_tools(state: RoutingState) -> None:
    if state.searches.indexed:
        from router.core.views.searched import index_feed  # For start-up time, as above.

        index_feed.forget_gone(state)


def _catalogues_read(state: RoutingState, event: CataloguesRead) -> None:
    """Keep what is known of servers until their instances are configured."""
    state.known = dict(event.known)


def _instance_saved(state: RoutingState, event: InstanceSaved) -> None:
    if event.specs is not None:
        reconfigure.configure(state, event.specs)
        _end_changed_approvals(state)
        _forget_gone_tools(state)
    saving.saved(state, event)


def _settings_changed(state: RoutingState, event: CoreSettingsChanged) -> None:
    before = state.settings
    if event.settings.pinning != before.pinning:
        _pinning_changed(state, event.settings.pinning)
    list_changes.notify_settings_changed(state, event.settings)
    idle_stops.settings_changed(state, before)
    rates.settings_changed(state)
    _end_changed_approvals(state)


def _end_changed_approvals(state: RoutingState) -> None:
    if state.approvals.by_id:
        from router.core.approvals import holding  # For start-up time, as above.

        holding.end_changed(state)


def _login_changed(state: RoutingState, event: LoginChanged) -> None:
    for request in login_changes.login_changed(state, event):
        client_requests.carry_out(state, request)


# --- Pinned tools ----------------------------------------------------------------------------


def _pinning_changed(state: RoutingState, pinning: PinningSetting) -> None:
    # For start-up time, as below: few routers pin tools.
    from router.core.management.tool_pins import mode_changed

    mode_changed(state, pinning)


def _report_and_save_pins(state: RoutingState, pins: PinTable) -> None:
    from router.core.management.tool_pins import report_and_save

    report_and_save(state, pins)


def _pins_read(state: RoutingState, event: PinsRead) -> None:
    from router.core.management.tool_pins import pins_read

    pins_read(state, event)


def _tools_pinned(state: RoutingState, event: ToolsPinned) -> None:
    from router.core.management.tool_pins import tools_pinned

    tools_pinned(state, event)


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
    call_ends.expire(state)
    if state.approvals.by_id:
        from router.core.approvals import holding  # For start-up time, as above.

        holding.expire(state)
    input_required.expire(state)
    resource_subscriptions.expire(state)
    client_session_ends.expire(state)
    state.kept_results.expire(state.now_s)
    idle_stops.expire(state)


def _drain(state: RoutingState, event: Drain) -> None:
    state.draining, state.drain_reply_to = True, event.reply_to
    stateless_requests.end_subscriptions(state)
    if state.code_runs:
        on_demand.end_all_runs(state)
    if state.approvals.by_id:
        from router.core.approvals import holding  # For start-up time, as above.

        holding.end_all(state)
    rows = (*state.client_sessions.by_name.values(), *state.replicas.values())
    for instance in (*state.instances, *rows):
        call_ends.fail_waiting(state, instance, RpcError(UNAVAILABLE, forwarding.STOPPING))


_HANDLERS: dict[type[Any], Callable[[RoutingState, Any], None]] = {
    FromClient: client_requests.handle,
    FromSession: server_messages.handle,
    RequestFailed: session_events.request_failed,
    ClientOpened: _client_opened,
    ClientClosed: _client_closed,
    ClientOverflowed: _client_overflowed,
    SessionUp: session_events.session_up,
    SessionLost: session_events.session_lost,
    SessionOverflowed: session_events.session_overflowed,
    CatalogChanged: session_events.catalog_changed,
    InstanceStarting: session_events.instance_starting,
    InstanceQueued: session_events.instance_queued,
    InstanceDelayed: session_events.instance_delayed,
    InstanceDown: session_events.instance_down,
    InstanceFailed: session_events.instance_failed,
    LoginChanged: _login_changed,
    InstancesChanged: _instances_changed,
    CataloguesRead: _catalogues_read,
    PinsRead: _pins_read,
    ToolsPinned: _tools_pinned,
    ToolsFound: on_demand.tools_found,
    CodeEnded: on_demand.code_ended,
    CoreSettingsChanged: _settings_changed,
    InstanceSaved: _instance_saved,
    AdminCommand: admin_commands.handle,
    Abandoned: _abandoned,
    Drain: _drain,
    Tick: _tick,
}
