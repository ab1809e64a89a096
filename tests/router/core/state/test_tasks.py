"""The table of tasks: it is bounded, and keeps what was asked for last."""

import pytest

from router.core.state import tasks as task_table
from router.core.state.tasks import KnownTask, Owner, Tasks
from tests.router.core.fake_peers import raw

ALICE = Owner("alice", None, None, is_stateless=False)
BOB = Owner("bob", None, None, is_stateless=False)


def _task(owner: Owner, task_id: str, progress_of: int | None = None) -> KnownTask:
    progress = None if progress_of is None else (progress_of, raw("token"))
    return KnownTask(owner, "a", task_id, f"handle of {task_id}", "client", 1, progress)


def test_a_task_is_found_by_owner_by_id_and_by_call() -> None:
    tasks = Tasks()
    task = _task(ALICE, "1", progress_of=4)
    tasks.add(task)
    assert tasks.find(ALICE, "a", "1") is task
    assert tasks.find(BOB, "a", "1") is None
    assert list(tasks.of_owner(ALICE)) == tasks.with_id("a", "1") == [task]
    assert tasks.of_call(1, 4) is task
    assert tasks.of_call(1, "4") is tasks.of_call(2, 4) is None


def test_nothing_is_left_of_a_forgotten_task() -> None:
    tasks = Tasks()
    task, other = _task(ALICE, "1", progress_of=4), _task(BOB, "1")
    tasks.add(task)
    tasks.add(other)
    tasks.forget(task)
    assert tasks.with_id("a", "1") == [other]
    assert list(tasks.of_owner(ALICE)) == []
    tasks.forget(other)
    assert tasks == Tasks()
    assert len(tasks) == 0


def test_the_task_of_an_owner_that_was_asked_for_least_recently_falls_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(task_table, "MAX_OF_OWNER", 2)
    tasks = Tasks()
    first, second, third = (_task(ALICE, name) for name in "123")
    tasks.add(_task(BOB, "1"))
    tasks.add(first)
    tasks.add(second)
    tasks.touch(first)
    tasks.add(third)
    assert list(tasks.of_owner(ALICE)) == [first, third]
    assert len(list(tasks.of_owner(BOB))) == 1


def test_the_same_holds_for_all_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_table, "MAX_TASKS", 2)
    tasks = Tasks()
    of_bob = _task(BOB, "1")
    tasks.add(of_bob)
    tasks.add(_task(ALICE, "1"))
    tasks.touch(of_bob)
    tasks.add(_task(ALICE, "2"))
    assert len(tasks) == 2
    assert list(tasks.of_owner(BOB)) == [of_bob]


def test_an_owner_without_a_name_and_a_connection_may_be_anybody() -> None:
    assert Owner("", "c", None, is_stateless=False).is_known
    assert ALICE.is_known
    assert not Owner("", None, None, is_stateless=True).is_known
