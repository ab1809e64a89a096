"""Clients and servers with tasks, for the tests of what belongs to tasks."""

from typing import Any

from router.messages.commands import Principal
from tests.router.core.conversation import Conversation, FakeClient, FakeUpstream, SentRequest
from tests.router.core.fake_peers import StatelessClient

TASKS = {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}
"""The `capabilities.tasks` of a server of 2025-11-25."""

EXTENSION = "io.modelcontextprotocol/tasks"
RELATED = "io.modelcontextprotocol/related-task"
ALICE, BOB = Principal("alice"), Principal("bob")
ANONYMOUS = Principal()


def talk_with_tasks(*names: str, view: str = "direct") -> tuple[Conversation, list[FakeUpstream]]:
    """Return a conversation with servers of 2025-11-25 that have tasks, `a` if none is named."""
    talk = Conversation(view=view)
    upstreams = [
        talk.with_instance(name, "dig", capabilities={"tasks": TASKS}) for name in names or ("a",)
    ]
    return talk, upstreams


def talk_with_extension(view: str = "direct") -> tuple[Conversation, FakeUpstream]:
    """Return a conversation with a server `a` of 2026-07-28 that has tasks."""
    talk = Conversation(view=view)
    capabilities = {"extensions": {EXTENSION: {}}}
    return talk, talk.with_instance("a", "dig", revision="2026-07-28", capabilities=capabilities)


def client_of(talk: Conversation, principal: Principal = ALICE, **more: Any) -> FakeClient:
    """Return a client that has initialized, and can be asked to elicit."""
    client = talk.client(principal=principal, **more)
    client.initializes(elicitation={})
    client.outbox.take()
    return client


def stateless_client_of(
    talk: Conversation, principal: Principal = ALICE, **more: Any
) -> StatelessClient:
    """Return a client of 2026-07-28 that has declared the extension."""
    return talk.stateless_client(principal, extensions={EXTENSION: {}}, **more)


def task(task_id: str, status: str = "working", **more: Any) -> dict[str, Any]:
    """Return a `Task` of either era, as far as the router reads it."""
    return {"taskId": task_id, "status": status} | more


def begins_task(
    client: FakeClient, upstream: FakeUpstream, task_id: str = "t1", **more: Any
) -> SentRequest:
    """Have a client call `dig`, and the server make a task of the call."""
    if isinstance(client, StatelessClient):
        call = client.calls(f"{upstream.instance}__dig", **more)
        result = {"resultType": "task"} | task(task_id)
    else:
        call = client.calls(f"{upstream.instance}__dig", task={"ttl": 60_000}, **more)
        result = {"task": task(task_id)}
    upstream.answers(upstream.sees_one(), result)
    return call


def handle_of(call: SentRequest) -> str:
    """Return the id that a client got for the task that its call became."""
    return call.result.get("task", call.result)["taskId"]


def is_refused(asked: SentRequest) -> bool:
    """Return whether a task was refused in the words for every bad handle."""
    return asked.error == {"code": -32602, "message": "Task not found"}
