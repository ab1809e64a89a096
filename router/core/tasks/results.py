"""Puts handles into the results about tasks, in place of the ids of servers.

Each function prepares a call that was just sent; the work is done when its result comes.

Invariant: a client is shown nothing of the tasks of others, also where a server lists them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw

from router.core.protocol import extensions
from router.core.protocol.bridging import have_same_tasks
from router.core.protocol.task_messages import (
    created_task,
    makes_tasks_of_calls,
    with_task_id,
)
from router.core.tasks import handles
from router.core.text.raw_json import is_object, optional_text_of, raw_of
from router.messages.errors import INTERNAL_ERROR, RpcError
from router.messages.params import given, object_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.core.state.clients import Call, ClientRequest, Members
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.core.state.tasks import KnownTask, Owner
    from router.messages.events import SessionUp

_TASK_MARK: Final = b'"task"'
"""Results without these bytes are no tasks."""

_ENDED: Final = frozenset({"cancelled", "failed"})
_SETTLED: Final = _ENDED | {"completed"}
"""The states of a task that has no result to come. At 2026-07-28 a task holds its result; before,
that is asked for once the task is `completed`."""

_array: Final = msgspec.json.Decoder(list[Raw])


# --- A call that becomes a task --------------------------------------------------------------


def takes_task(
    state: RoutingState, request: ClientRequest, instance: Instance, session: SessionUp
) -> bool:
    """Return whether a call has a `task` for its server (MCP 2025-11-25, Tasks, Capabilities)."""
    client = request.client
    return (
        given(request.params.members, "task") is not None
        and not session.is_stateless
        and have_same_tasks(client.revision, session.revision)
        and state.view_of(client).expose != "router"
        and makes_tasks_of_calls(instance.capabilities)
    )


def expect_task(state: RoutingState, call: Call, sent: Members) -> None:
    """Have the client of a `tools/call` get a handle, if the server makes a task of the call.

    Args:
        call: the call.
        sent: its `params`.
    """
    if "task" not in sent and not _may_become_task(state, call):
        return
    before = call.rewrite

    def rewrite(result: Raw) -> Raw:
        call.rewrite = before  # This function refers to the call, which spares the cycle collector.
        members = object_of(result) if _TASK_MARK in bytes(result) and is_object(result) else {}
        task_id = created_task(members)
        if task_id is None:
            return result if before is None else before(result)
        token = call.progress_token
        progress = None if token is None else (call.id, token)
        known = handles.give_handle(state, call.client, call.session, task_id, progress)
        return raw_of(with_task_id(members, task_id, known.handle))

    call.rewrite = rewrite


def _may_become_task(state: RoutingState, call: Call) -> bool:
    """Return whether a server of 2026-07-28 may answer this call with a task."""
    client = call.client
    return (
        client.is_stateless
        and call.session.is_stateless
        and extensions.has_extension(client.capabilities, extensions.TASKS)
        and state.view_of(client).expose != "router"
    )


# --- Requests about a task -------------------------------------------------------------------


def show_handle(state: RoutingState, call: Call, known: KnownTask) -> None:
    """Have the client of a call about a task get the task's handle in the result."""
    before = call.rewrite
    session = call.session.session
    is_whole = call.method == "tasks/result"
    is_stateless = call.session.is_stateless

    def rewrite(result: Raw) -> Raw:
        if not handles.is_still_known(state, known):
            raise handles.task_not_found()
        known.session = session
        if not is_object(result):
            known.is_settled |= is_whole
            return result
        if is_whole and before is not None:
            result = before(result)
        members = object_of(result, "result")
        status = optional_text_of(members, "status")
        known.is_settled |= is_whole or status in (_SETTLED if is_stateless else _ENDED)
        inner = members.get("result")
        if before is not None and not is_whole and inner is not None and is_object(inner):
            members["result"] = before(inner)  # A task of 2026-07-28 holds the result of its call.
        return raw_of(with_task_id(members, known.id, known.handle))

    call.rewrite = rewrite


# --- Lists -----------------------------------------------------------------------------------


def show_own(
    state: RoutingState, call: Call, owner: Owner, cursor_of: Callable[[str | None], str | None]
) -> None:
    """Have the client of a `tasks/list` get only its own tasks.

    Args:
        owner: the owner of these.
        cursor_of: returns the cursor of the next page, given the server's own.
    """
    instance, scope = call.instance, state.task_scope(call.session)

    def rewrite(result: Raw) -> Raw:
        try:
            members = object_of(result, "result")
            tasks = [object_of(task, "a task") for task in _array.decode(members["tasks"])]
        except (RpcError, msgspec.MsgspecError, KeyError):
            raise RpcError(
                INTERNAL_ERROR, f"Instance '{instance}' answered with a malformed list of tasks"
            ) from None
        shown: list[Members] = []
        for task in tasks:
            known = state.tasks.find(owner, scope, optional_text_of(task, "taskId") or "")
            if known is not None:
                shown.append(task | {"taskId": raw_of(known.handle)})
        members["tasks"] = raw_of(shown)
        cursor = cursor_of(optional_text_of(members, "nextCursor"))
        members.pop("nextCursor", None)
        return raw_of(members if cursor is None else members | {"nextCursor": raw_of(cursor)})

    call.rewrite = rewrite
