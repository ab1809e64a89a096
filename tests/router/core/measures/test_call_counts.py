"""Counts of requests: by outcome and code, in buckets of durations, per instance."""

from router.core.measures.call_counts import OTHER_CODE, CallCounts, InstanceCounts
from router.messages.errors import TIMEOUT
from router.messages.observability.metrics import DURATION_BOUNDS_S


def test_answers_are_counted_by_kind_outcome_and_code() -> None:
    counts = InstanceCounts()
    counts.answered("tools/call", "ok", 0, 0.5)
    counts.answered("tools/call", "ok", 0, 1.5)
    counts.answered("tools/call", "error", TIMEOUT, 30.0)
    counts.answered("prompts/get", "error", -1, 0.0)
    shown = counts.snapshot()
    assert shown["tools/call"].ends == {("ok", ""): 2, ("error", "-32011"): 1}
    assert shown["tools/call"].sum_s == 32.0
    assert shown["prompts/get"].ends == {("error", OTHER_CODE): 1}


def test_a_duration_is_in_the_bucket_whose_bound_it_does_not_exceed() -> None:
    counts = InstanceCounts()
    for bound_s in DURATION_BOUNDS_S:
        counts.answered("tools/call", "ok", 0, bound_s)
    counts.answered("tools/call", "ok", 0, 301.0)
    assert counts.snapshot()["tools/call"].buckets == (1,) * (len(DURATION_BOUNDS_S) + 1)
    assert list(DURATION_BOUNDS_S) == sorted(set(DURATION_BOUNDS_S))


def test_what_gets_no_answer_has_no_duration() -> None:
    counts = InstanceCounts()
    counts.unanswered("tools/call", "cancelled")
    counts.unanswered("tools/call", "gone")
    shown = counts.snapshot()["tools/call"]
    assert shown.ends == {("cancelled", ""): 1, ("gone", ""): 1}
    assert sum(shown.buckets) == 0


def test_a_snapshot_stays_as_it_is() -> None:
    counts = InstanceCounts()
    counts.answered("tools/call", "ok", 0, 0.5)
    shown = counts.snapshot()
    counts.answered("tools/call", "ok", 0, 0.5)
    assert shown["tools/call"].ends == {("ok", ""): 1}


def test_counts_go_with_their_instance_and_stay_while_it_is_only_changed() -> None:
    counts = CallCounts()
    counts.configure(["a", "b"])
    counts.of("a").restarts += 1
    counts.of("b").restarts += 1
    counts.configure(["a", "c"])
    counts.of("b").restarts += 1  # A late end: nobody keeps it.
    counts.configure(["a", "b"])
    assert [counts.of(name).restarts for name in ("a", "b", "")] == [1, 0, 0]
    assert counts.of("") is counts.own
