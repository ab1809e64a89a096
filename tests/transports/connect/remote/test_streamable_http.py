"""Streamable HTTP upstreams, played by a fake server."""

from __future__ import annotations

import subprocess
import sys
from socket import EAI_NONAME, gaierror
from typing import TYPE_CHECKING, Any

import pytest
import trio
from msgspec import Raw

from router.messages.errors import INTERNAL_ERROR, SESSION_LOST
from router.messages.frames import ErrorResponse, Notification, Request, Response
from tests.transports.connect.remote.fake_server import (
    PATIENCE_S,
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
from transports.connect.wire import WireLost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Script = Callable[[Call], Awaitable[None]]


def mcp(play: Script, get: Script | None = None) -> Script:
    """A server with a session that plays `play` for requests, `get` for its event stream."""

    async def script(call: Call) -> None:
        if call.method == "GET":
            await (get(call) if get else call.reply(405))
        elif call.method == "DELETE":
            await call.reply(200)
        elif call.rpc == "initialize":
            await call.result('{"protocolVersion":"2025-11-25"}', mcp_session_id="s1")
        elif not isinstance(call.frame, Request):
            await call.reply(202)
        else:
            await play(call)

    return script


async def refusal(script: Script, **fields: Any) -> str:
    """What is said when `initialize` meets `script`."""
    async with serve(script) as server, connect_http(spec(server.url, **fields)) as wire:
        talk = Talk(wire)
        await talk.tell(Request(1, "initialize"))
        return (await talk.lost()).replace(server.url, "URL")


# --- what goes through ---


@pytest.mark.parametrize("as_stream", [False, True])
async def test_payloads_pass_unchanged_in_both_directions(as_stream: bool) -> None:
    odd = '{"big": 123456789012345678901234567890, "f": 1.10, "e": 1e400, "x": "é\\ud83d\\ude00"}'

    async def play(call: Call) -> None:
        if not as_stream:
            await call.result(odd)
            return
        await call.stream()
        await call.event(answer(call.id, odd))
        await call.end()

    async with serve(mcp(play)) as server, connect_http(spec(server.url)) as wire:
        talk = Talk(wire)
        await talk.initialize()
        for request_id in (7, "seven", 2**60):
            frame = await talk.ask(request_id, "tools/call", odd)
            assert isinstance(frame, Response)
            assert (frame.id, bytes(frame.result)) == (request_id, odd.encode())
            assert odd.encode() in server.calls[-1].body


async def test_every_request_carries_headers_session_and_revision() -> None:
    async def get(call: Call) -> None:
        await call.stream()
        opened.set()
        await call.closed()
        raise Gone

    opened = trio.Event()
    async with serve(mcp(Call.result, get)) as server:
        there = spec(server.url, headers={"Authorization": "Bearer t", "X-Own": "1"})
        async with connect_http(there) as wire:
            await Talk(wire).initialize()
            await opened.wait()
            await server.got("notifications/initialized")
        first, *rest = server.calls
        assert sorted(call.method for call in rest) == ["DELETE", "GET", "POST"]
        assert all(call.headers["authorization"] == "Bearer t" for call in server.calls)
        assert all(call.headers["x-own"] == "1" for call in server.calls)
        assert "mcp-protocol-version" not in first.headers
        assert all(call.headers["mcp-protocol-version"] == "2025-11-25" for call in rest)
        assert all(call.headers["mcp-session-id"] == "s1" for call in rest)


async def test_what_belongs_to_a_call_comes_before_its_answer_and_names_it() -> None:
    async def play(call: Call) -> None:
        await call.stream()
        await call.event(notice("notifications/progress", '{"progress":1}'))
        await call.event(b'{"jsonrpc":"2.0","id":1,"method":"roots/list"}')
        await call.event(answer(call.id, "{}"))
        await call.end()

    async with serve(mcp(play)) as server, connect_http(spec(server.url)) as wire:
        talk = Talk(wire)
        await talk.initialize()
        await talk.tell(Request(9, "tools/call"))
        heard = [await talk.hear() for _ in range(3)]
        assert [type(item.frame) for item in heard] == [Notification, Request, Response]
        assert [item.related for item in heard] == [9, 9, 9]


async def test_what_belongs_to_no_call_names_none() -> None:
    async def get(call: Call) -> None:
        await call.stream()
        await call.event(notice("notifications/tools/list_changed"), id="1")
        await call.closed()
        raise Gone

    async with serve(mcp(Call.result, get)) as server, connect_http(spec(server.url)) as wire:
        talk = Talk(wire)
        await talk.initialize()
        heard = await talk.hear()
        assert heard.frame == Notification("notifications/tools/list_changed", Raw(b"{}"))
        assert heard.related is None


async def test_a_message_of_two_mebibytes_passes() -> None:
    async def play(call: Call) -> None:
        await call.stream()
        await call.event(answer(call.id, f'"{"x" * 2**21}"'))
        await call.end()

    async with serve(mcp(play)) as server, connect_http(spec(server.url)) as wire:
        talk = Talk(wire)
        await talk.initialize()
        frame = await talk.ask(3, "tools/call")
        assert isinstance(frame, Response)
        assert len(bytes(frame.result)) == 2**21 + 2


async def test_an_id_that_comes_back_as_a_string_is_still_ours() -> None:
    async def play(call: Call) -> None:
        await call.reply(body=answer(str(call.id), "{}"))

    async with serve(mcp(play)) as server, connect_http(spec(server.url)) as wire:
        talk = Talk(wire)
        await talk.initialize()
        assert await talk.ask(3, "tools/call") == Response(3, Raw(b"{}"))


async def test_an_answer_to_another_call_is_not_taken_for_ours() -> None:
    first = trio.Event()

    async def play(call: Call) -> None:
        if call.id == 3:
            first.set()
            await never()
        await call.stream()
        await call.event(answer(3, '"for 3"'))
        await call.event(answer(call.id, '"for 5"'))
        await call.end()

    async with serve(mcp(play)) as server, connect_http(spec(server.url)) as wire:
        talk = Talk(wire)
        await talk.initialize()
        await talk.tell(Request(3, "tools/call"))
        await first.wait()
        await talk.tell(Request(5, "tools/call"))
        assert (await talk.hear()).frame == Response(3, Raw(b'"for 3"'))
        assert (await talk.hear()).frame == Response(5, Raw(b'"for 5"'))


async def test_connections_are_kept_after_streamed_answers() -> None:
    async def play(call: Call) -> None:
        await call.stream()
        await call.event(answer(call.id, "{}"))
        await call.end()

    async with serve(mcp(play)) as server, connect_http(spec(server.url)) as wire:
        talk = Talk(wire)
        await talk.initialize()
        for number in range(20):
            await talk.ask(2 * number + 3, "tools/call")
        assert server.connections <= 4


async def test_slow_calls_and_unacknowledged_messages_hold_up_nothing() -> None:
    async def play(call: Call) -> None:
        await (never() if call.rpc == "slow" else call.result())

    async def script(call: Call) -> None:
        await (never() if call.rpc == "notifications/late" else mcp(play)(call))

    async with serve(script) as server, connect_http(spec(server.url)) as wire:
        talk = Talk(wire)
        await talk.initialize()
        slow = [Request(2 * number + 3, "slow") for number in range(30)]
        late = [Notification("notifications/late")] * 10
        await talk.tell(*slow, *late)
        assert await talk.ask(101, "fast") == Response(101, Raw(b"{}"))


# --- what fails for one ---


@pytest.mark.parametrize(
    ("reply", "code", "text"),
    [
        ({"status": 503}, INTERNAL_ERROR, "URL answered 503 Service Unavailable"),
        ({"status": 403}, INTERNAL_ERROR, "URL answered 403 Forbidden; may the headers"),
        ({"status": 202}, INTERNAL_ERROR, "URL answered 202 Accepted instead of an answer"),
        ({"body": b"<p>", "kind": "text/html"}, INTERNAL_ERROR, "URL answered with text/html"),
        (
            {"body": b'{"jsonrpc"'},
            INTERNAL_ERROR,
            "URL answered with something that is no JSON-RPC",
        ),
        (
            {
                "status": 400,
                "body": b'{"jsonrpc":"2.0","id":null,"error":{"code":-5,"message":"no"}}',
            },
            -5,
            "no",
        ),
    ],
)
async def test_a_failing_request_is_answered_and_the_session_goes_on(
    reply: dict[str, Any], code: int, text: str
) -> None:
    async def play(call: Call) -> None:
        await (call.reply(**reply) if call.rpc == "bad" else call.result())

    async with serve(mcp(play)) as server, connect_http(spec(server.url)) as wire:
        talk = Talk(wire)
        await talk.initialize()
        frame = await talk.ask(3, "bad")
        assert isinstance(frame, ErrorResponse)
        assert frame.id == 3
        got_code, message = error_of(frame)
        assert got_code == code
        assert message.replace(server.url, "URL").startswith(text)
        assert await talk.ask(5, "good") == Response(5, Raw(b"{}"))


@pytest.mark.parametrize("headers_first", [True, False])
async def test_an_answer_that_breaks_off_is_an_error_to_its_request(headers_first: bool) -> None:
    async def play(call: Call) -> None:
        if call.rpc == "bad":
            if headers_first:
                await call.stream()
                await call.event(notice("notifications/message"))
            raise Gone
        await call.result()

    async with serve(mcp(play)) as server, connect_http(spec(server.url)) as wire:
        talk = Talk(wire)
        await talk.initialize()
        frame = await talk.ask(3, "bad")
        if headers_first:
            frame = (await talk.hear()).frame
        assert error_of(frame)[0] == SESSION_LOST
        assert await talk.ask(5, "good") == Response(5, Raw(b"{}"))


async def test_an_interrupted_answer_is_resumed_where_it_broke_off() -> None:
    async def play(call: Call) -> None:
        await call.stream()
        await call.event(b"", id="e1", retry="1")
        await call.event(notice("notifications/message", '{"data":1}'), id="e2")
        raise Gone

    async def get(call: Call) -> None:
        if "last-event-id" not in call.headers:
            await call.reply(405)
            return
        assert call.headers["last-event-id"] == "e2"
        await call.stream()
        await call.event(notice("notifications/message", '{"data":2}'), id="e3")
        await call.event(answer(3, "{}"), id="e4")
        await call.end()

    async with serve(mcp(play, get)) as server, connect_http(spec(server.url)) as wire:
        talk = Talk(wire)
        await talk.initialize()
        await talk.tell(Request(3, "tools/call"))
        heard = [await talk.hear() for _ in range(3)]
        assert [item.related for item in heard] == [3, 3, 3]
        assert heard[2].frame == Response(3, Raw(b"{}"))


async def test_a_cancellation_is_forwarded_and_frees_what_waits_for_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("transports.connect.remote.connection.ABANDON_S", 0.0)
    begun, freed = trio.Event(), trio.Event()

    async def play(call: Call) -> None:
        begun.set()
        await call.closed()
        freed.set()
        raise Gone

    async with serve(mcp(play)) as server, connect_http(spec(server.url)) as wire:
        talk = Talk(wire)
        await talk.initialize()
        await talk.tell(Request("a", "tools/call"))
        await begun.wait()
        await talk.tell(Notification("notifications/cancelled", Raw(b'{"requestId":"a"}')))
        await freed.wait()
        await server.got("notifications/cancelled")


# --- what fails for all ---


async def test_a_session_that_is_no_longer_known_ends_the_wire() -> None:
    gone = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"No valid session ID"}}'
    for status, body in ((404, b""), (400, gone)):

        async def play(call: Call, status: int = status, body: bytes = body) -> None:
            await call.reply(status, body)

        async with serve(mcp(play)) as server, connect_http(spec(server.url)) as wire:
            talk = Talk(wire)
            await talk.initialize()
            await talk.tell(Request(3, "tools/list"))
            assert "lost the session" in await talk.lost()
            with pytest.raises(WireLost):
                await talk.tell(Request(5, "tools/list"))


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (401, "URL answered 401 Unauthorized; set headers.Authorization for this instance"),
        (403, "URL answered 403 Forbidden; may the headers of this instance use it?"),
        (404, "URL answered 404 Not Found; is the URL right?"),
        (500, "URL answered 500 Internal Server Error"),
    ],
)
async def test_a_server_that_refuses_to_begin_is_named_with_its_reason(
    status: int, text: str
) -> None:
    assert await refusal(lambda call: call.reply(status)) == text


