"""The memory that a session keeps of its server, so that the next incarnation asks less."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from tests.transports.connect.session.fake_upstream import (
    AUTO,
    HANDSHAKE,
    FakeUpstream,
    discovery,
    hello,
    refusal,
    run_once,
    session_with,
    stateless,
    with_tools,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from msgspec import Raw
    from trio.testing import MockClock

REMOTE = attrs.evolve(AUTO, type="http", url="http://there/")


def die(upstream: FakeUpstream) -> Callable[[Any], Raw | None]:
    return lambda _: upstream.lose("exited with status 1")


@pytest.mark.parametrize("answer", [refusal("no"), None], ids=["refused", "unanswered"])
async def test_a_handshake_after_a_vain_question_is_the_beginning_from_then_on(
    autojump_clock: MockClock, answer: Any
) -> None:
    upstream = with_tools("a")
    upstream.answers["server/discover"] = answer
    session = session_with(upstream)
    for _ in range(3):
        assert await run_once(session) is None
    assert len(upstream.asked("server/discover")) == 1
    assert len(upstream.asked("initialize")) == 3


def die_once(upstream: FakeUpstream, then: Raw) -> Callable[[Any], Raw | None]:
    answers = iter([lambda: upstream.lose("exited with status 1")])
    return lambda _: next(answers, lambda: then)()


async def test_a_process_that_dies_of_the_question_is_started_again_without_it(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    upstream = with_tools("a")
    upstream.answers["server/discover"] = die(upstream)
    session = session_with(upstream)
    for _ in range(2):
        assert await run_once(session) is None
    assert upstream.methods == ["server/discover", *(2 * [*HANDSHAKE, "tools/list"])]
    said = "fake: exited with status 1 (when asked whether it speaks 2026-07-28)"
    assert [one for one in caplog.messages if one.startswith(said)] == [
        f"{said}; started again, for a handshake"
    ]


async def test_a_process_that_does_not_die_by_itself_is_not_started_at_once_and_asked_again(
    autojump_clock: MockClock,
) -> None:
    upstream = with_tools("a")
    upstream.answers["server/discover"] = lambda _: upstream.lose(
        "was killed by SIGKILL", is_from_outside=True
    )
    session = session_with(upstream)
    for _ in range(2):
        assert str(await run_once(session)) == "was killed by SIGKILL"
    assert upstream.methods == ["server/discover"] * 2


async def test_a_process_that_dies_of_it_only_when_it_is_no_longer_waited_for_is_the_same(
    autojump_clock: MockClock,
) -> None:
    upstream = with_tools("a")
    upstream.answers["server/discover"] = None
    upstream.answers["initialize"] = die_once(upstream, hello("tools"))
    session = session_with(upstream)
    assert await run_once(session) is None
    assert len(upstream.asked("server/discover")) == 1


async def test_a_process_that_hangs_of_it_until_it_is_given_up_is_the_same(
    autojump_clock: MockClock,
) -> None:
    upstream = with_tools("a")
    upstream.answers |= {"server/discover": None, "initialize": None}
    session = session_with(upstream)
    with trio.move_on_after(60):
        await run_once(session)
    upstream.answers["initialize"] = hello("tools")
    assert await run_once(session) is None
    assert len(upstream.asked("server/discover")) == 1


async def test_a_process_that_dies_of_anything_is_asked_again_in_the_end(
    autojump_clock: MockClock,
) -> None:
    upstream = stateless("a")
    answers = upstream.answers
    upstream.answers = {"server/discover": die(upstream), "initialize": die(upstream)}
    session = session_with(upstream)
    assert str(await run_once(session)) == "exited with status 1"
    upstream.answers = answers
    assert await run_once(session) is None
    assert upstream.agreed is not None
    assert upstream.agreed[0] == "2026-07-28"


async def test_a_server_that_no_longer_shakes_hands_is_asked_again(
    autojump_clock: MockClock,
) -> None:
    upstream = with_tools("a")
    session = session_with(upstream)
    assert await run_once(session) is None
    upstream.answers = stateless("a").answers
    assert str(await run_once(session)) == "initialize was refused: Unsupported"
    assert await run_once(session) is None
    assert upstream.agreed is not None
    assert upstream.agreed[0] == "2026-07-28"


async def test_a_process_that_dies_later_is_still_known_to_shake_hands(
    autojump_clock: MockClock,
) -> None:
    upstream = with_tools("a")
    session = session_with(upstream)
    assert await run_once(session) is None
    upstream.answers["initialize"] = die(upstream)
    assert str(await run_once(session)) == "exited with status 1"
    upstream.answers["initialize"] = hello("tools")
    assert await run_once(session) is None
    assert len(upstream.asked("server/discover")) == 1


async def test_an_outage_of_a_remote_server_says_nothing_of_what_it_speaks(
    autojump_clock: MockClock,
) -> None:
    upstream = stateless("a")
    upstream.answers["server/discover"] = die(upstream)
    session = session_with(upstream, REMOTE)
    assert str(await run_once(session)) == "exited with status 1"
    upstream.answers["server/discover"] = discovery("tools")
    assert await run_once(session) is None
    assert upstream.asked("initialize") == []


async def test_a_process_that_dies_of_anything_is_started_once_at_a_time_from_then_on(
    autojump_clock: MockClock,
) -> None:
    upstream = FakeUpstream()
    upstream.answers |= {"server/discover": die(upstream), "initialize": die(upstream)}
    session = session_with(upstream)
    began: list[int] = []
    for _ in range(5):
        assert await run_once(session) is not None
        began.append(len(upstream.sent))
    assert began == [2, 3, 4, 5, 6]
    asked = ["server/discover", "initialize", "server/discover", "initialize"]
    assert upstream.methods == [*asked, "server/discover", "initialize"]


async def test_a_process_that_once_was_ready_is_started_anew_at_once_if_the_question_kills_it(
    autojump_clock: MockClock,
) -> None:
    upstream = FakeUpstream()
    upstream.answers |= {"server/discover": die(upstream), "initialize": die(upstream)}
    session = session_with(upstream)
    await run_once(session)
    upstream.answers = stateless("a").answers
    assert await run_once(session) is None
    session.history.has_discovered = False  # as if its server had been replaced
    upstream.answers = with_tools("a").answers | {"server/discover": die(upstream)}
    assert await run_once(session) is None


async def test_a_process_of_the_new_era_that_crashes_is_not_started_twice_each_time(
    autojump_clock: MockClock,
) -> None:
    upstream = stateless("a")
    session = session_with(upstream)
    assert await run_once(session) is None
    upstream.answers["server/discover"] = die(upstream)
    assert str(await run_once(session)) == "exited with status 1"
    assert upstream.asked("initialize") == []
