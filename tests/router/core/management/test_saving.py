"""Changes on their way to the disk: one path, one answer."""

from typing import Any

import attrs
import pytest

from router.core.management import saving
from router.messages.commands import (
    AddInstance,
    MakeChange,
    Principal,
    RemoveInstance,
    SetActive,
    UpdateInstance,
)
from router.messages.errors import (
    ALREADY_EXISTS,
    INVALID_PARAMS,
    NOT_ALLOWED,
    NOT_SAVED,
    OVERLOADED,
    UNAVAILABLE,
    RpcError,
)
from router.messages.events import InstanceSaved
from tests.router.core.conversation import Conversation, FakeClient, SentRequest, ready, spec

ADD = AddInstance("acme", {"name": "n", "url": "http://n"})
N = spec("n", type="http", url="http://n")
FULL = RpcError(NOT_SAVED, "No space left on device", {"errno": "ENOSPC"})
MANAGED: dict[str, Any] = {"allow_instance_management": True}


def manages(client: FakeClient, tool: str, **arguments: Any) -> SentRequest:
    return client.calls(f"mcp.router.{tool}", arguments)


# --- As it is asked by the API ---------------------------------------------------------------


def test_a_change_is_answered_when_it_is_on_disk_and_not_before() -> None:
    talk, _, _ = ready()
    added = talk.admin_asks(MakeChange(ADD))
    assert added.is_waiting
    save = talk.change_saved(spec("a"), N)
    assert (save.change, save.spec) == (ADD, None)
    assert added.answer == "n"
    assert talk.started[-1] == N


def test_the_instance_to_be_changed_is_handed_to_the_instance_store() -> None:
    talk, _, _ = ready()
    talk.admin_asks(MakeChange(RemoveInstance("acme")))
    save = talk.change_saved()
    assert (save.change, save.spec) == (RemoveInstance("a"), spec("a"))
    assert talk.stopped == ["a"]


def test_a_change_that_could_not_be_saved_changes_nothing_and_says_why() -> None:
    talk, _, _ = ready()
    added = talk.admin_asks(MakeChange(ADD, wait_ready=True))
    talk.change_saved(problem=FULL)
    assert attrs.astuple(added.error) == attrs.astuple(FULL)
    assert list(talk.state.instances.by_name) == ["a"]


def test_a_change_that_changed_nothing_is_answered_as_well() -> None:
    talk, _, _ = ready()
    enabled = talk.admin_asks(MakeChange(SetActive("a", True)))
    talk.happens(InstanceSaved(talk.saves[0].key))
    assert enabled.answer == "a"


def test_an_instance_is_waited_for_and_answered_by_its_new_name() -> None:
    talk, _, _ = ready()
    renamed = talk.admin_asks(MakeChange(UpdateInstance("a", {"name": "n"}), wait_ready=True))
    talk.change_saved(N)
    assert renamed.is_waiting
    talk.starting("n")
    talk.up("n")
    assert renamed.answer == "n"


@pytest.mark.parametrize(
    ("instances", "message"),
    [
        (None, "Instance 'n' already exists (in data/hidden/mcp_settings.json)"),
        (frozenset({"a", "n"}), "Instance 'n' already exists"),
    ],
)
def test_file_of_a_name_that_is_taken_is_shown_only_to_principals_that_see_all_instances(
    instances: frozenset[str] | None, message: str
) -> None:
    talk, _, _ = ready()
    admin = Principal("admin", instances=instances)
    added = talk.admin_asks(MakeChange(ADD), admin)
    taken = "Instance 'n' already exists (in data/hidden/mcp_settings.json)"
    talk.change_saved(problem=RpcError(ALREADY_EXISTS, taken))
    assert (added.error.code, added.error.message) == (ALREADY_EXISTS, message)


def test_a_change_that_is_refused_is_not_saved() -> None:
    talk, _, _ = ready()
    refused = talk.admin_asks(MakeChange(AddInstance("acme", {"name": "a"})))
    assert refused.error.code == ALREADY_EXISTS
    anybody = Principal("", frozenset({"read", "call"}))
    assert talk.admin_asks(MakeChange(ADD), anybody).error.code == NOT_ALLOWED
    assert talk.saves == []
    assert talk.state.asking == {}


def test_an_end_of_no_change_is_nothing() -> None:
    talk, _, _ = ready()
    talk.happens(InstanceSaved(99, (spec("b"),)))
    assert list(talk.state.instances.by_name) == ["b"]


