"""Carries out the requests about tasks, in all views that have them.

Sources: MCP 2025-11-25, Tasks; MCP Tasks extension of 2026-07-28.

`tasks/list` walks over the servers: each page is a page of one of them, or a part of it. A client
sees its own tasks only, so a page may be empty and not the last one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.core.calls import forwarding
from router.core.limits import large_results, rates
from router.core.protocol.bridging import has_tasks, have_same_tasks
from router.core.protocol.permissions import check_may
from router.core.protocol.task_messages import lists_tasks
from router.core.sessions import client_sessions
from router.core.sessions.availability import unavailable_error
from router.core.state.calls import MAX_EXTENSION
from router.core.state.session_rows import replicas_of
from router.core.tasks import handles, results
from router.core.text.raw_json import check_key_case, raw_of, text_of
from router.core.views.rewriting import rewrite_for
from router.messages.errors import METHOD_NOT_FOUND, RpcError
from router.messages.params import given

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.core.state.clients import Client, ClientRequest, Members
    from router.core.state.instances import Instance
    from router.core.state.routing_state import Method, RoutingState
    from router.core.state.tasks import Owner
    from router.messages.events import SessionUp

_FREE: Final = frozenset({"tasks/cancel", "tasks/update"})
"""Requests that count for no limit of their token: they end a task, or have it go on."""

_KEYS: Final = frozenset({"taskId", "cursor", "inputResponses", "_meta"})


def _members(state: RoutingState, request: ClientRequest) -> Members:
    """Return the `params` of a request about tasks.

    Raises:
        RpcError: -32601, the client's view or revision has no tasks; -32016, it may not call.
    """
    client = request.client
    if state.view_of(client).expose == "router" or not has_tasks(client.revision):
        raise _unknown_method(request)
    check_may(client.principal, "call")
    return check_key_case(request.params.members, _KEYS)


def _unknown_method(request: ClientRequest) -> RpcError:
    return RpcError(METHOD_NOT_FOUND, f"Method not found: {request.method}")


def refuse(_: RoutingState, request: ClientRequest) -> None:
    """Refuse a method of the other era, which a transparent view would pass on otherwise."""
    raise _unknown_method(request)


# --- One task --------------------------------------------------------------------------------


def forward(state: RoutingState, request: ClientRequest) -> None:
    """Forward a request about one task to the server that has it."""
    members = _members(state, request)
    if request.method not in _FREE:
        rates.count(state, request)
    client = request.client
    known = handles.open_handle(state, client, text_of(members, "taskId"))
    row = state.row_named(known.instance) or state.row_at(known.instance)
    if row is None:
        raise handles.task_not_found()  # The replica that had it is gone.
    instance = row.listed_as
    session = row.session if row is not instance else None
    if row is not instance and session is None:
        raise unavailable_error(row, state.now_s)
    session = session or forwarding.session_or_park(state, request, instance)
    if session is None:
        return
    if not have_same_tasks(client.revision, session.revision):
        raise handles.task_not_found()  # Its server was replaced by one of another revision.
    known.client = client.id
    rewrite = rewrite_for(state, client, instance)
    call = forwarding.forward_call(
        state,
        request,
        instance,
        session,
        members | {"taskId": raw_of(known.id)},
        rewrite=large_results.limited(state, client, instance, None, rewrite),
        is_transparent=state.view_of(client).is_transparent,
    )
    results.show_handle(state, call, known)
    if request.method == "tasks/result":
        call.task = known
        # It is answered when the task ends, which may be long after the last news of it.
        call.timeout_s *= MAX_EXTENSION
        state.calls.extend(call, state.now_s)


# --- Lists -----------------------------------------------------------------------------------


def list_tasks(state: RoutingState, request: ClientRequest) -> None:
    """Answer `tasks/list` with the next page of the tasks of this client."""
    members = _members(state, request)
    rates.count(state, request)
    client = request.client
    owner = handles.owner_of(client)
    place, own_cursor = None, ""
    if given(members, "cursor") is not None:
        place, own_cursor = handles.open_cursor(state, owner, text_of(members, "cursor"))
    view = state.view_of(client)
    if view.is_transparent:
        instance = view.the_instance(state.instances, client.principal)
        if forwarding.session_or_park(state, request, instance) is None:
            return
    found = _server_from(state, client, owner, place)
    if found is None:
        forwarding.answer(state, request, raw_of({"tasks": []}))
        return
    here, instance, session = found
    sent = {key: raw for key, raw in members.items() if key != "cursor"}
    if own_cursor and here == place:
        sent["cursor"] = raw_of(own_cursor)

    def cursor_after(own: str | None) -> str | None:
        if own:
            return handles.seal_cursor(state, owner, here, own)
        following = _server_from(state, client, owner, here, skips_it=True)
        return None if following is None else handles.seal_cursor(state, owner, following[0])

    call = forwarding.forward_call(
        state, request, instance, session, sent, is_transparent=view.is_transparent
    )
    results.show_own(state, call, owner, cursor_after)


def _server_from(
    state: RoutingState,
    client: Client,
    owner: Owner,
    place: str | None,
    *,
    skips_it: bool = False,
) -> tuple[str, Instance, SessionUp] | None:
    """Return the next server that lists tasks of this owner; None after the last one.

    It comes with the name of its place in the walk, which may be that of a replica.

    A server that is not ready is passed over: nobody waits for it to see the tasks of others.

    Args:
        place: the name of the place at which the walk is; None at its beginning.
        skips_it: True to go on after that place.

    Raises:
        RpcError: -32602, the client sees no such place.
    """
    if not owner.is_known:
        return None  # Others would be the same owner.
    places = [one for row in state.seen_by(client) for one in _places_of(row)]
    names = [one.task_scope for one in places]
    if place is not None and place not in names:
        raise handles.bad_cursor()
    start = 0 if place is None else names.index(place) + skips_it
    holding = {task.instance for task in state.tasks.of_owner(owner)}
    for one in places[start:]:
        served = client_sessions.row_of(state, None, client, one)
        session = None if served is None else served.session
        if (
            session is not None
            and one.task_scope in holding
            and lists_tasks(one.capabilities)
            and have_same_tasks(client.revision, session.revision)
        ):
            return one.task_scope, one.listed_as, session
    return None


def _places_of(instance: Instance) -> Sequence[Instance]:
    """Return the rows whose servers may list different tasks."""
    return replicas_of(instance) if instance.spec.has_replicas else (instance,)


# --- Methods ---------------------------------------------------------------------------------

HANDSHAKE: Final[dict[str, Method]] = {
    "tasks/get": forward,
    "tasks/result": forward,
    "tasks/cancel": forward,
    "tasks/list": list_tasks,
}
"""The methods of 2025-11-25."""

STATELESS: Final[dict[str, Method]] = {
    "tasks/get": forward,
    "tasks/update": forward,
    "tasks/cancel": forward,
}
"""The methods of the extension of 2026-07-28."""

_BOTH: Final = {**HANDSHAKE, **STATELESS}

TRANSPARENT_HANDSHAKE: Final[dict[str, Method]] = dict.fromkeys(_BOTH, refuse) | HANDSHAKE
TRANSPARENT_STATELESS: Final[dict[str, Method]] = dict.fromkeys(_BOTH, refuse) | STATELESS
"""The same, and the refusal of what a transparent view would pass on with any task id in it."""
