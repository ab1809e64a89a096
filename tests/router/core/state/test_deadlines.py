"""Many deadlines, few wake-ups: never early, a quarter of a second late at most."""

from hypothesis import given
from hypothesis import strategies as st

from router.core.state.deadlines import BUCKET_S, Deadlines

TIMES = st.floats(0, 1e6)


@given(TIMES, TIMES)
def test_nothing_is_due_early_and_nothing_more_than_a_bucket_late(
    at_s: float, now_s: float
) -> None:
    deadlines = Deadlines[str]()
    deadlines.arm("a", at_s)
    due = deadlines.due(now_s)
    if now_s < at_s:
        assert due == []
    if now_s >= at_s + BUCKET_S:
        assert due == ["a"]


@given(TIMES)
def test_a_key_is_due_at_the_next_second(at_s: float) -> None:
    deadlines = Deadlines[str]()
    deadlines.arm("a", at_s)
    next_s = deadlines.next_s()
    assert next_s is not None
    assert at_s <= next_s <= at_s + BUCKET_S
    assert deadlines.due(next_s) == ["a"]
    assert deadlines.next_s() is None


@given(st.lists(st.tuples(st.integers(0, 5), st.none() | TIMES)), TIMES)
def test_after_any_steps_the_due_keys_are_those_of_a_plain_dict(
    steps: list[tuple[int, float | None]], now_s: float
) -> None:
    deadlines, expected = Deadlines[int](), dict[int, float]()
    for key, at_s in steps:
        if at_s is None:
            deadlines.disarm(key)
            expected.pop(key, None)
        else:
            deadlines.arm(key, at_s)
            expected[key] = at_s
        assert len(deadlines) == len(expected)
    due = deadlines.due(now_s)
    assert len(due) == len(set(due))
    assert {key for key, at_s in expected.items() if at_s + BUCKET_S <= now_s} <= set(due)
    assert set(due) <= {key for key, at_s in expected.items() if at_s <= now_s}
    assert len(deadlines) == len(expected) - len(due)


def test_a_deadline_on_a_bucket_boundary_is_due_exactly_then() -> None:
    deadlines = Deadlines[str]()
    deadlines.arm("a", 10.0)
    assert deadlines.next_s() == 10.0
    assert deadlines.due(9.999) == []
    assert deadlines.due(10.0) == ["a"]


def test_a_deadline_in_the_past_is_due_at_once() -> None:
    deadlines = Deadlines[str]()
    deadlines.arm("a", 5.0)
    assert deadlines.due(1000.0) == ["a"]


def test_older_deadlines_come_first() -> None:
    deadlines = Deadlines[str]()
    deadlines.arm("late", 20.0)
    deadlines.arm("early", 10.0)
    assert deadlines.due(30.0) == ["early", "late"]


def test_a_key_that_is_armed_again_is_due_at_the_new_time_only() -> None:
    deadlines = Deadlines[str]()
    deadlines.arm("a", 10.0)
    deadlines.arm("a", 9.9)  # The same bucket.
    deadlines.arm("a", 20.0)
    assert deadlines.due(15.0) == []
    assert deadlines.due(20.0) == ["a"]


def test_disarmed_keys_leave_no_wake_up_behind() -> None:
    deadlines = Deadlines[int]()
    for key in range(1000):
        deadlines.arm(key, 10.0 + key)
        deadlines.disarm(key)
    deadlines.disarm("never armed")  # type: ignore[arg-type]
    assert deadlines.next_s() is None
    assert repr(deadlines) == repr(Deadlines[int]())


def test_a_bucket_that_was_emptied_is_used_again() -> None:
    deadlines = Deadlines[str]()
    deadlines.arm("a", 10.0)
    deadlines.disarm("a")
    deadlines.arm("b", 10.0)
    assert deadlines.due(10.0) == ["b"]
