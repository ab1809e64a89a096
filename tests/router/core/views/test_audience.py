"""The clients that a message of an instance concerns."""

from typing import Any

import pytest

from router.core.views import audience
from router.messages.commands import Principal
from router.messages.instances.exposure import Profile
from tests.router.core.conversation import Conversation, FakeClient

ONLY_B = Principal("m", instances=frozenset({"b"}))
PROFILES = {"work": Profile("direct", ("a",)), "one": Profile("transparent", ("a",))}


def talking() -> Conversation:
    talk = Conversation(profiles=PROFILES)
    for name in ("a", "b"):
        talk.with_instance(name, "echo")
    return talk


def asked(function: Any, talk: Conversation, client: FakeClient) -> bool:
    """Ask one of the functions about the instance `a`."""
    return function(talk.state, talk.state.clients[client.id], talk.state.instances.by_name["a"])


@pytest.mark.parametrize(
    ("view", "principal", "sees", "sees_only"),
    [
        (None, None, True, False),
        ("work", None, True, False),
        ("one", None, True, True),
        ("a", None, True, True),
        ("b", None, False, False),
        ("gone", None, False, False),
        (None, ONLY_B, False, False),
        ("a", ONLY_B, False, False),
    ],
)
def test_a_client_sees_what_its_view_and_its_principal_show(
    view: str | None, principal: Principal | None, *, sees: bool, sees_only: bool
) -> None:
    talk = talking()
    client = talk.client(view=view, principal=principal or Principal())
    assert asked(audience.sees, talk, client) is sees
    assert asked(audience.sees_only, talk, client) is sees_only


def test_logs_of_an_instance_are_for_those_who_see_it_alone_selected_it_or_asked() -> None:
    talk = talking()
    router, direct, one = talk.client(), talk.client(view="work"), talk.client(view="one")
    gone, selected = talk.client(view="gone"), talk.client()
    selected.uses("a")
    hearing = [asked(audience.hears_of, talk, c) for c in (router, direct, one, gone, selected)]
    assert hearing == [False, False, True, False, True]
    direct.asks("logging/setLevel", {"level": "info"})
    assert asked(audience.hears_of, talk, direct)


def test_lists_change_for_those_who_see_an_instance_and_can_be_told() -> None:
    talk = talking()
    clients = {
        "router": talk.client(),
        "direct": talk.client(view="work"),
        "one": talk.client(view="one"),
        "other": talk.client(view="b"),
        "gone": talk.client(view="gone"),
        "lone": talk.client(one_shot=True, view="work"),
        "selected": talk.client(),
    }
    clients["selected"].uses("a")
    lone = talk.stateless_client(view="work")
    lone.calls("a__echo")
    listening = talk.stateless_client(view="work")
    listening.asks("subscriptions/listen", {"notifications": {}})
    listed = audience.clients_that_list(talk.state, talk.state.instances.by_name["a"])
    expected = [clients[name].id for name in ("direct", "one", "selected")]
    assert [client.id for client in listed] == [*expected, listening.id]
