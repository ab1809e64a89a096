"""Logins that have begun: found once, by who may go on with them, and for ten minutes."""

from __future__ import annotations

import trio

from router.app.logins.attempts import ATTEMPT_S, MAX_ATTEMPTS, MAX_OF_ONE, Attempts


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_ticket_is_redeemed_once_and_only_with_the_cookie_of_its_page() -> None:
    attempts = Attempts(Clock())
    attempt = attempts.with_ticket("mail", "ana", "ana")
    ticket = attempt.ticket
    assert attempts.by_ticket(ticket) is attempt
    assert attempts.redeem(ticket, "") is None
    assert attempts.redeem(ticket, "other") is None
    assert attempts.redeem(ticket, attempt.page_key) is attempt
    assert attempts.redeem(ticket, attempt.page_key) is None
    assert attempts.by_ticket("") is None


def test_person_who_is_told_twice_gets_the_same_page() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    first = attempts.with_ticket("mail", "ana", "ana")
    clock.now_s += ATTEMPT_S - 1
    assert attempts.with_ticket("mail", "ana", "ana") is first
    assert attempts.with_ticket("mail", "ben", "ben") is not first
    clock.now_s += ATTEMPT_S - 1
    assert attempts.by_ticket(first.ticket) is first


def test_login_that_takes_too_long_is_over_and_says_so() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    attempt = attempts.add("notion", None, "ops")
    attempt.state = "s"
    assert attempts.by_state("s") is attempt
    clock.now_s += ATTEMPT_S
    assert attempts.by_state("s") is None
    assert attempts.last_of("notion", None) is attempt
    assert attempt.problem == "it took too long; begin again"
    clock.now_s += ATTEMPT_S
    assert attempts.last_of("notion", None) is None


def test_state_of_a_login_that_is_over_finds_nothing() -> None:
    attempts = Attempts(Clock())
    attempt = attempts.add("notion", None, "ops")
    assert attempts.by_state("") is None
    attempt.state = "s"
    attempt.end()
    assert attempts.by_state("s") is None
    assert attempts.by_state("\ud800") is None


async def test_oldest_login_makes_room() -> None:
    attempts = Attempts(trio.current_time)
    oldest = attempts.add("notion", None, "ops")
    for number in range(MAX_ATTEMPTS):
        attempts.add("other", None, f"ops-{number}")
    assert oldest.over.is_set()
    assert attempts.last_of("notion", None) is None


async def test_one_principal_pushes_out_no_login_of_others() -> None:
    attempts = Attempts(trio.current_time)
    of_ana, of_ben = (attempts.with_ticket("mail", who, who) for who in ("ana", "ben"))
    for _ in range(MAX_OF_ONE - 1):
        attempts.add("mail", "ben", "ben")
    assert not of_ben.over.is_set()
    for _ in range(MAX_ATTEMPTS):
        attempts.add("mail", "ben", "ben")
    assert of_ben.over.is_set()
    assert attempts.by_ticket(of_ana.ticket) is of_ana
