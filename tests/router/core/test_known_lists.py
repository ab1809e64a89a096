"""The last known lists of an instance are shown until it is ready, and kept when it is."""

import pytest
from attrs import evolve

from router.messages.catalog import Catalog, KnownServer
from router.messages.events import CataloguesRead
from router.messages.instances.exposure import Exposure, NameFilter
from tests.router.core.conversation import Conversation, FakeClient, raw, spec
from tests.router.core.fake_peers import tool

LIST_CHANGED = "notifications/tools/list_changed"


def known(*tools: str, instructions: str | None = None) -> KnownServer:
    catalog = Catalog(tools=tuple(map(tool, tools)))
    return KnownServer("2025-11-25", raw({"tools": {}}), raw({"name": "x"}), instructions, catalog)


def starting(**servers: KnownServer) -> tuple[Conversation, FakeClient]:
    """Begin with instances whose servers are known from the last time and are starting now."""
    talk = Conversation(view="direct")
    talk.happens(CataloguesRead(servers))
    talk.configured(*map(spec, servers))
    for name in servers:
        talk.starting(name)
    alice = talk.client()
    alice.initializes()
    return talk, alice


def told(client: FakeClient) -> list[str]:
    return [frame["method"] for frame in client.outbox.take()]


def test_lists_are_complete_before_any_instance_is_ready() -> None:
    talk, alice = starting(a=known("echo"), b=known("sing"))
    assert alice.lists() == ["a__echo", "b__sing"]
    assert talk.list_row("a")["stale"]


def test_instructions_of_the_last_time_are_given_too() -> None:
    talk, _ = starting(a=known("echo", instructions="Sing in tune."))
    assert "Sing in tune." in talk.client().initializes().result["instructions"]


def test_a_call_of_a_known_tool_waits_for_its_instance() -> None:
    talk, alice = starting(a=known("echo"))
    call = alice.calls("a__echo")
    assert call.is_waiting
    upstream = talk.up("a", "echo")
    upstream.answers(upstream.sees_one(), {"content": []})
    assert call.result == {"content": []}


def test_nobody_is_told_when_the_lists_turn_out_to_be_the_same() -> None:
    talk, alice = starting(a=known("echo"))
    alice.lists()
    talk.up("a", "echo")
    assert told(alice) == []
    assert not talk.list_row("a")["stale"]


def test_lists_that_turn_out_different_replace_the_known_ones() -> None:
    talk, alice = starting(a=known("echo", "hum"))
    alice.lists()
    talk.up("a", "echo", "sing")
    assert told(alice) == [LIST_CHANGED]
    assert alice.lists() == ["a__echo", "a__sing"]


def test_lists_are_kept_when_a_session_is_up_and_when_they_change() -> None:
    talk, _ = starting(a=known("echo"))
    upstream = talk.up("a", "echo")
    upstream.lists("echo", "sing")
    kept = [[item.key for item in effect.known.catalog.tools] for effect in talk.catalogues]
    assert kept == [["echo"], ["echo", "sing"]]
    assert [effect.spec.name for effect in talk.catalogues] == ["a", "a"]


def test_an_instance_that_restarts_stays_listed_and_one_that_failed_does_not() -> None:
    talk, alice = starting(a=known("echo"))
    talk.up("a", "echo").breaks()
    alice.lists()
    talk.down("a", "it broke", 1.0)
    assert alice.lists() == ["a__echo"]
    assert told(alice) == []
    talk.failed("a")
    assert told(alice) == [LIST_CHANGED]
    assert alice.lists() == []
    talk.starting("a")
    assert told(alice) == [LIST_CHANGED]
    assert alice.lists() == ["a__echo"]


def test_an_instance_that_is_not_to_be_remembered_is_listed_only_while_it_is_ready() -> None:
    talk = Conversation(view="direct")
    talk.configured(spec("a", catalogue_cache=False))
    talk.starting("a")
    alice = talk.client()
    upstream = talk.up("a", "echo")
    assert alice.lists() == ["a__echo"]
    assert talk.catalogues == []
    upstream.breaks()
    assert told(alice) == [LIST_CHANGED]
    assert alice.lists() == []


def test_lists_are_kept_at_once_when_remembering_is_switched_on() -> None:
    talk = Conversation(view="direct")
    forgotten = spec("a", catalogue_cache=False)
    talk.configured(forgotten)
    talk.starting("a")
    talk.up("a", "echo")
    talk.configured(evolve(forgotten, catalogue_cache=True))
    assert [effect.spec.catalogue_cache for effect in talk.catalogues] == [True]
    assert talk.started == [forgotten]


def test_nothing_is_known_of_an_instance_with_another_configuration() -> None:
    talk, alice = starting(a=known("echo"))
    alice.lists()
    talk.configured(spec("a", command="another"))
    assert told(alice) == [LIST_CHANGED]
    assert alice.lists() == []


def test_a_new_instance_is_listed_with_what_is_known_of_it() -> None:
    talk, alice = starting(a=known("echo"))
    alice.lists()
    talk.happens(CataloguesRead({"b": known("sing")}))
    talk.configured(spec("a"), spec("b"))
    assert told(alice) == [LIST_CHANGED]
    assert alice.lists() == ["a__echo", "b__sing"]


def test_an_instance_that_is_taken_away_is_listed_no_more() -> None:
    talk, alice = starting(a=known("echo"), b=known("sing"))
    alice.lists()
    talk.configured(spec("b"))
    assert told(alice) == [LIST_CHANGED]
    assert alice.lists() == ["b__sing"]


def test_filters_apply_to_known_lists_and_to_a_change_of_them() -> None:
    talk, alice = starting(a=known("echo", "sing"))
    alice.lists()
    exposure = Exposure(tools=NameFilter(deny=("sing",)))
    talk.configured(spec("a", exposure=exposure))
    assert told(alice) == [LIST_CHANGED]
    assert alice.lists() == ["a__echo"]
    assert [started.name for started in talk.started] == ["a"]


@pytest.mark.parametrize("change", [{"is_active": False}, {"problem": "no"}])
def test_an_instance_that_is_not_started_is_not_listed(change: dict[str, object]) -> None:
    talk = Conversation(view="direct")
    talk.happens(CataloguesRead({"a": known("echo")}))
    talk.configured(spec("a", **change))
    assert talk.client().lists() == []