def test_changes_beyond_a_limit_are_shed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "MAX_SAVING", 1)
    talk, _, _ = ready()
    talk.admin_asks(MakeChange(ADD))
    assert talk.admin_asks(MakeChange(ADD)).error.code == OVERLOADED


def test_a_change_goes_on_when_nobody_waits_for_it_any_more() -> None:
    talk, _, _ = ready()
    added = talk.admin_asks(MakeChange(ADD))
    added.abandons()
    talk.change_saved(spec("a"), N)
    assert added.mailbox.waiting == []
    assert talk.started[-1] == N
    added.abandons()


# --- Waiting until it is ready ---------------------------------------------------------------


def test_with_wait_ready_the_answer_comes_when_the_instance_is_ready() -> None:
    talk, _, _ = ready()
    added = talk.admin_asks(MakeChange(ADD, wait_ready=True))
    talk.change_saved(spec("a"), N)
    talk.starting("n")
    assert added.is_waiting
    talk.up("n")
    assert added.answer == "n"
    assert talk.state.clients.keys() == {"client-2"}


def test_with_wait_ready_an_instance_that_fails_is_the_answer() -> None:
    talk, _, _ = ready()
    added = talk.admin_asks(MakeChange(ADD, wait_ready=True))
    talk.change_saved(spec("a"), N)
    talk.starting("n")
    talk.down("n", "no such host", retry_in_s=None)
    assert added.error.code == UNAVAILABLE
    assert added.error.message == "Instance 'n' not connected: failed: no such host"
    assert added.error.data["last_error"] == "no such host"


def test_with_wait_ready_an_instance_that_cannot_start_is_answered_at_once() -> None:
    talk, _, _ = ready()
    added = talk.admin_asks(MakeChange(ADD, wait_ready=True))
    talk.change_saved(spec("n", problem="${X} is not set"))
    assert added.error.message == "Instance 'n' not connected: failed: ${X} is not set"


def test_with_wait_ready_an_instance_that_takes_too_long_is_an_error_that_says_so() -> None:
    talk, _, _ = ready()
    added = talk.admin_asks(MakeChange(ADD, wait_ready=True))
    talk.change_saved(spec("a"), N)
    talk.time_passes(60.0)
    assert added.is_waiting
    talk.time_passes(100.0)
    assert added.error.data["state"] == "starting"


def test_with_wait_ready_one_that_is_ready_already_is_answered_at_once() -> None:
    talk, _, _ = ready()
    enabled = talk.admin_asks(MakeChange(SetActive("a", True), wait_ready=True))
    talk.change_saved(spec("a"))
    assert enabled.answer == "a"


def test_with_wait_ready_one_that_is_not_to_run_is_not_waited_for() -> None:
    talk, _, _ = ready()
    disabled = talk.admin_asks(MakeChange(SetActive("a", False), wait_ready=True))
    talk.change_saved(spec("a", is_active=False))
    assert disabled.answer == "a"
    removed = talk.admin_asks(MakeChange(RemoveInstance("a"), wait_ready=True))
    talk.change_saved()
    assert removed.answer == "a"


def test_an_asker_that_no_longer_waits_for_an_instance_is_forgotten() -> None:
    talk, _, _ = ready()
    added = talk.admin_asks(MakeChange(ADD, wait_ready=True))
    talk.change_saved(spec("a"), N)
    added.abandons()
    assert added.mailbox.waiting == []
    assert len(talk.state.parked) == 0


# --- As it is asked by a tool ----------------------------------------------------------------


def test_management_tools_are_listed_only_when_they_are_allowed() -> None:
    _, alice, _ = ready()
    assert "mcp.router.add" not in alice.lists()
    _, bob, _ = ready(**MANAGED)
    assert bob.lists()[4:] == [f"mcp.router.{n}" for n in ("add", "remove", "disable", "enable")]
    _, carol, _ = ready(**MANAGED, tool_names="underscored")
    assert carol.lists()[4:5] == ["mcp_router_add"]


@pytest.mark.parametrize("name", ["mcp.router.add", "mcp_router_remove"])
def test_management_tools_that_are_not_allowed_say_how_to_allow_them(name: str) -> None:
    talk, alice, _ = ready()
    assert alice.calls(name, {"instance_name": "a"}).tool_error == (
        "SECURITY_ERROR",
        f"Instance management is disabled. Tool '{name}' is not available. Enable "
        "'server.allow_instance_management' in config.json to use this tool.",
    )
    assert talk.saves == []


