"""The routing state: its keys."""

from router.core.state.routing_state import RoutingState
from router.messages.core_settings import CoreSettings
from tests.router.core.conversation import FakeSeal


def state() -> RoutingState:
    return RoutingState(CoreSettings("1"), FakeSeal())


def test_keys_are_never_given_out_twice() -> None:
    routing = state()
    assert [routing.next_key() for _ in range(3)] == [1, 2, 3]
