"""What a client asks without a session (MCP 2026-07-28).

Job: read what each request says of its client, and answer the methods that only this revision has.
Neighbours: `from_client` asks here first; `held` asks clients for input, `tools` and `listed` are
shared with the handshake revisions. Pure.

Invariants:

- A request is a client of its own: what it declares holds for itself alone. On HTTP its listener
  says so; on a connection that has many, it gets a row of its own here, until it is answered.
- What is forwarded says nothing of the envelope: servers with sessions do not know it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from msgspec import Raw

from router.core.calls import forwarding, input_required, log_levels, tool_lists
from router.core.peers import tool_calls
from router.core.protocol import router_tools
from router.core.protocol.bridging import (
    CAPABILITIES_KEY,
    CLIENT_INFO_KEY,
    ENVELOPE_KEYS,
    LOG_LEVEL_KEY,
    SUBSCRIPTION_KEY,
    check_envelope,
    is_enveloped,
    unsupported_revision,
)
from router.core.protocol.raw_json import given, object_of, raw_of
from router.core.state.clients import Client, Listening, Selection
from router.messages.effects import ToClient
from router.messages.errors import INVALID_PARAMS, OVERLOADED, RpcError
from router.messages.events import FromClient
from router.messages.frames import NO_RAW, Notification, Request, Response
from router.messages.revisions import (
    HANDSHAKE_REVISIONS,
    REVISIONS,
    STATELESS_REVISION,
)

if TYPE_CHECKING:
    from router.core.state.clients import Members
    from router.core.state.routing_state import RoutingState
    from router.messages.commands import Principal

MAX_LISTENING: Final = 64
"""Open subscriptions of one connection; there is one list they could be about."""

SELECTION_IDLE_S: Final = 30 * 60.0
"""After so long without a request a principal's selection is forgotten, as a session would be."""

NOT_CACHED: Final = {"ttlMs": 0, "cacheScope": "private"}
"""What is listed depends on the principal, and on its selection, which changes at any time."""


# --- Whose request is it? --------------------------------------------------------------------


def is_meant(client: Client, frame: Request, members: Members) -> bool:
    """Is this request to be taken for one without a session?"""
    if client.is_stateless:
        return True
    if "_meta" not in members or frame.method == "initialize":
        return False
    return is_enveloped(forwarding.meta_of(members))


def client_for_request(
    state: RoutingState, client: Client, event: FromClient, frame: Request
) -> tuple[Client, FromClient]:
    """The row that this request is decided for, and the event as if that had sent it.

    Raises:
        RpcError: -32022, this client has a session or its transport knows nothing else.
    """
    if client.is_stateless:
        client.request = frame
        return client, event
    if client.era != "either":
        raise unsupported_revision(STATELESS_REVISION, HANDSHAKE_REVISIONS)
    row = Client(
        f"{client.id}/{state.next_key()}",
        client.outbox,
        client.principal,
        one_shot=False,
        era="stateless",
        selection=client.selection,
        request=frame,
        connection=client,
    )
    state.clients[row.id] = client.requests[frame.id] = row
    return row, FromClient(row.id, frame, event.reply_to)


def selection_of(state: RoutingState, principal: Principal) -> Selection:
    """What this principal has selected over HTTP, now that it asks for something."""
    selection = state.selections[principal.name]
    is_stale = state.now_s - selection.used_at_s > SELECTION_IDLE_S
    if is_stale and not any(
        row.selection is selection and row.listening is not None for row in state.clients.values()
    ):
        selection.instance = None
    selection.used_at_s = state.now_s
    return selection


def read_envelope(state: RoutingState, client: Client, members: Members) -> Members:
    """Take down what a request says of its client; returns its `params` without that.

    Raises:
        RpcError: -32602, something is missing or malformed; -32022, it is of another revision.
    """
    meta = forwarding.meta_of(members)
    check_envelope(meta)
    client.revision = STATELESS_REVISION
    client.capabilities = object_of(meta[CAPABILITIES_KEY], f"params._meta.{CAPABILITIES_KEY}")
    client.info = given(meta, CLIENT_INFO_KEY) or NO_RAW
    if given(meta, LOG_LEVEL_KEY) is not None:
        client.log_level = log_levels.level_of(meta, LOG_LEVEL_KEY, "params._meta")
        log_levels.broadcast_log_level(state)
    rest = {key: raw for key, raw in meta.items() if key not in ENVELOPE_KEYS}
    return members | {"_meta": raw_of(rest)}


# --- Methods ---------------------------------------------------------------------------------


def discover(
    state: RoutingState, _: Client, event: FromClient, frame: Request, __: Members
) -> None:
    """Answer `server/discover`."""
    result: dict[str, Any] = {
        "supportedVersions": REVISIONS,
        "capabilities": router_tools.CAPABILITIES,
        "instructions": router_tools.INSTRUCTIONS,
    }
    forwarding.answer(state, event, frame, raw_of(result | NOT_CACHED))


def list_tools(
    state: RoutingState, client: Client, event: FromClient, frame: Request, members: Members
) -> None:
    """Answer `tools/list`."""
    result: dict[str, Any] = {"tools": tool_lists.listed_to(state, client, members)}
    forwarding.answer(state, event, frame, raw_of(result | NOT_CACHED))


def call_tool(
    state: RoutingState, client: Client, event: FromClient, frame: Request, members: Members
) -> None:
    """Call a tool, or go on with a call that needed input.

    A state that is not ours is for a server of this revision, which made it; no other server could
    have. Input without a state belongs to no call that is held: the call is made anew.
    """
    if given(members, "requestState") is not None:
        if input_required.resume(state, client, event, frame, members):
            return
        if not _is_for_stateless_server(state, client, members):
            raise input_required.no_good()
    tool_calls.call(state, client, event, frame, members)


def _is_for_stateless_server(state: RoutingState, client: Client, members: Members) -> bool:
    with suppress(RpcError):
        instance = tool_calls.instance_of(state, client, members)
        session = None if instance is None else instance.session
        return session is not None and session.is_stateless
    return False


# --- Subscriptions ---------------------------------------------------------------------------


def listen(
    state: RoutingState, client: Client, event: FromClient, frame: Request, members: Members
) -> None:
    """Open a subscription; it is answered when the router ends it."""
    forwarding.check_not_draining(state)
    of_connection = {} if client.connection is None else client.connection.requests
    open_ones = [row for row in of_connection.values() if row.listening is not None]
    if len(open_ones) >= MAX_LISTENING:
        raise RpcError(OVERLOADED, "Too many subscriptions are open on this connection")
    if "notifications" not in members:
        raise RpcError(INVALID_PARAMS, "params.notifications is missing")
    wanted = object_of(members["notifications"], "params.notifications")
    to_tools = wanted.get("toolsListChanged") == TRUE
    meta = {SUBSCRIPTION_KEY: frame.id}
    client.listening = Listening(frame.id, event.reply_to, meta, to_tools)
    params = {"_meta": meta, "notifications": {"toolsListChanged": True} if to_tools else {}}
    acknowledged = Notification("notifications/subscriptions/acknowledged", raw_of(params))
    state.effects.append(ToClient(client.id, event.reply_to, acknowledged))


TRUE: Final = Raw(b"true")


def end_listening(state: RoutingState) -> None:
    """End every subscription in good order."""
    for client in list(state.clients.values()):
        listening, client.listening = client.listening, None
        if listening is not None:
            answer = Response(listening.request_id, raw_of({"_meta": listening.meta}))
            forwarding.respond(state, client, listening.reply_to, answer)
