"""The search index is sent what has changed, once somebody has searched."""

from typing import Any

import pytest

from router.core.names.direct_names import direct_name
from router.core.views.searched import index_feed
from router.messages.commands import Principal
from router.messages.instances.oauth_login import OAuthLogin
from router.messages.own_tools.search import IndexTools
from tests.router.core.conversation import Conversation, FakeClient, FakeUpstream, spec
from tests.router.core.peers.own_tools.searched import item, searches, searching


def sent(talk: Conversation) -> list[IndexTools]:
    """Return what was sent since the last time."""
    taken, talk.indexed = talk.indexed, []
    return taken


def rows(talk: Conversation) -> list[tuple[str, list[str]]]:
    return [(one.row, [each.shown for each in one.offered]) for one in sent(talk)]


def test_nothing_is_sent_before_somebody_searches() -> None:
    talk = searching()
    talk.client().lists()
    assert sent(talk) == []


def test_everything_that_a_row_offers_is_sent_before_the_search() -> None:
    talk = Conversation(view="search")
    tools = [item("read file"), item("echo"), item("echo", description="Again.")]
    more: dict[str, Any] = {"resources": ["x:1", "ui://x"], "templates": ["x:{y}"]}
    talk.with_instance("a", *tools, prompts=["ask"], instructions="Reads. Files.", **more)
    searches(talk.client())
    (one,) = sent(talk)
    assert (one.row, one.instance, one.summary) == ("a", "a", "Reads.")
    assert [(each.kind, each.key, each.shown) for each in one.offered] == [
        ("tool", "read file", direct_name("a", "read file", 48)),
        ("tool", "echo", "a__echo"),
        ("prompt", "ask", "a__ask"),
        ("resource", "x:1", "x:1"),
        ("resource", "ui://x", "ui://a/ui%3A%2F%2Fx"),
        ("resource", "x:{y}", "x:{y}"),
    ]
    assert list(one.offered)[1].raw == tools[1].raw


def test_resources_of_which_nobody_can_repeat_the_uri_are_not_sent() -> None:
    talk = Conversation(view="search")
    talk.with_instance("a", resources=["x:1", "x:" + "2" * index_feed.MAX_URI_CHARS])
    searches(talk.client())
    assert rows(talk) == [("a", ["x:1"])]


def test_only_what_has_changed_is_sent_again() -> None:
    talk = searching()
    upstream = talk.with_instance("b", "echo")
    alice = talk.client()
    searches(alice)
    assert [row for row, _ in rows(talk)] == ["a", "b"]
    searches(alice)
    assert sent(talk) == []
    upstream.lists("echo", "other")
    assert rows(talk) == [("b", ["b__echo", "b__other"])]
    searches(alice)
    assert sent(talk) == []
    talk.settings_change(name_limit=16)
    searches(alice)
    assert len(rows(talk)) == 2


def test_what_is_not_shown_any_more_is_forgotten_and_sent_when_it_comes_back() -> None:
    talk = searching("echo")
    alice = talk.client()
    searches(alice)
    sent(talk)
    talk.failed("a")
    searches(alice)
    assert rows(talk) == [("a", [])]
    talk.starting("a")
    talk.up("a", "echo")
    assert rows(talk) == [("a", ["a__echo"])]


def test_lists_that_are_still_shown_while_a_server_is_away_stay() -> None:
    talk = searching("echo")
    alice = talk.client()
    searches(alice)
    sent(talk)
    talk.down("a")
    searches(alice)
    assert sent(talk) == []


def test_an_instance_that_is_gone_is_forgotten() -> None:
    talk = searching()
    talk.with_instance("b", "echo")
    searches(talk.client())
    sent(talk)
    talk.configured(spec("b"))
    assert rows(talk) == [("a", [])]
    talk.configured()
    assert rows(talk) == [("b", [])]
    assert talk.state.searches.indexed == {}


# --- Persons -----------------------------------------------------------------------------------


def with_persons(*names: str) -> tuple[Conversation, list[FakeClient]]:
    """Begin with a session of each of these persons, whose only tool is named after the person."""
    talk = Conversation(view="search")
    login = {"type": "http", "url": "https://there.example/mcp", "oauth": OAuthLogin(per_user=True)}
    talk.configured(spec("a", sessions="per_client", **login))
    clients = [talk.client(principal=Principal(name)) for name in names]
    for client, name in zip(clients, names, strict=True):
        client.calls("a__echo")
        talk.starting(talk.started[-1].name)
        talk.up(talk.started[-1].name, name)
    return talk, clients


def tools(talk: Conversation) -> list[list[str]]:
    return [[each.key for each in one.offered] for one in sent(talk)]


def test_each_person_searches_the_own_part_of_an_instance() -> None:
    talk, clients = with_persons("ann", "bob")
    for client in clients:
        searches(client)
    first, second = sent(talk)
    assert [each.key for each in first.offered] == ["ann"]
    assert [each.key for each in second.offered] == ["bob"]
    assert (first.instance, second.instance) == ("a", "a")
    assert first.row != second.row
    assert [search.rows for search in talk.searches] == [{first.row}, {second.row}]


def test_the_parts_that_were_searched_longest_ago_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(index_feed, "MAX_PARTS", 2)
    talk, (ann, bob, cid) = with_persons("ann", "bob", "cid")
    for client in (ann, bob, ann):
        searches(client)
        talk.found()
    assert tools(talk) == [["ann"], ["bob"]]
    searches(cid)
    talk.found()
    assert tools(talk) == [["cid"], []]
    searches(ann)
    talk.found()
    assert tools(talk) == []
    searches(bob)
    talk.found()
    assert tools(talk) == [["bob"], []]


def test_a_part_is_not_forgotten_while_it_is_to_be_searched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(index_feed, "MAX_PARTS", 0)
    talk, (ann,) = with_persons("ann")
    searches(ann)
    assert tools(talk) == [["ann"]]


def test_a_part_is_not_forgotten_while_another_search_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(index_feed, "MAX_PARTS", 1)
    talk, (ann, bob) = with_persons("ann", "bob")
    searches(ann)
    searches(bob)
    assert tools(talk) == [["ann"], ["bob"]]
    talk.found()
    searches(bob)
    assert tools(talk) == [[]]


def test_a_part_of_which_nobody_searches_anything_is_not_sent_when_it_changes() -> None:
    talk, (ann,) = with_persons("ann")
    searches(talk.client(principal=Principal("zoe")))
    part = next(iter(talk.state.instances.by_name["a"].persons.values()))
    (session,) = part.client_sessions.values()
    assert session.session is not None
    FakeUpstream(talk, session.spec.name, session.session.session).lists("more")
    assert tools(talk) == []
    searches(ann)
    assert tools(talk) == [["more"]]


def test_the_part_of_a_person_is_forgotten_with_its_instance() -> None:
    talk, (ann,) = with_persons("ann")
    searches(ann)
    sent(talk)
    talk.configured()
    assert tools(talk) == [[]]
