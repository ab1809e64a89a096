"""The lines of the log about how the instances got up after the start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.dispatch.start_report import (
    AT_LATEST_S,
    COUNTED_WITHIN_S,
    QUIET_S,
    SETTLED_S,
    StartReport,
)
from supervisors.child import Delayed, Down, GaveUp, Starting, Up

if TYPE_CHECKING:
    from collections.abc import Iterable

    from supervisors.child import ChildEvent

BOOM = OSError("boom")
START_S = 1000.0


def started(names: Iterable[str] = "abc") -> StartReport:
    report = StartReport(START_S)
    for name in names:
        report.expect(name, START_S)
    return report


def up(name: str) -> Up:
    return Up(name, None)


def lines(report: StartReport, *events: tuple[float, ChildEvent], until_s: float) -> list[str]:
    """Return the lines that are said, each with its time, as the actor would say them.

    Args:
        events: each with the seconds since the start.
        until_s: seconds since the start.
    """
    said: list[str] = []

    def say_until(now_s: float) -> None:
        deadline_s = report.next_deadline_s()
        if deadline_s is not None and deadline_s <= now_s:
            line = report.line(deadline_s)
            assert line is not None
            said.append(f"{deadline_s - START_S:g}: {line}")

    for at_s, event in events:
        say_until(START_S + at_s)
        report.take(event, START_S + at_s)
    say_until(START_S + until_s)
    say_until(START_S + until_s)
    return said


def test_all_that_get_up_soon_are_one_line() -> None:
    events = [(n, up(name)) for n, name in enumerate("abc")]
    assert lines(started(), *events, until_s=1e6) == ["2: All 3 instances are up"]


def test_a_single_instance_is_no_plural() -> None:
    assert lines(started("a"), (3, up("a")), until_s=100) == ["3: The only instance is up"]


def test_without_instances_nothing_is_said() -> None:
    report = started("")
    assert report.line(START_S + 1000) is None
    assert report.next_deadline_s() is None


def test_the_rest_is_named_when_nothing_has_changed_for_a_while() -> None:
    report = started()
    events = [(1, Starting("b")), (4, up("a")), (5, Delayed("c", "installing", 300))]
    expected = f"{4 + QUIET_S:g}: 1 of 3 instances are up; not up: b (starting), c (starting)"
    assert lines(report, *events, until_s=1e6) == [expected]


def test_instances_that_failed_or_are_down_are_named_as_such() -> None:
    report = started()
    events = [(1, up("a")), (2, GaveUp("b", BOOM, 2, 15)), (2, Down("c", BOOM, 0, 60))]
    expected = f"{2 + QUIET_S:g}: 1 of 3 instances are up; not up: b (failed), c (down)"
    assert lines(report, *events, until_s=1e6) == [expected]


def test_when_each_is_up_or_has_failed_the_line_comes_soon() -> None:
    report = started("ab")
    events = [(1, up("a")), (2, GaveUp("b", BOOM, 2, 15))]
    expected = f"{2 + SETTLED_S:g}: 1 of 2 instances are up; not up: b (failed)"
    assert lines(report, *events, until_s=100) == [expected]


class NeedsLoginError(Exception):
    """An error of a connection."""

    needs_login = True
    login_url = ""


def test_instances_that_need_a_login_are_named_soon() -> None:
    report = started("ab")
    events = [(1, up("a")), (2, Down("b", NeedsLoginError(), 0, None))]
    expected = f"{2 + SETTLED_S:g}: 1 of 2 instances are up; not up: b (needs_login)"
    assert lines(report, *events, until_s=100) == [expected]


def test_many_that_get_up_one_after_the_other_are_summed_up_after_a_minute() -> None:
    names = "abcdefghijklmnopqrstuvwxyz"
    events = [(5 * n, up(name)) for n, name in enumerate(names)]
    first, last = lines(started(names), *events, until_s=1e6)
    assert first.startswith(f"{AT_LATEST_S:g}: 12 of 26 instances are up; not up: m (starting), n")
    assert last == "125: All 26 instances are up"


def test_more_than_twenty_names_are_counted() -> None:
    (line,) = lines(started("abcdefghijklmnopqrstuvw"), until_s=1e6)
    assert line.endswith("t (starting), and 3 more")


def test_all_up_is_said_once_although_some_fail_and_come_back_later() -> None:
    report = started("ab")
    events = [(1, up("a")), (50, up("b")), (500, Down("a", BOOM, 0, 1)), (502, up("a"))]
    assert [line[:3] for line in lines(report, *events, until_s=1e6)] == ["11:", "50:"]
    assert report.is_over
    assert report.next_deadline_s() is None


def test_an_instance_that_flaps_for_months_is_named_once() -> None:
    flaps: list[tuple[float, ChildEvent]] = []
    for n in range(0, 10_000, 2):
        flaps += [(n, Down("b", BOOM, n, 1)), (n + 1, Starting("b")), (n + 1, up("b"))]
    assert len(lines(started("abc"), *flaps, until_s=1e6)) == 1


def test_an_instance_that_is_taken_away_is_not_missed() -> None:
    report = started("ab")
    events = [(1, up("a")), (60, Down("b", None, 0, None))]
    assert lines(report, *events, until_s=100)[-1] == "60: The only instance is up"


def test_an_instance_that_is_started_anew_is_expected_still() -> None:
    report = started("ab")
    report.expect("a", START_S + 20)
    report.take(up("b"), START_S + 20)
    report.take(Down("a", None, 0, 0.0), START_S + 21)
    assert report.line(START_S + 21 + QUIET_S) == "1 of 2 instances are up; not up: a (down)"


def test_what_comes_later_and_sessions_that_nobody_expected_are_not_counted() -> None:
    report = started("a")
    report.expect("late", START_S + COUNTED_WITHIN_S + 1)
    events = [(40, up("b#1")), (41, up("late")), (42, up("a"))]
    assert lines(report, *events, until_s=100)[-1] == "42: The only instance is up"


def test_an_instance_with_replicas_counts_once_and_is_up_with_the_first_of_them() -> None:
    report = started(["a", "b#1", "b#2"])
    events = [(1, up("a")), (2, up("b#2")), (3, GaveUp("b#1", BOOM, 2, 15))]
    assert lines(report, *events, until_s=100)[-1] == "2: All 2 instances are up"


def test_an_instance_whose_replicas_all_failed_is_named_once() -> None:
    report = started(["a", "b#1", "b#2"])
    failed = [(2, GaveUp(f"b#{number}", BOOM, 2, 15)) for number in (1, 2)]
    expected = f"{2 + SETTLED_S:g}: 1 of 2 instances are up; not up: b (failed)"
    assert lines(report, (1, up("a")), *failed, until_s=100) == [expected]
