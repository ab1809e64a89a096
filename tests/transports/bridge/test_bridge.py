"""A client that is bridged to a router: messages of both eras, the end, and what goes wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
import trio.testing

from router.messages.errors import NOT_ALLOWED, PARSE_ERROR, SESSION_LOST, UNAVAILABLE
from router.messages.revisions import REVISION_KEY
from tests.transports.bridge.fake_router import HOW, RESULT, UNKNOWN, bridged
from transports.bridge.bridge import MOST_EXCHANGES
from transports.bridge.patience import FIRST_S, RETURN_S

CALL: dict[str, Any] = {"id": 1, "method": "tools/call", "params": {"name": "t"}}
PROGRESS = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1}}
META = {REVISION_KEY: "2026-07-28"}


def stateless(request_id: int, method: str, **params: Any) -> dict[str, Any]:
    return {"id": request_id, "method": method, "params": {"_meta": META, **params}}


def error_of(message: dict[str, Any]) -> tuple[int, int, str]:
    return message["id"], message["error"]["code"], message["error"]["message"]


# --- A session -------------------------------------------------------------------------------


async def test_session_is_begun_and_used_and_ended(autojump_clock: trio.abc.Clock) -> None:
    async with bridged("/mcp/work") as fake:
        stream = await fake.begin()
        assert stream.target == "/mcp/work"
        assert stream.headers["accept"] == "text/event-stream"
        await fake.say(CALL)
        call = await fake.next()
        assert call.message == {"jsonrpc": "2.0", **CALL}
        assert call.headers["mcp-session-id"] == "s1"
        assert call.headers["mcp-protocol-version"] == "2025-11-25"
        assert call.headers["authorization"] == "Bearer t"
        await call.result({"ok": 1})
        assert (await fake.hear())["result"] == {"ok": 1}
        await stream.events(("0-0", None), ("0-1", PROGRESS))
        assert await fake.hear() == PROGRESS
        await fake.end_stdin()
        end = await fake.next("DELETE")
        assert end.headers["mcp-session-id"] == "s1"
        await end.answer(status=204)


async def test_messages_before_an_answer_come_before_it(autojump_clock: trio.abc.Clock) -> None:
    async with bridged() as fake:
        await fake.begin()
        await fake.say(CALL)
        call = await fake.next()
        answer = {"jsonrpc": "2.0", "id": 1, "result": {}}
        await call.events(("1-0", None), ("1-1", PROGRESS), ("1-2", answer))
        assert [await fake.hear(), await fake.hear()] == [PROGRESS, answer]


async def test_answer_that_breaks_off_is_read_on(autojump_clock: trio.abc.Clock) -> None:
    async with bridged() as fake:
        await fake.begin()
        await fake.say(CALL)
        call = await fake.next()
        await call.events(("1-0", None), ("1-1", PROGRESS))
        assert await fake.hear() == PROGRESS
        await call.cut()
        again = await fake.next("GET")
        assert again.headers["last-event-id"] == "1-1"
        answer = {"jsonrpc": "2.0", "id": 1, "result": {}}
        await again.events(("1-2", answer))
        assert await fake.hear() == answer


async def test_stream_of_the_session_is_read_on(autojump_clock: trio.abc.Clock) -> None:
    async with bridged() as fake:
        stream = await fake.begin()
        await stream.events(("0-1", PROGRESS))
        assert await fake.hear() == PROGRESS
        await stream.cut()
        again = await fake.next("GET")
        assert (again.headers["last-event-id"], again.headers["mcp-session-id"]) == ("0-1", "s1")


async def test_question_of_the_router_is_answered(autojump_clock: trio.abc.Clock) -> None:
    async with bridged() as fake:
        stream = await fake.begin()
        question = {"jsonrpc": "2.0", "id": 2, "method": "roots/list"}
        await stream.events(("0-1", question))
        assert await fake.hear() == question
        await fake.say({"id": 2, "result": {"roots": []}}, {"id": 9, "result": {}})
        answer = await fake.next()
        assert answer.message == {"jsonrpc": "2.0", "id": 2, "result": {"roots": []}}
        await answer.answer(status=202)
        await fake.say(method="notifications/roots/list_changed")
        # The answer to a question that nobody asked goes nowhere.
        await fake.next(what="notifications/roots/list_changed")


async def test_cancelled_call_gets_no_answer(autojump_clock: trio.abc.Clock) -> None:
    async with bridged() as fake:
        await fake.begin()
        await fake.say(CALL)
        call = await fake.next()
        await fake.say(method="notifications/cancelled", params={"requestId": 1})
        told = await fake.next(what="notifications/cancelled")
        await told.answer(status=202)
        await call.until_closed()
        assert fake.hears_nothing()


async def test_call_that_waits_for_its_turn_is_cancelled_without_being_sent(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with bridged() as fake:
        for number in range(MOST_EXCHANGES + 1):
            await fake.say({**CALL, "id": number})
        calls = [await fake.next(what="tools/call") for _ in range(MOST_EXCHANGES)]
        (last,) = {*range(MOST_EXCHANGES + 1)} - {call.message["id"] for call in calls}
        await fake.say(method="notifications/cancelled", params={"requestId": last})
        await trio.testing.wait_all_tasks_blocked()
        for call in calls:
            await call.result({})
            assert (await fake.hear())["id"] == call.message["id"]
        assert fake.has_no_request()


async def test_call_that_waits_for_the_router_is_cancelled_without_being_sent(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with bridged() as fake:
        fake.is_there = False
        await fake.say(CALL, {"method": "notifications/cancelled", "params": {"requestId": 1}})
        await trio.testing.wait_all_tasks_blocked()
        fake.is_there = True
        await fake.say(id=2, method="ping")
        await (await fake.next(what="ping")).result({})
        assert (await fake.hear())["id"] == 2


# --- No session ------------------------------------------------------------------------------


async def test_request_of_2026_has_its_headers_and_no_session(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with bridged() as fake:
        await fake.begin()
        await fake.say(stateless(5, "tools/call", name="世界", arguments={}))
        call = await fake.next()
        assert "mcp-session-id" not in call.headers
        assert call.headers["mcp-protocol-version"] == "2026-07-28"
        assert call.headers["mcp-method"] == "tools/call"
        assert call.headers["mcp-name"] == "=?base64?5LiW55WM?="
        await call.result({})
        assert (await fake.hear())["id"] == 5


async def test_cancelled_request_of_2026_ends_its_connection(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with bridged() as fake:
        await fake.say(stateless(5, "subscriptions/listen"))
        listen = await fake.next(what="subscriptions/listen")
        await listen.events(("", PROGRESS))
        assert await fake.hear() == PROGRESS
        await fake.say(method="notifications/cancelled", params={"requestId": 5, "_meta": META})
        await listen.until_closed()
        assert fake.has_no_request()


async def test_subscription_does_not_delay_the_end(autojump_clock: trio.abc.Clock) -> None:
    async with bridged() as fake:
        await fake.say(stateless(5, "subscriptions/listen"))
        listen = await fake.next(what="subscriptions/listen")
        await listen.events(("", PROGRESS))
        assert await fake.hear() == PROGRESS
        began_s = trio.current_time()
    assert trio.current_time() - began_s < 5


async def test_headers_that_a_tool_asks_for_are_learned_and_sent() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "x-mcp-header": "Region"}}}
    tools = [{"name": "t", "inputSchema": schema}]
    mismatch = {"jsonrpc": "2.0", "id": 5, "error": {"code": -32020, "message": "Mcp-Param-Region"}}
    async with bridged() as fake:
        await fake.say(stateless(5, "tools/call", name="t", arguments={"a": "eu"}))
        call = await fake.next(what="tools/call")
        await call.answer(mismatch, 400)
        listing = await fake.next(what="tools/list")
        assert listing.message["params"] == {"_meta": META}
        await listing.result({"tools": [], "nextCursor": "2"})
        listing = await fake.next(what="tools/list")
        assert listing.message["params"] == {"_meta": META, "cursor": "2"}
        await listing.result({"tools": tools})
        call = await fake.next(what="tools/call")
        assert call.headers["mcp-param-region"] == "eu"
        await call.result({})
        assert (await fake.hear())["id"] == 5


async def test_request_without_a_session_is_carried_alone(autojump_clock: trio.abc.Clock) -> None:
    async with bridged() as fake:
        await fake.say(id="x", method="ping")
        ping = await fake.next(what="ping")
        await ping.result({})
        assert await fake.hear() == {"jsonrpc": "2.0", "id": "x", "result": {}}


# --- Lines -----------------------------------------------------------------------------------


async def test_line_that_is_no_message_is_answered_here(autojump_clock: trio.abc.Clock) -> None:
    async with bridged() as fake:
        await fake.say(b"{", b"", b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]')
        assert (await fake.hear())["error"]["code"] == PARSE_ERROR
        assert "only sessions of 2025-03-26" in (await fake.hear())["error"]["message"]


async def test_members_of_a_batch_are_answered_one_by_one(autojump_clock: trio.abc.Clock) -> None:
    result = {**RESULT, "protocolVersion": "2025-03-26"}
    async with bridged() as fake:
        await fake.say(id=0, method="initialize", params={})
        request = await fake.next(what="initialize")
        await request.result(result, mcp_session_id="s1")
        await fake.hear()
        pings = [{"jsonrpc": "2.0", "id": number, "method": "ping"} for number in (1, 2)]
        await fake.say(json.dumps([*pings, 5]).encode())
        assert (await fake.hear())["error"]["code"] == -32600
        for _ in pings:
            ping = await fake.next(what="ping")
            await ping.result({})
        assert {(await fake.hear())["id"] for _ in pings} == {1, 2}


# --- What goes wrong -------------------------------------------------------------------------


async def test_without_a_router_the_client_soon_learns_how_to_start_one(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with bridged() as fake:
        fake.is_there = False
        began_s = trio.current_time()
        await fake.say(id=0, method="initialize", params={})
        assert error_of(await fake.hear()) == (
            0,
            UNAVAILABLE,
            f"No router answers (Connection refused). {HOW}",
        )
        assert FIRST_S <= trio.current_time() - began_s < FIRST_S + 1
        assert fake.said == [f"waiting for the router (Connection refused). {HOW}"]
        fake.is_there = True
        await fake.begin()
        assert fake.said[1:] == ["the router is there"]


async def test_request_waits_for_a_router_that_restarts(autojump_clock: trio.abc.Clock) -> None:
    async with bridged() as fake:
        stream = await fake.begin()
        fake.is_there = False
        await stream.cut()
        await fake.say(CALL)
        await trio.sleep(RETURN_S / 2)
        assert fake.hears_nothing()
        fake.is_there = True
        seen: list[str] = []
        while "tools/call" not in seen:
            request = await fake.requests.receive()
            method = request.message["method"] if request.method == "POST" else "GET"
            if request.headers.get("mcp-session-id") == "s1":
                await request.answer(UNKNOWN, 404)
                continue
            seen.append(method)
            if method == "initialize":
                await request.result(RESULT, mcp_session_id="s2")
            elif method == "tools/call":
                await request.result({"ok": 1})
            elif method != "GET":
                await request.answer(status=202)
        assert seen[:2] == ["initialize", "notifications/initialized"]
        heard = [await fake.hear(), await fake.hear()]
        assert {one.get("method", one.get("id")) for one in heard} == {
            "notifications/tools/list_changed",
            1,
        }


async def test_request_does_not_wait_for_ever(autojump_clock: trio.abc.Clock) -> None:
    async with bridged() as fake:
        stream = await fake.begin()
        fake.is_there = False
        await stream.cut()
        began_s = trio.current_time()
        await fake.say(CALL)
        assert error_of(await fake.hear())[:2] == (1, UNAVAILABLE)
        assert RETURN_S <= trio.current_time() - began_s < RETURN_S + 2
        await fake.say(CALL)
        assert error_of(await fake.hear())[:2] == (1, UNAVAILABLE)
        assert trio.current_time() - began_s < RETURN_S + FIRST_S + 4


async def test_call_in_flight_when_the_router_dies_is_one_error_and_sent_once(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with bridged() as fake:
        stream = await fake.begin()
        await fake.say(CALL)
        call = await fake.next(what="tools/call")
        await call.cut()
        request_id, code, text = error_of(await fake.hear())
        assert (request_id, code) == (1, SESSION_LOST)
        assert "may have been carried out; it was not sent again" in text
        await fake.restart(stream)
        assert (await fake.hear())["method"] == "notifications/tools/list_changed"
        await fake.next("GET")
        assert fake.has_no_request()


async def test_call_whose_session_ends_meanwhile_is_not_sent_again(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with bridged() as fake:
        await fake.begin()
        await fake.say(CALL)
        call = await fake.next(what="tools/call")
        ended = {"code": -32600, "message": "The session ended before the answer came"}
        await call.answer({"jsonrpc": "2.0", "id": None, "error": ended}, 404)
        assert error_of(await fake.hear())[:2] == (1, SESSION_LOST)


async def test_router_that_stops_is_waited_for(autojump_clock: trio.abc.Clock) -> None:
    async with bridged() as fake:
        await fake.begin()
        await fake.say(CALL)
        call = await fake.next(what="tools/call")
        await call.answer({"detail": "The router is stopping"}, 503)
        call = await fake.next(what="tools/call")
        await call.result({})
        assert (await fake.hear())["id"] == 1


@pytest.mark.parametrize(
    ("status", "code", "text"),
    [
        (401, NOT_ALLOWED, "The router refuses this: 401 Invalid bearer token"),
        (404, UNAVAILABLE, "The router refuses this: 404 Invalid bearer token"),
    ],
)
async def test_refusal_is_told(
    autojump_clock: trio.abc.Clock, status: int, code: int, text: str
) -> None:
    async with bridged() as fake:
        await fake.say(id=0, method="initialize", params={})
        request = await fake.next(what="initialize")
        await request.answer({"detail": "Invalid bearer token"}, status)
        assert error_of(await fake.hear()) == (0, code, text)


@pytest.mark.parametrize("result", [[], {"protocolVersion": "2025\u20ac"}])
async def test_answer_to_initialize_that_is_none_is_an_error(
    autojump_clock: trio.abc.Clock, result: Any
) -> None:
    async with bridged() as fake:
        await fake.say(id=0, method="initialize", params={})
        request = await fake.next(what="initialize")
        await request.result(result, mcp_session_id="s1")
        assert error_of(await fake.hear())[:2] == (0, SESSION_LOST)
        await fake.begin()


async def test_end_of_stdin_waits_for_answers(autojump_clock: trio.abc.Clock) -> None:
    async with bridged() as fake:
        await fake.say(CALL)
        call = await fake.next(what="tools/call")
        await fake.end_stdin()
        await trio.testing.wait_all_tasks_blocked()
        await call.result({"late": 1})
        assert (await fake.hear())["result"] == {"late": 1}


async def test_router_that_hangs_does_not_hold_up_what_the_client_says_next(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with bridged() as fake:
        await fake.begin()
        began_s = trio.current_time()
        await fake.say({"method": "notifications/roots/list_changed"}, CALL)
        await fake.next(what="notifications/roots/list_changed")
        await (await fake.next(what="tools/call")).result({})
        assert (await fake.hear())["id"] == 1
        assert trio.current_time() - began_s < 10


async def test_client_that_closes_stdout_ends_it(autojump_clock: trio.abc.Clock) -> None:
    async with bridged() as fake:
        await fake.stdout.aclose()
        await fake.say(b"{")
