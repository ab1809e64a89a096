"""Direct views of any servers: whatever is listed leads to the server that it was listed for.

So names and URIs are unique, they do not depend on other servers, and each can be undone.
"""

from collections import Counter
from typing import Any

import attrs
from hypothesis import example, given
from hypothesis import strategies as st

from router.messages.catalog import Item
from router.messages.instances.exposure import NameFilter, Profile, matches_any
from tests.router.core.conversation import Conversation, raw, spec
from tests.router.core.fake_peers import FakeClient, FakeUpstream, SentRequest

CONFUSABLE = st.text(st.sampled_from("ab_-.é:/{}%"), min_size=1, max_size=6)
NAMES = (
    CONFUSABLE
    | st.text(min_size=1, max_size=30)
    | st.sampled_from(["工具" * 9, "🦀 🦀", "a\0\n", "x" * 300, "__", "a__b"])
)
URIS = NAMES | st.builds("{}://{}".format, st.sampled_from(["file", "ui", "文件"]), NAMES)
LIMITS = st.integers(16, 64)


@attrs.frozen
class Offer:
    """The lists of one server."""

    tools: list[str]
    prompts: list[str]
    resources: list[str]
    templates: list[str]


def lists_of(texts: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(texts, max_size=4, unique=True)


OFFERS = st.builds(Offer, lists_of(NAMES), lists_of(NAMES), lists_of(URIS), lists_of(URIS))
SERVERS = st.dictionaries(NAMES, OFFERS, min_size=1, max_size=4)


class Site:
    """A direct view of these servers."""

    def __init__(self, servers: dict[str, Offer], limit: int, **more: Any) -> None:
        self.talk = Conversation(view="direct", name_limit=limit, **more)
        self.servers = servers
        self.talk.configured(*map(spec, servers))
        self.upstreams = [self._up(name, offer) for name, offer in servers.items()]

    def _up(self, name: str, offer: Offer) -> FakeUpstream:
        self.talk.starting(name)
        lists = attrs.asdict(offer)
        return self.talk.up(name, *lists.pop("tools"), **lists)

    def pairs(self, part: str) -> list[tuple[str, str]]:
        """Return each server's name with each of its own names, in the order of a list."""
        return [(name, own) for name, offer in self.servers.items() for own in getattr(offer, part)]

    def arrival(self, asked: SentRequest, *members: str) -> tuple[str, str]:
        """Return the server that a request came to, and its own name there."""
        assert asked.is_waiting, asked.finals
        ((instance, seen),) = [
            (upstream.instance, frame) for upstream in self.upstreams for frame in upstream.sees()
        ]
        found = seen["params"]
        for member in members:
            found = found[member]
        return instance, found


def completes(client: FakeClient, template: str) -> SentRequest:
    ref = {"type": "ref/resource", "uri": template}
    return client.asks("completion/complete", {"ref": ref, "argument": {"name": "x", "value": ""}})


@given(SERVERS, LIMITS)
@example({"a": Offer(["_b"], ["b"], ["x"], []), "a_": Offer(["b"], ["b"], ["x"], [])}, 16)
def test_whatever_is_listed_leads_to_the_server_that_has_it(
    servers: dict[str, Offer], limit: int
) -> None:
    site = Site(servers, limit)
    alice = site.talk.client()
    shown = alice.lists()
    assert [site.arrival(alice.calls(name), "name") for name in shown] == site.pairs("tools")
    shown = alice.lists("prompts")
    assert [
        site.arrival(alice.asks("prompts/get", {"name": name}), "name") for name in shown
    ] == site.pairs("prompts")
    shown = alice.lists("resources")
    assert [site.arrival(alice.reads(uri), "uri") for uri in shown] == site.pairs("resources")
    shown = alice.lists("templates")
    assert [site.arrival(completes(alice, one), "ref", "uri") for one in shown] == (
        site.pairs("templates")
    )


@given(SERVERS, LIMITS)
def test_names_are_unique_and_follow_from_their_own_server_alone(
    servers: dict[str, Offer], limit: int
) -> None:
    together = Site(servers, limit).talk.client()
    for part in ("tools", "prompts"):
        shown = together.lists(part)
        assert max(Counter(shown).values(), default=1) == 1
        alone = [
            name
            for instance, offer in servers.items()
            for name in Site({instance: offer}, limit).talk.client().lists(part)
        ]
        assert shown == alone


def test_a_name_that_a_server_lists_twice_is_listed_once_as_it_is_first() -> None:
    talk = Conversation(view="direct")
    first, second = (
        Item("x", raw({"name": "x", "description": text})) for text in ("first", "second")
    )
    talk.configured(spec("a"))
    talk.starting("a")
    talk.up("a", first, "y", second, prompts=["p", "p"])
    alice = talk.client()
    assert alice.lists() == ["a__x", "a__y"]
    assert alice.asks("tools/list").result["tools"][0]["description"] == "first"
    assert alice.lists("prompts") == ["a__p"]


PATTERNS = st.lists(st.text("ab_-*?", min_size=1, max_size=6), max_size=3).map(tuple)


@given(SERVERS, LIMITS, PATTERNS, PATTERNS, PATTERNS)
def test_a_profile_shows_what_its_patterns_admit_and_nothing_else_can_be_called(
    servers: dict[str, Offer],
    limit: int,
    instances: tuple[str, ...],
    allow: tuple[str, ...],
    deny: tuple[str, ...],
) -> None:
    profile = Profile(instances=instances, tools=NameFilter(allow, deny))
    site = Site(servers, limit, profiles={"some": profile})
    everything = site.talk.client().lists()
    alice = site.talk.client(view="some")
    shown = alice.lists()
    pairs = site.pairs("tools")
    assert shown == [
        name
        for name, (instance, _) in zip(everything, pairs, strict=True)
        if matches_any(instance, instances)
        and matches_any(name, allow)
        and not matches_any(name, deny)
    ]
    for name, pair in zip(everything, pairs, strict=True):
        asked = alice.calls(name)
        if name in shown:
            assert site.arrival(asked, "name") == pair
        else:
            assert asked.error["code"] == -32602
            assert not any(upstream.sees() for upstream in site.upstreams)