async def test_no_secret_of_the_url_or_headers_is_said() -> None:
    async with serve(lambda call: call.reply(500)) as server:
        url = f"http://me:s3cret@127.0.0.1:{server.port}/mcp?key=s3cret#s3cret"
        async with connect_http(spec(url, headers={"X-Key": "s3cret"})) as wire:
            talk = Talk(wire)
            await talk.tell(Request(1, "initialize"))
            assert await talk.lost() == f"{server.url} answered 500 Internal Server Error"


async def test_a_refused_connection_is_said_so() -> None:
    async with serve(Call.result) as server:
        url = server.url
    with trio.fail_after(PATIENCE_S):
        async with connect_http(spec(url)) as wire:
            talk = Talk(wire)
            await talk.tell(Request(1, "initialize"))
            assert await talk.lost() == f"cannot connect to {url}: connection refused"


async def test_an_unknown_host_is_said_so() -> None:
    class Nobody(trio.abc.HostnameResolver):
        async def getaddrinfo(self, *_: Any, **__: Any) -> Any:
            await trio.lowlevel.checkpoint()
            raise gaierror(EAI_NONAME, "unknown")

        async def getnameinfo(self, sockaddr: Any, flags: int) -> Any:
            raise NotImplementedError

    trio.socket.set_custom_hostname_resolver(Nobody())
    with trio.fail_after(PATIENCE_S):
        async with connect_http(spec("http://nowhere.invalid/mcp")) as wire:
            talk = Talk(wire)
            await talk.tell(Request(1, "initialize"))
            reason = await talk.lost()
    assert "http://nowhere.invalid/mcp: its host name cannot be resolved (unknown)" in reason


