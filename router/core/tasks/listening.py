"""Keeps which clients of 2026-07-28 are told of which tasks, and subscribes upstream for them.

A server has one `subscriptions/listen` for all tasks that clients are told of; it is sent anew when
these change (MCP Tasks extension, Task Status Notifications). Nobody depends on the notifications,
so a subscription that its server has ended stays ended.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.core.protocol import extensions
from router.core.protocol.bridging import SUBSCRIPTION_KEY, client_envelope
from router.core.protocol.task_messages import STATUS_OF_EXTENSION, with_task_id
from router.core.tasks import handles
from router.core.text.raw_json import is_object, raw_of, text_of
from router.core.views.rewriting import rewrite_for
from router.messages.effects import ToClient, ToSession
from router.messages.errors import INVALID_PARAMS, MISSING_CAPABILITY, OVERLOADED, RpcError
from router.messages.frames import NO_RAW, Notification, Request
from router.messages.params import given, object_of
from router.messages.revisions import LISTEN_METHOD

if TYPE_CHECKING:
    from router.core.state.clients import Client, Members
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.core.state.tasks import KnownTask
    from router.messages.frames import ErrorResponse, Response, SessionId

MAX_OF_CLIENT: Final = 1024
"""Tasks that one subscription is about."""

_texts: Final = msgspec.json.Decoder(list[str])

_REQUIRED: Final[dict[str, Any]] = {"requiredCapabilities": {"extensions": {extensions.TASKS: {}}}}


# --- Clients come and go ---------------------------------------------------------------------


def tasks_in(state: RoutingState, client: Client, wanted: Members) -> dict[str, KnownTask]:
    """Return the tasks, by handle, that a subscription is about.

    Args:
        client: the row of the subscription.
        wanted: the `notifications` that it asks for.

    Raises:
        RpcError: -32021, it did not declare the extension; -32602, `taskIds` is no list of texts;
            -32015, it asks for too many.
    """
    raw = given(wanted, "taskIds")
    if raw is None or state.view_of(client).expose == "router":
        return {}
    if not extensions.has_extension(client.capabilities, extensions.TASKS):
        raise RpcError(MISSING_CAPABILITY, "Missing required client capability", _REQUIRED)
    try:
        task_ids = _texts.decode(raw)
    except msgspec.MsgspecError:
        place = "params.notifications.taskIds"
        raise RpcError(INVALID_PARAMS, f"{place} must be an array of task ids") from None
    if len(task_ids) > MAX_OF_CLIENT:
        raise RpcError(OVERLOADED, "Too many tasks are subscribed to by this client")
    found: dict[str, KnownTask] = {}
    for handle in task_ids:
        with suppress(RpcError):
            found[handle] = handles.open_handle(state, client, handle)
    return found


def add(state: RoutingState, client: Client, tasks: dict[str, KnownTask]) -> None:
    """Have a client told of these tasks, and subscribe to them at their servers."""
    for handle, known in tasks.items():
        of_instance = state.tasks.listeners.setdefault(known.instance, {})
        of_instance.setdefault(known.id, {})[client.id] = handle
    for name in {known.instance for known in tasks.values()}:
        _listen(state, name)


def forget_client(state: RoutingState, client: Client) -> None:
    """Have a client that is gone told of nothing more."""
    for name, of_instance in list(state.tasks.listeners.items()):
        mine = [task_id for task_id, told in of_instance.items() if client.id in told]
        for task_id in mine:
            del of_instance[task_id][client.id]
            if not of_instance[task_id]:
                del of_instance[task_id]
        if mine:
            _listen(state, name)
        if not of_instance:
            del state.tasks.listeners[name]


# --- Sessions come and go --------------------------------------------------------------------


def session_up(state: RoutingState, instance: Instance) -> None:
    """Subscribe a new session to everything that clients are told of."""
    if instance.task_scope in state.tasks.listeners:
        _listen(state, instance.task_scope)


def session_gone(state: RoutingState, session: SessionId) -> None:
    """Forget the subscription of a session that is gone."""
    state.tasks.listens.pop(session, None)


def answered(state: RoutingState, session: SessionId, frame: Response | ErrorResponse) -> None:
    """Take an answer that belongs to no call; that of `subscriptions/listen` ends it."""
    if frame.id is not None and state.tasks.listens.get(session) == frame.id:
        del state.tasks.listens[session]


def _listen(state: RoutingState, name: str) -> None:
    """Open a subscription to all tasks in place of the one that is open."""
    instance = state.row_named(name) or state.row_at(name)
    session = None if instance is None else instance.session
    if session is None or not session.is_stateless:
        return
    before = state.tasks.listens.pop(session.session, None)
    task_ids = list(state.tasks.listeners.get(name, {}))
    if task_ids:
        request_id = state.tasks.listens[session.session] = state.calls.next_id()
        declared = {"extensions": raw_of({extensions.TASKS: {}})}
        params: dict[str, Any] = {
            "notifications": {"taskIds": task_ids},
            "_meta": client_envelope(NO_RAW, declared, None),
        }
        frame = Request(request_id, LISTEN_METHOD, raw_of(params))
        state.effects.append(ToSession(session.session, session.inbox, frame))
    if before is not None:
        # Sent after the new one, so that no status falls between the two.
        members = raw_of({"requestId": before, "reason": "Another subscription takes its place"})
        cancelled = Notification("notifications/cancelled", members)
        state.effects.append(ToSession(session.session, session.inbox, cancelled))


# --- Notifications ---------------------------------------------------------------------------


def tell(state: RoutingState, instance: Instance, members: Members) -> None:
    """Tell the clients that subscribed to a task.

    Raises:
        RpcError: the notification does not say which task it is about.
    """
    task_id = text_of(members, "taskId")
    told = state.tasks.listeners.get(instance.task_scope, {}).get(task_id, {})
    for client_id, handle in told.items():
        client = state.clients.get(client_id)
        if client is None or client.subscription is None:
            continue
        shown = with_task_id(members, task_id, handle)
        inner = shown.get("result")
        rewrite = rewrite_for(state, client, instance)
        if rewrite is not None and inner is not None and is_object(inner):
            shown["result"] = rewrite(inner)
        meta = object_of(given(members, "_meta"), "params._meta")
        meta.pop(SUBSCRIPTION_KEY, None)
        shown["_meta"] = raw_of(meta | client.subscription.meta)
        frame = Notification(STATUS_OF_EXTENSION, raw_of(shown))
        if not client.subscription.hold(frame):
            state.effects.append(ToClient(client.id, client.subscription.reply_to, frame))
