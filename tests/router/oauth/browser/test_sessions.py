"""Sessions of browsers: when they end, and whose they are."""

from __future__ import annotations

import attrs
import trio
import trio.testing

from router.messages.commands import Principal
from router.oauth.browser.cookies import new_word
from router.oauth.browser.sessions import IDLE_S, LONGEST_S, MAX_SESSIONS, Sessions
from tests.router.oauth.browser.fake_issuer import FakeIssuer

ISSUER = FakeIssuer.configured()
ALICE = Principal("https://id.example.org alice", frozenset({"call"}))


async def test_a_session_that_is_not_used_ends(autojump_clock: trio.testing.MockClock) -> None:
    sessions = Sessions(lambda: [ISSUER])
    word = sessions.open(ALICE, ISSUER, "Alice")
    await trio.sleep(IDLE_S - 1)
    assert sessions.find(word) is not None
    await trio.sleep(IDLE_S - 1)
    assert sessions.is_known(ALICE)
    assert sessions.find(word) is not None
    await trio.sleep(IDLE_S)
    assert not sessions.is_known(ALICE)
    assert sessions.find(word) is None


async def test_a_session_ends_after_a_working_day_however_it_is_used(
    autojump_clock: trio.testing.MockClock,
) -> None:
    sessions = Sessions(lambda: [ISSUER])
    word = sessions.open(ALICE, ISSUER, "Alice")
    for _ in range(int(LONGEST_S / IDLE_S * 2) - 1):
        await trio.sleep(IDLE_S / 2)
        assert sessions.find(word) is not None
    await trio.sleep(IDLE_S / 2)
    assert sessions.find(word) is None


async def test_the_session_that_was_unused_for_longest_makes_room(
    autojump_clock: trio.testing.MockClock,
) -> None:
    sessions = Sessions(lambda: [ISSUER])
    words = [sessions.open(ALICE, ISSUER, "Alice") for _ in range(MAX_SESSIONS)]
    assert sessions.find(words[0]) is not None
    sessions.open(ALICE, ISSUER, "Alice")
    assert sessions.find(words[0]) is not None
    assert sessions.find(words[1]) is None


async def test_sessions_end_when_the_settings_of_their_issuer_change() -> None:
    issuers = [ISSUER]
    sessions = Sessions(lambda: issuers)
    word = sessions.open(ALICE, ISSUER, "Alice")
    issuers[0] = attrs.evolve(ISSUER, permissions={})
    assert not sessions.is_known(ALICE)
    assert sessions.find(word) is None
    issuers[0] = ISSUER
    assert sessions.find(word) is None


async def test_a_word_that_was_not_made_here_is_nobody() -> None:
    sessions = Sessions(lambda: [ISSUER])
    word = sessions.open(ALICE, ISSUER, "Alice")
    assert sessions.find(new_word()) is None
    assert sessions.find("") is None
    sessions.close("")
    sessions.close(word)
    assert sessions.find(word) is None
    assert not sessions.is_known(ALICE)
