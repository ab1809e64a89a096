"""The suggestions for a wrong name."""

import pytest

from router.core.text import nearest_names
from router.core.text.nearest_names import did_you_mean


@pytest.mark.parametrize(
    ("wanted", "names", "nearest"),
    [
        ("ehco", ["add", "echo", "each", "list"], ["echo", "each", "add"]),
        ("Read-File", ["write_file", "READ_FILE", "read"], ["READ_FILE", "write_file", "read"]),
        ("github__get_issue", ["list", "get_issue"], ["get_issue", "list"]),
        ("x", ["b", "a", "d", "c"], ["b", "a", "d"]),
        ("x", [], []),
    ],
    ids=["swapped letters", "case", "prefix", "nothing alike", "no names"],
)
def test_the_three_nearest_come_first_and_equally_near_ones_in_their_order(
    wanted: str, names: list[str], nearest: list[str]
) -> None:
    assert nearest_names.nearest_names(wanted, names) == nearest


def test_the_nearest_is_found_among_thousands() -> None:
    names = [f"tool_{number}_of_many" for number in range(nearest_names.MAX_NAMES - 1)]
    assert nearest_names.nearest_names("raed_file", [*names, "read_file"])[0] == "read_file"


def test_names_are_looked_at_as_far_as_a_limit_only() -> None:
    names = ["a"] * nearest_names.MAX_NAMES
    assert nearest_names.nearest_names("wanted", [*names, "wanted"]) == ["a"] * 3


def test_a_name_that_is_too_long_is_not_suggested_and_a_long_wrong_one_is_cut() -> None:
    longest = "x" * nearest_names.MAX_NAME
    assert nearest_names.nearest_names("x" * 10**6, [longest + "x", longest]) == [longest]


def test_suggestions_end_the_sentence_before_them() -> None:
    assert did_you_mean("a", ["b", "c"]) == ". Did you mean 'b', 'c'?"
    assert did_you_mean("a", []) == ""


@pytest.mark.parametrize(
    ("written", "meant"),
    [("idle-Stop", "idle_stop_s"), ("replica", "replicas"), ("enabled", None), ("", None)],
)
def test_misspelling_is_told_from_another_word(written: str, meant: str | None) -> None:
    names = ["disabled", "idle_stop_s", "replicas"]
    assert nearest_names.likely_meant(written, names) == meant
    assert nearest_names.likely_meant(written, []) is None
