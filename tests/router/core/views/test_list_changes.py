"""The clients that are told that their lists have changed, and how often."""

from router.core.protocol.bridging import SUBSCRIPTION_KEY
from router.messages.core_settings import CoreSettings
from router.messages.events import CoreSettingsChanged
from tests.router.core.conversation import ready, spec

OWN = ["mcp.router.use", "mcp.router.list", "mcp.router.help", "mcp.router.call"]

# --- Router views ------------------------------------------------------------------------------


def test_a_changed_catalog_is_used_at_once_and_notified_to_clients_that_selected_it() -> None:
    talk, alice, upstream = ready()
    alice.uses()
    assert alice.lists()[4:] == ["echo"]
    bystander = talk.client()
    alice.outbox.take()
    upstream.lists("sing", "dance")
    assert [frame["method"] for frame in alice.outbox.take()] == [
        "notifications/tools/list_changed"
    ]
    assert bystander.outbox.take() == []
    assert alice.lists()[4:] == ["sing", "dance"]
    assert alice.calls("echo").error["code"] == -32014


def test_list_changed_is_sent_once_until_the_client_lists_again() -> None:
    _, alice, upstream = ready()
    alice.uses()
    upstream.lists("one")
    upstream.lists("two")
    assert len(alice.outbox.take()) == 1
    alice.lists()
    upstream.lists("three")
    assert len(alice.outbox.take()) == 1


def test_the_selection_is_by_name_and_survives_a_new_configuration() -> None:
    talk, alice, _ = ready()
    alice.uses()
    talk.configured(spec("a", command="other"))
    assert alice.lists()[4:] == []
    talk.starting("a")
    alice.outbox.take()
    talk.up("a", "sing")
    assert [frame["method"] for frame in alice.outbox.take()] == [
        "notifications/tools/list_changed"
    ]
    assert alice.lists()[4:] == ["sing"]


def test_requests_that_share_a_selection_are_notified_when_one_of_them_selects() -> None:
    talk, alice, _ = ready()
    bob = talk.stateless_connection()
    subscription = bob.asks("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
    bob.outbox.take()
    alice.uses()
    assert bob.outbox.take() == []
    bob.uses()
    changed = bob.outbox.take()[-1]
    assert changed["params"] == {"_meta": {SUBSCRIPTION_KEY: subscription.id}}


def test_clients_are_notified_when_the_routers_own_tools_change() -> None:
    talk, alice, _ = ready()
    alice.lists()
    bob = talk.client()  # It has not listed yet, so there is nothing that it could list again.
    talk.happens(CoreSettingsChanged(CoreSettings("9.9", allow_instance_management=True)))
    assert [frame["method"] for frame in alice.outbox.take()] == [
        "notifications/tools/list_changed"
    ]
    assert bob.outbox.take() == []
    assert len(alice.lists()) == len(OWN) + 4


def test_a_client_that_selects_its_instance_again_while_it_starts_is_notified_once() -> None:
    talk, alice, upstream = ready()
    alice.uses()
    alice.lists()
    upstream.breaks()
    alice.lists()
    talk.starting("a")
    used = alice.calls("mcp.router.use", {"instance_name": "a"})
    alice.outbox.take()
    talk.up("a", "echo")
    assert used.result["structuredContent"]["instance"] == "a"
    assert [frame["method"] for frame in alice.outbox.take()] == [
        "notifications/tools/list_changed"
    ]