async def test_a_server_without_tls_is_said_so() -> None:
    async with serve(Call.result) as server:
        url = server.url.replace("http:", "https:")
        async with connect_http(spec(url)) as wire:
            talk = Talk(wire)
            await talk.tell(Request(1, "initialize"))
            assert (await talk.lost()).startswith(f"cannot connect to {url}: TLS failed")


@pytest.mark.parametrize("url", ["", "localhost:3000", "ftp://h/", "http://", "http://h:x/"])
async def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(WireLost):
        async with connect_http(spec(url)):
            pass


async def test_a_server_that_dies_is_noticed_by_its_event_stream() -> None:
    streaming = trio.Event()

    async def get(call: Call) -> None:
        await call.stream()
        await call.event(b"", id="1", retry="1")
        streaming.set()
        await never()

    async with serve(mcp(Call.result, get)) as server, connect_http(spec(server.url)) as wire:
        talk = Talk(wire)
        await talk.initialize()
        await streaming.wait()
        server.life.cancel()
        assert await talk.lost() == f"cannot connect to {server.url}: connection refused"


# --- redirects, other transports ---


async def test_redirects_within_the_origin_are_followed() -> None:
    followed = trio.Event()

    async def script(call: Call) -> None:
        if call.target == "/mcp":
            await call.reply(307, location="/mcp/")
            return
        if call.rpc == "notifications/roots/list_changed":
            followed.set()
        await mcp(Call.result)(call)

    async with serve(script) as server, connect_http(spec(server.url)) as wire:
        talk = Talk(wire)
        await talk.initialize()
        await talk.tell(Notification("notifications/roots/list_changed"))
        assert await talk.ask(3, "tools/list") == Response(3, Raw(b"{}"))
        await followed.wait()