@pytest.mark.parametrize(
    ("tool", "arguments", "change"),
    [
        ("add", {"provider_name": "acme", "config": {"name": "n", "url": "http://n"}}, ADD),
        ("remove", {"instance_name": "a"}, RemoveInstance("a")),
        ("disable", {"instance_name": "acme"}, SetActive("a", False)),
        ("enable", {"instance_name": "a"}, SetActive("a", True)),
    ],
)
def test_management_tools_answer_when_the_change_is_on_disk(
    tool: str, arguments: dict[str, Any], change: Any
) -> None:
    talk, alice, _ = ready(**MANAGED)
    asked = manages(alice, tool, **arguments)
    assert asked.is_waiting
    assert talk.change_saved(spec("a")).change == change
    assert asked.text == "Done"
    assert asked.result["structuredContent"] == {"result": "Done"}


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("add", {"provider_name": "p"}, "arguments.config must be an object"),
        ("add", {"provider_name": "p", "config": "{}"}, "arguments.config must be an object"),
        ("add", {"config": {}}, "arguments.provider_name is missing"),
        ("remove", {}, "arguments.instance_name is missing"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    tool: str, arguments: dict[str, Any], message: str
) -> None:
    _, alice, _ = ready(**MANAGED)
    assert manages(alice, tool, **arguments).tool_error == ("VALIDATION_ERROR", message)


def test_management_tools_need_the_admin_permission_too() -> None:
    talk, _, _ = ready(**MANAGED)
    anybody = talk.client(principal=Principal("", frozenset({"read", "call"})))
    code, message = manages(anybody, "remove", instance_name="a").tool_error
    assert code == "SECURITY_ERROR"
    assert "set security.bearer_token in config.json" in message


def test_what_goes_wrong_is_a_tool_result() -> None:
    talk, alice, _ = ready(**MANAGED)
    unknown = manages(alice, "remove", instance_name="x")
    assert unknown.tool_error[0] == "INSTANCE_NOT_FOUND"
    full = manages(alice, "remove", instance_name="a")
    talk.change_saved(problem=FULL)
    assert full.tool_error == ("CONFIG_ERROR", "No space left on device")
    odd = manages(alice, "remove", instance_name="a")
    talk.change_saved(problem=RpcError(INVALID_PARAMS, "why"))
    assert odd.tool_error == ("VALIDATION_ERROR", "why")


def test_a_client_that_cancels_or_leaves_has_its_reply_ended_and_the_change_goes_on() -> None:
    talk, alice, _ = ready(**MANAGED)
    cancelled = manages(alice, "disable", instance_name="a")
    alice.cancels(cancelled)
    left = manages(alice, "disable", instance_name="a")
    alice.leaves()
    for asked in (cancelled, left):
        assert asked.mailbox.closed
        talk.change_saved(spec("a", is_active=False))
        assert asked.finals == []
    assert talk.stopped == ["a"]


def test_an_id_is_in_use_while_its_change_is_saved() -> None:
    talk, alice, _ = ready(**MANAGED)
    asked = manages(alice, "disable", instance_name="a")
    assert alice.asks("ping", id=asked.id).error["code"] == -32600
    alice.cancels(asked)
    again = alice.calls("mcp.router.enable", {"instance_name": "a"}, id=asked.id)
    talk.change_saved(spec("a"))
    assert again.is_waiting
    talk.change_saved(spec("a"))
    assert again.text == "Done"


# --- Stopping --------------------------------------------------------------------------------


def test_drain_takes_no_new_changes_and_waits_for_those_begun() -> None:
    talk, _, _ = ready()
    begun = talk.admin_asks(MakeChange(ADD))
    waits = talk.admin_asks(MakeChange(ADD, wait_ready=True))
    drained = talk.drains()
    assert talk.admin_asks(MakeChange(ADD)).error.code == UNAVAILABLE
    assert not drained.waiting
    talk.change_saved(spec("a"), N)
    assert begun.answer == "n"
    assert not drained.waiting
    talk.change_saved(spec("a"), N)
    assert (waits.error.code, waits.error.message) == (UNAVAILABLE, "The router is stopping")
    assert drained.waiting == [None]


def test_new_changes_still_find_the_conversation_in_order() -> None:
    talk = Conversation()
    first, second = talk.admin_asks(MakeChange(ADD)), talk.admin_asks(MakeChange(ADD))
    talk.change_saved(N)
    talk.change_saved(problem=RpcError(ALREADY_EXISTS, "taken"))
    assert first.answer == "n"
    assert second.error.message == "taken"
