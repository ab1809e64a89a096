"""The news and the answer of one call on their way to an event stream."""

from __future__ import annotations

from typing import Any

import trio
import trio.testing
from msgspec import Raw

from router.messages.frames import Notification
from transports.listen.rest.calls.call_news import (
    MAX_NEWS,
    MAX_NEWS_BYTES,
    CallEvents,
    CallNews,
)


def progress(number: int) -> Notification:
    return Notification("notifications/progress", Raw(b"%d" % number))


def encoded(value: Any) -> bytes:
    return (
        bytes(value.params) if isinstance(value, Notification) else b"end:" + repr(value).encode()
    )


async def all_of(events: CallEvents) -> list[bytes]:
    return [event async for event in events]


async def test_news_come_in_their_order_and_the_answer_last() -> None:
    news = CallNews()
    for value in (progress(1), progress(2), "answer"):
        news.send_nowait(value)
    assert [await news.next() for _ in range(4)] == [progress(1), progress(2), "answer", "answer"]


async def test_of_too_many_news_the_oldest_are_dropped_and_never_the_answer() -> None:
    news = CallNews()
    for number in range(MAX_NEWS + 3):
        news.send_nowait(progress(number))
    news.send_nowait("answer")
    first = await news.next()
    assert first == progress(3)
    for _ in range(MAX_NEWS - 1):
        await news.next()
    assert await news.next() == "answer"


async def test_large_news_take_no_more_room_than_they_may() -> None:
    news = CallNews()
    half = Notification("notifications/message", Raw(b"1" * (MAX_NEWS_BYTES // 2)))
    for _ in range(3):
        news.send_nowait(half)
    news.send_nowait("answer")
    assert [await news.next() for _ in range(3)] == [half, half, "answer"]


async def test_reader_is_woken_by_each_value(nursery: trio.Nursery) -> None:
    news, seen = CallNews(), list[Any]()

    async def read() -> None:
        while not seen or seen[-1] != "answer":
            seen.append(await news.next())

    nursery.start_soon(read)
    for value in (progress(1), "answer"):
        await trio.testing.wait_all_tasks_blocked()
        news.send_nowait(value)
    await trio.testing.wait_all_tasks_blocked()
    assert seen == [progress(1), "answer"]


async def test_what_is_closed_without_an_answer_ends_with_none() -> None:
    news = CallNews()
    news.close()
    assert (news.is_answered, await news.next()) == (True, None)


async def test_stream_ends_with_the_answer_and_is_kept_alive_before(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    news = CallNews()

    async def answer_late() -> None:
        await trio.sleep(35)
        news.send_nowait("answer")

    nursery.start_soon(answer_late)
    events = CallEvents(news, progress(1), encoded, b":\n", 15.0)
    assert await all_of(events) == [b"1", b":\n", b":\n", b"end:'answer'"]


async def test_first_value_may_be_the_answer() -> None:
    news = CallNews()
    news.send_nowait("answer")
    assert await all_of(CallEvents(news, await news.next(), encoded, b":\n", 15.0)) == [
        b"end:'answer'"
    ]


async def test_answer_that_comes_as_the_wait_is_over_is_not_lost(
    autojump_clock: trio.testing.MockClock,
) -> None:
    class AnsweredTooLate(CallNews):
        async def next(self) -> Any:
            try:
                return await super().next()
            except trio.Cancelled:
                self.send_nowait("answer")
                raise

    events = CallEvents(AnsweredTooLate(), progress(1), encoded, b":\n", 15.0)
    assert await all_of(events) == [b"1", b":\n", b"end:'answer'"]
