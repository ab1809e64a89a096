"""The clients that are told that their lists have changed, and how often."""

from typing import Any

import pytest

from router.core.protocol.bridging import SUBSCRIPTION_KEY
from router.messages.commands import Principal
from router.messages.core_settings import CoreSettings
from router.messages.events import CoreSettingsChanged
from router.messages.instances.exposure import Exposure, NameFilter, Profile
from tests.router.core.conversation import Conversation, FakeClient, SentRequest, ready, spec

OWN = ["mcp.router.use", "mcp.router.list", "mcp.router.help", "mcp.router.call"]

TOOLS = "notifications/tools/list_changed"
PROMPTS = "notifications/prompts/list_changed"
RESOURCES = "notifications/resources/list_changed"
ALL = [PROMPTS, RESOURCES, TOOLS]

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


# --- Direct and transparent views --------------------------------------------------------------

OFFERS: dict[str, Any] = {"prompts": ["p"], "resources": ["x:1"], "templates": ["x:{y}"]}


def listing(client: FakeClient) -> FakeClient:
    """Have a client list everything, so that each change is news for it."""
    for part in ("tools", "prompts", "resources", "resources/templates"):
        client.asks(f"{part}/list")
    client.outbox.take()
    return client


def listens(client: FakeClient, **more: Any) -> SentRequest:
    """Have a client of 2026-07-28 listen to all kinds of lists."""
    kinds = {f"{kind}ListChanged": True for kind in ("tools", "prompts", "resources")}
    asked = client.asks("subscriptions/listen", {"notifications": kinds | more})
    asked.mailbox.take()
    return asked


def heard(asked: SentRequest) -> list[str]:
    """Return what came on a subscription since the last time; all of it is marked as its own."""
    frames = asked.mailbox.take()
    assert all(frame["params"]["_meta"] == {SUBSCRIPTION_KEY: asked.id} for frame in frames)
    return [frame["method"] for frame in frames]


@pytest.mark.parametrize("view", ["direct", "a"])
@pytest.mark.parametrize(
    ("lists", "told"),
    [
        ({"tools": ("other",)}, [TOOLS]),
        ({"prompts": ["q"]}, [PROMPTS]),
        ({"resources": ["x:2"]}, [RESOURCES]),
        ({"templates": ["x:{z}"]}, [RESOURCES]),
        ({"tools": (), "prompts": [], "resources": [], "templates": []}, ALL),
        ({}, []),
        ({"announced": ["tools", "resources"]}, [RESOURCES, TOOLS]),
    ],
)
def test_clients_are_told_of_the_kinds_of_lists_that_changed(
    view: str, lists: Any, told: list[str]
) -> None:
    talk = Conversation(view=view)
    upstream = talk.with_instance("a", "echo", **OFFERS)
    alice, asked = listing(talk.client()), listens(talk.stateless_client())
    on_connection = talk.stateless_connection()
    shared = listens(on_connection)
    changed = OFFERS | lists
    upstream.lists(*changed.pop("tools", ("echo",)), **changed)
    assert (alice.hears(), heard(asked), heard(shared)) == (told, told, told)


def test_list_changed_is_sent_once_for_each_kind_until_that_kind_is_listed_again() -> None:
    talk = Conversation(view="direct")
    upstream = talk.with_instance("a", "echo", **OFFERS)
    alice, asked = listing(talk.client()), listens(talk.stateless_client())
    upstream.lists("one", prompts=["q"])
    assert alice.hears() == ALL
    upstream.lists("two", prompts=["r"])
    assert alice.hears() == []
    alice.lists("prompts")
    upstream.lists("three", prompts=["s"])
    assert alice.hears() == [PROMPTS]
    alice.lists("templates")
    upstream.lists("three", prompts=["s"], resources=["x:9"])
    assert alice.hears() == [RESOURCES]
    # A subscription is told of each change: the router does not see what its client lists.
    assert heard(asked) == [*ALL, PROMPTS, TOOLS, PROMPTS, TOOLS, RESOURCES]


def test_a_client_that_has_not_listed_yet_is_told_nothing() -> None:
    talk = Conversation(view="direct")
    upstream = talk.with_instance("a", "echo")
    alice = talk.client()
    alice.initializes()
    upstream.lists("other")
    assert alice.hears() == []


