"""A session that goes on behind another router: what is told anew, what is forgotten."""

from __future__ import annotations

from typing import Any

import trio

from tests.transports.bridge.fake_router import UNKNOWN, FakeRouter, bridged
from transports.bridge.endpoint import NOT_BEGUN
from transports.json_rpc import encode
from transports.listen.http.sessions.http_sessions import session_not_found


async def succeed(fake: FakeRouter, request_id: int, method: str, **params: Any) -> None:
    """Have the client's request succeed."""
    await fake.say(id=request_id, method=method, params=params)
    request = await fake.next(what=method)
    await request.result({})
    assert (await fake.hear())["id"] == request_id


def test_router_says_so_where_a_session_is_unknown() -> None:
    assert NOT_BEGUN in encode(session_not_found().error)


async def test_level_and_subscriptions_are_told_to_the_next_router(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with bridged() as fake:
        stream = await fake.begin()
        await succeed(fake, 1, "logging/setLevel", level="info")
        await succeed(fake, 2, "logging/setLevel", level="error")
        for number, uri in enumerate(("a://1", "a://2", "a://3")):
            await succeed(fake, 10 + number, "resources/subscribe", uri=uri)
        await succeed(fake, 20, "resources/unsubscribe", uri="a://2")
        await fake.restart(stream)
        told: list[dict[str, Any]] = []
        for _ in range(3):
            request = await fake.next()
            assert request.headers["mcp-session-id"] == "s2"
            told.append(request.message)
            await request.result({})
        assert [(one["method"], one["params"]) for one in told] == [
            ("logging/setLevel", {"level": "error"}),
            ("resources/subscribe", {"uri": "a://1"}),
            ("resources/subscribe", {"uri": "a://3"}),
        ]
        # Of these lists the router says that they change; of the others it does not.
        assert await fake.hear() == {
            "jsonrpc": "2.0",
            "method": "notifications/tools/list_changed",
        }
        again = await fake.next("GET")
        assert again.headers["mcp-session-id"] == "s2"
        assert "last-event-id" not in again.headers


async def test_request_that_finds_its_session_gone_is_sent_in_the_next(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with bridged() as fake:
        await fake.begin()
        await fake.say(id=1, method="tools/list")
        request = await fake.next(what="tools/list")
        await request.answer(UNKNOWN, 404)
        await fake.accept_session("s2")
        initialized = await fake.next(what="notifications/initialized")
        await initialized.answer(status=202)
        assert (await fake.hear())["method"] == "notifications/tools/list_changed"
        request = await fake.next(what="tools/list")
        assert request.headers["mcp-session-id"] == "s2"
        await request.result({})
        assert (await fake.hear())["id"] == 1


async def test_request_that_is_cancelled_while_it_renews_the_session_leaves_none_half_begun(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with bridged() as fake:
        await fake.begin()
        await fake.say(id=1, method="tools/list")
        await (await fake.next(what="tools/list")).answer(UNKNOWN, 404)
        await fake.accept_session("s2")
        half_told = await fake.next(what="notifications/initialized")
        await fake.say(method="notifications/cancelled", params={"requestId": 1})
        await (await fake.next(what="notifications/cancelled")).answer(status=202)
        await half_told.until_closed()
        await fake.say(id=2, method="tools/list")
        request = await fake.next(what="tools/list")
        assert request.headers["mcp-session-id"] == "s1"
        await request.answer(UNKNOWN, 404)
        await fake.accept_session("s3")
        await (await fake.next(what="notifications/initialized")).answer(status=202)
        assert (await fake.hear())["method"] == "notifications/tools/list_changed"
        request = await fake.next(what="tools/list")
        assert request.headers["mcp-session-id"] == "s3"
        await request.result({})
        assert (await fake.hear())["id"] == 2


async def test_questions_of_a_router_that_is_gone_are_cancelled_and_answers_go_nowhere(
    autojump_clock: trio.abc.Clock,
) -> None:
    question: dict[str, Any] = {"jsonrpc": "2.0", "id": 2, "method": "roots/list"}
    async with bridged() as fake:
        stream = await fake.begin()
        await stream.events(("0-1", question))
        assert await fake.hear() == question
        await fake.restart(stream)
        cancelled = await fake.hear()
        assert cancelled["method"] == "notifications/cancelled"
        assert cancelled["params"]["requestId"] == 2
        assert (await fake.hear())["method"] == "notifications/tools/list_changed"
        stream = await fake.next("GET")
        # The next router counts from the start as well.
        await stream.events(("0-1", question), ("0-2", {**question, "id": 3}))
        shown = [(await fake.hear())["id"] for _ in range(2)]
        assert 2 not in shown
        await fake.say({"id": 2, "result": {"late": 1}}, {"id": shown[0], "result": {"roots": []}})
        answer = await fake.next()
        assert answer.message == {"jsonrpc": "2.0", "id": 2, "result": {"roots": []}}
        await answer.answer(status=202)
        cancel = {"requestId": 3, "reason": "enough"}
        await stream.more(
            ("0-3", {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancel})
        )
        assert (await fake.hear())["params"] == {"requestId": shown[1], "reason": "enough"}


async def test_router_that_refuses_the_session_is_asked_again_later(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with bridged() as fake:
        stream = await fake.begin()
        await stream.cut()
        again = await fake.next("GET")
        await again.answer(UNKNOWN, 404)
        refused = await fake.next(what="initialize")
        await refused.answer({"detail": "Invalid bearer token"}, 401)
        again = await fake.next("GET")
        await again.answer(UNKNOWN, 404)
        await fake.accept_session("s2")
        await (await fake.next(what="notifications/initialized")).answer(status=202)
        assert (await fake.hear())["method"] == "notifications/tools/list_changed"


async def test_router_without_such_a_stream_is_not_asked_for_it_again(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with bridged() as fake:
        stream = await fake.begin()
        await stream.answer({"detail": "Method not allowed"}, 405)
        await succeed(fake, 1, "ping")
        assert fake.has_no_request()


async def test_stream_that_ends_at_once_is_asked_for_ever_more_slowly(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with bridged() as fake:
        stream = await fake.begin()
        began_s = trio.current_time()
        for _ in range(20):
            await stream.events()
            await stream.end()
            stream = await fake.next("GET")
        assert trio.current_time() - began_s > 15
        await stream.events()
        await trio.sleep(30)
        began_s = trio.current_time()
        await stream.end()
        await fake.next("GET")
        assert trio.current_time() - began_s < 1


async def test_stream_that_another_connection_still_reads_is_asked_for_again(
    autojump_clock: trio.abc.Clock,
) -> None:
    busy = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "open already"}}
    async with bridged() as fake:
        stream = await fake.begin()
        await stream.answer(busy, 409)
        again = await fake.next("GET")
        await again.events(("0-1", {"jsonrpc": "2.0", "method": "notifications/message"}))
        assert (await fake.hear())["method"] == "notifications/message"


async def test_client_that_begins_again_has_one_session(autojump_clock: trio.abc.Clock) -> None:
    async with bridged() as fake:
        stream = await fake.begin()
        await fake.say(method="notifications/initialized")
        await (await fake.next(what="notifications/initialized")).answer(status=202)
        assert fake.has_no_request()  # there is one stream only
        await fake.say(id=7, method="initialize", params={})
        end = await fake.next("DELETE")
        await end.answer(status=204)
        await fake.accept_session("s2")
        assert (await fake.hear())["id"] == 7
        await stream.cut()
        await fake.say(method="notifications/initialized")
        await (await fake.next(what="notifications/initialized")).answer(status=202)
        again = await fake.next("GET")
        assert again.headers["mcp-session-id"] == "s2"