async def test_redirects_to_another_origin_are_not_followed() -> None:
    async with serve(Call.result) as other:
        reason = await refusal(lambda call: call.reply(307, location=other.url))
        assert "not followed" in reason
        assert other.connections == 0


async def test_http_and_sse_is_tried_where_the_type_was_guessed() -> None:
    posted = trio.Event()

    async def script(call: Call) -> None:
        if call.method == "GET":
            await call.stream()
            await call.event(b"/messages?sessionId=1", event="endpoint")
            await posted.wait()
            await call.event(answer(1, "{}"), event="message")
            await call.closed()
            raise Gone
        if call.target == "/mcp":
            await call.reply(405)
            return
        await call.reply(202)
        posted.set()

    async with serve(script) as server, connect_http(spec(server.url, try_sse=True)) as wire:
        assert await Talk(wire).initialize() == Response(1, Raw(b"{}"))


async def test_both_transports_are_named_where_both_are_refused() -> None:
    reason = await refusal(lambda call: call.reply(404), try_sse=True)
    said = "URL answered 404 Not Found; is the URL right?"
    assert reason == f"streamable HTTP: {said}; HTTP+SSE: {said}"


# --- the end ---


async def test_a_goodbye_that_is_not_answered_is_waited_for_only_briefly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("transports.connect.remote.http_client.DELETE_S", 1.0)
    asked = trio.Event()

    async def script(call: Call) -> None:
        if call.method == "DELETE":
            asked.set()
            await never()
        await mcp(Call.result)(call)

    async with serve(script) as server:
        async with connect_http(spec(server.url)) as wire:
            await Talk(wire).initialize()
        assert asked.is_set()


async def test_cancellation_leaves_at_once() -> None:
    async def script(call: Call) -> None:
        await (never() if call.method == "DELETE" else mcp(lambda _: never())(call))

    async with serve(script) as server:
        with trio.CancelScope() as scope:
            async with connect_http(spec(server.url)) as wire:
                talk = Talk(wire)
                await talk.initialize()
                await talk.tell(Request(3, "tools/call"))
                scope.cancel()
                await talk.hear()
        assert scope.cancelled_caught


async def test_an_exception_inside_comes_out_as_it_is() -> None:
    async with serve(mcp(Call.result)) as server:
        with pytest.raises(WireLost, match="mine"):
            async with connect_http(spec(server.url)):
                raise WireLost("mine")


def test_the_sdk_is_not_imported_before_it_is_needed() -> None:
    heavy = "{'mcp', 'mcp_types', 'httpx2', 'pydantic', 'anyio'}"
    code = f"import sys, transports.connect.remote.connect\nassert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE_S)
