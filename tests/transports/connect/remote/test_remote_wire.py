"""The beginning and the end of wires to remote upstreams, played by a fake server."""

from __future__ import annotations

import subprocess
import sys

import pytest
import trio
from msgspec import Raw

from router.messages.frames import Request, Response
from tests.transports.connect.remote.fake_server import (
    PATIENCE_S,
    Call,
    connected,
    initialized,
    never,
    refusal,
    serve,
    session_server,
    spec,
    sse_only_server,
)
from transports.connect.remote.connect import connect_http
from transports.connect.wire import WireLost

# --- Failures of the connection ---


async def test_a_session_that_is_no_longer_known_ends_the_wire() -> None:
    gone = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"No valid session ID"}}'
    for status, body in ((404, b""), (400, gone)):

        async def play(call: Call, status: int = status, body: bytes = body) -> None:
            await call.reply(status, body)

        async with initialized(session_server(play)) as talk:
            await talk.send(Request(3, "tools/list"))
            assert "lost the session" in await talk.lost_reason()
            with pytest.raises(WireLost):
                await talk.send(Request(5, "tools/list"))


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


async def test_a_server_that_asks_for_a_pause_before_it_begins_is_heard() -> None:
    async with connected(lambda call: call.reply(503, retry_after="7")) as talk:
        await talk.send(Request(1, "initialize"))
        for _ in range(2):
            with pytest.raises(WireLost, match=r"answered 503 .*; Retry-After: 7 s$") as lost:
                await talk.receive()
            assert lost.value.retry_after_s == 7


async def test_no_secret_of_the_url_or_headers_is_in_the_reason() -> None:
    async with serve(lambda call: call.reply(500)) as server:
        url = f"http://me:s3cret@127.0.0.1:{server.port}/mcp?key=s3cret#s3cret"
        async with server.connect(url=url, headers={"X-Key": "s3cret"}) as talk:
            await talk.send(Request(1, "initialize"))
            assert await talk.lost_reason() == "URL answered 500 Internal Server Error"


async def test_a_refused_connection_is_the_reason() -> None:
    async with serve(Call.result) as server:
        pass
    with trio.fail_after(PATIENCE_S):
        async with server.connect() as talk:
            await talk.send(Request(1, "initialize"))
            assert await talk.lost_reason() == "cannot connect to URL: connection refused"


@pytest.mark.parametrize("url", ["", "localhost:3000", "ftp://h/", "http://", "http://h:x/"])
async def test_a_malformed_url_is_refused(url: str) -> None:
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

    async with initialized(session_server(Call.result, get)) as talk:
        await streaming.wait()
        talk.server.life.cancel()
        assert await talk.lost_reason() == "cannot connect to URL: connection refused"


# --- Other transports ---


async def test_a_proxy_that_cannot_be_used_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:1")
    async with connected(Call.result) as talk:
        with pytest.raises(WireLost, match="the proxy of the environment is neither http:// nor"):
            await talk.send(Request(1, "initialize"))


async def test_http_and_sse_is_tried_where_the_type_was_guessed() -> None:
    async with connected(sse_only_server(405), try_sse=True) as talk:
        assert await talk.initialize() == Response(1, Raw(b"{}"))


async def test_both_transports_are_named_where_both_are_refused() -> None:
    reason = await refusal(lambda call: call.reply(404), try_sse=True)
    said = "URL answered 404 Not Found; is the URL right?"
    assert reason == f"streamable HTTP: {said}; HTTP+SSE: {said}"


# --- The end ---


async def test_cancellation_leaves_at_once() -> None:
    async def script(call: Call) -> None:
        await (never() if call.method == "DELETE" else session_server(lambda _: never())(call))

    async with serve(script) as server:
        with trio.CancelScope() as scope:
            async with server.connect() as talk:
                await talk.initialize()
                await talk.send(Request(3, "tools/call"))
                scope.cancel()
                await talk.receive()
        assert scope.cancelled_caught


async def test_an_error_that_a_session_makes_of_its_cancellation_comes_out() -> None:
    async def script(call: Call) -> None:
        await never()

    async with serve(script) as server:
        with pytest.raises(WireLost, match="no answer"), trio.CancelScope() as scope:  # noqa: PT012
            async with server.connect() as talk:
                await talk.send(Request(1, "server/discover"))
                await server.wait_for("server/discover")
                scope.cancel()
                try:
                    await talk.receive()
                except trio.Cancelled:
                    raise WireLost("no answer to server/discover") from None  # noqa: ASYNC104


async def test_an_exception_inside_comes_out_as_it_is() -> None:
    async with serve(session_server(Call.result)) as server:
        with pytest.raises(WireLost, match="mine"):
            async with server.connect():
                raise WireLost("mine")


def test_the_sdk_is_not_imported_before_it_is_needed() -> None:
    heavy = "{'mcp', 'mcp_types', 'httpx2', 'pydantic', 'anyio'}"
    code = f"import sys, transports.connect.remote.connect\nassert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE_S)
