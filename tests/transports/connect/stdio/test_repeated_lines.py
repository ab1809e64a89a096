"""Lines that an instance says again and again."""

from __future__ import annotations

import pytest

from transports.connect.stdio.repeated_lines import (
    AT_ONCE,
    FORGOTTEN_AFTER_S,
    MAX_FORMS,
    PER_S,
    SaidLines,
    continues,
)


def repeats(said: SaidLines, line: str, now_s: float = 0.0, *, is_starting: bool = False) -> bool:
    return said.is_repetition(line, now_s, is_starting=is_starting)


def test_a_line_may_come_a_few_times_at_once_and_rarely_for_ever() -> None:
    said = SaidLines()
    assert [repeats(said, "tick") for _ in range(AT_ONCE + 2)] == [False] * AT_ONCE + [True] * 2
    assert [repeats(said, "tick", n / PER_S) for n in range(1, 5)] == [False] * 4
    assert said.times("tick") == AT_ONCE + 6


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2026-11-30 03:40:25,123 away", "2026-12-01 00:00:00,001 away"),
        ("<Task at 0x7f00aa>", "<Task at 0x7f11bb>"),
        (
            "request 0f8fad5b-d9cb-469f-a165-70867728950e",
            "request 7c9e6679-7425-40de-944b-e07fc1f90ae7",
        ),
    ],
)
def test_times_addresses_and_ids_make_no_difference(one: str, other: str) -> None:
    said = SaidLines()
    repeats(said, one)
    assert said.times(other) == 1


def test_numbers_make_no_difference_from_one_start_to_the_next() -> None:
    said = SaidLines()
    assert not repeats(said, "process 17 listens", is_starting=True)
    assert not any(repeats(said, f"plugin {n} is there", is_starting=True) for n in range(50))
    said.begin_process()
    assert repeats(said, "process 18 listens", is_starting=True)


def test_later_numbers_may_be_what_a_line_is_about() -> None:
    said = SaidLines()
    assert not any(repeats(said, f"order {number} is done") for number in range(100))


def test_another_word_makes_a_line_another_one() -> None:
    said = SaidLines()
    repeats(said, "cannot open a.txt")
    assert said.times("cannot open b.txt") == 0


def test_the_lines_of_a_block_come_once() -> None:
    said = SaidLines()
    assert not repeats(said, "  File x, line 1")
    repeats(said, "KeyError: 'x'")
    assert repeats(said, "  File x, line 1", FORGOTTEN_AFTER_S)
    assert not repeats(said, "  File x, line 1", 2 * FORGOTTEN_AFTER_S + 1)


def test_the_first_block_is_whole_although_lines_in_it_are_the_same() -> None:
    block = ["  File x, line 1", "  ^^^", "  File x, line 2", "  ^^^", "  File x, line 1"]
    said = SaidLines()
    assert [repeats(said, line) for line in block] == [False] * 5
    repeats(said, "KeyError: 'x'")
    assert [repeats(said, line) for line in block] == [True] * 5


def test_what_an_earlier_process_said_is_a_repetition_while_the_next_one_starts() -> None:
    said = SaidLines()
    said.begin_process()
    assert not repeats(said, "begin", is_starting=True)
    assert not repeats(said, "begin", is_starting=True)
    said.begin_process()
    assert repeats(said, "begin", is_starting=True)
    assert repeats(said, "begin", is_starting=True)
    assert not repeats(said, "begin")


def test_the_oldest_forms_are_forgotten() -> None:
    said = SaidLines()
    lines = [f"line {'x' * n}" for n in range(MAX_FORMS)]
    for line in lines:
        repeats(said, line)
    repeats(said, lines[0])
    repeats(said, "one more")
    assert (
        said.times(lines[0]),
        said.times(lines[1]),
        said.times(lines[2]),
    ) == (2, 0, 1)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("  at main", True),
        ("\tat main", True),
        ("    | ValueError: x", True),
        ("+-+---------------- 1 ----------------", True),
        ("│ in <module>:4", True),
        ("Traceback (most recent call last):", True),
        ("KeyError: 'x'", False),
        ("listening", False),
    ],
)
def test_a_line_of_a_block_is_known_by_its_beginning(line: str, expected: bool) -> None:
    assert continues(line) is expected
