"""Requests of a client in a transparent view: its one server answers, as if the router were not
there.

Requests are forwarded as they are, also those that the router does not know. The router answers
what belongs to the session with the client alone, and what filters change.

Invariant: what the filters of instance and profile leave out cannot be listed or asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw

from router.core.calls import forwarding
from router.core.limits import turns
from router.core.names.resource_uris import is_admitted
from router.core.peers import feature_requests, session_requests
from router.core.protocol.bridging import (
    ENVELOPE_KEYS,
    NOT_CACHED,
    SERVER_INFO_KEY,
    tool_as_handshake,
)
from router.core.protocol.permissions import check_may
from router.core.protocol.server_features import capabilities_of_server
from router.core.sessions import client_sessions
from router.core.sessions.availability import unavailable_error
from router.core.state.instances import InstanceState
from router.core.tasks import handles
from router.core.text.raw_json import check_key_case, is_object, optional_text_of, raw_of
from router.core.views import instance_views, listings, resources
from router.messages.catalog import Catalog, KnownServer
from router.messages.errors import INVALID_PARAMS, RpcError
from router.messages.frames import NO_RAW
from router.messages.params import given, object_of
from router.messages.revisions import LATEST_HANDSHAKE_REVISION, REVISIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.core.state.clients import Client, ClientRequest, Members
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.messages.events import SessionUp
    from router.messages.frames import Notification


# --- What the server is ----------------------------------------------------------------------


def initialize(state: RoutingState, request: ClientRequest) -> None:
    """Answer `initialize` with what the server said of itself, once it is ready."""
    instance = _instance(state, request)
    forwarding.check_not_draining(state)
    # Taken before: a session of the client's own is told of what it declares.
    session_requests.take_handshake(request)
    server = _described(state, request, instance)
    if server is None:
        return
    capabilities = object_of(server.capabilities, "capabilities")
    revision = request.client.revision
    result: dict[str, Any] = {
        "protocolVersion": revision,
        "capabilities": capabilities_of_server(capabilities, server.revision, revision),
        "serverInfo": _server_info(instance, server),
    }
    said = _instructions(instance, server)
    if said is not None:
        result["instructions"] = said
    forwarding.answer(state, request, raw_of(result))


def discover(state: RoutingState, request: ClientRequest) -> None:
    """Answer `server/discover` likewise."""
    instance = _instance(state, request)
    server = _described(state, request, instance)
    if server is None:
        return
    capabilities = object_of(server.capabilities, "capabilities")
    result: dict[str, Any] = {
        "supportedVersions": REVISIONS,
        "capabilities": capabilities_of_server(capabilities, server.revision, REVISIONS[-1]),
        "resultType": "complete",
        "_meta": {SERVER_INFO_KEY: server.server_info},
    }
    said = _instructions(instance, server)
    if said is not None:
        result["instructions"] = said
    forwarding.answer_in_full(state, request, raw_of(result | NOT_CACHED))


def _described(
    state: RoutingState, request: ClientRequest, instance: Instance
) -> SessionUp | KnownServer | None:
    """Return how the server describes itself; None if the request was parked until it does.

    An instance that is `idle` need not be started for that.

    No client can be asked for its roots now: its session begins only with the answer. So an
    instance that depends on them describes itself as it did to other clients, or not at all.
    """
    if instance.state is InstanceState.IDLE and not instance.is_per_client:
        return instance.known
    if not (instance.is_per_client and instance.spec.needs_roots):
        return forwarding.session_or_park(state, request, instance)
    if not instance.may_run:
        raise unavailable_error(instance, state.now_s)
    return instance.known or _not_known_yet(instance)


_ANYTHING: Final = raw_of(
    {
        "tools": {"listChanged": True},
        "prompts": {"listChanged": True},
        "resources": {"listChanged": True, "subscribe": True},
        "completions": {},
        "logging": {},
    }
)
"""Capabilities of a server that is not known: its client asks, and hears what there is."""


def _not_known_yet(instance: Instance) -> KnownServer:
    info = raw_of({"name": instance.name, "version": "unknown"})
    return KnownServer(LATEST_HANDSHAKE_REVISION, _ANYTHING, info, None, Catalog())


def _instructions(instance: Instance, server: SessionUp | KnownServer) -> str | None:
    # Those of this client's own session are compared with the others only as the instance's.
    return server.instructions if instance.pins is None else instance_views.instructions(instance)


def _server_info(instance: Instance, server: SessionUp | KnownServer) -> Raw:
    """Return what the server says of itself, with a name and a version in any case.

    A server of 2026-07-28 need not send either, and handshake clients refuse an `initialize` result
    without them.
    """
    members = object_of(server.server_info, "serverInfo") if is_object(server.server_info) else {}
    if {"name", "version"} <= members.keys():
        return server.server_info
    unknown = {"name": raw_of(instance.name), "version": raw_of("unknown")}
    return raw_of(unknown | members)


def _instance(state: RoutingState, request: ClientRequest) -> Instance:
    client = request.client
    return state.view_of(client).the_instance(state.instances, client.principal)


# --- Lists -----------------------------------------------------------------------------------

LISTS: Final = {method: part for part, method in listings.METHODS.items()}
"""Request for a list -> the part of a `Catalog` that answers it."""


def answer_list(state: RoutingState, request: ClientRequest) -> None:
    """Have the server list, or answer from the lists that the router has read.

    The latter is for lists that filters change, for a server that is not there, and for a router
    that stops and sends nothing new to servers.
    """
    part = LISTS[request.method]
    instance = _instance(state, request)
    row = client_sessions.row_of(state, request, request.client, instance)
    session = None if row is None else row.session
    if (
        row is None
        or session is None
        or state.draining
        or not _lists_all(state, request.client, row, part)
    ):
        feature_requests.answer_list(state, request, part)
        return
    request.client.owes_listing.discard("resources" if part == "templates" else part)
    _forward_to(state, request, instance, session)


def _lists_all(state: RoutingState, client: Client, instance: Instance, part: str) -> bool:
    """Return whether a client sees a list as its server has it."""
    if instance.session is None:
        return False
    if part == "tools" and not state.view_of(client).profile.tools.admits_all:
        return False
    if part == "tools" and instance.listed_as.pins is not None:
        return False  # Only what was compared with what was approved is shown.
    return getattr(instance.offers.catalog, part) is getattr(instance.session.catalog, part)


def _tools_as_handshake(result: Raw) -> Raw:
    """Put the tools in a list of a server without sessions into the words of a handshake client."""
    try:
        members = object_of(result, "result")
        tools = _array.decode(members["tools"])
    except (RpcError, msgspec.MsgspecError, KeyError):
        return result
    adapted = [tool_as_handshake(tool) if is_object(tool) else tool for tool in tools]
    if all(before is after for before, after in zip(tools, adapted, strict=True)):
        return result
    return raw_of(members | {"tools": adapted})


_array: Final = msgspec.json.Decoder(list[Raw])


# --- Everything else -------------------------------------------------------------------------


def forward(state: RoutingState, request: ClientRequest) -> None:
    """Forward a request as it is."""
    check_may(request.client.principal, "call")
    instance = _instance(state, request)
    ref = _checked_ref(request)
    _check_shown(request, instance, ref)
    session = turns.session_for_call(state, request, instance)
    if session is not None:
        _forward_to(state, request, instance, session, ref)


def _forward_to(
    state: RoutingState,
    request: ClientRequest,
    instance: Instance,
    session: SessionUp,
    ref: Members | None = None,
) -> None:
    rewrite = None
    if request.method == "tools/list" and session.is_stateless and not request.client.is_stateless:
        rewrite = _tools_as_handshake
    members = request.params.members if request.params.raw else {}
    if ref is not None:
        members = members | {"ref": raw_of(ref)}  # It was looked into: see `raw_json`.
    forwarding.forward_call(
        state, request, instance, session, members, rewrite=rewrite, is_transparent=True
    )


_REF_KEYS: Final = frozenset({"type", "name", "uri"})
_KEYS: Final = {
    "prompts/get": frozenset({"name"}),
    "resources/read": frozenset({"uri"}),
    "completion/complete": frozenset({"ref"}),
}
"""Method -> the members of its `params` that filters look at."""


def _checked_ref(request: ClientRequest) -> Members | None:
    """Return the members of the `ref` of a completion; None for any other request.

    Raises:
        RpcError: -32602, a key differs from one that filters look at in case only.
    """
    if request.method not in _KEYS:
        return None
    members = check_key_case(request.params.members, _KEYS[request.method])
    ref = members.get("ref", NO_RAW)
    if request.method != "completion/complete" or not is_object(ref):
        return None
    return check_key_case(object_of(ref, "params.ref"), _REF_KEYS, "params.ref")


def _check_shown(request: ClientRequest, instance: Instance, ref: Members | None) -> None:
    """Check that the filters of the instance do not leave out what is asked for.

    Raises:
        RpcError: -32602 or -32002, in the words for what does not exist.
    """
    prompt, uri = _asked_for(request, ref)
    exposure = instance.spec.exposure
    if prompt is not None and not exposure.prompts.admits(prompt):
        raise RpcError(INVALID_PARAMS, f"Unknown prompt: {prompt}")
    if uri is not None and not is_admitted(exposure.resources, uri):
        raise resources.not_found(uri)


def _asked_for(request: ClientRequest, ref: Members | None) -> tuple[str | None, str | None]:
    """Return the name of the prompt, or the URI, that a request is about."""
    if request.method == "prompts/get":
        return optional_text_of(request.params.members, "name"), None
    if request.method == "resources/read":
        return None, optional_text_of(request.params.members, "uri")
    if ref is not None:
        return optional_text_of(ref, "name"), optional_text_of(ref, "uri")
    return None, None


# --- Notifications ---------------------------------------------------------------------------

_REQUESTS: Final = ("tools/", "prompts/", "resources/", "completion/", "tasks/", "logging/")
"""The methods of MCP that begin with these are requests. A server that carries one out though it
comes without an id would not ask for any filter."""


def notify(state: RoutingState, client: Client, frame: Notification) -> None:
    """Pass on a notification that the router does not know, if its server is there.

    Raises:
        RpcError: -32010, the view of this client is gone; -32602, its `params` are no object.
    """
    view = state.view_of(client)
    if not view.is_transparent or "call" not in client.principal.permissions:
        return
    if frame.method.startswith(_REQUESTS):
        return
    instance = view.the_instance(state.instances, client.principal)
    for row in _rows_told(state, client, instance):
        if row.session is not None:
            sent = frame if row.session.is_stateless else _without_envelope(frame)
            sent = handles.notification_for_server(state, client, row.task_scope, sent)
            forwarding.send_to_session(state, row.session, sent)


def _rows_told(state: RoutingState, client: Client, instance: Instance) -> Iterable[Instance]:
    """Return the rows of the sessions that a notification is for: every replica is told."""
    if instance.spec.has_replicas:
        return instance.replicas
    row = client_sessions.row_of(state, None, client, instance)
    return () if row is None else (row,)


def _without_envelope(frame: Notification) -> Notification:
    """Return a notification as a server with sessions knows it."""
    members = object_of(frame.params)
    meta = object_of(given(members, "_meta"), "params._meta")
    if ENVELOPE_KEYS.isdisjoint(meta):
        return frame
    kept = {key: raw for key, raw in meta.items() if key not in ENVELOPE_KEYS}
    return msgspec.structs.replace(frame, params=raw_of(members | {"_meta": kept}))
