"""Streamable HTTP upstreams of MCP 2026-07-28, played by a fake server."""

from __future__ import annotations

import json

import pytest
import trio
from msgspec import Raw

from router.messages.errors import HEADER_MISMATCH, METHOD_NOT_FOUND, SESSION_LOST, TRANSPORT_ERROR
from router.messages.frames import ErrorResponse, Notification, Request, Response
from tests.transports.connect.remote.fake_server import (
    Call,
    CutConnection,
    answer,
    connected,
    discovered,
    error_of,
    never,
    notice,
    serve,
    sse_only_server,
)


def cancelled(request_id: int) -> Notification:
    return Notification("notifications/cancelled", Raw(b'{"requestId":%d}' % request_id))


# --- Falling back ---


async def test_a_handshake_after_a_refused_discover_has_no_headers_of_it() -> None:
    async def script(call: Call) -> None:
        if call.method in ("GET", "DELETE"):
            await call.reply(405)
        elif call.rpc == "server/discover":
            await call.reply(400)
        elif call.rpc == "initialize":
            await call.result('{"protocolVersion":"2025-11-25"}', mcp_session_id="s1")
        elif isinstance(call.frame, Request):
            await call.result()
        else:
            await call.reply(202)

    async with connected(script) as talk:
        assert isinstance(await talk.request(1, "server/discover"), ErrorResponse)
        await talk.send(Request(3, "initialize"))
        await talk.receive()
        talk.wire.set_revision("2025-11-25")
        await talk.send(Notification("notifications/initialized"))
        await talk.request(5, "tools/list")
        assert (await talk.server.wait_for("initialize")).mcp_headers == {}
        expected = {"mcp-protocol-version": "2025-11-25", "mcp-session-id": "s1"}
        assert (await talk.server.wait_for("tools/list")).mcp_headers == expected


async def test_a_discover_that_is_given_up_is_closed_without_a_message() -> None:
    freed = trio.Event()

    async def script(call: Call) -> None:
        if call.rpc == "server/discover":
            await call.closed()
            freed.set()
            raise CutConnection
        await call.result()

    async with connected(script) as talk:
        await talk.send(Request(1, "server/discover"))
        await talk.server.wait_for("server/discover")
        await talk.send(cancelled(1))
        await freed.wait()
        assert isinstance(await talk.request(3, "initialize"), Response)
        assert [call.rpc for call in talk.server.calls] == ["server/discover", "initialize"]


async def test_http_and_sse_is_tried_after_discover_and_initialize() -> None:
    async with connected(sse_only_server(404), try_sse=True) as talk:
        assert isinstance(await talk.request(1, "server/discover"), ErrorResponse)
        assert await talk.request(3, "initialize") == Response(3, Raw(b"{}"))


# --- One request, one response ---


async def test_a_redirected_request_is_the_same_request() -> None:
    async def script(call: Call) -> None:
        await (call.reply(307, location="/mcp/") if call.target == "/mcp" else call.result())

    async with discovered(script) as talk:
        await talk.request(3, "tools/call", '{"name":"echo"}')
        assert talk.server.calls[3].target == "/mcp/"
        assert talk.server.calls[3].body == talk.server.calls[2].body
        assert talk.server.calls[3].mcp_headers == talk.server.calls[2].mcp_headers


async def test_nothing_but_requests_is_posted_and_no_session_is_begun_or_ended() -> None:
    async def script(call: Call) -> None:
        await call.result("{}", mcp_session_id="s1")

    async with serve(script) as server:
        async with server.connect() as talk:
            await talk.discover()
            await talk.send(
                Notification("notifications/initialized"),
                Notification("notifications/roots/list_changed"),
                cancelled(99),
                Response("q", Raw(b"{}")),
                ErrorResponse("q", Raw(b'{"code":-32601,"message":"no"}')),
            )
            await talk.request(3, "tools/list")
        assert [call.method for call in server.calls] == ["POST", "POST"]
        assert "mcp-session-id" not in server.calls[1].headers


@pytest.mark.parametrize("is_begun", [True, False], ids=["within", "before"])
async def test_a_call_is_cancelled_by_closing_its_response(is_begun: bool) -> None:
    begun, freed = trio.Event(), trio.Event()

    async def script(call: Call) -> None:
        if call.rpc != "tools/call":
            await call.result()
            return
        if is_begun:
            await call.stream()
            await call.event(notice("notifications/progress", '{"progress":1}'))
        begun.set()
        await call.closed()
        freed.set()
        raise CutConnection

    async with discovered(script) as talk:
        await talk.send(Request(2, "tools/call"))
        await begun.wait()
        if is_begun:
            assert (await talk.receive()).related == 2
        with trio.fail_after(1):  # much less than a request with a session would be kept
            await talk.send(cancelled(2))
            await freed.wait()
        assert await talk.request(4, "tools/list") == Response(4, Raw(b"{}"))
        assert [call.rpc for call in talk.server.calls] == [
            "server/discover",
            "tools/call",
            "tools/list",
        ]


