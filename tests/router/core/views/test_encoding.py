"""Lists are encoded once per change: the part of an instance by itself, and the whole from parts.

Nothing is timed here. The parts that are kept are compared by identity: a part that was encoded
anew is another object.
"""

from typing import Any

import pytest
from msgspec import Raw

from router.core.views.listings import MAX_PIECES
from router.messages.commands import Principal
from router.messages.frames import Response
from router.messages.instances.exposure import NameFilter, Profile
from tests.router.core.conversation import Conversation, FakeClient
from tests.router.core.fake_peers import FakeUpstream

NAMES = ("a", "b", "c")
SOME = Principal("some", instances=frozenset({"a", "b"}))
PROFILES = {
    "few": Profile(instances=("a", "c")),
    "filtered": Profile(tools=NameFilter(deny=("*__two",))),
}


def direct_view(**settings: Any) -> tuple[Conversation, list[FakeUpstream]]:
    talk = Conversation(view="direct", profiles=PROFILES, **settings)
    upstreams = talk.with_upstreams(*NAMES)
    for upstream in upstreams:
        offers(upstream, "one")
    return talk, upstreams


def offers(upstream: FakeUpstream, *names: str) -> None:
    uris = [f"file:///{upstream.instance}/{name}" for name in names]
    upstream.lists(*names, prompts=names, resources=[*uris, "file:///shared"], templates=uris)


def list_everything(client: FakeClient) -> None:
    for part in ("tools", "prompts", "resources", "templates"):
        client.lists(part)


def parts_of(talk: Conversation, name: str) -> dict[Any, tuple[int, Any]]:
    """Return each part of an instance that is kept, with its identity."""
    kept = talk.state.instances.by_name[name].encoded
    return {key: (id(part), part) for key, part in kept.items()}


def everyone(talk: Conversation) -> list[FakeClient]:
    """Return clients of all kinds whose views show the instance `a`."""
    return [
        talk.client(),
        talk.client(principal=SOME),
        talk.client(view="few"),
        talk.client(view="filtered"),
        talk.stateless_client(),
        talk.stateless_client(principal=SOME, view="filtered"),
    ]


def result_of(client: FakeClient, method: str) -> Raw:
    (answer,) = client.asks(method).finals
    assert isinstance(answer, Response)
    return answer.result


@pytest.mark.parametrize("method", ["tools/list", "prompts/list", "resources/list"])
def test_a_list_is_the_same_bytes_until_something_changes(method: str) -> None:
    talk, (upstream, *_) = direct_view()
    alice = talk.client()
    before = result_of(alice, method)
    assert result_of(talk.client(), method) is before
    offers(upstream, "one", "two")
    assert result_of(alice, method) is not before


def test_a_change_of_one_instance_encodes_no_other_instance_anew() -> None:
    talk, (upstream, *_) = direct_view()
    clients = everyone(talk)
    for client in clients:
        list_everything(client)
    before = {name: parts_of(talk, name) for name in NAMES}
    offers(upstream, "one", "two")
    for client in clients:
        list_everything(client)
    assert parts_of(talk, "b") == before["b"]
    assert parts_of(talk, "c") == before["c"]
    assert parts_of(talk, "a").keys() == before["a"].keys()


def test_all_views_share_the_part_of_an_instance() -> None:
    talk, _ = direct_view()
    handshake, *others = everyone(talk)
    list_everything(handshake)
    before = parts_of(talk, "a")
    for client in others:
        list_everything(client)
    after = parts_of(talk, "a")
    assert {key: after[key] for key in before} == before
    # What is added are the tools in the words of 2026-07-28.
    assert [key[:2] for key in after if key not in before] == [("tools", True)]


def test_an_instance_that_comes_or_goes_encodes_no_other_anew() -> None:
    talk, (_, _, last) = direct_view()
    alice = talk.client()
    list_everything(alice)
    before = parts_of(talk, "a")
    last.breaks()
    alice.lists()
    talk.down("c")
    talk.starting("c")
    talk.up("c", "one")
    alice.lists()
    assert parts_of(talk, "a") == before


def test_a_change_of_the_configuration_encodes_no_other_instance_anew() -> None:
    talk, _ = direct_view()
    alice = talk.client()
    list_everything(alice)
    before = parts_of(talk, "b")
    talk.with_instance("d", "one")
    list_everything(alice)
    assert parts_of(talk, "b") == before


def test_the_parts_of_an_instance_do_not_pile_up_while_another_changes() -> None:
    talk = Conversation(view="direct")
    uris = [f"x:{number}" for number in range(2 * MAX_PIECES)]
    talk.with_instance("a", resources=uris)
    other = talk.with_instance("b")
    alice = talk.client()
    for uri in uris:
        other.lists(resources=[uri])
        assert alice.lists("resources").count(uri) == 0
    assert len(talk.state.instances.by_name["a"].encoded["resources"]) == MAX_PIECES
