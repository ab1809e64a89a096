"""Keeps which tasks of servers belong to which clients.

Sources: MCP 2025-11-25, Tasks; MCP Tasks extension of 2026-07-28.

A client knows a task by a handle (`core.tasks.handles`), which holds everything that is needed to
find the task again. This table says which handle was given out, so that a task keeps it, and to
whom, so that messages about the task find its owner.

Invariant: the table is bounded. A task that has fallen out comes back when its owner asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

    from msgspec import Raw

    from router.messages.frames import ClientId, SessionId

MAX_TASKS: Final = 10_000
"""Tasks that are remembered, of some hundred bytes each; those asked for last stay."""

MAX_OF_OWNER: Final = 1_000
"""So that no client has the tasks of others forgotten."""


class Owner(Struct, frozen=True):
    """The party that a task belongs to, and that alone may ask for it.

    Attributes:
        principal: the name of its principal.
        connection: the client session, or connection, of a principal without a name; None for any.
        place: the name of its view; None for the default view.
        is_stateless: True for clients of 2026-07-28, whose tasks have another form.
    """

    principal: str
    connection: str | None
    place: str | None
    is_stateless: bool

    @property
    def is_known(self) -> bool:
        """True if nobody else is the same owner by chance: it has a name or a connection."""
        return bool(self.principal) or self.connection is not None


class KnownTask(Struct, eq=False):
    """One task of a server.

    Attributes:
        owner: the only one who may ask for it.
        instance: the name of its instance, or of the replica that has it; see
            `Instance.task_scope`.
        id: the server's own id for it.
        handle: the id that its owner knows it by.
        client: the client that made it, or asked for it last; gets the messages about it.
        session: the incarnation that knew of it last; None before it said so.
        asked_s: the monotonic second at which its owner made it, or asked for it last.
        is_settled: True once its owner got its outcome, and needs its server no more.
        progress: the id of the call that made it, and the client's own progress token.
    """

    owner: Owner
    instance: str
    id: str
    handle: str
    client: ClientId
    session: SessionId | None
    progress: tuple[int, Raw] | None = None
    asked_s: float = 0.0
    is_settled: bool = False


class Tasks(Struct):
    """All tasks that are remembered.

    Attributes:
        listeners: by instance and the server's id of a task, the clients of 2026-07-28 that
            subscribed to it, each with its handle.
        listens: the id of the open `subscriptions/listen` for tasks, by session.
    """

    listeners: dict[str, dict[str, dict[ClientId, str]]] = {}
    listens: dict[SessionId, int] = {}
    # The task that was asked for last is the last one, here and for each owner.
    _all: dict[KnownTask, None] = {}
    _by_owner: dict[Owner, dict[tuple[str, str], KnownTask]] = {}
    _by_id: dict[tuple[str, str], dict[Owner, KnownTask]] = {}
    _by_call: dict[tuple[SessionId, int], KnownTask] = {}

    def __len__(self) -> int:
        return len(self._all)

    def find(self, owner: Owner, instance: str, task_id: str) -> KnownTask | None:
        """Return a task of this owner; None if it is not remembered."""
        return self._by_owner.get(owner, {}).get((instance, task_id))

    def of_owner(self, owner: Owner) -> Iterable[KnownTask]:
        """Return the tasks of this owner."""
        return self._by_owner.get(owner, {}).values()

    def with_id(self, instance: str, task_id: str) -> list[KnownTask]:
        """Return the tasks that a server's own id may stand for, of all owners."""
        return list(self._by_id.get((instance, task_id), {}).values())

    def of_call(self, session: SessionId, call_id: object) -> KnownTask | None:
        """Return the task that a call has made, if its client wants progress; None otherwise."""
        return self._by_call.get((session, call_id)) if isinstance(call_id, int) else None

    def are_awaited(self, session: SessionId, since_s: float) -> bool:
        """Return whether an owner asked this session for a task since then, and has no outcome."""
        return any(
            task.session == session and not task.is_settled and task.asked_s >= since_s
            for task in self._all
        )

    def add(self, task: KnownTask) -> None:
        """Remember a task that is not in the table; the oldest may fall out."""
        of_owner = self._by_owner.setdefault(task.owner, {})
        self._all[task] = None
        of_owner[task.instance, task.id] = task
        self._by_id.setdefault((task.instance, task.id), {})[task.owner] = task
        if task.progress is not None and task.session is not None:
            self._by_call[task.session, task.progress[0]] = task
        if len(of_owner) > MAX_OF_OWNER:
            self.forget(next(iter(of_owner.values())))
        elif len(self._all) > MAX_TASKS:
            self.forget(next(iter(self._all)))

    def touch(self, task: KnownTask) -> None:
        """Note that a task was asked for."""
        del self._all[task]
        self._all[task] = None
        of_owner = self._by_owner[task.owner]
        of_owner[task.instance, task.id] = of_owner.pop((task.instance, task.id))

    def forget(self, task: KnownTask) -> None:
        """Take a task out of the table."""
        del self._all[task]
        of_owner = self._by_owner[task.owner]
        del of_owner[task.instance, task.id]
        if not of_owner:
            del self._by_owner[task.owner]
        of_id = self._by_id[task.instance, task.id]
        del of_id[task.owner]
        if not of_id:
            del self._by_id[task.instance, task.id]
        if task.progress is not None:
            self._by_call = {key: one for key, one in self._by_call.items() if one is not task}
