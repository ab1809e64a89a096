"""Findings: their order, and the exit status."""

from __future__ import annotations

from router.doctor.findings import Finding, exit_status, split_way_out, worst_first

ERROR, WARNING, NOTE = (Finding(one, "t", one, "p") for one in ("error", "warning", "note"))


def test_exit_status_is_that_of_the_worst() -> None:
    assert exit_status([]) == exit_status([NOTE]) == 0
    assert exit_status([NOTE, WARNING]) == 1
    assert exit_status([WARNING, ERROR, NOTE]) == 2


def test_worst_come_first_and_equals_keep_their_order() -> None:
    other = Finding("note", "t", "other", "p")
    assert worst_first([NOTE, WARNING, other, ERROR]) == [ERROR, WARNING, NOTE, other]


def test_way_out_is_the_last_part_of_a_message() -> None:
    assert split_way_out("is a; and b; do c") == ("is a; and b", "do c")
    assert split_way_out("no answer (x.Y). Is it running?") == ("no answer (x.Y)", "Is it running?")
    assert split_way_out("is wrong") == ("is wrong", "")