@pytest.mark.parametrize("view", ["direct", "a"])
def test_an_instance_that_comes_back_is_told_if_its_lists_are_others(view: str) -> None:
    talk = Conversation(view=view)
    upstream = talk.with_instance("a", "echo", prompts=["p"])
    alice, asked = listing(talk.client()), listens(talk.stateless_client())
    upstream.breaks()
    talk.down("a", "it broke")
    talk.starting("a")
    again = talk.up("a", "echo", prompts=["p"])
    assert alice.hears() == heard(asked) == []
    again.breaks()
    talk.starting("a")
    talk.up("a", "sing", prompts=["p"])
    assert alice.hears() == heard(asked) == [TOOLS]


@pytest.mark.parametrize("view", ["direct", "a"])
def test_an_instance_whose_lists_are_not_kept_is_told_when_it_goes_and_comes(view: str) -> None:
    talk = Conversation(view=view)
    talk.configured(spec("a", catalogue_cache=False))
    talk.starting("a")
    upstream = talk.up("a", "echo", prompts=["p"])
    alice, asked = listing(talk.client()), listens(talk.stateless_client())
    upstream.breaks()
    assert alice.hears() == heard(asked) == [PROMPTS, TOOLS]
    listing(alice)
    talk.starting("a")
    assert alice.hears() == []
    talk.up("a", "echo")
    assert alice.hears() == heard(asked) == [TOOLS]


def test_an_instance_that_is_added_is_told_once_it_is_there() -> None:
    talk = Conversation(view="direct")
    alice = listing(talk.client())
    talk.configured(spec("a"))
    assert alice.hears() == []
    talk.starting("a")
    talk.up("a", "echo")
    assert alice.hears() == [TOOLS]


@pytest.mark.parametrize("calling", [False, True])
def test_an_instance_that_is_removed_or_replaced_is_told(calling: bool) -> None:
    for specs in ((), (spec("a", command="another"),)):
        talk = Conversation(view="direct")
        talk.with_instance("a", "echo")
        alice = listing(talk.client())
        if calling:
            alice.calls("a__echo")
        talk.configured(*specs)
        assert alice.hears() == [TOOLS]
        assert alice.lists() == []


def test_nobody_is_told_of_an_instance_that_its_view_does_not_show() -> None:
    talk = Conversation(view="direct", profiles={"work": Profile("direct", ("b",))})
    talk.with_instance("b", "echo")
    upstream = talk.with_instance("a", "echo")
    only_b = Principal("m", instances=frozenset({"b"}))
    others = [talk.client(view="work"), talk.client(view="b"), talk.client(principal=only_b)]
    alice = listing(talk.client())
    for other in others:
        listing(other)
    asked = [listens(talk.stateless_client(view="work")), listens(talk.stateless_client(only_b))]
    upstream.lists("other")
    assert [other.hears() for other in others] == [[], [], []]
    assert [heard(one) for one in asked] == [[], []]
    assert alice.hears() == [TOOLS]


# --- Other filters of an instance --------------------------------------------------------------


@pytest.mark.parametrize(
    ("exposure", "told"),
    [
        (Exposure(), []),
        (Exposure(NameFilter(())), [TOOLS]),
        (Exposure(NameFilter(deny=("nothing",))), []),
        (Exposure(rename={"echo": "say"}), [TOOLS]),
        (Exposure(describe={"echo": "Says it."}), [TOOLS]),
        (Exposure(prompts=NameFilter(())), [PROMPTS]),
        (Exposure(resources=NameFilter(())), [RESOURCES]),
        (Exposure(resources=NameFilter(deny=("*{y}",))), [RESOURCES]),
        (Exposure(NameFilter(()), NameFilter(()), NameFilter(())), ALL),
    ],
)
@pytest.mark.parametrize("view", ["direct", "a"])
def test_another_filter_is_told_to_those_whose_lists_it_changes(
    view: str, exposure: Exposure, told: list[str]
) -> None:
    talk = Conversation(view=view)
    talk.with_instance("a", "echo", **OFFERS)
    alice = listing(talk.client())
    talk.configured(spec("a", exposure=exposure))
    assert alice.hears() == told
    listing(alice)
    talk.configured(spec("a"))
    assert alice.hears() == told
    assert (len(talk.started), talk.stopped) == (1, [])


# --- Other settings ----------------------------------------------------------------------------


