"""URLs that clients were sent to, until the server says that they have been there.

Job: bring `notifications/elicitation/complete` to the client that was asked (MCP 2025-11-25,
Elicitation, URL Mode). Neighbours: `from_session` says who was asked and what completed. Pure.

Invariant: it reaches the client that this very session asked under this id, and nobody else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.core.params import object_of, optional_text_of, text_of
from router.core.revisions import url_elicitations
from router.messages import Notification, ToClient

if TYPE_CHECKING:
    from router.core.calls import Call
    from router.core.clients import Members
    from router.core.state import State
    from router.messages import ErrorResponse, SessionId

COMPLETE: Final = "notifications/elicitation/complete"

MAX_REMEMBERED: Final = 1024
"""The newest; people take minutes to come back from a web page, and servers may never say so."""


def asked(state: State, call: Call, members: Members) -> None:
    """A client was asked something about this call."""
    _remember(state, call, optional_text_of(members, "elicitationId"))


def required(state: State, call: Call, error: ErrorResponse) -> None:
    """A client was told that it has to visit something first, if that is what this error says."""
    for one in url_elicitations(error.error):
        _remember(state, call, optional_text_of(one, "elicitationId"))


def _remember(state: State, call: Call, elicitation_id: str | None) -> None:
    if elicitation_id is None or call.client.is_for_one_request:
        return
    state.elicited[call.session.session, elicitation_id] = call.client.id
    if len(state.elicited) > MAX_REMEMBERED:
        del state.elicited[next(iter(state.elicited))]


def complete(state: State, session: SessionId, frame: Notification) -> None:
    """The server says that somebody has been there.

    Raises:
        RpcError: it does not say who.
    """
    elicitation_id = text_of(object_of(frame.params), "elicitationId")
    client = state.clients.get(state.elicited.pop((session, elicitation_id), ""))
    if client is not None:
        state.effects.append(ToClient(client.id, client.outbox, frame))
