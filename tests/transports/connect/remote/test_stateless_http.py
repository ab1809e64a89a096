"""Streamable HTTP upstreams of MCP 2026-07-28, played by a fake server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio
from msgspec import Raw

from router.messages.catalog import Catalog, Item
from router.messages.errors import HEADER_MISMATCH, INTERNAL_ERROR, METHOD_NOT_FOUND, SESSION_LOST
from router.messages.frames import ErrorResponse, Notification, Request, Response
from tests.transports.connect.remote.fake_server import (
    Call,
    Gone,
    Talk,
    answer,
    error_of,
    never,
    notice,
    serve,
    spec,
)
from transports.connect.remote.connect import connect_http

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Script = Callable[[Call], Awaitable[None]]

ROUTING = ("mcp-protocol-version", "mcp-method", "mcp-name", "mcp-session-id")


async def discover(talk: Talk) -> None:
    """Ask, and agree on 2026-07-28."""
    assert isinstance(await talk.ask(1, "server/discover"), Response)
    talk.wire.set_revision("2026-07-28")


def routing(call: Call) -> dict[str, str]:
    """Those of its headers that say what it is."""
    return {
        name: value
        for name, value in call.headers.items()
        if name in ROUTING or name.startswith("mcp-param-")
    }


def cancelled(request_id: int) -> Notification:
    return Notification("notifications/cancelled", Raw(b'{"requestId":%d}' % request_id))


def tool(name: str, **properties: Any) -> Item:
    """A tool with these arguments; `X` on one of them names its header."""
    schema = {"type": "object", "properties": properties}
    return Item(name, Raw(json.dumps({"name": name, "inputSchema": schema}).encode()))


# --- headers ---


@pytest.mark.parametrize(
    ("method", "params", "name"),
    [
        ("tools/list", "{}", None),
        ("tools/call", '{"name":"echo","arguments":{}}', "echo"),
        ("prompts/get", '{"name":"greeting"}', "greeting"),
        ("resources/read", '{"uri":"file:///a%20b?c=d"}', "file:///a%20b?c=d"),
        ("resources/read", '{"name":"no", "uri":"a://b"}', "a://b"),
        ("tools/call", '{"name":"\\u00e9"}', "=?base64?w6k=?="),
        ("tools/call", '{"name":" a"}', "=?base64?IGE=?="),
        ("tools/call", '{"name":"a\\r\\nb: c"}', "=?base64?YQ0KYjogYw==?="),
        ("tools/call", '{"name":"=?base64?YQ==?="}', "=?base64?PT9iYXNlNjQ/WVE9PT89?="),
        ("tools/call", '{"name":5}', None),
        ("tools/call", "{}", None),
        ("tools/call", "", None),
    ],
)
async def test_headers_say_what_the_message_says(
    method: str, params: str, name: str | None
) -> None:
    async with serve(Call.result) as server, connect_http(spec(server.url)) as wire:
        talk = Talk(wire)
        await discover(talk)
        await talk.ask(3, method, params)
        first, second = server.calls
        assert routing(first) == {
            "mcp-protocol-version": "2026-07-28",
            "mcp-method": "server/discover",
        }
        expected = {"mcp-protocol-version": "2026-07-28", "mcp-method": method}
        assert routing(second) == expected | ({} if name is None else {"mcp-name": name})


async def test_a_method_that_no_header_could_hold_is_encoded() -> None:
    async with serve(Call.result) as server, connect_http(spec(server.url)) as wire:
        talk = Talk(wire)
        await discover(talk)
        await talk.ask(3, "tomorrow/\r\né")
        assert server.calls[1].headers["mcp-method"] == "=?base64?dG9tb3Jyb3cvDQrDqQ==?="


async def test_headers_of_the_instance_override_none_of_them() -> None:
    headers = {
        "MCP-Protocol-Version": "2025-11-25",
        "mcp-method": "tools/list",
        "Mcp-Name": "other",
        "Mcp-Param-Region": "moon",
        "Mcp-Session-Id": "s1",
        "Last-Event-ID": "e1",
        "X-Own": "kept",
    }
    async with (
        serve(Call.result) as server,
        connect_http(spec(server.url, headers=headers)) as wire,
    ):
        talk = Talk(wire)
        await discover(talk)
        await talk.ask(3, "tools/call", '{"name":"echo"}')
        await talk.ask(5, "tools/list")
        call, listing = server.calls[1:]
        expected = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call"}
        assert routing(call) == expected | {"mcp-name": "echo"}
        assert routing(listing) == expected | {"mcp-method": "tools/list"}
        for sent in server.calls:
            assert sent.headers["x-own"] == "kept"
            assert "last-event-id" not in sent.headers


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"region":"eu","deep":{"level":7},"sure":true,"plain":"p"}', "eu 7 true"),
        ('{"region":"é"}', "=?base64?w6k=?= - -"),
        ('{"region":null,"deep":7}', "- - -"),
        ('{"deep":{"level":123456789012345678901}}', "- 123456789012345678901 -"),
        ('{"region":"eu","deep":{"level":' + 5000 * "9" + "}}", "- - -"),
        ("[]", "- - -"),
        ("{}", "- - -"),
    ],
)
async def test_arguments_that_a_tool_wants_in_headers_are_repeated_there(
    arguments: str, expected: str
) -> None:
    annotated = tool(
        "where",
        region={"type": "string", "x-mcp-header": "Region"},
        sure={"type": "boolean", "x-mcp-header": "Sure"},
        plain={"type": "string"},
        deep={
            "type": "object",
            "properties": {"level": {"type": "integer", "x-mcp-header": "Level"}},
        },
    )
    async with serve(Call.result) as server, connect_http(spec(server.url)) as wire:
        talk = Talk(wire)
        await discover(talk)
        wire.set_catalog(Catalog(tools=(tool("other"), annotated)))
        for number, name in ((3, "where"), (5, "other")):
            params = f'{{"name":"{name}","arguments":{arguments}}}'
            await talk.ask(number, "tools/call", params)
        headers = server.calls[1].headers
        got = [headers.get(f"mcp-param-{name}", "-") for name in ("region", "level", "sure")]
        assert " ".join(got) == expected
        assert "mcp-param-plain" not in headers
        assert not any(name.startswith("mcp-param-") for name in server.calls[2].headers)


async def test_what_a_tool_wants_in_headers_is_as_it_was_listed_last() -> None:
    async with serve(Call.result) as server, connect_http(spec(server.url)) as wire:
        talk = Talk(wire)
        await discover(talk)
        params = '{"name":"t","arguments":{"a":"1"}}'
        for number, header in enumerate(("One", "Two")):
            annotated = tool("t", a={"type": "string", "x-mcp-header": header})
            wire.set_catalog(Catalog(tools=(annotated,)))
            await talk.ask(2 * number + 3, "tools/call", params)
        wire.set_catalog(Catalog())
        await talk.ask(7, "tools/call", params)
        sent = [
            {name for name in call.headers if name.startswith("mcp-param-")}
            for call in server.calls[1:]
        ]
        assert sent == [{"mcp-param-one"}, {"mcp-param-two"}, set()]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "number", "x-mcp-header": "A"},
        {"type": "string", "x-mcp-header": "A: b\r\n"},
        {"type": "string", "x-mcp-header": 5},
    ],
)
async def test_what_a_tool_may_not_want_in_headers_is_not_repeated(schema: Any) -> None:
    async with serve(Call.result) as server, connect_http(spec(server.url)) as wire:
        talk = Talk(wire)
        await discover(talk)
        wire.set_catalog(Catalog(tools=(tool("t", a=schema),)))
        await talk.ask(3, "tools/call", '{"name":"t","arguments":{"a":"1"}}')
        assert "mcp-name" in routing(server.calls[1])
        assert not any(name.startswith("mcp-param-") for name in server.calls[1].headers)


@pytest.mark.parametrize("schema", ["[" * 5000 + "]" * 5000, '"\\ud800x"', "null", "[]"])
async def test_a_tool_that_cannot_be_read_can_be_called(schema: str) -> None:
    async with serve(Call.result) as server, connect_http(spec(server.url)) as wire:
        talk = Talk(wire)
        await discover(talk)
        wire.set_catalog(Catalog(tools=(Item("t", Raw(b'{"inputSchema":%b}' % schema.encode())),)))
        params = '{"name":"t","arguments":{"a":"1"}}'
        assert await talk.ask(3, "tools/call", params) == Response(3, Raw(b"{}"))


async def test_a_redirected_request_is_the_same_request() -> None:
    async def script(call: Call) -> None:
        await (call.reply(307, location="/mcp/") if call.target == "/mcp" else call.result())

    async with serve(script) as server, connect_http(spec(server.url)) as wire:
        talk = Talk(wire)
        await discover(talk)
        await talk.ask(3, "tools/call", '{"name":"echo"}')
        assert server.calls[3].target == "/mcp/"
        assert server.calls[3].body == server.calls[2].body
        assert routing(server.calls[3]) == routing(server.calls[2])


# --- falling back ---


async def test_a_handshake_after_a_refused_question_shows_nothing_of_it() -> None:
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

    async with serve(script) as server, connect_http(spec(server.url)) as wire:
        talk = Talk(wire)
        assert isinstance(await talk.ask(1, "server/discover"), ErrorResponse)
        await talk.tell(Request(3, "initialize"))
        await talk.hear()
        wire.set_revision("2025-11-25")
        await talk.tell(Notification("notifications/initialized"))
        await talk.ask(5, "tools/list")
        assert routing(await server.got("initialize")) == {}
        expected = {"mcp-protocol-version": "2025-11-25", "mcp-session-id": "s1"}
        assert routing(await server.got("tools/list")) == expected


async def test_a_question_that_is_given_up_is_closed_and_nothing_is_said_of_it() -> None:
    freed = trio.Event()

    async def script(call: Call) -> None:
        if call.rpc == "server/discover":
            await call.closed()
            freed.set()
            raise Gone
        await call.result()

    async with serve(script) as server, connect_http(spec(server.url)) as wire:
        talk = Talk(wire)
        await talk.tell(Request(1, "server/discover"))
        await server.got("server/discover")
        await talk.tell(cancelled(1))
        await freed.wait()
        assert isinstance(await talk.ask(3, "initialize"), Response)
        assert [call.rpc for call in server.calls] == ["server/discover", "initialize"]


async def test_http_and_sse_is_tried_after_the_question_and_the_handshake() -> None:
    posted = trio.Event()

    async def script(call: Call) -> None:
        if call.method == "GET":
            await call.stream()
            await call.event(b"/messages?sessionId=1", event="endpoint")
            await posted.wait()
            await call.event(answer(3, "{}"), event="message")
            await call.closed()
            raise Gone
        if call.target == "/mcp":
            await call.reply(404)
            return
        await call.reply(202)
        posted.set()

    async with serve(script) as server, connect_http(spec(server.url, try_sse=True)) as wire:
        talk = Talk(wire)
        assert isinstance(await talk.ask(1, "server/discover"), ErrorResponse)
        assert await talk.ask(3, "initialize") == Response(3, Raw(b"{}"))


# --- one request, one response ---


async def test_nothing_but_requests_is_posted_and_no_session_is_begun_or_ended() -> None:
    async def script(call: Call) -> None:
        await call.result("{}", mcp_session_id="s1")

    async with serve(script) as server:
        async with connect_http(spec(server.url)) as wire:
            talk = Talk(wire)
            await discover(talk)
            await talk.tell(
                Notification("notifications/initialized"),
                Notification("notifications/roots/list_changed"),
                cancelled(99),
                Response("q", Raw(b"{}")),
                ErrorResponse("q", Raw(b'{"code":-32601,"message":"no"}')),
            )
            await talk.ask(3, "tools/list")
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
        raise Gone

    async with serve(script) as server, connect_http(spec(server.url)) as wire:
        talk = Talk(wire)
        await discover(talk)
        await talk.tell(Request(2, "tools/call"))
        await begun.wait()
        if is_begun:
            assert (await talk.hear()).related == 2
        with trio.fail_after(1):  # much less than a request with a session would be kept
            await talk.tell(cancelled(2))
            await freed.wait()
        assert await talk.ask(4, "tools/list") == Response(4, Raw(b"{}"))
        assert [call.rpc for call in server.calls] == [
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
            raise Gone
        await call.end()

    async with serve(script) as server, connect_http(spec(server.url)) as wire:
        talk = Talk(wire)
        await discover(talk)
        await talk.tell(Request(2, "tools/call"))
        assert (await talk.hear()).related == 2
        with trio.fail_after(1):
            frame = (await talk.hear()).frame
        assert isinstance(frame, ErrorResponse)
        assert (frame.id, error_of(frame)[0]) == (2, SESSION_LOST)
        assert await talk.ask(4, "tools/list") == Response(4, Raw(b"{}"))
        assert [call.method for call in server.calls] == ["POST"] * 3


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

    async with serve(script) as server, connect_http(spec(server.url)) as wire:
        talk = Talk(wire)
        await discover(talk)
        await talk.tell(Request(3, "subscriptions/listen"))
        assert (await talk.hear()).related == 3
        for number in range(3):
            assert isinstance(await talk.ask(2 * number + 2, "tools/call"), Response)
        changed.set()
        heard = [await talk.hear() for _ in range(2)]
        assert heard[0].frame == Notification("notifications/tools/list_changed", Raw(b"{}"))
        assert isinstance(heard[1].frame, Response)


async def test_a_server_that_dies_is_noticed_when_its_subscription_is_opened_again() -> None:
    async def script(call: Call) -> None:
        if call.rpc == "subscriptions/listen":
            await call.stream()
            await call.event(notice("notifications/subscriptions/acknowledged"))
            await never()
        await call.result()

    async with serve(script) as server, connect_http(spec(server.url)) as wire:
        talk = Talk(wire)
        await discover(talk)
        await talk.tell(Request(3, "subscriptions/listen"))
        await talk.hear()
        server.life.cancel()
        assert error_of((await talk.hear()).frame)[0] == SESSION_LOST
        await talk.tell(Request(5, "subscriptions/listen"))
        assert await talk.lost() == f"cannot connect to {server.url}: connection refused"


async def test_leaving_does_not_wait_for_a_subscription() -> None:
    async def script(call: Call) -> None:
        if call.rpc == "subscriptions/listen":
            await call.stream()
            await call.event(notice("notifications/subscriptions/acknowledged"))
            await never()
        await call.result()

    async with serve(script) as server:
        async with connect_http(spec(server.url)) as wire:
            talk = Talk(wire)
            await discover(talk)
            await talk.tell(Request(3, "subscriptions/listen"))
            await talk.hear()
            began_at_s = trio.current_time()
        assert trio.current_time() - began_at_s < 5
        assert [call.method for call in server.calls] == ["POST", "POST"]


# --- statuses ---


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (404, (METHOD_NOT_FOUND, "Method not found"), (METHOD_NOT_FOUND, "Method not found")),
        (400, (HEADER_MISMATCH, "session header"), (HEADER_MISMATCH, "session header")),
        (400, (-32021, "no session capability"), (-32021, "no session capability")),
        (400, (-32022, "not initialized"), (-32022, "not initialized")),
        (404, None, (INTERNAL_ERROR, "URL answered 404 Not Found; is the URL right?")),
        (400, None, (INTERNAL_ERROR, "URL answered 400 Bad Request")),
        (503, None, (INTERNAL_ERROR, "URL answered 503 Service Unavailable")),
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

    async with serve(script) as server, connect_http(spec(server.url, try_sse=True)) as wire:
        talk = Talk(wire)
        if rpc != "server/discover":
            await discover(talk)
        frame = await talk.ask(2, rpc, '{"name":"t"}')
        assert isinstance(frame, ErrorResponse)
        code, message = error_of(frame)
        assert (frame.id, code, message.replace(server.url, "URL")) == (2, *expected)
        assert await talk.ask(4, "tools/list") == Response(4, Raw(b"{}"))


async def test_a_server_that_wants_credentials_is_not_asked_any_more() -> None:
    async with (
        serve(lambda call: call.reply(401)) as server,
        connect_http(spec(server.url, try_sse=True)) as wire,
    ):
        talk = Talk(wire)
        await talk.tell(Request(1, "server/discover"))
        assert "401 Unauthorized; set headers.Authorization" in await talk.lost()
        assert len(server.calls) == 1
