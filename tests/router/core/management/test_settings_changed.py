"""Settings that change while the router runs."""

from typing import Any

import pytest

from router.messages.core_settings import CoreSettings
from router.messages.events import CoreSettingsChanged
from tests.router.core.conversation import ready

MANAGED = {"allow_instance_management": True}


def settings_of(**changes: Any) -> CoreSettingsChanged:
    usual: dict[str, Any] = {"version": "9.9", "timeout_s": 30.0, "tool_names": "dotted"}
    return CoreSettingsChanged(CoreSettings(**usual | changes))


def test_another_timeout_holds_for_the_calls_that_follow() -> None:
    talk, alice, _ = ready()
    before = alice.routes("echo")
    talk.happens(settings_of(timeout_s=1.0))
    after = alice.routes("echo")
    talk.time_passes(1.5)
    assert before.is_waiting
    assert after.tool_error == ("TIMEOUT", "Timeout exceeded: 1s")
    assert alice.outbox.waiting == []


@pytest.mark.parametrize("changes", [{"tool_names": "underscored"}, MANAGED])
def test_a_client_that_has_listed_is_notified_once_when_the_routers_tools_change(
    changes: Any,
) -> None:
    talk, alice, _ = ready()
    bob, once = talk.client(), talk.client(one_shot=True)
    before = alice.lists()
    once.lists()
    talk.happens(settings_of(**changes))
    talk.happens(settings_of())
    assert [said["method"] for said in alice.outbox.take()] == ["notifications/tools/list_changed"]
    assert bob.outbox.waiting == []
    assert once.outbox.waiting == []
    assert alice.lists() == before
    talk.happens(settings_of(**changes))
    assert len(alice.outbox.take()) == 1
    assert alice.lists() != before


def test_only_clients_that_are_listed_other_names_are_notified_of_another_spelling() -> None:
    talk, new, _ = ready()
    old = talk.client()
    old.initializes("2025-06-18")
    for client in (old, new):
        assert client.lists()[0] == "mcp.router.use"
    talk.happens(settings_of(tool_names="auto"))
    assert old.outbox.waiting == []
    assert len(new.outbox.take()) == 1
    assert new.lists()[0] == "mcp_router_use"


def test_leave_to_manage_instances_comes_and_goes() -> None:
    talk, alice, _ = ready()
    talk.happens(settings_of(**MANAGED))
    assert alice.calls("mcp.router.remove", {"instance_name": "a"}).is_waiting
    talk.happens(settings_of())
    refused = alice.calls("mcp.router.remove", {"instance_name": "a"})
    assert refused.tool_error[0] == "SECURITY_ERROR"
