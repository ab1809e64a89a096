"""Task ids in messages, in the forms of both eras."""

from typing import Any

import pytest

from router.core.protocol import task_messages
from router.core.protocol.task_messages import RELATED_KEY
from router.messages.params import object_of
from tests.router.core.fake_peers import raw, value_of


def _members(value: dict[str, Any]) -> dict[str, Any]:
    return object_of(raw(value))


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"task": {"taskId": "1"}}, "1"),
        ({"resultType": "task", "taskId": "1"}, "1"),
        ({"resultType": "complete", "taskId": "1"}, None),
        ({"resultType": "task"}, None),
        ({"task": {"taskId": 1}}, None),
        ({"task": "1"}, None),
        ({"content": []}, None),
    ],
)
def test_a_created_task_is_recognised(result: dict[str, Any], expected: str | None) -> None:
    assert task_messages.created_task(_members(result)) == expected


def test_an_id_is_replaced_wherever_it_names_the_task() -> None:
    before = {
        "taskId": "1",
        "task": {"taskId": "1", "ttl": None},
        "_meta": {RELATED_KEY: {"taskId": "1", "x": 2}, "y": "1"},
        "content": [{"taskId": "1"}],
    }
    after = task_messages.with_task_id(_members(before), "1", "H")
    assert {key: value_of(value) for key, value in after.items()} == {
        "taskId": "H",
        "task": {"taskId": "H", "ttl": None},
        "_meta": {RELATED_KEY: {"taskId": "H", "x": 2}, "y": "1"},
        "content": [{"taskId": "1"}],
    }


def test_ids_of_other_tasks_stay() -> None:
    before = _members({"taskId": "2", "task": {"taskId": "2"}, "_meta": {}})
    assert task_messages.with_task_id(before, "1", "H") == before


def test_a_message_belongs_to_one_task_or_to_none() -> None:
    before = _members({"x": 1, "_meta": {RELATED_KEY: "odd", "y": 2}})
    assert task_messages.names_related_task(before)
    after = task_messages.with_only_related(before, "1")
    assert value_of(after["_meta"]) == {RELATED_KEY: {"taskId": "1"}, "y": 2}
    assert value_of(task_messages.with_only_related(before, None)["_meta"]) == {"y": 2}
    assert not task_messages.names_related_task(_members({"_meta": {}}))


@pytest.mark.parametrize("odd", [None, 1, "x", [], {"taskId": 1}])
def test_a_related_task_that_is_malformed_is_none(odd: Any) -> None:
    assert task_messages.related_task_of(_members({"_meta": {RELATED_KEY: odd}})) is None
    assert task_messages.related_task_of(_members({"_meta": odd})) is None


@pytest.mark.parametrize(
    ("tasks", "makes", "lists"),
    [
        ({"list": {}, "requests": {"tools": {"call": {}}}}, True, True),
        ({"requests": {"tools": {}}}, False, False),
        ({"requests": {"sampling": {"createMessage": {}}}, "list": {}}, False, True),
        ({}, False, False),
        (None, False, False),
        (True, False, False),
    ],
)
def test_capabilities_say_what_a_server_does_with_tasks(
    tasks: Any, makes: bool, lists: bool
) -> None:
    capabilities = _members({"tasks": tasks})
    assert task_messages.makes_tasks_of_calls(capabilities) is makes
    assert task_messages.lists_tasks(capabilities) is lists
