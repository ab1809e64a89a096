"""Requests without a session (MCP 2026-07-28): their envelope, and the methods of this revision.

Invariants:

- A request is a client of its own: what it declares holds for itself alone. On HTTP its listener
  says so; on a connection that has many, it gets a row of its own here, until it is answered.
- What is forwarded says nothing of the envelope: servers with sessions do not know it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw

from router.core.calls import (
    confirmations,
    forwarding,
    input_required,
    log_levels,
    resource_subscriptions,
    server_params,
)
from router.core.peers import feature_requests, tool_calls
from router.core.protocol.bridging import (
    CAPABILITIES_KEY,
    CLIENT_INFO_KEY,
    LOG_LEVEL_KEY,
    SUBSCRIPTION_KEY,
    check_envelope,
    is_enveloped,
    unsupported_revision,
)
from router.core.sessions import client_sessions
from router.core.state.clients import Client
from router.core.state.subscriptions import Subscription
from router.core.tasks import listening
from router.core.text.raw_json import raw_of, text_of
from router.core.views import listings
from router.messages.errors import INVALID_PARAMS, OVERLOADED, RpcError
from router.messages.frames import NO_RAW, Response
from router.messages.params import given, object_of
from router.messages.revisions import HANDSHAKE_REVISIONS, STATELESS_REVISION

if TYPE_CHECKING:
    from router.core.state.clients import ClientRequest, Members
    from router.core.state.instances import Instance
    from router.core.state.routing_state import Method, RoutingState

MAX_SUBSCRIPTIONS: Final = 64
"""Open subscriptions of one connection; one of them can be about everything."""


# --- Admission -------------------------------------------------------------------------------


def is_stateless(request: ClientRequest) -> bool:
    """Return whether this request is one without a session.

    Raises:
        RpcError: -32602, its `_meta` is no object, or holds a key like one that is read here.
    """
    is_of_stateless_client = request.client.is_stateless
    if "_meta" not in request.params.members:
        return is_of_stateless_client
    if request.method == "initialize" and not is_of_stateless_client:
        return False  # It begins a handshake, whatever its `_meta` says.
    server_params.check_meta(request.params)
    return is_of_stateless_client or is_enveloped(request.params.meta)


def admit(state: RoutingState, request: ClientRequest) -> None:
    """Make a request a client of its own, with everything that its envelope declares.

    Raises:
        RpcError: -32602, something is missing or malformed; -32022, it is of another revision, or
            its client has a session.
    """
    _give_row(state, request)
    meta = request.params.meta
    check_envelope(meta)
    client = request.client
    client.revision = STATELESS_REVISION
    client.capabilities = object_of(meta[CAPABILITIES_KEY], f"params._meta.{CAPABILITIES_KEY}")
    client.info = given(meta, CLIENT_INFO_KEY) or NO_RAW
    if given(meta, LOG_LEVEL_KEY) is not None:
        client.log_level = log_levels.read_log_level(meta, LOG_LEVEL_KEY, "params._meta")
        log_levels.broadcast_log_level(state)


def _give_row(state: RoutingState, request: ClientRequest) -> None:
    """Have the request's client be one for this request alone.

    Raises:
        RpcError: -32022, the client has a session, or its transport knows nothing else.
    """
    client = request.client
    if client.is_stateless:
        client.request = request
        return
    if client.era != "either":
        raise unsupported_revision(STATELESS_REVISION, HANDSHAKE_REVISIONS)
    row = Client(
        f"{client.id}/{state.next_key()}",
        client.outbox,
        client.principal,
        one_shot=False,
        era="stateless",
        place=client.place,
        address=client.address,
        selection=client.selection,
        request=request,
        connection=client,
    )
    state.clients[row.id] = client.requests[request.id] = request.client = row


# --- Requests that may need input ------------------------------------------------------------


def resumable(method: Method) -> Method:
    """Return a method whose requests may be retries of requests that needed input.

    A `requestState` that the router did not make is for a server of this revision, the only kind
    that makes one. Input without a `requestState` belongs to no call: the call is made anew.
    """

    def carry_out(state: RoutingState, request: ClientRequest) -> None:
        if given(request.params.members, "requestState") is None or not _is_answered(
            state, request
        ):
            method(state, request)

    return carry_out


def _is_answered(state: RoutingState, request: ClientRequest) -> bool:
    """Return whether a retry needs nothing more than what its `requestState` stands for.

    Raises:
        RpcError: -32602, the `requestState` is none that anybody could have made.
    """
    from router.core.approvals import answers  # For start-up time: few requests come again.

    if answers.is_refused(state, request):
        return True
    if given(request.params.members, "requestState") is None:
        return False  # It brought a yes, and is as it was before the question.
    if input_required.retry(state, request):
        return True
    if not _is_for_stateless_server(state, request):
        raise input_required.invalid_request_state()
    return False


def _is_for_stateless_server(state: RoutingState, request: ClientRequest) -> bool:
    with suppress(RpcError):
        instance = _instance_of(state, request)
        row = None
        if instance is not None:
            row = client_sessions.row_of(state, request, request.client, instance)
        return row is not None and row.session is not None and row.session.is_stateless
    return False


def _instance_of(state: RoutingState, request: ClientRequest) -> Instance | None:
    """Return the instance that a request would be forwarded to; None if there is none.

    Raises:
        RpcError: it names nothing that there is.
    """
    client, members = request.client, request.params.members
    view = state.view_of(client)
    if view.is_transparent:
        return view.the_instance(state.instances, client.principal)
    if request.method == "prompts/get":
        return feature_requests.find_prompt(state, client, text_of(members, "name"))[0]
    if request.method == "resources/read":
        return feature_requests.find_resource(state, client, text_of(members, "uri"))[0]
    return tool_calls.instance_of(state, request)


# --- Subscriptions ---------------------------------------------------------------------------

_TRUE: Final = Raw(b"true")
_texts: Final = msgspec.json.Decoder(list[str])

_KINDS: Final = {
    "toolsListChanged": "tools",
    "promptsListChanged": "prompts",
    "resourcesListChanged": "resources",
}
"""Member of `params.notifications` -> the kind of list."""


def listen(state: RoutingState, request: ClientRequest) -> None:
    """Open a subscription; it is answered when the router ends it."""
    forwarding.check_not_draining(state)
    client, members = request.client, request.params.members
    of_connection = {} if client.connection is None else client.connection.requests
    open_ones = [row for row in of_connection.values() if row.subscription is not None]
    if len(open_ones) >= MAX_SUBSCRIPTIONS:
        raise RpcError(OVERLOADED, "Too many subscriptions are open on this connection")
    if "notifications" not in members:
        raise RpcError(INVALID_PARAMS, "params.notifications is missing")
    wanted = object_of(members["notifications"], "params.notifications")
    tasks = listening.tasks_in(state, client, wanted)
    listed = {"tools"} if state.view_of(client).expose == "router" else set(_KINDS.values())
    honoured = {
        key: True for key, kind in _KINDS.items() if kind in listed and wanted.get(key) == _TRUE
    }
    meta = {SUBSCRIPTION_KEY: request.id}
    kinds = frozenset(_KINDS[key] for key in honoured)
    uris = _uris_in(wanted)
    shown = {"taskIds": list(tasks)} if tasks else {}
    subscription = Subscription(request.id, request.reply_to, meta, kinds, honoured | shown)
    client.subscription = subscription
    client.listed_tools = listings.searched_tools(state, client)
    listening.add(state, client, tasks)
    _listen_to_resources(state, client, subscription, uris)
    confirmations.acknowledge_if_confirmed(state, client)


def _listen_to_resources(
    state: RoutingState, client: Client, subscription: Subscription, uris: list[str]
) -> None:
    """Have a client told of updates of those of these resources that there are."""
    new: dict[str, tuple[Instance, list[str]]] = {}
    for uri in uris:
        with suppress(RpcError):  # A resource that is not there is not honoured.
            instance, own = feature_requests.find_resource(state, client, uri)
            client_sessions.start_in_background(state, client, instance)
            row: Instance | None = instance
            if instance.is_per_client:
                row = client_sessions.row_of(state, None, client, instance)
            if row is None:
                continue  # It depends on roots that nobody can be asked for here.
            if resource_subscriptions.add(state, client, row, own, uri):
                new.setdefault(row.address, (row, []))[1].append(own)
            subscription.resources[uri] = row.address, own
    # At the end, because a server of 2026-07-28 gets one request for all.
    for row, owns in new.values():
        resource_subscriptions.subscribe_upstream(state, row, owns)
    wanted: dict[str, set[str]] = {}
    for address, own in subscription.resources.values():
        wanted.setdefault(address, set()).add(own)
    for address, owns in wanted.items():
        row = state.row_at(address)
        if row is not None:
            confirmations.listener_waits(state, client, row, owns)


def _uris_in(wanted: Members) -> list[str]:
    raw = given(wanted, "resourceSubscriptions")
    try:
        return [] if raw is None else _texts.decode(raw)
    except msgspec.MsgspecError:
        place = "params.notifications.resourceSubscriptions"
        raise RpcError(INVALID_PARAMS, f"{place} must be an array of URIs") from None


def end_subscriptions(state: RoutingState) -> None:
    """End every subscription in good order."""
    for client in list(state.clients.values()):
        confirmations.acknowledge(state, client)
        subscription, client.subscription = client.subscription, None
        if subscription is not None:
            resource_subscriptions.forget_client(state, client)
            listening.forget_client(state, client)
            answer = Response(subscription.request_id, raw_of({"_meta": subscription.meta}))
            forwarding.send_answer(state, client.the_request, answer)
