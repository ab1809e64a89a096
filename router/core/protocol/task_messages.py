"""Reads and replaces the task ids in messages, in the forms of both eras.

- 2025-11-25: `tools/call` with `task` is answered with `{"task": {"taskId": ...}}`; requests,
  results and notifications name a task by `taskId`, and messages that belong to a task by `_meta`
  (MCP 2025-11-25, Tasks).
- 2026-07-28: any `tools/call` may be answered with `{"resultType": "task", "taskId": ...}` (MCP
  Tasks extension, Task Creation).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.core.text.raw_json import is_object, optional_text_of, raw_of
from router.messages.params import object_of
from router.messages.revisions import KEY_PREFIX

if TYPE_CHECKING:
    from msgspec import Raw

    Members = dict[str, Raw]

RELATED_KEY: Final = f"{KEY_PREFIX}related-task"
"""Member of `_meta` that says to which task a message belongs: `{"taskId": ...}`."""

RELATED_MARK: Final = RELATED_KEY.encode()
"""Messages without these bytes belong to no task, but for those that escape characters."""

STATUS: Final = "notifications/tasks/status"
"""Tells the requestor how a task goes on (MCP 2025-11-25, Task Status Notification)."""

STATUS_OF_EXTENSION: Final = "notifications/tasks"
"""The same in 2026-07-28, for those that subscribed (MCP Tasks extension)."""


def makes_tasks_of_calls(capabilities: Members) -> bool:
    """Return whether a server of 2025-11-25 takes `tools/call` with `task`."""
    return "call" in _object_at(_object_at(_object_at(capabilities, "tasks"), "requests"), "tools")


def lists_tasks(capabilities: Members) -> bool:
    """Return whether a server of 2025-11-25 has `tasks/list`."""
    return "list" in _object_at(capabilities, "tasks")


def _object_at(members: Members, key: str) -> Members:
    raw = members.get(key)
    return object_of(raw, key) if raw and is_object(raw) else {}


# --- Ids -------------------------------------------------------------------------------------


def created_task(members: Members) -> str | None:
    """Return the id of the task that the result of a call stands for; None for another result."""
    if optional_text_of(members, "resultType") == "task":
        return optional_text_of(members, "taskId")
    return optional_text_of(_object_at(members, "task"), "taskId")


def related_task(meta: Members) -> str | None:
    """Return the id of the task that a message belongs to; None if its `_meta` names none."""
    return optional_text_of(_object_at(meta, RELATED_KEY), "taskId")


def related_task_of(members: Members) -> str | None:
    """Return the id of the task that these `params` belong to; None if they name none."""
    return related_task(_object_at(members, "_meta"))


def with_task_id(members: Members, before: str, after: str) -> Members:
    """Return a result, or `params`, with another id wherever it names this task.

    Args:
        before: the id that is to be replaced.
        after: the id to put in its place.
    """
    changed = dict(members)
    if optional_text_of(members, "taskId") == before:
        changed["taskId"] = raw_of(after)
    task = _object_at(members, "task")
    if optional_text_of(task, "taskId") == before:
        changed["task"] = raw_of(task | {"taskId": raw_of(after)})
    meta = _object_at(members, "_meta")
    if related_task(meta) == before:
        changed["_meta"] = raw_of(with_related_task(meta, after))
    return changed


def names_related_task(members: Members) -> bool:
    """Return whether a result, or `params`, says to which task it belongs, be that valid or not."""
    return RELATED_KEY in _object_at(members, "_meta")


def with_only_related(members: Members, task_id: str | None) -> Members:
    """Return a result, or `params`, that belongs to this task; to none if the id is None."""
    meta = _object_at(members, "_meta")
    if task_id is not None:
        return members | {"_meta": raw_of(with_related_task(meta, task_id))}
    kept = {key: raw for key, raw in meta.items() if key != RELATED_KEY}
    return members | {"_meta": raw_of(kept)}


def with_related_task(meta: Members, task_id: str) -> Members:
    """Return a `_meta` that names another task."""
    related = _object_at(meta, RELATED_KEY) | {"taskId": raw_of(task_id)}
    return meta | {RELATED_KEY: raw_of(related)}
