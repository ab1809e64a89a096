"""The ids of calls, and the search for a call by its id."""

from router.core.state.calls import MAX_ID, Calls
from tests.router.core.conversation import ready


def test_ids_are_even_and_wrap_around_within_31_bits() -> None:
    calls = Calls()
    calls._last_id = MAX_ID - 4
    assert [calls.next_id() for _ in range(4)] == [MAX_ID - 2, MAX_ID, 2, 4]


def test_an_id_in_flight_is_not_given_out_again() -> None:
    talk, alice, upstream = ready()
    alice.routes("echo")
    seen = upstream.sees_one()
    calls = talk.state.calls
    calls._last_id = MAX_ID
    assert calls.next_id() == seen["id"] + 2


def test_a_call_is_found_by_its_id_on_its_own_session_only() -> None:
    talk, alice, upstream = ready()
    alice.routes("echo")
    seen = upstream.sees_one()
    calls = talk.state.calls
    found = calls.find(seen["id"], upstream.session)
    assert found is calls.by_id[seen["id"]]
    assert calls.find(seen["id"], upstream.session + 1) is None
    assert calls.find(str(seen["id"]), upstream.session) is None
    assert calls.find(None, upstream.session) is None
    assert calls.of_session(upstream.session) == [found]
    assert calls.of_session(upstream.session + 1) == []
