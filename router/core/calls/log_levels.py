"""Has upstreams log from the lowest level that any client set.

An upstream has one session for all clients, so the router sets one level there. `server_messages`
passes on to each client only the messages from that client's own level upwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core.calls import forwarding
from router.core.protocol.severities import LOG_LEVELS
from router.core.text.raw_json import raw_of, text_of
from router.messages.errors import INVALID_PARAMS, RpcError
from router.messages.frames import Request
from router.messages.params import object_of

if TYPE_CHECKING:
    from router.core.state.clients import Members
    from router.core.state.routing_state import RoutingState
    from router.messages.events import SessionUp


def read_log_level(members: Members, key: str, place: str = "params") -> str:
    """Return the log level at `key`.

    Raises:
        RpcError: -32602, it is missing or no log level.
    """
    level = text_of(members, key, place)
    if level not in LOG_LEVELS:
        raise RpcError(INVALID_PARAMS, f"{place}.{key} must be one of {', '.join(LOG_LEVELS)}")
    return level


def broadcast_log_level(state: RoutingState) -> None:
    """Send every upstream the lowest level that any client set, if that has changed."""
    levels = [client.log_level for client in state.clients.values() if client.log_level]
    lowest = min(levels, key=LOG_LEVELS.__getitem__, default=None)
    # When the last client that set a level has gone, upstreams keep theirs: none can be unset.
    if lowest in (None, state.log_level):
        return
    state.log_level = lowest
    for instance in state.sessions.values():
        if instance.session is not None:
            send_log_level(state, instance.session)


def send_log_level(state: RoutingState, session: SessionUp) -> None:
    """Send an upstream the level, if a client ever set one and the upstream can log."""
    if session.is_stateless:
        return  # Each request says for itself which logs it wants.
    if state.log_level is None or "logging" not in object_of(session.capabilities):
        return
    params = raw_of({"level": state.log_level})
    # Nobody waits for the answer: an id that no call has is dropped when it comes back.
    frame = Request(state.calls.next_id(), "logging/setLevel", params)
    forwarding.send_to_session(state, session, frame)