def test_profiles_that_change_are_told_to_those_whose_lists_differ() -> None:
    work, play = Profile("direct", ("a",)), Profile("direct", ("b",))
    talk = Conversation(view="direct", profiles={"work": work, "play": play})
    talk.with_instance("a", "echo", "rm", prompts=["p"])
    talk.with_instance("b", "echo")
    at_work, at_play = listing(talk.client(view="work")), listing(talk.client(view="play"))
    default, lone = listing(talk.client()), listens(talk.stateless_client(view="work"))
    unlisted = talk.client(view="work")
    fewer = Profile("direct", ("a",), NameFilter(deny=("*__rm",)), title="Work")
    talk.settings_change(profiles={"work": fewer, "play": play})
    assert at_work.hears() == heard(lone) == [TOOLS]
    assert (default.hears(), at_play.hears(), unlisted.hears()) == ([], [], [])
    listing(at_work)
    talk.settings_change(profiles={"work": Profile("direct", ("b",)), "play": play})
    assert at_work.hears() == heard(lone) == [PROMPTS, TOOLS]
    listing(at_work)
    talk.settings_change(profiles={"work": play, "play": play}, timeout_s=5.0)
    assert (at_work.hears(), heard(lone), at_play.hears(), default.hears()) == ([], [], [], [])


def test_a_profile_that_is_removed_is_told_and_nothing_breaks_for_its_clients() -> None:
    talk = Conversation(profiles={"work": Profile()})
    upstream = talk.with_instance("a", "echo", **OFFERS)
    alice, lone = listing(talk.client(view="work")), listens(talk.stateless_client(view="work"))
    talk.settings_change(profiles={})
    assert TOOLS in alice.hears()
    assert TOOLS in heard(lone)
    upstream.lists("other")
    upstream.says("notifications/message", {"level": "error", "data": "x"})
    upstream.says("notifications/odd")
    talk.settings_change(profiles={}, name_limit=20)
    assert (alice.hears(), heard(lone)) == ([], [])
    talk.settings_change(profiles={"work": Profile()})
    assert alice.lists() == ["a__other"]


def test_another_default_view_is_told_to_those_at_the_default_place() -> None:
    talk = Conversation(view="router")
    talk.with_instance("a", "echo", prompts=["p"])
    alice, at_a = talk.client(), listing(talk.client(view="a"))
    alice.lists()
    talk.settings_change(view="direct")
    assert (alice.hears(), at_a.hears()) == ([TOOLS], [])
    assert alice.lists() == ["a__echo"]


def test_a_shorter_limit_for_names_is_told_to_those_whose_names_it_cuts() -> None:
    talk = Conversation(view="direct")
    talk.with_instance("a", "a_tool_with_a_long_name", prompts=["p"])
    talk.with_instance("b", "echo")
    alice, only_b = listing(talk.client()), Principal("m", instances=frozenset({"b"}))
    bob = listing(talk.client(principal=only_b))
    talk.settings_change(name_limit=16)
    assert (alice.hears(), bob.hears()) == ([TOOLS], [])


def test_an_instance_that_comes_to_share_uris_changes_the_lists_of_resources() -> None:
    talk = Conversation(view="direct")
    talk.with_instance("a", resources=["x:1"])
    alice = listing(talk.client())
    talk.with_instance("b", resources=["x:1"])
    assert alice.hears() == [RESOURCES]


def test_a_subscription_is_told_only_of_the_kinds_that_it_wants() -> None:
    talk = Conversation(view="direct")
    upstream = talk.with_instance("a", "echo", **OFFERS)
    asked = listens(talk.stateless_client(), toolsListChanged=False, promptsListChanged="yes")
    upstream.lists()
    assert heard(asked) == [RESOURCES]


@pytest.mark.parametrize(
    ("view", "kinds"),
    [
        ("router", ["tools"]),
        ("direct", ["tools", "prompts", "resources"]),
        ("a", ["tools", "prompts", "resources"]),
    ],
)
def test_a_subscription_is_acknowledged_with_the_kinds_that_its_view_has(
    view: str, kinds: list[str]
) -> None:
    talk = Conversation(view=view)
    talk.with_instance("a", "echo")
    wanted = {f"{kind}ListChanged": True for kind in ("tools", "prompts", "resources", "odd")}
    for client in (talk.stateless_client(), talk.stateless_connection()):
        asked = client.asks("subscriptions/listen", {"notifications": wanted})
        (acknowledged,) = asked.mailbox.take()
        honoured = acknowledged["params"]["notifications"]
        assert honoured == {f"{kind}ListChanged": True for kind in kinds}


def test_a_subscription_at_a_place_that_is_gone_is_refused() -> None:
    error = Conversation().stateless_client(view="gone").asks("subscriptions/listen").error
    assert error == {"code": -32010, "message": "View not found: gone"}
