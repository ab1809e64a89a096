"""The records of changes: done, failed and refused ones."""

from typing import Any

import pytest

from router.messages.commands import (
    AddInstance,
    Change,
    MakeChange,
    Principal,
    RemoveInstance,
    SetActive,
    UpdateInstance,
)
from router.messages.errors import NOT_SAVED, RpcError
from router.messages.events import AdminCommand
from router.messages.observability.records import ChangeRecord
from tests.router.core.conversation import Conversation, Mailbox, ready, spec

MANAGED: Any = {"records": frozenset({"audit"}), "allow_instance_management": True}
OPERATOR = Principal("operator")
CALLER = Principal("caller", frozenset({"call"}))
FULL = RpcError(NOT_SAVED, "No space left on device")


def changes(talk: Conversation) -> list[tuple[str, str, str, str]]:
    kept, talk.records = talk.records, []
    records = [one for one in kept if isinstance(one, ChangeRecord)]
    return [(one.principal, one.action, one.name, one.problem) for one in records]


@pytest.mark.parametrize(
    ("change", "action", "name"),
    [
        (AddInstance("acme", {"name": "n", "command": "n"}), "add_instance", "n"),
        (UpdateInstance("acme", {"args": []}), "update_instance", "a"),
        (RemoveInstance("a"), "remove_instance", "a"),
        (SetActive("a", is_active=True), "enable_instance", "a"),
        (SetActive("a", is_active=False), "disable_instance", "a"),
    ],
)
def test_a_change_by_rest_is_recorded_once_it_is_on_disk(
    change: Change, action: str, name: str
) -> None:
    talk, _, _ = ready(**MANAGED)
    talk.admin_asks(MakeChange(change), OPERATOR)
    assert changes(talk) == []
    talk.change_saved(spec("a"))
    assert changes(talk) == [("operator", action, name, "")]


def test_a_change_that_fails_on_the_disk_is_recorded_with_the_reason() -> None:
    talk, _, _ = ready(**MANAGED)
    talk.admin_asks(MakeChange(RemoveInstance("a")), OPERATOR)
    talk.change_saved(problem=FULL)
    assert changes(talk) == [("operator", "remove_instance", "a", "No space left on device")]


def test_a_change_that_nobody_waits_for_any_more_is_recorded_all_the_same() -> None:
    talk, alice, _ = ready(**MANAGED)
    asked = talk.admin_asks(MakeChange(RemoveInstance("a")), OPERATOR)
    asked.abandons()
    talk.change_saved()
    alice.calls("mcp.router.add", {"provider_name": "acme", "config": {"name": "n", "url": "u:"}})
    alice.leaves()
    talk.change_saved()
    actions = [(principal, action) for principal, action, _, _ in changes(talk)]
    assert actions == [("operator", "remove_instance"), ("all", "add_instance")]


def test_a_refused_change_by_rest_is_recorded_with_the_reason() -> None:
    talk, _, _ = ready(**MANAGED)
    talk.happens(AdminCommand(CALLER, MakeChange(RemoveInstance("a")), Mailbox(), "192.0.2.7"))
    (record,) = [one for one in talk.records if isinstance(one, ChangeRecord)]
    assert record.address == "192.0.2.7"
    talk.admin_asks(MakeChange(RemoveInstance("gone")), OPERATOR)
    talk.admin_asks(MakeChange(AddInstance("acme", {"name": "a", "command": "a"})), OPERATOR)
    refused = changes(talk)
    assert [one[:3] for one in refused] == [
        ("caller", "remove_instance", "a"),
        ("operator", "remove_instance", "gone"),
        ("operator", "add_instance", "a"),
    ]
    assert all(problem for *_, problem in refused)
    assert talk.saves == []


@pytest.mark.parametrize(
    ("tool", "arguments", "action", "name"),
    [
        ("add", {"provider_name": "acme", "config": {"command": "n"}}, "add_instance", "acme"),
        ("remove", {"instance_name": "a"}, "remove_instance", "a"),
        ("enable", {"instance_name": "a" * 300}, "enable_instance", "a" * 200),
        ("disable", {}, "disable_instance", ""),
    ],
)
def test_a_refused_management_tool_is_recorded_as_a_change(
    tool: str, arguments: Any, action: str, name: str
) -> None:
    talk, _, _ = ready(**MANAGED)
    talk.client(principal=CALLER).calls(f"mcp.router.{tool}", arguments)
    ((principal, *seen, problem),) = changes(talk)
    assert (principal, *seen) == ("caller", action, name)
    assert problem


def test_a_management_tool_that_is_switched_off_is_recorded_as_refused() -> None:
    talk, alice, _ = ready(**MANAGED | {"allow_instance_management": False})
    alice.calls("mcp.router.remove", {"instance_name": "a"})
    ((_, action, name, problem),) = changes(talk)
    assert (action, name) == ("remove_instance", "a")
    assert problem.startswith("Instance management is disabled.")


def test_a_change_by_a_management_tool_is_recorded_as_change_and_as_call() -> None:
    talk, alice, _ = ready(**MANAGED)
    alice.calls("mcp.router.disable", {"instance_name": "a"})
    talk.change_saved(spec("a", is_active=False))
    kinds = [(type(one).__name__, getattr(one, "target", "")) for one in talk.records[1:]]
    assert kinds == [("ChangeRecord", ""), ("CallRecord", "mcp.router.disable")]


def test_without_a_reader_of_records_no_change_is_recorded() -> None:
    talk, alice, _ = ready(allow_instance_management=True)
    talk.admin_asks(MakeChange(RemoveInstance("gone")), OPERATOR)
    alice.calls("mcp.router.remove", {"instance_name": "gone"})
    talk.admin_asks(MakeChange(RemoveInstance("a")), OPERATOR)
    talk.change_saved()
    assert talk.records == []
