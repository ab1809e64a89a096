"""Any events in any order: no client reaches, or hears of, a task that is not its own.

The servers count their tasks from 1 in each incarnation, so an id soon means several tasks.
"""

from typing import Any

from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.router.core.conversation import Conversation, FakeClient, FakeUpstream, SentRequest
from tests.router.core.tasks.task_peers import (
    ALICE,
    ANONYMOUS,
    BOB,
    RELATED,
    TASKS,
    client_of,
    task,
)

STEPS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 30), st.integers(0, 30)), min_size=10, max_size=60
)


@define
class Server:
    """One incarnation of a server, which knows to whom it has given each task."""

    upstream: FakeUpstream
    owners: list[str] = field(factory=list[str])
    waiting: list[tuple[dict[str, Any], str]] = field(factory=list[tuple[dict[str, Any], str]])

    def described(self, task_id: str) -> dict[str, Any] | None:
        """Return a task whose message names its owner; None if there is no such task."""
        number = int(task_id) - 1
        return (
            None if number >= len(self.owners) else task(task_id, statusMessage=self.owners[number])
        )


class World:
    """Two servers, and clients of two principals and of nobody, in one direct view."""

    def __init__(self) -> None:
        self.talk = Conversation(view="direct")
        self.servers = {name: Server(self._up(name, is_new=True)) for name in ("a", "b")}
        self.clients: list[tuple[FakeClient, str]] = []
        for number, principal in enumerate((ALICE, ALICE, BOB, ANONYMOUS, ANONYMOUS)):
            owner = principal.name or f"nobody {number}"
            self.clients.append((client_of(self.talk, principal), owner))
        self.asked: list[tuple[SentRequest, str]] = []
        self.handles: list[str] = ["1"]

    def _up(self, name: str, *, is_new: bool) -> FakeUpstream:
        if is_new:
            return self.talk.with_instance(name, "dig", capabilities={"tasks": TASKS})
        self.talk.starting(name)
        return self.talk.up(name, "dig", capabilities={"tasks": TASKS})

    def step(self, kind: int, one: int, two: int) -> None:
        client, owner = self.clients[one % len(self.clients)]
        server = self.servers["ab"[two % 2]]
        if kind <= 2:
            sent = client.calls(f"{server.upstream.instance}__dig", task={})
            self._collect(sent, owner)
            if kind:
                self._answer(server, len(server.waiting) - 1)
        elif kind <= 4:
            method = ("tasks/get", "tasks/result", "tasks/cancel")[one % 3]
            handle = self.handles[two % len(self.handles)]
            self._collect(client.asks(method, {"taskId": handle}), owner)
        elif kind == 5:
            self._collect(client.asks("tasks/list"), owner)
        elif kind <= 7:
            self._answer(server, one)
        elif kind == 8:
            self._tell(server, str(one % 5 + 1))
        else:
            name = server.upstream.instance
            server.upstream.breaks()
            self.servers[name] = Server(self._up(name, is_new=False))

    def _collect(self, sent: SentRequest, owner: str) -> None:
        self.asked.append((sent, owner))
        for server in self.servers.values():
            server.waiting += [(frame, owner) for frame in server.upstream.sees()]

    def _answer(self, server: Server, which: int) -> None:
        if not server.waiting:
            return
        request, owner = server.waiting.pop(which % len(server.waiting))
        if request["method"] == "tools/call":
            server.owners.append(owner)
            created = server.described(str(len(server.owners)))
            server.upstream.answers(request, {"task": created})
        elif request["method"] == "tasks/list":
            every = [server.described(str(number + 1)) for number in range(len(server.owners))]
            server.upstream.answers(request, {"tasks": every})
        else:
            described = server.described(request["params"]["taskId"])
            if described is None:
                server.upstream.fails(request, {"code": -32602, "message": "unknown"})
            else:
                server.upstream.answers(request, described)
        for sent, _ in self.asked:
            for final in sent.finals:
                self._learn(final)

    def _learn(self, final: Any) -> None:
        result = getattr(final, "result", None)
        if result is not None and b'"task"' in bytes(result):
            sent = next(sent for sent, _ in self.asked if final in sent.finals)
            handle = sent.result["task"]["taskId"]
            if handle not in self.handles:
                self.handles.append(handle)

    def _tell(self, server: Server, task_id: str) -> None:
        described = server.described(task_id)
        if described is not None:
            server.upstream.says("notifications/tasks/status", described)
            question = {"message": described["statusMessage"], "requestedSchema": {}}
            meta = {"_meta": {RELATED: {"taskId": task_id}}}
            server.upstream.asks("elicitation/create", question | meta)
            server.upstream.sees()

    def check(self) -> None:
        """Whatever reached a client names that client's own principal."""
        for sent, owner in self.asked:
            for final in sent.finals:
                result = getattr(final, "result", None)
                if result is not None:
                    assert _owners_in(sent.result) <= {owner}
            for frame in sent.mailbox.waiting:
                if getattr(frame, "method", "") == "elicitation/create":
                    assert f'"{owner}"'.encode() in bytes(frame.params)
        for client, owner in self.clients:
            for frame in client.outbox.take():
                if frame["method"] == "notifications/tasks/status":
                    assert frame["params"]["statusMessage"] == owner
                elif frame["method"] == "elicitation/create":
                    assert frame["params"]["message"] == owner


def _owners_in(result: dict[str, Any]) -> set[str]:
    tasks = [result, result.get("task", {}), *result.get("tasks", [])]
    return {one["statusMessage"] for one in tasks if "statusMessage" in one}


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_no_client_reaches_or_hears_of_a_task_of_another(
    steps: list[tuple[int, int, int]],
) -> None:
    world = World()
    for step in steps:
        world.step(*step)
        world.check()
