"""The routing state: its keys, and what clients see."""

from router.core.state.routing_state import RoutingState
from router.messages.core_settings import CoreSettings
from tests.router.core.conversation import FakeSeal, ready, spec


def state() -> RoutingState:
    return RoutingState(CoreSettings("1"), FakeSeal())


def test_keys_are_never_given_out_twice() -> None:
    routing = state()
    assert [routing.next_key() for _ in range(3)] == [1, 2, 3]


def test_what_a_client_sees_is_found_out_anew_after_each_change_of_the_configuration() -> None:
    talk, alice, _ = ready("b")
    state, client = talk.state, talk.state.clients[alice.id]
    sight = state.sight_of(client)
    assert state.sight_of(client) is sight
    talk.configured(spec("a"))
    assert list(state.seen_by(client).by_name) == ["a"]
    talk.settings_change(view="direct")
    assert state.view_of(client).expose == "direct"


def test_a_client_that_asks_nothing_keeps_no_former_instances() -> None:
    talk, alice, _ = ready("b")
    client = talk.state.clients[alice.id]
    talk.state.sight_of(client)
    talk.configured(spec("a"))
    assert client.sight is None or client.sight.instances is talk.state.instances


def test_a_client_that_asks_nothing_keeps_no_former_settings() -> None:
    talk, alice, _ = ready("b")
    client = talk.state.clients[alice.id]
    former = talk.state.sight_of(client)
    talk.settings_change(view="direct")
    assert client.sight is not former
