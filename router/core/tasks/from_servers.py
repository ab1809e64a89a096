"""Brings what a server says about a task to the one client that the task belongs to.

Invariant: a message that names a known task goes to the owner of that task, or to nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core.protocol.task_messages import (
    RELATED_MARK,
    STATUS,
    STATUS_OF_EXTENSION,
    names_related_task,
    related_task_of,
    with_only_related,
    with_task_id,
)
from router.core.tasks import listening
from router.core.text.raw_json import is_object, raw_of, request_id_of, text_of
from router.core.views import audience
from router.messages.effects import ToClient
from router.messages.errors import AMBIGUOUS_CLIENT, RpcError
from router.messages.frames import Notification, Response
from router.messages.params import Params, object_of

if TYPE_CHECKING:
    from router.core.state.clients import Call, Client, Members, ServerRequest
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.core.state.tasks import KnownTask
    from router.messages.events import SessionUp
    from router.messages.frames import RequestId, SessionId


def _tasks_of(
    state: RoutingState, instance: str, session: SessionId, task_id: str
) -> list[KnownTask]:
    """Return the tasks of handshake clients that this session may mean by an id."""
    return [
        task
        for task in state.tasks.with_id(instance, task_id)
        if not task.owner.is_stateless
        and (task.session == session or task.session not in state.sessions)
    ]


def _client_of(state: RoutingState, task: KnownTask) -> Client | None:
    """Return the client that is told of a task; None if it is gone, or has no session."""
    client = state.clients.get(task.client)
    return None if client is None or client.is_for_one_request else client


# --- Requests --------------------------------------------------------------------------------


def task_of_request(state: RoutingState, session: SessionUp, params: Params) -> KnownTask | None:
    """Return the task that a server's request belongs to; None if it names none that is known.

    Raises:
        RpcError: -32017, several clients have a task of this id.
    """
    if RELATED_MARK not in bytes(params.raw):
        return None
    task_id = related_task_of(params.members)
    if task_id is None:
        return None
    tasks = _tasks_of(state, state.task_scope(session), session.session, task_id)
    if len(tasks) > 1:
        raise RpcError(AMBIGUOUS_CLIENT, "Several clients have a task of this id")
    return tasks[0] if tasks else None


def waiting_call(state: RoutingState, session: SessionUp, task: KnownTask) -> Call | None:
    """Return the call in which a client waits for the result of a task; None if none does.

    MCP 2025-11-25, Tasks, Input Required Status: a client that sees that input is required asks for
    the result, so that the server can send its requests on that stream.
    """
    for call in reversed(state.calls.of_session(session.session)):
        # By its handle: a task that was forgotten meanwhile has another row now.
        is_about_it = call.task is not None and call.task.handle == task.handle
        if is_about_it and not call.client.is_for_one_request:
            return call
    return None


def client_of_task(state: RoutingState, task: KnownTask) -> Client:
    """Return the client that answers requests about a task that no call waits for.

    Raises:
        RpcError: -32017, it is not there.
    """
    client = _client_of(state, task)
    if client is None:
        raise RpcError(AMBIGUOUS_CLIENT, "The client of this task is not connected")
    return client


def requests_without_call(
    state: RoutingState, session: SessionId
) -> list[tuple[Client, RequestId, ServerRequest]]:
    """Return the requests of a session that clients have not answered and that belong to no call.

    Each comes with its client, and with the id that the client knows it by.
    """
    return [
        (client, request_id, server_request)
        for client in state.clients.values()
        for request_id, server_request in client.server_requests.items()
        if server_request.call is None and server_request.session.session == session
    ]


def for_client(params: Params, task: KnownTask) -> Params:
    """Return the `params` of a server's request with the task's handle in them."""
    return Params.from_members(with_task_id(params.members, task.id, task.handle))


def answer_for_server(task: KnownTask | None, answer: Response) -> Response:
    """Return a client's answer to a request, with the server's own id of the task it is about.

    Args:
        task: that task; None for a request about none, whose answer may name none.
        answer: as the client sent it.

    Raises:
        RpcError: -32602, the answer cannot be read.
    """
    members = object_of(answer.result, "result") if is_object(answer.result) else {}
    if not names_related_task(members):
        return answer
    own_id = None if task is None else task.id
    return Response(answer.id, raw_of(with_only_related(members, own_id)))


# --- Notifications ---------------------------------------------------------------------------


def notified(
    state: RoutingState, instance: Instance, session: SessionUp, frame: Notification
) -> bool:
    """Bring a notification about a task to its owner; return False if it is about no known task.

    Raises:
        RpcError: it is malformed.
    """
    if frame.method == STATUS_OF_EXTENSION:
        listening.tell(state, instance, object_of(frame.params))
        return True
    if frame.method == STATUS:
        members = object_of(frame.params)
        for task in _tasks_of(
            state, instance.task_scope, session.session, text_of(members, "taskId")
        ):
            _tell(state, task, frame.method, members)
        return True
    if frame.method == "notifications/progress" or RELATED_MARK not in bytes(frame.params):
        return False
    members = object_of(frame.params)
    task_id = related_task_of(members) or ""
    tasks = _tasks_of(state, instance.task_scope, session.session, task_id)
    for task in tasks:
        client = _client_of(state, task)
        if client is not None and _wants(state, client, instance, frame.method, members):
            _tell(state, task, frame.method, members)
    return bool(tasks)


def _wants(
    state: RoutingState, client: Client, instance: Instance, method: str, members: Members
) -> bool:
    if method == "notifications/message":
        return client.wants_log(text_of(members, "level"))
    return audience.sees_only(state, client, instance)


def progressed(state: RoutingState, session: SessionId, members: Members) -> bool:
    """Bring progress of a task to its owner; return False if it is none of a known task.

    The token of the call that made a task stays valid (MCP 2025-11-25, Tasks, Task Progress
    Notifications).
    """
    task = state.tasks.of_call(session, request_id_of(members, "progressToken"))
    if task is None or task.progress is None:
        return False
    _tell(state, task, "notifications/progress", members | {"progressToken": task.progress[1]})
    return True


def _tell(state: RoutingState, task: KnownTask, method: str, members: Members) -> None:
    client = _client_of(state, task)
    if client is not None:
        shown = raw_of(with_task_id(members, task.id, task.handle))
        state.effects.append(ToClient(client.id, client.outbox, Notification(method, shown)))
