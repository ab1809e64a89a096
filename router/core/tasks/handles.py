"""Gives clients handles in place of the task ids of servers, and opens the handles again.

A handle is sealed text that names an instance and the server's own task id. It is bound to its
owner, and worthless to everybody else. It works for as long as the router runs, whatever happens to
the session that made the task.

Invariants:

- A client reaches no task but those that servers have made for it.
- A handle that is changed, of another owner, or of a place that no longer shows the instance, is
  refused in the same words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from router.core.protocol.task_messages import (
    RELATED_KEY,
    names_related_task,
    related_task,
    with_related_task,
)
from router.core.state.tasks import KnownTask, Owner
from router.core.text.raw_json import raw_of
from router.messages.errors import INTERNAL_ERROR, INVALID_PARAMS, RpcError
from router.messages.frames import Notification
from router.messages.instances.instance_spec import CLIENT_MARK
from router.messages.params import object_of

if TYPE_CHECKING:
    from msgspec import Raw

    from router.core.state.clients import Client
    from router.core.state.routing_state import RoutingState
    from router.messages.events import SessionUp

MAX_ID_BYTES: Final = 1024
"""Of a server's task id; usual ones are UUIDs. A handle is half as long again, and has to fit into
an HTTP header."""

_MAX_HANDLE_CHARS: Final = 4096
"""More than any handle has: names of instances are names of files."""

_encode: Final = msgspec.msgpack.encode
_decoder: Final = msgspec.msgpack.Decoder(tuple[str, str])


def owner_of(client: Client) -> Owner:
    """Return the owner of the tasks that this client makes.

    A principal with a name reaches its tasks from each of its sessions (MCP 2025-11-25, Tasks, Task
    Isolation and Access Control). One without has only its session, or nothing but the handle.
    """
    connection = None
    if not client.principal.name and not client.one_shot:
        connection = (client.connection or client).id
    return Owner(client.principal.name, connection, client.place, client.is_stateless)


def task_not_found() -> RpcError:
    """Return the one error for every bad handle: nobody learns anything by guessing."""
    return RpcError(INVALID_PARAMS, "Task not found")


def give_handle(
    state: RoutingState,
    client: Client,
    session: SessionUp,
    task_id: str,
    progress: tuple[int, Raw] | None = None,
) -> KnownTask:
    """Remember that a server has made a task for a client, and under which handle.

    Args:
        client: the client.
        session: the session of the server.
        task_id: the server's own id for the task.
        progress: see `KnownTask`.

    Raises:
        RpcError: -32603, the id is too long.
    """
    instance = state.task_scope(session)
    if len(task_id.encode()) > MAX_ID_BYTES:
        problem = f"Instance '{instance}' made a task with an id of over {MAX_ID_BYTES} B"
        raise RpcError(INTERNAL_ERROR, problem)
    owner = owner_of(client)
    for other in state.tasks.with_id(instance, task_id):
        if other.session == session.session and other.owner == owner:
            other.client = client.id
            return other  # The server has answered two calls with the same task.
        if other.session not in state.sessions:
            # A server that was started anew may count anew: that id is another task now.
            state.tasks.forget(other)
    known = state.tasks.find(owner, instance, task_id)
    if known is not None:
        state.tasks.forget(known)
    secret = _encode((instance, task_id))
    handle = state.seal.seal(secret, _context(owner, "task"))
    known = KnownTask(owner, instance, task_id, handle, client.id, session.session, progress)
    known.asked_s = state.now_s
    state.tasks.add(known)
    return known


def open_handle(state: RoutingState, client: Client, handle: str) -> KnownTask:
    """Return the task that a handle stands for.

    Raises:
        RpcError: -32602, this client has no such task.
    """
    owner = owner_of(client)
    instance, task_id = _unseal(state, handle, _context(owner, "task"))
    if instance.partition(CLIENT_MARK)[0] not in state.seen_by(client).by_name:
        raise task_not_found()
    known = state.tasks.find(owner, instance, task_id)
    if known is None:
        if state.tasks.with_id(instance, task_id):
            raise task_not_found()  # The server has given that id to a task of somebody else.
        known = KnownTask(owner, instance, task_id, handle, client.id, None)
        state.tasks.add(known)
    elif known.handle != handle:
        raise task_not_found()  # It is of an earlier task with the same id.
    known.asked_s = state.now_s
    state.tasks.touch(known)
    return known


def is_still_known(state: RoutingState, known: KnownTask) -> bool:
    """Return whether the server's id still stands for this task, as far as the router knows."""
    current = state.tasks.find(known.owner, known.instance, known.id)
    if current is None:
        return not state.tasks.with_id(known.instance, known.id)
    return current.handle == known.handle


def _context(owner: Owner, kind: str) -> bytes:
    bound_to = [owner.principal, owner.connection, owner.place, owner.is_stateless, kind]
    return bytes(raw_of(bound_to))


def _unseal(state: RoutingState, sealed: str, context: bytes) -> tuple[str, str]:
    if len(sealed) > _MAX_HANDLE_CHARS:
        raise task_not_found()
    try:
        return _decoder.decode(state.seal.unseal(sealed, context))
    except (ValueError, msgspec.MsgspecError):
        raise task_not_found() from None


# --- Messages that belong to a task ----------------------------------------------------------


def with_own_related(
    state: RoutingState, client: Client, instance: str, meta: dict[str, Raw]
) -> dict[str, Raw]:
    """Return the `_meta` of a request with the server's own id for the task it belongs to.

    A task that is none of this client's there is left out: by its id the request would reach the
    task of somebody else.
    """
    try:
        known = open_handle(state, client, related_task(meta) or "")
    except RpcError:
        known = None
    if known is None or known.instance != instance:
        return {key: raw for key, raw in meta.items() if key != RELATED_KEY}
    return with_related_task(meta, known.id)


def notification_for_server(
    state: RoutingState, client: Client, instance: str, frame: Notification
) -> Notification:
    """Return a client's notification with the server's own id for the task it belongs to.

    Raises:
        RpcError: -32602, its `params` are no object.
    """
    members = object_of(frame.params)
    if not names_related_task(members):
        return frame
    meta = with_own_related(state, client, instance, object_of(members["_meta"]))
    return Notification(frame.method, raw_of(members | {"_meta": raw_of(meta)}))


# --- Cursors ---------------------------------------------------------------------------------

MAX_CURSOR_CHARS: Final = 2048
"""Of a server's own cursor for `tasks/list`."""


def seal_cursor(state: RoutingState, owner: Owner, instance: str, cursor: str = "") -> str:
    """Return the cursor of a page of an instance's tasks.

    Args:
        instance: the name of the instance.
        cursor: the server's own; empty for the first page.

    Raises:
        RpcError: -32603, the server's cursor is too long.
    """
    if len(cursor) > MAX_CURSOR_CHARS:
        raise RpcError(INTERNAL_ERROR, f"Instance '{instance}' answered with too long a cursor")
    return state.seal.seal(_encode((instance, cursor)), _context(owner, "cursor"))


def open_cursor(state: RoutingState, owner: Owner, cursor: str) -> tuple[str, str]:
    """Return the instance and the server's own cursor.

    Raises:
        RpcError: -32602, it was not made here, or for somebody else.
    """
    try:
        return _unseal(state, cursor, _context(owner, "cursor"))
    except RpcError:
        raise bad_cursor() from None


def bad_cursor() -> RpcError:
    """Return the one error for every bad cursor."""
    return RpcError(INVALID_PARAMS, "params.cursor is not one of ours")
