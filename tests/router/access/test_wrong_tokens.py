"""Wrong tokens are counted by address."""

from __future__ import annotations

import pytest

from router.access.wrong_tokens import FREE_TRIES, MAX_ADDRESSES, WINDOW_S, WrongTokens

NOW_S = 1000.0


def refused(wrong: WrongTokens, address: str, tries: int, now_s: float = NOW_S) -> int:
    """Return how many of so many tries are one too many."""
    return sum(wrong.count(address, now_s) is not None for _ in range(tries))


def test_after_some_tries_every_further_one_is_too_many() -> None:
    assert refused(WrongTokens(), "10.0.0.5", 1000) == 1000 - FREE_TRIES


def test_the_time_until_the_next_free_try_is_said() -> None:
    wrong = WrongTokens()
    refused(wrong, "10.0.0.5", FREE_TRIES)
    assert wrong.count("10.0.0.5", NOW_S + 15) == WINDOW_S - 15
    assert refused(wrong, "10.0.0.5", FREE_TRIES, NOW_S + WINDOW_S) == 0


def test_other_addresses_have_tries_of_their_own() -> None:
    wrong = WrongTokens()
    refused(wrong, "10.0.0.5", 1000)
    assert refused(wrong, "10.0.0.6", 1) == 0
    assert refused(wrong, "", 1) == 0


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8:1:2::3", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::3", "2001:db8:1:3::3", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("10.0.0.5", "10.0.0.6", False),
    ],
)
def test_addresses_that_one_host_may_choose_are_one(one: str, other: str, is_same: bool) -> None:
    wrong = WrongTokens()
    refused(wrong, one, FREE_TRIES)
    assert refused(wrong, other, 1) == is_same


def test_table_is_bounded_and_forgets_the_address_that_was_longest_quiet() -> None:
    wrong = WrongTokens()
    refused(wrong, "busy", FREE_TRIES)
    refused(wrong, "quiet", FREE_TRIES)
    for number in range(MAX_ADDRESSES - 1):
        wrong.count("busy", NOW_S)
        wrong.count(f"10.1.{number // 256}.{number % 256}", NOW_S)
    assert len(wrong) == MAX_ADDRESSES
    assert refused(wrong, "busy", 1) == 1
    assert refused(wrong, "quiet", 1) == 0
