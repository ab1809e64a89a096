"""The log over a WebSocket."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
import trio

from router.logs.broadcast import QUEUE_LINES, Broadcast
from tests.transports.listen.rest.rest_client import rest_site
from transports.listen.rest import log_stream
from transports.listen.rest.log_stream import MAX_TICKETS, TICKET_S, Tickets

if TYPE_CHECKING:
    from collections.abc import Callable

GREETING = "Connected to MCP Router API v9 - Realtime Logs\n" + "-" * 40 + "\n"


@pytest.fixture
def broadcast() -> Broadcast:
    return Broadcast(lambda text: f"note: {text}")


async def test_backlog_then_records_as_they_come(broadcast: Broadcast) -> None:
    broadcast.put(logging.INFO, "before")
    async with rest_site(follow=broadcast.follow) as site, site.socket() as socket:
        assert await socket.greeting() == GREETING
        assert await socket.text() == "before"
        await trio.to_thread.run_sync(broadcast.put, logging.INFO, "after")
        assert await socket.text() == "after"


async def test_level_filters_backlog_and_records(broadcast: Broadcast) -> None:
    broadcast.put(logging.INFO, "no")
    broadcast.put(logging.ERROR, "yes")
    async with rest_site(follow=broadcast.follow) as site, site.socket("/ws?level=error") as socket:
        await socket.greeting()
        assert await socket.text() == "yes"
        broadcast.put(logging.WARNING, "no")
        broadcast.put(logging.CRITICAL, "too")
        assert await socket.text() == "too"


async def test_slow_reader_is_told_how_much_it_lost_and_gets_the_newest(
    broadcast: Broadcast,
) -> None:
    async with rest_site(follow=broadcast.follow) as site, site.socket() as socket:
        await socket.greeting()
        broadcast.put(logging.INFO, "it follows")
        assert await socket.text() == "it follows"
        for number in range(QUEUE_LINES + 5):
            broadcast.put(logging.INFO, str(number))
        assert (await socket.text()).startswith("note: 5 records were dropped here")
        assert await socket.text() == "5"


async def test_messages_of_a_follower_are_ignored_and_its_close_is_noticed(
    broadcast: Broadcast,
) -> None:
    left = trio.Event()

    def follow(level: int, wake: Callable[[], None]) -> Any:
        lines = broadcast.follow(level, wake)
        close = lines.close

        def closed() -> None:
            close()
            left.set()

        lines.close = closed
        return lines

    async with rest_site(follow=follow) as site, site.socket() as socket:
        await socket.greeting()
        for _ in range(15):
            await socket.to_app.send({"type": "websocket.receive", "text": "hello"})
        broadcast.put(logging.INFO, "still")
        assert await socket.text() == "still"
        await socket.to_app.send({"type": "websocket.disconnect", "code": 1000})
        await left.wait()


async def test_end_of_the_listener_ends_the_follower(broadcast: Broadcast) -> None:
    async with rest_site(follow=broadcast.follow) as site, site.socket() as socket:
        await socket.greeting()
        site.app.end()
        closed = await socket.next()
        assert (closed["type"], closed["code"]) == ("websocket.close", 1001)


@pytest.mark.parametrize(
    ("target", "token", "headers", "status"),
    [
        ("/ws", None, {}, 401),
        ("/ws", "wrong", {}, 401),
        ("/ws?ticket=made-up", None, {}, 401),
        ("/ws?token=all", None, {}, 401),
        ("/ws", "all", {"host": "evil.test"}, 403),
        ("/ws", "all", {"origin": "http://evil.test"}, 403),
        ("/ws", "all", {"origin": "null"}, 403),
        ("/ws", "caller", {}, 403),
        ("/ws", "one", {}, 403),
        ("/ws", "bound", {}, 403),
        ("/ws?level=loud", "all", {}, 422),
        ("/elsewhere", "all", {}, 404),
    ],
)
async def test_handshake_is_refused_with_its_reason(
    target: str, token: str | None, headers: dict[str, str], status: int, broadcast: Broadcast
) -> None:
    async with (
        rest_site(follow=broadcast.follow) as site,
        site.socket(target, token, **headers) as socket,
    ):
        refused = await socket.next()
        assert (refused["type"], refused["status"]) == ("websocket.http.response.start", status)


async def test_without_realtime_logs_there_is_no_such_route() -> None:
    async with rest_site() as site, site.socket() as socket:
        assert (await socket.next())["status"] == 404


async def test_fault_in_following_ends_only_that_websocket(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def follow(level: int, wake: Callable[[], None]) -> Any:
        raise ValueError("broken")

    async with rest_site(follow=follow) as site, site.socket() as socket:
        await socket.greeting()
        assert (await socket.next())["type"] == "websocket.close"
    assert "/ws failed" in caplog.text


async def test_followers_beyond_the_limit_are_refused(
    broadcast: Broadcast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_stream, "MAX_FOLLOWERS", 1)
    async with rest_site(follow=broadcast.follow) as site, site.socket() as first:
        await first.greeting()
        async with site.socket() as second:
            assert (await second.next())["status"] == 503


async def test_ticket_opens_one_websocket(broadcast: Broadcast) -> None:
    async with rest_site(follow=broadcast.follow) as site:
        ticket = (await site.ask("POST", "/api/ws-ticket")).json["ticket"]
        async with site.socket(f"/ws?ticket={ticket}", None) as socket:
            assert await socket.greeting() == GREETING
        async with site.socket(f"/ws?ticket={ticket}", None) as socket:
            assert (await socket.next())["status"] == 401


async def test_ticket_is_for_those_who_may_read(broadcast: Broadcast) -> None:
    async with rest_site(follow=broadcast.follow) as site:
        statuses = [
            (await site.ask("POST", "/api/ws-ticket", token=token)).status
            for token in (None, "caller", "one", "bound")
        ]
    assert statuses == [401, 403, 403, 403]


async def test_ticket_expires(autojump_clock: Any) -> None:
    tickets = Tickets()
    early, late = tickets.issue("a"), tickets.issue("b")  # type: ignore[arg-type]
    await trio.sleep(TICKET_S - 1)
    assert tickets.redeem(early) == "a"
    await trio.sleep(2)
    assert tickets.redeem(late) is None


async def test_oldest_ticket_goes_when_there_are_too_many() -> None:
    tickets = Tickets()
    first = tickets.issue("a")  # type: ignore[arg-type]
    others = [tickets.issue("b") for _ in range(MAX_TICKETS)]  # type: ignore[arg-type]
    assert tickets.redeem(first) is None
    assert tickets.redeem(others[0]) == "b"