@pytest.mark.parametrize("fields", [{}, {"id": "e1", "retry": "1"}], ids=["plain", "resumable"])
@pytest.mark.parametrize("is_cut", [True, False], ids=["cut", "ended"])
async def test_a_response_that_breaks_off_is_an_error_at_once_and_not_resumed(
    fields: dict[str, str], is_cut: bool
) -> None:
    async def script(call: Call) -> None:
        if call.rpc != "tools/call":
            await call.result()
            return
        await call.stream()
        await call.event(notice("notifications/message"), **fields)
        if is_cut:
            raise CutConnection
        await call.end()

    async with discovered(script) as talk:
        await talk.send(Request(2, "tools/call"))
        assert (await talk.receive()).related == 2
        with trio.fail_after(1):
            frame = (await talk.receive()).frame
        assert isinstance(frame, ErrorResponse)
        assert (frame.id, error_of(frame)[0]) == (2, SESSION_LOST)
        assert await talk.request(4, "tools/list") == Response(4, Raw(b"{}"))
        assert [call.method for call in talk.server.calls] == ["POST"] * 3


async def test_a_subscription_stays_open_and_holds_up_nothing() -> None:
    changed = trio.Event()

    async def script(call: Call) -> None:
        if call.rpc != "subscriptions/listen":
            await call.result()
            return
        await call.stream()
        await call.event(notice("notifications/subscriptions/acknowledged"))
        await changed.wait()
        await call.event(notice("notifications/tools/list_changed"))
        await call.event(answer(call.id, '{"resultType":"complete"}'))
        await call.end()

    async with discovered(script) as talk:
        await talk.send(Request(3, "subscriptions/listen"))
        assert (await talk.receive()).related == 3
        for number in range(3):
            assert isinstance(await talk.request(2 * number + 2, "tools/call"), Response)
        changed.set()
        received = [await talk.receive() for _ in range(2)]
        assert received[0].frame == Notification("notifications/tools/list_changed", Raw(b"{}"))
        assert isinstance(received[1].frame, Response)


async def test_a_server_that_dies_is_noticed_when_its_subscription_is_opened_again() -> None:
    async def script(call: Call) -> None:
        if call.rpc == "subscriptions/listen":
            await call.stream()
            await call.event(notice("notifications/subscriptions/acknowledged"))
            await never()
        await call.result()

    async with discovered(script) as talk:
        await talk.send(Request(3, "subscriptions/listen"))
        await talk.receive()
        talk.server.life.cancel()
        assert error_of((await talk.receive()).frame)[0] == SESSION_LOST
        await talk.send(Request(5, "subscriptions/listen"))
        assert await talk.lost_reason() == "cannot connect to URL: connection refused"


async def test_leaving_does_not_wait_for_a_subscription() -> None:
    async def script(call: Call) -> None:
        if call.rpc == "subscriptions/listen":
            await call.stream()
            await call.event(notice("notifications/subscriptions/acknowledged"))
            await never()
        await call.result()

    async with serve(script) as server:
        async with server.connect() as talk:
            await talk.discover()
            await talk.send(Request(3, "subscriptions/listen"))
            await talk.receive()
            began_at_s = trio.current_time()
        assert trio.current_time() - began_at_s < 5
        assert [call.method for call in server.calls] == ["POST", "POST"]


# --- Statuses ---


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (404, (METHOD_NOT_FOUND, "Method not found"), (METHOD_NOT_FOUND, "Method not found")),
        (400, (HEADER_MISMATCH, "session header"), (HEADER_MISMATCH, "session header")),
        (400, (-32021, "no session capability"), (-32021, "no session capability")),
        (400, (-32022, "not initialized"), (-32022, "not initialized")),
        (404, None, (TRANSPORT_ERROR, "URL answered 404 Not Found; is the URL right?")),
        (400, None, (TRANSPORT_ERROR, "URL answered 400 Bad Request")),
        (503, None, (TRANSPORT_ERROR, "URL answered 503 Service Unavailable")),
    ],
)
@pytest.mark.parametrize("rpc", ["server/discover", "tools/call"])
async def test_a_failed_status_answers_its_request_alone(
    rpc: str, status: int, error: tuple[int, str] | None, expected: tuple[int, str]
) -> None:
    async def script(call: Call) -> None:
        if call.rpc != rpc:
            await call.result()
            return
        body = b""
        if error is not None:
            told = {"code": error[0], "message": error[1]}
            body = json.dumps({"jsonrpc": "2.0", "id": None, "error": told}).encode()
        await call.reply(status, body)

    async with connected(script, try_sse=True) as talk:
        if rpc != "server/discover":
            await talk.discover()
        frame = await talk.request(2, rpc, '{"name":"t"}')
        assert isinstance(frame, ErrorResponse)
        code, message = error_of(frame)
        assert (frame.id, code, message.replace(talk.server.url, "URL")) == (2, *expected)
        assert await talk.request(4, "tools/list") == Response(4, Raw(b"{}"))


async def test_a_server_that_wants_credentials_is_not_asked_any_more() -> None:
    async with connected(lambda call: call.reply(401), try_sse=True) as talk:
        await talk.send(Request(1, "server/discover"))
        assert "401 Unauthorized; set headers.Authorization" in await talk.lost_reason()
        assert len(talk.server.calls) == 1
