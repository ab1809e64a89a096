"""Follows the lives of sessions and instances, as supervisor and sessions report them.

A request that a server failed to answer although its session goes on, such as with an HTTP status,
is among them: whatever the transport and the way in, its caller gets the same kind of error,
-32012 if the request may have been carried out, -32009 otherwise, each with the cause.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from router.core.calls import (
    call_ends,
    ejections,
    forwarding,
    log_levels,
    resource_subscriptions,
    retries,
)
from router.core.management import reconfigure
from router.core.peers import client_requests, server_messages
from router.core.sessions import availability, idle_times, lazy_starts, replicas
from router.core.state.session_rows import Replica, show_in_instance
from router.core.tasks import listening
from router.core.text.raw_json import printable
from router.core.views import audience, list_changes
from router.messages.errors import OVERLOADED, SESSION_LOST, RpcError
from router.messages.frames import Request

if TYPE_CHECKING:
    from router.core.state.calls import Call
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.messages.events import (
        CatalogChanged,
        InstanceDelayed,
        InstanceDown,
        InstanceFailed,
        InstanceQueued,
        InstanceStarting,
        RequestFailed,
        SessionLost,
        SessionOverflowed,
        SessionUp,
    )

QUEUED: Final = "waits for its turn to start"
"""Said of an instance while others start first (`mcp_client.max_starting`)."""

# --- Sessions --------------------------------------------------------------------------------


def session_up(state: RoutingState, event: SessionUp) -> None:
    instance = _started_instance(state, event.instance)
    if instance is None or (event.start is not None and event.start < instance.start):
        return  # Of one that a command on its way to the supervisor ends, no call is to be lost.
    listed = instance.listed_as
    before = listed.offers.catalog
    reconfigure.end_session(state, instance, "another one took its place")
    instance.record_session_up(event, state.now_s)
    show_in_instance(instance, state.now_s)
    state.sessions[event.session] = instance
    reconfigure.save_catalogue(state, listed)
    _index_catalogue(state, listed)
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


def session_lost(state: RoutingState, event: SessionLost) -> None:
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


def session_overflowed(state: RoutingState, event: SessionOverflowed) -> None:
    """Answer the call whose request could not be delivered; any other frame is dropped."""
    request_id = event.frame.id if isinstance(event.frame, Request) else None
    call = state.calls.find(request_id, event.session)
    if call is None:
        resource_subscriptions.not_sent(state, event.session, request_id)
        return
    other = replicas.take_unsent(state, call) if event.lost else None
    if other is not None and other.session is not None:
        forwarding.send_to_session(state, other.session, event.frame)
        return
    forwarding.close_call(state, call)
    if event.lost:
        message = f"Instance '{call.instance}' was lost before the call was sent"
        forwarding.fail_call(state, call, RpcError(SESSION_LOST, message))
    else:
        message = f"Instance '{call.instance}' is overloaded; try again later"
        forwarding.fail_call(state, call, RpcError(OVERLOADED, message))


def catalog_changed(state: RoutingState, event: CatalogChanged) -> None:
    instance = state.sessions.get(event.session)
    if instance is not None and instance.session is not None:
        listed = instance.listed_as
        before, own_before = listed.offers.catalog, instance.offers.catalog
        instance.record_catalog(msgspec.structs.replace(instance.session, catalog=event.catalog))
        show_in_instance(instance, state.now_s)
        reconfigure.save_catalogue(state, listed)
        _index_catalogue(state, listed)
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


def _index_catalogue(state: RoutingState, listed: Instance) -> None:
    """Have the search index follow a change, if anybody has searched."""
    if state.searches.is_in_use:
        from router.core.views.searched import index_feed  # For start-up time: few search.

        index_feed.catalogue_changed(state, listed)


# --- Instances -------------------------------------------------------------------------------


def _started_instance(state: RoutingState, name: str) -> Instance | None:
    """Return the instance that a report is about; None if it is gone, or has not started yet."""
    instance = state.row_named(name)
    return instance if instance is not None and instance.has_started else None


def instance_queued(state: RoutingState, event: InstanceQueued) -> None:
    instance = state.row_named(event.instance)
    if instance is not None and instance.is_startable() and not instance.stop_pending:
        instance.doing = QUEUED
        show_in_instance(instance, state.now_s)


def instance_starting(state: RoutingState, event: InstanceStarting) -> None:
    instance = state.row_named(event.instance)
    if reconfigure.fail_leaving_calls(state, event.instance, "it was started anew"):
        # This incarnation has the configuration before a change; its successor comes later.
        return
    if instance is not None and instance.is_startable() and not instance.stop_pending:
        with list_changes.noticing(state, instance):
            reconfigure.end_session(state, instance, "it was started anew")
            instance.record_starting(state.now_s)
            show_in_instance(instance, state.now_s)


def instance_delayed(state: RoutingState, event: InstanceDelayed) -> None:
    instance = _started_instance(state, event.instance)
    if instance is not None:
        instance.doing = printable(event.doing) or None
        show_in_instance(instance, state.now_s)


def instance_down(state: RoutingState, event: InstanceDown) -> None:
    reconfigure.fail_leaving_calls(state, event.instance, event.reason)
    ending = state.row_named(event.instance)
    if ending is not None and ending.stop_pending and event.retry_in_s is None:
        lazy_starts.stopped(state, ending)
    instance = _started_instance(state, event.instance)
    if instance is None:
        return
    if event.retry_in_s:  # 0: a command restarts it
        state.counts.of(instance.name).restarts += 1
    with list_changes.noticing(state, instance):
        reconfigure.end_session(state, instance, event.reason)
        if event.needs_login and event.retry_in_s is None:
            # Everybody's login is no matter of the person who happens to call.
            page = "" if instance.person is None else event.login_url
            instance.record_needs_login(event.reason, event.restarts, page, state.now_s)
        else:
            instance.record_down(event.reason, event.restarts, event.retry_in_s, state.now_s)
        show_in_instance(instance, state.now_s)
    _fail_waiting_in_vain(state, instance)


def _fail_waiting_in_vain(state: RoutingState, instance: Instance) -> None:
    """Fail what waits for an instance, unless this or another session may become ready."""
    if not instance.awaited_as.may_become_ready():
        call_ends.fail_waiting(state, instance.awaited_as)
        call_ends.fail_waiting(state, instance)  # what waits for its turn at a replica


def instance_failed(state: RoutingState, event: InstanceFailed) -> None:
    reconfigure.fail_leaving_calls(state, event.instance, event.reason)
    instance = _started_instance(state, event.instance)
    if instance is not None:
        state.counts.of(instance.name).restarts += 1
        with list_changes.noticing(state, instance):
            reconfigure.end_session(state, instance, event.reason)
            instance.record_failed(event.reason, event.restarts, event.probe_in_s, state.now_s)
            show_in_instance(instance, state.now_s)
        _fail_waiting_in_vain(state, instance)


# --- Requests that failed ----------------------------------------------------------------------


def request_failed(state: RoutingState, event: RequestFailed) -> None:
    """Fail the call, if one waits, and judge the server by it; a dead incarnation is ignored."""
    row = state.sessions.get(event.session)
    if row is None:
        return
    if not _is_cut_subscription(state, event):
        ejections.record_failure(state, row, event)
    call = state.calls.find(event.request, event.session)
    if call is not None and event.answer is None:
        _fail_or_repeat(state, call, availability.failure_of_person(row, event.error))
        return
    # The server's own error, or the end of something that no client waits for.
    frame = event.answer or forwarding.error_frame(event.request, event.error)
    server_messages.handle_answer(state, event.session, frame)


def _is_cut_subscription(state: RoutingState, event: RequestFailed) -> bool:
    """Return whether a stream broke that says nothing for hours: proxies cut such streams."""
    listens = (state.listens.get(event.session), state.tasks.listens.get(event.session))
    return event.status is None and event.request in listens


def _fail_or_repeat(state: RoutingState, call: Call, error: RpcError) -> None:
    request = retries.take_repeatable(state, call) if error.code == SESSION_LOST else None
    if request is not None:
        client_requests.carry_out(state, request)
        return
    forwarding.close_call(state, call)
    if call.subscribes is not None:
        resource_subscriptions.subscription_failed(state, call.client, call.subscribes)
    message = f"Instance '{call.instance}' failed during the call: {error.message}"
    forwarding.fail_call(state, call, RpcError(error.code, message, error.data))
